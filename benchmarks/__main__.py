"""Runs every comparison and writes the page. ``python -m benchmarks``"""

from benchmarks import (
    bandit_speed,
    finite_speed,
    language_training,
    logging_cost,
    offline_speed,
    online_speed,
    startup,
    tables,
)

for part in (offline_speed, online_speed, startup, bandit_speed, finite_speed, logging_cost, language_training, tables):
    part.main()
