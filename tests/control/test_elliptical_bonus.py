"""Bonuses of seldom-seen features."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from headstart.control.elliptical_bonus import EllipticalBonus, n_step_bonus
from headstart.core.errors import UsageError


def test_the_bonus_of_counted_features_is_one_over_the_root_of_the_count():
    rule = EllipticalBonus(factor=2.0, ridge=1e-6)
    seen = jnp.eye(3)[jnp.array([0] * 4 + [1] * 25)]
    design = rule.add(rule.init(3), seen.reshape(29, 1, 3))
    np.testing.assert_allclose(rule.bonus(design, jnp.eye(3)), [1.0, 0.4, 2000], rtol=1e-3)


def test_directions_count_and_long_features_are_shortened():
    rule = EllipticalBonus(ridge=0.1)
    generator = np.random.default_rng(0)
    seen = jnp.asarray(generator.normal(size=(50, 4)) @ np.diag([1.0, 1, 1, 0.01]), jnp.float32)
    design = rule.add(rule.init(4), seen)
    rows = seen / np.maximum(np.linalg.norm(seen, axis=1, keepdims=True), 1)
    expected = np.sqrt(np.linalg.inv(0.1 * np.eye(4) + rows.T @ rows)[3, 3])
    assert float(rule.bonus(design, 9 * jnp.eye(4)[3])) == pytest.approx(expected, rel=1e-3)
    assert expected > 3 * float(rule.bonus(design, jnp.eye(4)[0]))
    assert float(jnp.abs(jax.grad(lambda phi: rule.bonus(design, phi))(jnp.ones(4))).max()) == 0


def test_bonuses_of_a_window_end_with_the_episode():
    bonuses, ended = jnp.ones((2, 3)), jnp.array([[0.0, 1, 0], [0, 0, 0]])
    np.testing.assert_allclose(n_step_bonus(bonuses, ended, 0.5), [1.5, 1.75])


def test_impossible_constants_are_refused():
    with pytest.raises(UsageError, match="above 0"):
        EllipticalBonus(ridge=0.0)
