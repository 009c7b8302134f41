"""A world of choices whose right answer shows only on average: what it takes to certify a policy that looks good."""

from __future__ import annotations

import numpy as np

from headstart.finite.mdp import FiniteMDP


def noisy_choices(seed: int = 0, contexts: int = 4, actions: int = 4, horizon: int = 4) -> FiniteMDP:
    """In a context every action succeeds with a probability of its own; then a new context is drawn.

    States are the contexts, then good, then bad. An action leads to good with probability uniform in [0.2, 0.5], the
    best one of each context in [0.7, 0.8], else to bad. Good pays 1. Both lead to a context drawn evenly. The start is
    the first context.

    Args:
        seed: of the world.
        contexts: number of contexts.
        actions: number of actions.
        horizon: steps of an episode.
    """
    random = np.random.default_rng(seed)
    success = random.uniform(0.2, 0.5, (contexts, actions))
    success[np.arange(contexts), random.integers(0, actions, contexts)] = random.uniform(0.7, 0.8, contexts)
    good, bad = contexts, contexts + 1
    transition = np.zeros((contexts + 2, actions, contexts + 2))
    transition[:contexts, :, good] = success
    transition[:contexts, :, bad] = 1 - success
    transition[contexts:, :, :contexts] = 1 / contexts
    reward = np.zeros((contexts + 2, actions))
    reward[good] = 1
    return FiniteMDP.of(transition, reward, horizon)
