"""What every registered method keeps to, checked on shapes alone: nothing is compiled."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest

from headstart.control.registry import METHODS
from headstart.core.errors import UsageError
from headstart.core.specs import Box, Discrete, Spec
from headstart.data.batch import Batch

SPECS = {
    "continuous": Spec(Box.uniform((4,), -1, 1), Box.uniform((2,), -1, 1)),
    "discrete": Spec(Box.uniform((4,), -1, 1), Discrete(3)),
}
KEY = jax.random.key(0)


def numbers(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def batches(method, spec, count):
    """Shapes of ``count`` batches with the columns that the method asks for."""
    rows = (count, method.batch_size)
    actions = jax.ShapeDtypeStruct(rows, jnp.int32) if spec.discrete else numbers(*rows, 2)
    return Batch(
        numbers(*rows, 4),
        actions,
        numbers(*rows),
        numbers(*rows, 4),
        numbers(*rows),
        numbers(*rows),
        numbers(*rows) if method.needs_returns_to_go else None,
        actions if method.needs_next_actions else None,
    )


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("name", METHODS.names())
def test_learning_keeps_the_states_shape_and_acting_gives_actions(name, kind):
    method, spec = METHODS.get(name)(), SPECS[kind]
    assert method.name == name
    assert hash(method) == hash(METHODS.get(name)())
    if not getattr(method, kind):
        with pytest.raises(UsageError, match=kind):
            method.init(KEY, spec)
        return
    state = jax.eval_shape(lambda key: method.init(key, spec), KEY)
    for explore in (False, True):
        actions = jax.eval_shape(partial(method.act, key=KEY, explore=explore), state, numbers(7, 4))
        assert actions.shape == ((7,) if spec.discrete else (7, 2))
        assert jnp.issubdtype(actions.dtype, jnp.integer) == spec.discrete
    if method.on_policy:
        return
    for count in (1, 3):
        after, metrics = jax.eval_shape(method.learn, state, batches(method, spec, count), KEY)
        assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), after) == jax.tree.map(
            lambda leaf: (leaf.shape, leaf.dtype), state
        )
        assert {metric.shape for metric in metrics.values()} == {()}
