"""Finite Markov decision processes as arrays: episodic and discounted, checked when built, saved as ``.npz``."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray
from numpy.typing import ArrayLike

from headstart.core.errors import DataError, UsageError
from headstart.core.files import write_atomically

Numbers = Array | np.ndarray
"""NumPy arrays keep double precision in planning; JAX arrays can be planned with inside ``jax.jit``."""

RewardNoise = Literal["none", "bernoulli"]
ROW_TOLERANCE = 1e-5
"""How far a row of probabilities may be from summing to one; leaves room for float32."""


@dataclass(frozen=True)
class FiniteSpec:
    """What a learner is told of an episodic world. Hashable, so it can be static under ``jax.jit``."""

    states: int
    actions: int
    horizon: int
    stationary: bool
    """Whether transitions and rewards are the same at every step."""


class FiniteMDP(eqx.Module):
    """An episodic world: ``horizon`` steps, then a new start. Build it with ``FiniteMDP.of``, which checks the arrays.

    The leading axis ``steps`` is the horizon, or 1 when the world is stationary.
    """

    transition: Float[Numbers, "steps states actions next"]
    reward: Float[Numbers, "steps states actions"]
    """Mean rewards, within [0, 1]."""
    initial: Float[Numbers, " states"]
    """Probabilities of the start state."""
    horizon: int = eqx.field(static=True)
    reward_noise: RewardNoise = eqx.field(static=True, default="none")
    """``none``: the reward is its mean. ``bernoulli``: it is 1 with that probability, else 0."""

    @classmethod
    def of(
        cls,
        transition: ArrayLike,
        reward: ArrayLike,
        horizon: int,
        initial: ArrayLike | None = None,
        reward_noise: RewardNoise = "none",
    ) -> FiniteMDP:
        """A world from its arrays; NumPy arrays (or lists) are kept as float64, JAX arrays as they are.

        Args:
            transition: probabilities ``[states, actions, next]``, or ``[horizon, states, actions, next]``.
            reward: means in [0, 1], ``[states, actions]`` or ``[horizon, states, actions]``.
            horizon: steps of an episode, at least 1.
            initial: probabilities ``[states]`` of the start; state 0 when None.
            reward_noise: ``none`` or ``bernoulli``.

        Raises:
            UsageError: the horizon is not a positive integer, or the noise is unknown.
            DataError: shapes disagree, a row is negative or does not sum to one, a reward is outside [0, 1]; the
                message names the first such entry.
        """
        if isinstance(horizon, bool) or int(horizon) != horizon or horizon < 1:
            raise UsageError(f"horizon is {horizon}; an episode needs a whole number of steps, at least 1")
        if reward_noise not in ("none", "bernoulli"):
            raise UsageError(f"reward_noise is {reward_noise!r}; choose none or bernoulli")
        moves, means, horizon = _numbers(transition, "transition"), _numbers(reward, "reward"), int(horizon)
        steps = horizon if moves.ndim == 4 or means.ndim == 3 else 1
        moves = _with_steps(moves, 3, steps, "transition", "states, actions, next")
        means = _with_steps(means, 2, steps, "reward", "states, actions")
        _check_dynamics(moves, means, steps > 1)
        return cls(moves, means, _start(initial, moves.shape[1]), horizon, reward_noise)

    @property
    def states(self) -> int:
        """Number of states."""
        return self.transition.shape[1]

    @property
    def actions(self) -> int:
        """Number of actions."""
        return self.transition.shape[2]

    @property
    def stationary(self) -> bool:
        """Whether transitions and rewards are the same at every step."""
        return self.transition.shape[0] == 1

    @property
    def spec(self) -> FiniteSpec:
        """What a learner is told."""
        return FiniteSpec(self.states, self.actions, self.horizon, self.stationary)

    def at(
        self, step: int | Int[Array, ""]
    ) -> tuple[Float[Numbers, "states actions next"], Float[Numbers, "states actions"]]:
        """Transition and mean reward at a step, counted from 0."""
        if self.stationary:
            return self.transition[0], self.reward[0]
        if isinstance(step, jax.Array):
            return jnp.asarray(self.transition)[step], jnp.asarray(self.reward)[step]
        return self.transition[step], self.reward[step]

    def reset(self, key: PRNGKeyArray) -> Int[Array, ""]:
        """A start state. Jittable."""
        return draw(key, jnp.asarray(self.initial))

    def step(
        self, step: int | Int[Array, ""], state: Int[Array, ""], action: Int[Array, ""], key: PRNGKeyArray
    ) -> tuple[Int[Array, ""], Float[Array, ""]]:
        """The next state and the reward of an action at a step counted from 0. Jittable."""
        where = (0 if self.stationary else step, state, action)
        cumulative = jnp.cumsum(jnp.asarray(self.transition)[where])
        return outcome(cumulative, jnp.asarray(self.reward)[where], self.reward_noise, key)


class DiscountedMDP(eqx.Module):
    """A world without end whose rewards count less the later they come. Build it with ``DiscountedMDP.of``."""

    transition: Float[Numbers, "states actions next"]
    reward: Float[Numbers, "states actions"]
    """Mean rewards, within [0, 1]."""
    initial: Float[Numbers, " states"]
    """Probabilities of the start state."""
    discount: float = eqx.field(static=True)

    @classmethod
    def of(
        cls, transition: ArrayLike, reward: ArrayLike, discount: float, initial: ArrayLike | None = None
    ) -> DiscountedMDP:
        """A world from its arrays; NumPy arrays (or lists) are kept as float64, JAX arrays as they are.

        Args:
            transition: probabilities ``[states, actions, next]``.
            reward: means in [0, 1], ``[states, actions]``.
            discount: in [0, 1).
            initial: probabilities ``[states]`` of the start; state 0 when None.

        Raises:
            UsageError: the discount is outside [0, 1).
            DataError: as for ``FiniteMDP.of``.
        """
        if not 0 <= discount < 1:
            raise UsageError(f"discount is {discount}; a world without end needs one in [0, 1)")
        moves, means = _numbers(transition, "transition"), _numbers(reward, "reward")
        _expect_axes(moves, 3, "transition", "states, actions, next")
        _expect_axes(means, 2, "reward", "states, actions")
        _check_dynamics(moves[None], means[None], by_step=False)
        return cls(moves, means, _start(initial, moves.shape[0]), float(discount))

    @property
    def states(self) -> int:
        """Number of states."""
        return self.transition.shape[0]

    @property
    def actions(self) -> int:
        """Number of actions."""
        return self.transition.shape[1]


def outcome(
    cumulative: Float[Array, " next"], mean: Float[Array, ""], reward_noise: RewardNoise, key: PRNGKeyArray
) -> tuple[Int[Array, ""], Float[Array, ""]]:
    """A next state and a reward, given the cumulative probabilities of the one and the mean of the other. Jittable."""
    of_state, of_reward = jax.random.uniform(key, (2,))
    if reward_noise == "none":
        return index_at(cumulative, of_state), mean.astype(jnp.float32)
    return index_at(cumulative, of_state), (of_reward < mean).astype(jnp.float32)


def draw(key: PRNGKeyArray, probabilities: Float[Array, " n"]) -> Int[Array, ""]:
    """An index drawn with the given probabilities. Jittable."""
    return index_at(jnp.cumsum(probabilities), jax.random.uniform(key))


def index_at(cumulative: Float[Array, " n"], uniform: Float[Array, ""]) -> Int[Array, ""]:
    """The index whose share of [0, 1) holds a number; one of probability zero has none. Jittable."""
    return jnp.sum(cumulative <= uniform * cumulative[-1]).astype(jnp.int32)


def save_world(path: Path | str, world: FiniteMDP | DiscountedMDP) -> None:
    """Write a world as ``.npz``: transition, reward, initial, and horizon and reward_noise, or discount."""
    columns: dict[str, Any] = {"transition": world.transition, "reward": world.reward, "initial": world.initial}
    if isinstance(world, FiniteMDP):
        columns |= {"horizon": world.horizon, "reward_noise": world.reward_noise}
        if world.stationary:
            columns |= {"transition": world.transition[0], "reward": world.reward[0]}
    else:
        columns["discount"] = world.discount
    write_arrays(path, columns)


def write_arrays(path: Path | str, columns: Mapping[str, Any]) -> None:
    """Write arrays by name as ``.npz``, whole or not at all."""
    buffer, arrays = io.BytesIO(), {name: np.asarray(value) for name, value in columns.items()}
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_atomically(path, buffer.getvalue())


def load_world(path: Path | str) -> FiniteMDP | DiscountedMDP:
    """Read and check a world of ``save_world``, or one made with ``numpy.savez``.

    The file holds ``transition`` and ``reward`` with ``horizon`` (then optionally ``reward_noise``) or with
    ``discount``; ``initial`` is optional.

    Raises:
        DataError: the file is missing, is not ``.npz``, holds pickled objects or lacks an array, or the arrays are not
            those of a world.
        UsageError: the horizon or the discount is not possible.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            columns = {name: file[name] for name in file.files}
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}") from error
    except (OSError, ValueError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read as arrays (.npz, no pickled objects): {error}") from error
    missing = [name for name in ("transition", "reward") if name not in columns]
    if missing or not ({"horizon", "discount"} & set(columns)):
        raise DataError(
            f"{path} holds {', '.join(sorted(columns)) or 'nothing'}; a world needs transition, reward, and horizon "
            "(episodic) or discount"
        )
    arguments = {"initial": columns.get("initial")}
    if "horizon" in columns:
        noise: Any = str(columns.get("reward_noise", "none"))
        horizon = _scalar(columns["horizon"], "horizon")
        return FiniteMDP.of(columns["transition"], columns["reward"], horizon, reward_noise=noise, **arguments)
    return DiscountedMDP.of(
        columns["transition"], columns["reward"], _scalar(columns["discount"], "discount"), **arguments
    )


def _scalar(value: np.ndarray, name: str) -> Any:
    if value.size != 1 or value.dtype.kind not in "iuf":
        raise DataError(f"{name} has the shape {list(value.shape)} and type {value.dtype}; expected one number")
    return value.item()


def _numbers(values: ArrayLike, name: str) -> Any:
    """JAX arrays as they are, all else as float64."""
    if isinstance(values, jax.Array):
        return values
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} is not an array of numbers: {error}") from error


def _expect_axes(values: Any, axes: int, name: str, meaning: str) -> None:
    if values.ndim != axes or 0 in values.shape:
        raise DataError(f"{name} has the shape {list(values.shape)}; expected [{meaning}], none of them 0")


def _with_steps(values: Any, axes: int, steps: int, name: str, meaning: str) -> Any:
    """The array with a leading axis of ``steps``."""
    if values.ndim == axes:
        _expect_axes(values, axes, name, meaning)
        repeated = (steps, *values.shape)
        kind = jnp if isinstance(values, jax.Array) else np
        return kind.broadcast_to(values, repeated)
    if values.ndim != axes + 1 or 0 in values.shape:
        raise DataError(f"{name} has the shape {list(values.shape)}; expected [{meaning}] or [horizon, {meaning}]")
    if len(values) != steps:
        raise DataError(f"{name} describes {len(values)} steps, but the horizon is {steps}")
    return values


def _start(initial: ArrayLike | None, states: int) -> Any:
    if initial is None:
        return np.eye(states)[0]
    start = _numbers(initial, "initial")
    if start.shape != (states,):
        raise DataError(
            f"initial has the shape {list(start.shape)}; expected a probability for each of {states} states"
        )
    _check_rows(np.asarray(start), "initial", ())
    return start


def _check_dynamics(transition: Any, reward: Any, by_step: bool) -> None:
    """Check ``[steps, states, actions, next]`` and ``[steps, states, actions]``."""
    shape = transition.shape
    if shape[1] != shape[3]:
        raise DataError(
            f"transition goes from {shape[1]} states to {shape[3]}; both axes of states need the same length"
        )
    if reward.shape != shape[:3]:
        raise DataError(
            f"transition has {shape[1]} states and {shape[2]} actions, reward {reward.shape[1]} and {reward.shape[2]}"
        )
    names = ("step", "state", "action") if by_step else ("", "state", "action")
    _check_rows(np.asarray(transition), "transition", names)
    means = np.asarray(reward)
    wrong = ~((means >= 0) & (means <= 1))
    if wrong.any():
        where = np.argwhere(wrong)[0]
        raise DataError(
            f"reward {_entry(names, where)}is {means[tuple(where)]:g}; mean rewards lie in [0, 1]: rescale them "
            f"({np.count_nonzero(wrong)} of {means.size} are outside)"
        )


def _check_rows(probabilities: np.ndarray, name: str, names: tuple[str, ...]) -> None:
    negative = ~(probabilities >= 0)
    if negative.any():
        where = np.argwhere(negative)[0]
        raise DataError(
            f"{name} {_entry(names, where)}gives state {where[-1]} the probability {probabilities[tuple(where)]:g}; "
            "probabilities are at least 0"
        )
    sums = probabilities.sum(-1, dtype=np.float64)
    wrong = ~(np.abs(sums - 1) <= ROW_TOLERANCE)
    if wrong.any():
        where = np.argwhere(wrong)[0] if names else np.zeros(0, int)
        others = f" ({np.count_nonzero(wrong)} of {sums.size} rows do not)" if names else ""
        raise DataError(
            f"{name} {_entry(names, where)}sums to {sums[tuple(where)]:.6g}; probabilities need to sum to 1{others}"
        )


def _entry(names: tuple[str, ...], where: np.ndarray) -> str:
    parts = [f"{name} {index}" for name, index in zip(names, where) if name]
    return f"at {', '.join(parts)} " if parts else ""
