"""Record a scripted or trained policy in a functional world: from rollouts to experience."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxtyping import PRNGKeyArray

from headstart.data.experience import Experience
from headstart.envs.functional import FunctionalWorld, Policy, rollout


def collect(
    world: FunctionalWorld,
    policy: Policy,
    key: PRNGKeyArray,
    episodes: int,
    *,
    from_state: bool = False,
    metadata: Mapping[str, Any] | None = None,
) -> Experience:
    """Whole episodes, one after another, each to its termination or the world's horizon.

    Args:
        world: where to act.
        policy: ``policy(key, observation) -> action``; see ``headstart.envs.functional.rollout``.
        key: random key; the same key gives the same experience.
        episodes: how many.
        from_state: give the policy the world's state, as scripted controllers (``noisy_controller``) need.
        metadata: JSON-serialisable facts, kept beside the world's name.
    """
    recorded = rollout(world, policy, key, episodes, from_state)
    return Experience(world.spec, recorded.steps(), {"name": world.name, **(metadata or {})})
