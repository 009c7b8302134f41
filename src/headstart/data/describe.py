"""What a dataset is like, and which methods that suggests.

Schweighofer et al. 2022, "A Dataset Perspective on Offline Reinforcement Learning".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from headstart.core.errors import DataError, UsageError
from headstart.core.specs import Discrete
from headstart.data.experience import Experience

_BLOCK = 1 << 16
QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


@dataclass(frozen=True)
class Description:
    """What ``describe`` measures.

    Attributes:
        discrete: whether actions are choices.
        n_transitions: rows.
        n_trajectories: complete episodes.
        n_incomplete: episodes whose recording stopped before their end; they count for coverage, not for returns.
        lengths: quantiles (``QUANTILES``) of the complete episodes' lengths, in steps.
        mean_return: mean undiscounted return of complete episodes: g(D).
        returns: quantiles (``QUANTILES``) of their undiscounted returns.
        tq: trajectory quality, ``(g(D) - g_random) / (g_expert - g_random)``: 0 as good as random, 1 as the expert;
            may lie beyond both. None unless both returns are known.
        n_unique: unique pairs of state and action u(D), continuous dimensions in bins.
        saco: state-action coverage, ``u(D) / u(D_ref)``; None without a reference.
        lsaco: the same of logarithms, ``log u(D) / log u(D_ref)``; None without a reference.
        entropy: of the distribution over those pairs, in nats.
        reward_sparsity: part of transitions whose reward is the most common one.
        rewards: smallest and largest reward.
        observation_low: smallest value of every observed number.
        observation_high: largest.
        action_low: smallest value of every action dimension; for choices, how often each was taken.
        action_high: largest; for choices, as ``action_low``.
        n_terminations: rows where the world ended.
        n_truncations: rows where recording was cut.
        notes: what to bear in mind when reading the numbers.
    """

    discrete: bool
    n_transitions: int
    n_trajectories: int
    n_incomplete: int
    lengths: tuple[float, ...]
    mean_return: float
    returns: tuple[float, ...]
    tq: float | None
    n_unique: int
    saco: float | None
    lsaco: float | None
    entropy: float
    reward_sparsity: float
    rewards: tuple[float, float]
    observation_low: tuple[float, ...]
    observation_high: tuple[float, ...]
    action_low: tuple[float, ...]
    action_high: tuple[float, ...]
    n_terminations: int
    n_truncations: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Recommendation:
    """Which methods a description suggests.

    Attributes:
        methods: names, the first one first.
        text: why, and how far the advice carries.
    """

    methods: tuple[str, ...]
    text: str


def describe(
    dataset: Experience,
    reference: Experience | None = None,
    expert_return: float | None = None,
    random_return: float | None = None,
    bins: int = 100,
) -> Description:
    """Measure a dataset.

    Args:
        dataset: what to describe.
        reference: the dataset that coverage is relative to (the paper's: all that an online learner saw, of the same
            size). Its ranges are those that the bins divide.
        expert_return: mean undiscounted return of an expert.
        random_return: mean undiscounted return of random actions.
        bins: into how many bins each continuous dimension is divided.

    Raises:
        DataError: no episode is complete, or a number is not finite.
        UsageError: the expert is no better than random, or the reference is of another world.
    """
    if bins < 1:
        raise UsageError(f"{bins} bins; expected at least one")
    if (expert_return is None) != (random_return is None):
        raise UsageError("give both the expert's and the random return, or neither")
    if expert_return is not None and random_return is not None and not expert_return > random_return:
        raise UsageError(f"the expert's return {expert_return} is not above the random return {random_return}")
    spec = dataset.spec
    if reference is not None and (
        reference.spec.observation.shape != spec.observation.shape or reference.spec.action_size != spec.action_size
    ):
        raise UsageError(
            f"the reference is of another world: it has {reference.spec.shapes}; the dataset has {spec.shapes}"
        )
    episodes = dataset.episodes()
    if not episodes.complete.any():
        raise DataError(
            f"none of {len(episodes)} episodes is complete, so there is no return to measure; mark where episodes end"
        )
    returns, lengths = dataset.returns(), episodes.lengths[episodes.complete]
    mean = float(returns.mean())
    tq = (
        None
        if expert_return is None or random_return is None
        else (mean - random_return) / (expert_return - random_return)
    )
    low, high = _ranges(dataset)
    bounds = (low, high) if reference is None else _ranges(reference)
    counts = _pair_counts(dataset, bounds, bins)
    saco = lsaco = None
    notes = _notes(dataset, reference)
    if reference is not None:
        covered = len(_pair_counts(reference, bounds, bins))
        saco = len(counts) / covered
        lsaco = float(np.log(len(counts)) / np.log(covered)) if covered > 1 else None
    rewards = dataset.read("rewards")
    if not np.isfinite(rewards).all():
        raise DataError(f"{int((~np.isfinite(rewards)).sum())} rewards are NaN or infinite")
    _, how_many = np.unique(rewards, return_counts=True)
    observed = spec.observation_size
    discrete = isinstance(spec.action, Discrete)
    chosen = np.bincount(dataset.read("actions"), minlength=spec.action_size) if discrete else None
    return Description(
        discrete=discrete,
        n_transitions=len(dataset),
        n_trajectories=len(returns),
        n_incomplete=len(episodes) - len(returns),
        lengths=_quantiles(lengths),
        mean_return=mean,
        returns=_quantiles(returns),
        tq=tq,
        n_unique=len(counts),
        saco=saco,
        lsaco=lsaco,
        entropy=_entropy(counts),
        reward_sparsity=float(how_many.max() / len(rewards)),
        rewards=(float(rewards.min()), float(rewards.max())),
        observation_low=tuple(low[:observed].tolist()),
        observation_high=tuple(high[:observed].tolist()),
        action_low=tuple((low[observed:] if chosen is None else chosen).tolist()),
        action_high=tuple((high[observed:] if chosen is None else chosen).tolist()),
        n_terminations=int(dataset.read("terminations").sum()),
        n_truncations=int(dataset.read("truncations").sum()),
        notes=tuple(notes),
    )


def recommend(description: Description) -> Recommendation:
    """Methods that a dataset's trajectory quality and coverage suggest.

    The paper's findings: methods that do not stay near the data (DQN and its kin) need high coverage; methods that do
    (CQL, IQL, TD3+BC) do well with high quality at moderate coverage; imitation is as good as the data.
    """
    caveat = (
        "This is a rule of thumb from discrete worlds with deterministic steps: it orders families of methods, it does "
        "not promise a score. Coverage compares only datasets of equal size against one reference, and says little "
        "of image observations. Try two families before trusting one."
    )
    tq, saco = description.tq, description.saco
    near, free = (
        (("iql", "discrete-cql", "bcq"), "dqn") if description.discrete else (("iql", "cql", "td3-bc"), "sac-n")
    )
    if tq is None or saco is None:
        missing = [
            name
            for name, value in (
                ("trajectory quality (give expert and random returns)", tq),
                ("coverage (give a reference dataset)", saco),
            )
            if value is None
        ]
        text = f"Without {' and '.join(missing)} only the usual order can be given: imitation first, as a floor. "
        return Recommendation(("bc", *near), text + caveat)
    if tq >= 0.8:
        why = f"Quality {tq:.2f} is near the expert's: imitation is hard to beat"
        if saco >= 0.5:
            why += f", and at coverage {saco:.2f} methods that stay near the data may improve on it"
        methods = ("bc", *near)
    elif saco >= 0.75:
        why = (
            f"Coverage {saco:.2f} is high and quality {tq:.2f} is not: learn values; where the data cover what the "
            "policy would do, even methods without a constraint can work"
        )
        methods = (*near, free)
    elif tq >= 0.3:
        why = f"Quality {tq:.2f} at coverage {saco:.2f}: stay near the data and weigh its better part"
        methods = (*near, "filtered-bc")
    else:
        why = (
            f"Quality {tq:.2f} and coverage {saco:.2f} are both low: there is little to imitate and little to explore "
            "in; expect to need interaction (collect more, or go on online)"
        )
        methods = near if description.discrete else (*near, "wsrl")
    return Recommendation(methods, f"{why}. {caveat}")


def _quantiles(values: np.ndarray) -> tuple[float, ...]:
    return tuple(np.quantile(np.asarray(values, np.float64), QUANTILES).tolist())


def _entropy(counts: Int[np.ndarray, " pairs"]) -> float:
    shares = counts / counts.sum()
    return float(max(0.0, -(shares * np.log(shares)).sum()))


def _notes(dataset: Experience, reference: Experience | None) -> list[str]:
    notes = []
    if reference is None:
        notes.append("without a reference dataset, unique pairs are counted in bins of the data's own ranges")
    elif len(reference) != len(dataset):
        notes.append(
            f"coverage compares datasets of equal size, but these have {len(dataset)} and {len(reference)} "
            "transitions; subsample the larger"
        )
    if len(dataset.spec.observation.shape) > 1:
        notes.append("observations are images: unique pairs of raw pixels say little, use features")
    notes.append("unique pairs measure exploration only where steps are deterministic")
    return notes


def _pairs(dataset: Experience) -> Iterator[Float[np.ndarray, "rows numbers"]]:
    """Blocks of flattened observations with actions appended."""
    for start in range(0, len(dataset), _BLOCK):
        columns = (dataset.read(name, start, start + _BLOCK) for name in ("observations", "actions"))
        yield np.concatenate([column.reshape(len(column), -1).astype(np.float64) for column in columns], axis=1)


def _ranges(dataset: Experience) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.inf, -np.inf
    for block in _pairs(dataset):
        if not np.isfinite(block).all():
            raise DataError(f"{int((~np.isfinite(block)).sum())} observed or acted numbers are NaN or infinite")
        low, high = np.minimum(low, block.min(0)), np.maximum(high, block.max(0))
    return np.asarray(low), np.asarray(high)


def _pair_counts(dataset: Experience, bounds: tuple[np.ndarray, np.ndarray], bins: int) -> Int[np.ndarray, " pairs"]:
    """How often each unique pair of state and action occurs.

    Every dimension but a choice is divided into bins between the bounds; what lies beyond is in the outermost bin,
    and a dimension without extent is one bin. Pairs are told apart by 64-bit hashes, which collide among a million
    with a probability below one in a hundred thousand.
    """
    low, high = bounds
    width = np.where(high > low, high - low, np.inf)
    factors = np.random.default_rng(0).integers(0, 2**63, len(low), dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    hashes = []
    for block in _pairs(dataset):
        cells = np.clip((block - low) / width * bins, 0, bins - 1).astype(np.uint64)
        if isinstance(dataset.spec.action, Discrete):
            cells[:, -1] = block[:, -1].astype(np.uint64)
        hashes.append((cells * factors).sum(axis=1, dtype=np.uint64))
    return np.unique(np.concatenate(hashes), return_counts=True)[1]
