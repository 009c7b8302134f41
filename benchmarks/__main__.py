"""Runs every comparison and writes the page. ``python -m benchmarks``"""

from benchmarks import offline_speed, online_speed, startup, tables

for part in (offline_speed, online_speed, startup, tables):
    part.main()
