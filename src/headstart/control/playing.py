"""Evaluation episodes with the policies of a recorded run."""

from __future__ import annotations

import jax

from headstart.control.evaluation import Evaluation, evaluate_functional, evaluate_worlds
from headstart.control.policy import load_policy
from headstart.control.resolving import resolve_world
from headstart.core.errors import UsageError
from headstart.runs.folder import RunFolder


def evaluate_run(
    run: RunFolder, episodes: int = 20, world: str | None = None, which: str = "latest", seed: int = 12345
) -> dict[int, Evaluation]:
    """Greedy episodes with the policy of every seed of a run.

    Args:
        run: the run.
        episodes: how many for each seed.
        world: a world's name; the run's own by default.
        which: "latest" or "best" checkpoint.
        seed: of the evaluation worlds; the same worlds for every seed of the run.

    Raises:
        UsageError: there is no world to play in, or it does not fit the policy.
    """
    recorded = run.config["world"]
    name = world or (recorded and recorded["source"])
    if name is None:
        raise UsageError(f"{run.path} has no world that can be made by name; name one to play in")
    if episodes < 1:
        raise UsageError(f"episodes {episodes}: give at least 1")
    functional_world, make_worlds, _, spec = resolve_world(name)
    outcomes = {}
    for number in run.seeds:
        policy = load_policy(run, number, which)
        if spec != policy.spec:
            raise UsageError(f"{name} offers {spec}, but the policy was trained for {policy.spec}")
        key = jax.random.key(seed)
        if functional_world is not None:
            outcomes[number] = evaluate_functional(
                policy.method, functional_world, policy.preprocessor, policy.state, key, episodes
            )
        elif make_worlds is not None:
            worlds = make_worlds(episodes, seed)
            outcomes[number] = evaluate_worlds(policy.method, worlds, policy.preprocessor, policy.state, key)
            worlds.close()
    return outcomes
