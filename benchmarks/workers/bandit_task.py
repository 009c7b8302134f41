"""The logged problem on which bandit libraries are timed. Imports NumPy alone."""

from __future__ import annotations

import numpy as np


def logged_problem(rows: int, arms: int, features: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Contexts ``[rows, features]`` of norm 1, actions drawn evenly, rewards of 0 or 1."""
    random = np.random.default_rng(0)
    contexts = random.standard_normal((rows, features))
    contexts /= np.linalg.norm(contexts, axis=1, keepdims=True)
    parameters = random.standard_normal((arms, features)) / np.sqrt(features)
    actions = random.integers(0, arms, rows)
    probability = np.clip(0.5 + 0.5 * np.einsum("rf,rf->r", contexts, parameters[actions]), 0, 1)
    return contexts, actions, (random.uniform(size=rows) < probability).astype(float)
