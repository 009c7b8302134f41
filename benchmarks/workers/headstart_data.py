"""The synthetic data in headstart's format."""

from __future__ import annotations

import numpy as np
from task import ACTIONS, OBSERVATIONS, synthetic_data

from headstart.core.specs import Box, Spec
from headstart.data.experience import Experience


def experience(rows: int) -> Experience:
    """The synthetic transitions; at an episode's end the next observation is the last one again."""
    columns = synthetic_data(rows)
    following = np.roll(columns["observations"], -1, axis=0)
    following[columns["truncations"]] = columns["observations"][columns["truncations"]]
    spec = Spec(Box.uniform((OBSERVATIONS,), -np.inf, np.inf), Box.uniform((ACTIONS,), -1.0, 1.0))
    return Experience(spec, columns | {"next_observations": following})
