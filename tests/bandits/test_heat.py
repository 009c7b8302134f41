"""Spreading heat, and the preconditioned conjugate gradients that follow it."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sparse

from headstart.bandits.heat import Heat, conjugate_gradients
from headstart.bandits.linear_systems import laplacian
from headstart.bandits.solver_tuning import SolverTuner
from headstart.core.errors import UsageError


def test_a_relaxation_changes_the_way_not_the_solution():
    generator = np.random.default_rng(0)
    matrix = laplacian(12) + 0.01 * sparse.eye_array(144)
    right, start = generator.standard_normal((2, 144))
    taken = {}
    for omega in (None, 1.0, 1.5):
        solution, taken[omega] = conjugate_gradients(matrix, right, start, omega)
        np.testing.assert_allclose(matrix @ solution, right, atol=1e-6)
    assert taken[1.5] < taken[1.0] < taken[None]
    assert conjugate_gradients(matrix, matrix @ start, start)[1] == 0
    with pytest.raises(UsageError, match="below 2"):
        conjugate_gradients(matrix, right, start, 2.0)
    with pytest.warns(UserWarning, match="did not converge in 3"):
        assert conjugate_gradients(matrix, right, start, cap=3)[1] == 3


def test_heat_spreads_and_systems_grow_harder_with_the_coefficient():
    systems = list(Heat(cells=10, step=0.02).systems(45))
    slow, fast = systems[10], systems[37]
    assert slow.coefficient < 0.1 < 9 < fast.coefficient
    counts = [conjugate_gradients(s.matrix, s.right, s.start)[1] for s in (slow, fast)]
    assert counts[0] < counts[1]
    for before, after in itertools.pairwise(systems):
        np.testing.assert_allclose(before.matrix @ after.start, before.right, atol=1e-10)
    assert systems[0].start.max() == pytest.approx(1, abs=0.1)  # the bump in the middle


def test_a_tuner_follows_it():
    tuner = SolverTuner(conjugate_gradients, [1.0, 1.3, 1.6])
    for system in Heat(cells=8, step=0.02).systems(40):
        solution, _ = tuner.solve(system.matrix, system.right, system.start)
        np.testing.assert_allclose(system.matrix @ solution, system.right, atol=1e-6)
    assert len(tuner.costs) == 40
