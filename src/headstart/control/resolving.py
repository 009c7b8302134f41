"""From names to the things they stand for: everything that training needs is loaded and checked here first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from headstart.control.field_ranges import check_fields
from headstart.control.method import Method
from headstart.control.plan import Phase
from headstart.control.policy import Policy, load_policy
from headstart.control.preprocessing import with_transformed_rewards
from headstart.control.settings import Settings
from headstart.control.starting import worlds_at_snapshots
from headstart.control.trainer import Parts
from headstart.core.errors import UsageError
from headstart.core.specs import Spec
from headstart.data.check import check_for_training
from headstart.data.experience import Experience
from headstart.data.registry import load as load_data
from headstart.data.row_weights import RowWeights
from headstart.data.weights import TrajectoryWeights
from headstart.envs.functional import FunctionalWorld
from headstart.envs.registry import find_functional, make
from headstart.envs.worlds import GymnasiumWorlds
from headstart.runs.folder import RunFolder


def resolve(
    method: Method,
    world: Any,
    data: str | Path | Experience | None,
    plan: Sequence[Phase],
    settings: Settings,
    init_from: Path | str | None,
) -> Parts:
    """Load and check everything that training needs, before anything is spent or written."""
    check_fields(method)
    functional_world, make_worlds, name, spec = resolve_world(world)
    method, experience = method.for_plan(plan, settings.worlds), None
    if data is not None:
        experience = data if isinstance(data, Experience) else load_data(str(data))
        check_for_training(experience, spec, discrete=method.discrete, continuous=method.continuous)
        experience = method.for_phase(plan[0].kind).select(experience)
        experience = with_transformed_rewards(experience, settings.reward_scale, settings.reward_bias)
        spec = spec or experience.spec
    if spec is None:
        raise UsageError("neither a world nor data was given; give at least one")
    for kind in {phase.kind for phase in plan}:
        method.for_phase(kind).check(spec)
    weights = None if experience is None else _weights(settings.sampler, experience)
    parts = Parts(method, plan, settings, spec, experience, weights, functional_world, make_worlds, name)
    parts.make_acting = worlds_at_snapshots(world, settings)
    if init_from is not None:
        source = RunFolder.open(init_from)
        trained_for = load_policy(source).spec
        if trained_for != spec:
            raise UsageError(f"{init_from} was trained for {trained_for}, which is not {spec}")
        parts = replace(parts, initial=partial(_same_or_first_seed, source))
    return parts


def _same_or_first_seed(run: RunFolder, seed: int) -> Policy:
    return load_policy(run, seed if seed in run.seeds else None)


def resolve_world(world: Any) -> tuple[FunctionalWorld | None, Callable[..., Any] | None, str | None, Spec | None]:
    """What a world given by name, as an object or as a function is: a functional world or else a maker of host worlds
    from (count, seed); its name; its spec. All None where no world is given. ``envpool:ID`` is EnvPool's world.

    Raises:
        UsageError: there is no such world, or its spaces cannot be learned in.
    """
    if world is None:
        return None, None, None, None
    if isinstance(world, str):
        engine, _, name = world.rpartition(":")
        if engine == "envpool":
            make_worlds = partial(make, name, engine="envpool")
        elif (found := find_functional(world)) is not None:
            return found, None, world, found.spec
        else:
            name, make_worlds = world, partial(make, world)
    elif isinstance(world, FunctionalWorld):
        return world, None, world.name, world.spec
    else:
        name = getattr(world, "__name__", type(world).__name__)
        make_worlds = partial(GymnasiumWorlds, world, name=name)
    probe = make_worlds(1, 0)
    try:
        return None, make_worlds, name, probe.spec
    finally:
        probe.close()


def _weights(sampler: str, experience: Experience) -> RowWeights | None:
    if sampler == "uniform":
        return None
    kind, _, number = sampler.partition(":")
    if kind not in ("advantage", "return", "top"):
        raise UsageError(f"sampler {sampler!r}; expected uniform, advantage:ALPHA, return:ALPHA or top:FRACTION")
    try:
        value = float(number or 0.1)
    except ValueError as error:
        raise UsageError(f"sampler {sampler!r}: {number!r} is not a number") from error
    weights = TrajectoryWeights(kind, fraction=value) if kind == "top" else TrajectoryWeights(kind, alpha=value)
    return weights.row_weights(experience)
