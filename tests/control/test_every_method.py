from __future__ import annotations

from dataclasses import fields

import jax
import numpy as np
import pytest

from headstart.control.configuration import method_from_json, method_to_json
from headstart.control.registry import METHODS
from headstart.core.specs import Box, Discrete, Spec
from headstart.data.batch import Batch

SHAPE = (3, 4, 8)


def made(name):
    kind = METHODS.get(name)
    return kind(**({"hidden": (8,)} if any(field.name == "hidden" for field in fields(kind)) else {}))


def batches(spec: Spec) -> Batch:
    """Three rounds of four batches of eight."""
    actions = np.zeros(SHAPE, np.int32) if spec.discrete else np.zeros((*SHAPE, spec.action_size), np.float32)
    observations, ones = np.zeros((*SHAPE, spec.observation_size), np.float32), np.ones(SHAPE, np.float32)
    return Batch(observations, actions, ones, observations, ones, ones, ones, actions)


REPLAYED = [name for name in METHODS.names() if not METHODS.get(name).on_policy]


@pytest.mark.parametrize("name", REPLAYED)
def test_learning_can_be_scanned_and_vectorised_over_seeds(name):
    """By tracing alone: a state goes in and the same structure, shapes and types come out, with scalar metrics."""
    method = made(name)
    spec = Spec(Box.uniform((3,), -1, 1), Box.uniform((2,), -1, 1) if method.continuous else Discrete(3))

    def run(key):
        def round_of_updates(state, part):
            return method.learn(state, part, key)

        return jax.lax.scan(round_of_updates, method.init(key, spec), batches(spec))

    state, metrics = jax.eval_shape(jax.vmap(run), jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 2)))
    assert {leaf.shape for leaf in jax.tree.leaves(metrics)} == {(2, 3)}
    assert all(leaf.shape[0] == 2 for leaf in jax.tree.leaves(state))


@pytest.mark.parametrize("name", METHODS.names())
def test_fields_survive_the_record_of_a_run(name):
    method = made(name)
    assert method_from_json(method_to_json(method)) == method
