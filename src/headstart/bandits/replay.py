"""A learner led through logged feedback: what it would choose in each row, having learned from those before."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from headstart.bandits.bandit import BanditSpec, Context, Learner
from headstart.bandits.log import Log
from headstart.bandits.norms import warn_of_norms
from headstart.core.errors import UsageError


def replay(learner: Learner, log: Log, seed: int = 0, draws: int = 200) -> Float[np.ndarray, "rows arms"]:
    """Probabilities of the arms in each row, by a learner that has learned from all rows before it.

    Given to the estimates of ``off_policy`` this values the learner as it learns: the probabilities of a row depend
    on earlier rows alone, so inverse propensity stays unbiased. The learner is told the logged propensity.

    Args:
        learner: what would have chosen.
        log: what was logged.
        seed: of choices that are counted.
        draws: choices in each row from which the probabilities of a learner that does not state them are counted.

    Raises:
        UsageError: the learner cannot work with such a bandit, or there are to be no draws.
    """
    if draws < 1:
        raise UsageError(f"draws is {draws}; expected at least 1")
    return np.asarray(_replay(learner, log.spec, draws, jax.random.key(seed), *_columns(learner, log)), np.float64)


def absorb(learner: Learner, state: Any, log: Log) -> Any:
    """The learner's state after the rewards of all rows, in their order; it is told the logged propensity."""
    return _absorb(learner, log.spec, state, *_columns(learner, log))


def _columns(learner: Learner, log: Log) -> list[Array]:
    warn_of_norms(learner, log.contexts)
    columns = (log.contexts, log.actions, log.rewards.astype(np.float32), log.propensities.astype(np.float32))
    return [jnp.asarray(column) for column in columns]


@partial(jax.jit, static_argnums=(0, 1))
def _absorb(learner: Learner, spec: BanditSpec, state: Any, *columns: Array) -> Any:
    def row(state, logged):
        context, *rest = logged
        return learner.observe(state, jnp.broadcast_to(context, spec.context_shape), *rest), None

    return jax.lax.scan(row, state, columns)[0]


@partial(jax.jit, static_argnums=(0, 1, 2))
def _replay(
    learner: Learner, spec: BanditSpec, draws: int, key: PRNGKeyArray, *columns: Array
) -> Float[Array, "rows arms"]:
    def row(state, logged):
        number, context, *rest = logged
        context = jnp.broadcast_to(context, spec.context_shape)
        probabilities = _stated_or_counted(learner, state, context, jax.random.fold_in(key, number), draws)
        return learner.observe(state, context, *rest), probabilities

    state = learner.init(spec, jax.random.fold_in(key, 2**31 - 1))
    return jax.lax.scan(row, state, (jnp.arange(len(columns[0])), *columns))[1]


def _stated_or_counted(
    learner: Learner, state: Any, context: Context, key: PRNGKeyArray, draws: int
) -> Float[Array, " arms"]:
    stated = learner.probabilities(state, context)
    if stated is not None:
        return stated
    actions = jax.vmap(lambda key: learner.choose(state, context, key).action)(jax.random.split(key, draws))
    return jnp.zeros(len(context)).at[actions].add(1.0 / draws)
