"""The compiled parts of training: pure functions of method, state and experience.

Every random number comes from ``fold_in(key, step)``, so results do not depend on how training is cut into calls.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from headstart.control.method import Method, Metrics, State
from headstart.control.plan import Phase
from headstart.control.preprocessing import Preprocessor
from headstart.core.specs import Discrete, Spec
from headstart.data.batch import Batch
from headstart.data.replay import Replay
from headstart.data.sampling import AliasTable, draw_rows
from headstart.envs.functional import Acting, FunctionalWorld, start, step_with_reset

Mode = Literal["greedy", "explore", "random"]


# It runs once, so it is compiled in half the time, and as one program, which is faster than its operations one by one.
@partial(jax.jit, static_argnames=("method", "spec"), compiler_options={"xla_backend_optimization_level": 0})
def initialise(method: Method, spec: Spec, key: PRNGKeyArray) -> State:
    """``method.init``."""
    return method.init(key, spec)


def _mean(metrics: Metrics) -> Metrics:
    return jax.tree.map(jnp.mean, metrics)


def choose(
    method: Method, preprocessor: Preprocessor, state: State, observations: Array, key: PRNGKeyArray, mode: Mode
) -> Array:
    """Actions in the world's own units for a batch of its observations."""
    if mode == "random":
        action, leading = preprocessor.spec.action, observations.shape[:1]
        if isinstance(action, Discrete):
            return jax.random.randint(key, leading, 0, action.n)
        return preprocessor.to_world(jax.random.uniform(key, (*leading, action.size), minval=-1, maxval=1))
    seen = preprocessor.observation(observations)
    return preprocessor.to_world(method.act(state, seen, key, explore=mode == "explore"))


act = jax.jit(choose, static_argnames=("method", "mode"))


@partial(jax.jit, static_argnames=("method", "count"), donate_argnames=("state",))
def learn_offline(
    method: Method, preprocessor: Preprocessor, state: State, data: Replay, key: PRNGKeyArray, step: Array, count: int
) -> tuple[State, Metrics]:
    """``count`` updates on uniformly (or by weight) drawn batches, numbered from ``step``; metrics are their means."""

    def body(state: State, step: Array) -> tuple[State, Metrics]:
        sample_key, update_key = jax.random.split(jax.random.fold_in(key, step))
        batch = preprocessor.batch(data.sample(sample_key, method.batch_size))
        return method.update(state, batch, update_key)

    state, metrics = jax.lax.scan(body, state, step + jnp.arange(count))
    return state, _mean(metrics)


@partial(jax.jit, static_argnames=("method", "count"))
def offline_indices(
    method: Method, rows: Array, table: AliasTable | None, key: PRNGKeyArray, step: Array, count: int
) -> Int[Array, "count batch"]:
    """The rows that ``learn_offline`` draws at each of ``count`` updates, for gathering on the host."""

    def body(step: Array) -> Array:
        sample_key, _ = jax.random.split(jax.random.fold_in(key, step))
        return draw_rows(sample_key, method.batch_size, rows, table)

    return jax.lax.map(body, step + jnp.arange(count))


@partial(jax.jit, static_argnames=("method",), donate_argnames=("state",))
def learn_gathered(
    method: Method, preprocessor: Preprocessor, state: State, batches: Batch, key: PRNGKeyArray, step: Array
) -> tuple[State, Metrics]:
    """The updates of ``learn_offline`` on batches that were gathered on the host."""

    def body(state: State, inputs: tuple[Array, Batch]) -> tuple[State, Metrics]:
        step, batch = inputs
        _, update_key = jax.random.split(jax.random.fold_in(key, step))
        return method.update(state, preprocessor.batch(batch), update_key)

    steps = step + jnp.arange(batches.rewards.shape[0])
    state, metrics = jax.lax.scan(body, state, (steps, batches))
    return state, _mean(metrics)


def _mixed_batches(method: Method, phase: Phase, replay: Replay, data: Replay | None, key: PRNGKeyArray) -> Batch:
    """``phase.updates`` batches, ``phase.data_ratio`` of each from the recorded data."""
    from_data = round(method.batch_size * phase.data_ratio)
    replay_key, data_key = jax.random.split(key)

    def draw(source: Replay, key: PRNGKeyArray, rows: int) -> Batch:
        drawn = source.sample(key, phase.updates * rows)
        return jax.tree.map(lambda column: column.reshape(phase.updates, rows, *column.shape[1:]), drawn)

    if from_data == 0 or data is None:
        return draw(replay, replay_key, method.batch_size)
    if from_data == method.batch_size:
        return draw(data, data_key, method.batch_size)
    fresh, recorded = draw(replay, replay_key, method.batch_size - from_data), draw(data, data_key, from_data)
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b], 1), fresh, recorded)


def _learn_online(
    method: Method,
    phase: Phase,
    preprocessor: Preprocessor,
    state: State,
    replay: Replay,
    data: Replay | None,
    key: PRNGKeyArray,
) -> tuple[State, Metrics]:
    sample_key, update_key = jax.random.split(key)
    batches = _mixed_batches(method, phase, replay, data, sample_key)
    flat = jax.tree.map(lambda column: column.reshape(-1, *column.shape[2:]), batches)
    prepared = jax.tree.map(
        lambda column: column.reshape(phase.updates, method.batch_size, *column.shape[1:]), preprocessor.batch(flat)
    )
    return method.learn(state, prepared, update_key)


Leaves = tuple[Array, ...]
Structure = Any  # of a flattened pytree; hashable


def flatten(tree: Any) -> tuple[Leaves, Structure]:
    """Leaves and structure: calls that pass leaves alone spend less time in Python than calls that pass modules."""
    leaves, structure = jax.tree.flatten(tree)
    return tuple(leaves), structure


@partial(jax.jit, static_argnames=("structures", "method", "mode"))
def host_act(
    moving: Leaves,
    constant: Leaves,
    structures: tuple[Structure, Structure],
    method: Method,
    observations: Array,
    key: PRNGKeyArray,
    step: Array,
    mode: Mode,
) -> Array:
    """Actions for observations that are on the host, with the randomness of one step of a phase.

    Args:
        moving: leaves of (state, replay).
        constant: leaves of (preprocessor, recorded data or None).
        structures: their structures.
    """
    state, _ = jax.tree.unflatten(structures[0], moving)
    preprocessor, _ = jax.tree.unflatten(structures[1], constant)
    act_key, _ = jax.random.split(jax.random.fold_in(key, step))
    return choose(method, preprocessor, state, observations, act_key, mode)


@partial(jax.jit, static_argnames=("structures", "method", "phase", "learning"), donate_argnames=("moving",))
def host_store(
    moving: Leaves,
    constant: Leaves,
    structures: tuple[Structure, Structure],
    method: Method,
    phase: Phase,
    row: tuple[Array, ...],
    key: PRNGKeyArray,
    step: Array,
    learning: bool,
) -> tuple[Leaves, Metrics]:
    """Add one row a world to the replay, then (if ``learning``) make the phase's updates; arguments as ``host_act``."""
    state, replay = jax.tree.unflatten(structures[0], moving)
    preprocessor, data = jax.tree.unflatten(structures[1], constant)
    replay, metrics = replay.append(*row), {}
    if learning:
        _, learn_key = jax.random.split(jax.random.fold_in(key, step))
        state, metrics = _learn_online(method, phase, preprocessor, state, replay, data, learn_key)
    return tuple(jax.tree.leaves((state, replay))), metrics


class Finished(NamedTuple):
    """Episodes that ended during a call: sums over them, and how many."""

    returns: Float[Array, ""]
    lengths: Float[Array, ""]
    terminations: Float[Array, ""]
    count: Float[Array, ""]


class Tally(NamedTuple):
    """Undiscounted return and length so far of the episode that each world is in."""

    returns: Float[Array, " worlds"]
    lengths: Int[Array, " worlds"]

    def after(self, rewards: Array, terminations: Array, truncations: Array) -> tuple[Finished, Tally]:
        """The episodes that a step ends, and the tally of those that are running then."""
        returns, lengths, ended = self.returns + rewards, self.lengths + 1, terminations | truncations
        totals = (returns * ended, lengths * ended, terminations, ended)
        finished = Finished(*(jnp.sum(total * 1.0) for total in totals))
        return finished, Tally(jnp.where(ended, 0.0, returns), jnp.where(ended, 0, lengths))


class Interaction(NamedTuple):
    """A functional world being acted in: what ``interact`` carries from call to call."""

    acting: Acting
    observations: Float[Array, "worlds observation"]
    tally: Tally


@partial(jax.jit, static_argnames=("world", "count"))
def begin(world: FunctionalWorld, count: int, key: PRNGKeyArray) -> Interaction:
    """``count`` copies of a functional world, each at the start of an episode."""
    acting = jax.vmap(partial(start, world))(jax.random.split(key, count))
    tally = Tally(jnp.zeros(count), jnp.zeros(count, jnp.int32))
    return Interaction(acting, jax.vmap(world.observe)(acting.state), tally)


@partial(
    jax.jit,
    static_argnames=("method", "world", "phase", "count", "learning", "mode"),
    donate_argnames=("state", "replay"),
)
def interact(
    method: Method,
    world: FunctionalWorld,
    phase: Phase,
    preprocessor: Preprocessor,
    state: State,
    replay: Replay,
    data: Replay | None,
    interaction: Interaction,
    rewards: tuple[float, float],
    key: PRNGKeyArray,
    step: Array,
    count: int,
    learning: bool,
    mode: Mode,
) -> tuple[State, Replay, Interaction, Finished, Metrics]:
    """Act ``count`` times in a functional world and learn after each, all in one program.

    Args:
        rewards: scale and bias of the rewards that are stored.
        step: number of the first step, for random keys and for ``phase.period``.
        learning: False only collects.
    """

    def body(carry: Any, step: Array) -> Any:
        state, replay, now = carry
        act_key, learn_key = jax.random.split(jax.random.fold_in(key, step))
        actions = choose(method, preprocessor, state, now.observations, act_key, mode)
        acting, after = jax.vmap(partial(step_with_reset, world))(now.acting, actions)
        scaled = after.reward * rewards[0] + rewards[1]
        replay = replay.append(
            now.observations, actions, scaled, after.next_observation, after.termination, after.truncation
        )
        finished, tally = now.tally.after(after.reward, after.termination, after.truncation)
        metrics: Metrics = {}
        if learning and phase.period <= 1:
            state, metrics = _learn_online(method, phase, preprocessor, state, replay, data, learn_key)
        elif learning:

            def learn(state: State) -> State:
                return _learn_online(method, phase, preprocessor, state, replay, data, learn_key)[0]

            state = jax.lax.cond(step % phase.period == 0, learn, lambda state: state, state)
        return (state, replay, Interaction(acting, after.observation, tally)), (finished, metrics)

    (state, replay, interaction), (finished, metrics) = jax.lax.scan(
        body, (state, replay, interaction), step + jnp.arange(count)
    )
    return state, replay, interaction, jax.tree.map(jnp.sum, finished), _mean(metrics)


def all_finite(state: State) -> bool:
    """Whether every floating-point number of the networks is finite."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(state.nets)]
    return all(np.isfinite(leaf).all() for leaf in leaves if np.issubdtype(leaf.dtype, np.floating))
