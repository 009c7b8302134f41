"""A world of doors that seldom open: what is behind each has to be sampled often, unless data say so already.

One state with a door for each action; a door leads to its own room with a small probability, else to a hall that all
share. In the rooms and the hall two actions pay differently. One room has a prize that its neighbours lack.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from headstart.core.errors import UsageError
from headstart.finite.episodes import Counts
from headstart.finite.mdp import FiniteMDP

PLAIN, PRIZE, HALL = (0.5, 0.3), (0.5, 1.0), (0.2, 0.1)
"""Mean rewards of the two actions in a plain room, in the room with the prize, in the hall."""


def rare_rooms(doors: int = 6, opens: float = 0.3) -> FiniteMDP:
    """Horizon 2, ``doors + 2`` states: the start, the rooms 1 to ``doors`` (the last has the prize), the hall.

    Rewards are Bernoulli. At the second step actions beyond the second pay nothing. The best policy takes the last
    door and then action 1 in the room, action 0 in the hall; with the defaults its value is 0.44 and that of the best
    policy through another door 0.29.

    Args:
        doors: how many, at least 2.
        opens: probability that a door leads to its room.

    Raises:
        UsageError: fewer than two doors, or ``opens`` outside (0, 1].
    """
    if doors < 2 or not 0 < opens <= 1:
        raise UsageError(f"doors is {doors} and opens {opens}; expected at least 2 doors and a probability above 0")
    states, hall = doors + 2, doors + 1
    transition = np.zeros((2, states, doors, states))
    transition[0, 0, :, hall] = 1 - opens
    transition[0, 0, np.arange(doors), 1 + np.arange(doors)] += opens
    transition[0, 1:, :, hall] = transition[1, :, :, hall] = 1.0
    reward = np.zeros((2, states, doors))
    reward[1, 1:doors, :2], reward[1, doors, :2], reward[1, hall, :2] = PLAIN, PRIZE, HALL
    return FiniteMDP.of(transition, reward, 2, reward_noise="bernoulli")


def door_policies(world: FiniteMDP) -> Float[np.ndarray, "policies 2 states actions"]:
    """The ``4 doors`` deterministic policies that differ: a door, an action in its room, an action in the hall.

    In the order of the door, then of the action in the room, then of that in the hall.
    """
    doors, states = world.actions, world.states
    policies = np.zeros((doors, 2, 2, 2, states, doors))
    policies[..., 0, :, 0] = policies[..., 1, :, 0] = 1.0
    for door in range(doors):
        for room in range(2):
            for hall in range(2):
                policy = policies[door, room, hall]
                policy[0, 0], policy[1, 1 + door], policy[1, -1] = np.eye(doors)[[door, room, hall]]
    return policies.reshape(4 * doors, 2, states, doors)


def recorded_doors(world: FiniteMDP, doors: int, samples: int, generator: np.random.Generator) -> Counts:
    """Data that know the first so many doors, both actions of their rooms and of the hall, and nothing else.

    Args:
        world: of ``rare_rooms``.
        doors: how many of them are known; with 0 nothing is.
        samples: of each known action, as a generative model gives them.
        generator: source of randomness.
    """
    visits = np.zeros((2, world.states, world.actions), int)
    visits[0, 0, :doors] = visits[1, 1 : doors + 1, :2] = samples
    visits[1, -1, :2] = samples if doors else 0
    following = generator.multinomial(visits, world.transition)
    return Counts(following.astype(np.float64), generator.binomial(visits, world.reward).astype(np.float64))
