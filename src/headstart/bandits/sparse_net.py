"""Search among all sparse linear functions, up to a grid: few features matter, so few functions are possible.

Every way to weigh at most s of d features, on a grid, makes a net of about (d / h)^s functions, one of which predicts
all rewards to within epsilon plus the net's error. Querying what each would choose, or dropping those that a query
contradicts, finds an action at most twice that far below the best (Dong and Yang 2023, arXiv 2303.16998).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from headstart.bandits.misspecified import Features, Found, Query, checked_features
from headstart.core.errors import DataError, UsageError


class Net(NamedTuple):
    """Sparse parameters.

    Attributes:
        supports: features that each weighs; one of them again, with weight 0, where there are fewer.
        weights: of those features.
        error: how far the nearest of them may be from the truth in its prediction of any reward.
    """

    supports: Int[np.ndarray, "members sparsity"]
    weights: Float[np.ndarray, "members sparsity"]
    error: float

    def predictions(self, features: Float[np.ndarray, " features"]) -> Float[np.ndarray, " members"]:
        """What each member predicts for one action."""
        return np.sum(features[self.supports] * self.weights, axis=1)


def net_size(dimension: int, sparsity: int, radius: int) -> int:
    """How many integer vectors of this dimension have at most ``sparsity`` non-zeros and an L1 norm of at most
    ``radius``."""
    return sum(math.comb(dimension, k) * 2**k * math.comb(radius, k) for k in range(sparsity + 1))


def sparse_net(features: Features, sparsity: int, step: float, radius: float = 1.0, limit: int = 3_000_000) -> Net:
    """A grid over all parameters with few non-zeros within an L1 ball.

    Args:
        features: of the actions.
        sparsity: most non-zeros.
        step: of the grid. Each weight is off by half of it at most, hence the net's error.
        radius: of the ball that the true parameter lies in.
        limit: the most members.

    Raises:
        UsageError: there would be more members than the limit; says how many.
    """
    dimension = features.shape[1]
    steps = math.floor(radius / step + sparsity / 2)  # rounding may push the norm out by half a step a weight
    size = net_size(dimension, sparsity, steps)
    if size > limit:
        raise UsageError(
            f"the net would have {size:,} members, more than the limit of {limit:,}: take a larger step (now {step}), "
            "fewer features or a smaller sparsity, use sparse regression, or raise the limit"
        )
    supports, weights = [np.zeros((1, sparsity), np.int64)], [np.zeros((1, sparsity))]
    for count in range(1, sparsity + 1):
        grid = np.array(list(_signed_compositions(count, steps)), float) * step
        chosen = np.array(list(combinations(range(dimension), count)))
        pad = ((0, 0), (0, sparsity - count))
        supports.append(np.repeat(np.pad(chosen, pad, "edge"), len(grid), axis=0))
        weights.append(np.tile(np.pad(grid, pad), (len(chosen), 1)))
    error = sparsity * step / 2 * float(np.abs(features).max())
    return Net(np.concatenate(supports), np.concatenate(weights), error)


def explicit_net(parameters: ArrayLike, error: float = 0.0) -> Net:
    """A net of given parameters ``[members, features]``, one of which is within ``error`` of the truth."""
    parameters = np.asarray(parameters, np.float64)
    return Net(np.tile(np.arange(parameters.shape[1]), (len(parameters), 1)), parameters, error)


@dataclass(frozen=True)
class SparseNetSearch:
    """Find a nearly best action when at most ``sparsity`` features matter.

    Raises:
        UsageError: sparsity below one, or constants that must be positive and are not.
    """

    sparsity: int
    """Features that matter, at most."""
    epsilon: float
    """Largest deviation of rewards from linear ones."""
    strategy: Literal["elimination", "net"] = "elimination"
    """``net`` queries what every member would choose and returns the best seen. ``elimination`` queries the most
    optimistic member's choice, stops if its reward keeps the promise, and drops all members that it contradicts."""
    step: float | None = None
    """Of the grid; None takes 2 epsilon / sparsity, whose error is epsilon for features within [-1, 1]."""
    radius: float = 1.0
    """L1 norm that the parameter does not exceed."""
    limit: int = 3_000_000
    """The most members that a net may have."""
    noise: float = 0.0
    """Standard deviation that bounds the queries' noise (sub-Gaussian). Queries are then repeated until their mean is
    within epsilon of the truth, and count twice epsilon as the deviation."""
    confidence: float = 0.95
    """With which the certificate holds when there is noise."""

    def __post_init__(self) -> None:
        if self.sparsity < 1:
            raise UsageError(f"sparsity must be 1 or more; given {self.sparsity}")
        if self.epsilon < 0 or (self.epsilon == 0 and (self.step is None or self.noise > 0)):
            raise UsageError(
                f"epsilon must be positive, or 0 with a given step and no noise; given {self.epsilon}. If it is "
                "unknown, start small and double it as long as all members are contradicted"
            )
        if (self.step is not None and self.step <= 0) or self.radius <= 0 or self.noise < 0:
            raise UsageError(
                f"step and radius must be positive and noise not negative; given {self.step}, {self.radius} and "
                f"{self.noise}"
            )
        if not 0 < self.confidence < 1:
            raise UsageError(f"confidence must be within (0, 1); given {self.confidence}")

    def search(self, features: ArrayLike, query: Query, net: Net | None = None) -> Found:
        """Find an action; at most 2 (epsilon + net error) below the best.

        Args:
            features: ``[actions, features]``.
            query: gives rewards.
            net: to search in; by default all sparse parameters (``sparse_net``).

        Raises:
            UsageError: more features matter than there are, or the net would be too large.
            DataError: queries contradict every member: rewards are not as sparse, or not as linear, as was said.
        """
        features = checked_features(features)
        if net is None:
            if self.sparsity > features.shape[1]:
                raise UsageError(f"sparsity is {self.sparsity}, but there are {features.shape[1]} features")
            step = 2 * self.epsilon / self.sparsity if self.step is None else self.step
            net = sparse_net(features, self.sparsity, step, self.radius, self.limit)
        actions, values = _choices(features, net)
        repeats = self._repeats(len(np.unique(actions)))
        tolerance = (2 if repeats > 1 else 1) * self.epsilon + net.error

        def averaged(action: int) -> float:
            return sum(query(action) for _ in range(repeats)) / repeats

        find = self._query_all if self.strategy == "net" else self._eliminate
        action, queried = find(features, net, actions, values, tolerance, averaged)
        return Found(action, queried * repeats, 2 * tolerance)

    def _repeats(self, actions: int) -> int:
        """How often to query an action so that all means are within epsilon of the truth together."""
        if not self.noise:
            return 1
        return max(2, math.ceil(2 * (self.noise / self.epsilon) ** 2 * math.log(2 * actions / (1 - self.confidence))))

    @staticmethod
    def _query_all(features, net: Net, actions, values, tolerance: float, query: Query) -> tuple[int, int]:
        distinct = np.unique(actions)
        return int(distinct[np.argmax([query(int(action)) for action in distinct])]), len(distinct)

    @staticmethod
    def _eliminate(features, net: Net, actions, values, tolerance: float, query: Query) -> tuple[int, int]:
        alive, queried = np.ones(len(values), bool), 0
        for member in np.argsort(-values, kind="stable"):
            if not alive[member]:
                continue
            action = int(actions[member])
            reward, queried = query(action), queried + 1
            if reward >= values[member] - tolerance - 1e-9:
                return action, queried
            alive &= np.abs(net.predictions(features[action]) - reward) <= tolerance + 1e-9
        raise DataError(
            f"after {queried} queries no member of the net is within {tolerance:.4g} of all rewards: they are further "
            "from linear, or less sparse, than was said, or the parameter is larger than the radius; raise epsilon, "
            "sparsity or radius"
        )


def _choices(features: Features, net: Net) -> tuple[Int[np.ndarray, " members"], Float[np.ndarray, " members"]]:
    """The action that each member predicts best, and its predicted reward."""
    actions, values = np.empty(len(net.weights), np.int64), np.empty(len(net.weights))
    changes = np.flatnonzero((np.diff(net.supports, axis=0) != 0).any(axis=1)) + 1
    chunk = max(1, 20_000_000 // len(features))
    for start, end in zip([0, *changes], [*changes, len(actions)]):  # members of one support share the product
        columns = features[:, net.supports[start]]
        for first in range(start, end, chunk):
            part = slice(first, min(first + chunk, end))
            predicted = net.weights[part] @ columns.T
            actions[part] = np.argmax(predicted, axis=1)
            values[part] = predicted[np.arange(len(predicted)), actions[part]]
    return actions, values


def _signed_compositions(count: int, total: int) -> Iterator[tuple[int, ...]]:
    """Integer vectors without zeros whose absolute values sum to at most ``total``."""
    for cuts in combinations(range(1, total + 1), count):
        sizes = np.diff((0, *cuts))
        for signs in product((-1, 1), repeat=count):
            yield tuple(int(size) * sign for size, sign in zip(sizes, signs))
