"""Linear systems, the learners that tune a solver on them, and the tuner itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sparse

from headstart.bandits.bandit import BanditSpec
from headstart.bandits.binned import Binned
from headstart.bandits.chebyshev_cb import ChebCB
from headstart.bandits.linear_systems import ShiftedLaplacians, laplacian, optimal_omega, sor, sor_iterations
from headstart.bandits.solver_tuning import SolverTuner, replay_costs
from headstart.bandits.tsallis_inf import TsallisINF, TsallisINFState
from headstart.core.errors import DataError, UsageError

KEY = jax.random.key(0)


def quadratic_costs(problems=600, seed=0):
    """Costs of eight parameters whose best one moves with a context."""
    contexts = np.random.default_rng(seed).uniform(0, 1, problems)
    return 5 + 300 * (np.linspace(0, 1, 8) - contexts[:, None]) ** 2, contexts


def test_systems_side_by_side_take_as_many_iterations_as_one_by_one():
    shifts, right = ShiftedLaplacians("high", side=6).draw(12, np.random.default_rng(0))
    omegas = np.linspace(1, 1.9, 12)
    counts = sor_iterations(shifts, right, omegas)
    for shift, b, omega, count in zip(shifts, right, omegas, counts, strict=True):
        matrix = laplacian(6) + shift * sparse.eye_array(36)
        solution, iterations = sor(matrix, b, omega)
        assert iterations == count
        np.testing.assert_allclose(matrix @ solution, b, atol=1e-6)


def test_optimal_omega_is_close_to_the_best_of_a_grid():
    shifts, right = ShiftedLaplacians("low").draw(40, np.random.default_rng(1))
    grid = [sor_iterations(shifts, right, omega).mean() for omega in np.linspace(1, 1.95, 20)]
    assert sor_iterations(shifts, right, optimal_omega(shifts, 10)).mean() < min(grid)
    assert np.all(np.linalg.norm(right, axis=1) <= 10)
    assert shifts.min() >= -0.15


def test_what_sor_cannot_solve():
    with pytest.raises(UsageError, match="above 0 and below 2"):
        sor(laplacian(3), np.ones(9), 2.0)
    with pytest.raises(UsageError, match="square grid"):
        sor_iterations(np.zeros(1), np.ones((1, 10)), 1.0)
    with pytest.warns(UserWarning, match="did not converge in 50"):
        assert sor(laplacian(3) - 5 * sparse.eye_array(9), np.ones(9), 1.0, cap=50)[1] == 50
    assert sor(laplacian(3), np.zeros(9), 1.0)[1] == 0
    assert sor_iterations(np.zeros(2), np.stack([np.zeros(9), np.ones(9)]), 1.0).tolist()[0] == 0


@pytest.mark.parametrize("largest", [0.0, 1.0, 1e2, 1e5])
def test_tsallis_inf_probabilities_solve_the_leader_s_problem(largest):
    losses = jnp.asarray(np.random.default_rng(0).uniform(0, largest, 20), jnp.float32)
    state = TsallisINFState(jnp.float32(400), losses, jnp.float32(1), jnp.float32(1), jnp.float32(1))
    p = np.asarray(TsallisINF().probabilities(state, jnp.zeros((20, 0))), np.float64)
    assert p.sum() == pytest.approx(1, abs=1e-5)
    # 2 / (eta sqrt(p_i)) - L_i is the same normaliser for every arm.
    normaliser = np.asarray(losses, np.float64) - 2 * np.sqrt(401) / 2.0 / np.sqrt(p)
    assert np.ptp(normaliser) < 1e-3 * max(1, largest)


def test_tsallis_inf_with_one_arm_or_equal_losses():
    alone = replay_costs(TsallisINF(scale="running"), np.full((5, 1), 7.0))
    assert alone.tolist() == [0] * 5
    equal = replay_costs(TsallisINF(scale="running"), np.full((900, 3), 7.0))
    assert np.bincount(equal, minlength=3).min() > 200
    free = replay_costs(TsallisINF(scale="running"), np.ones((20, 3)))  # no loss at all: nothing to divide by
    assert set(free.tolist()) <= {0, 1, 2}


def test_tsallis_inf_needs_bounds():
    with pytest.raises(UsageError, match="scale='running'"):
        TsallisINF().init(BanditSpec(2, None, -np.inf, 0.0), KEY)
    TsallisINF(scale="running").init(BanditSpec(2, None, -np.inf, 0.0), KEY)


def test_a_context_helps_whoever_sees_it():
    costs, contexts = quadratic_costs()
    tsallis = TsallisINF(scale="running")
    learners = {"blind": tsallis, "binned": Binned(tsallis, 4), "ChebCB": ChebCB(0.0, 1.0, terms=3)}
    paid = {
        name: costs[np.arange(600), replay_costs(learner, costs, None if name == "blind" else contexts)]
        for name, learner in learners.items()
    }
    late = {name: cost[300:].mean() for name, cost in paid.items()}
    assert late["ChebCB"] < late["binned"] < late["blind"]
    assert late["ChebCB"] < 1.5 * costs.min(1).mean()
    assert paid["blind"].mean() < costs.mean()


def test_bins_learn_apart():
    binned = Binned(TsallisINF(), 2)
    spec = BanditSpec(3, features=1)
    state = binned.init(spec, KEY)
    state = binned.observe(state, jnp.full((3, 1), 0.9), 1, 0.0, 0.5)
    assert np.asarray(state.rounds).tolist() == [0.0, 1.0]
    assert np.asarray(state.estimates).tolist() == [[0, 0, 0], [0, 2, 0]]
    outside = binned.observe(state, jnp.full((3, 1), -4.0), 0, 0.5, 1.0)
    assert np.asarray(outside.rounds).tolist() == [1.0, 1.0]
    with pytest.raises(UsageError, match="features=1"):
        binned.init(BanditSpec(3), KEY)


def chebyshev_state(learner, contexts, losses):
    state = learner.init(BanditSpec(2, features=1, reward_low=-100.0, reward_high=0.0), KEY)
    for context, loss in zip(contexts, losses, strict=True):
        state = learner.observe(state, jnp.full((2, 1), context), 0, -loss, 0.5)
    return state


def test_chebyshev_series_fit_what_they_can_express():
    contexts = np.linspace(-1, 1, 12)
    losses = 4 + 2 * contexts**2  # 5 + cos(2 arccos z)
    state = chebyshev_state(ChebCB(-1.0, 1.0, terms=4), contexts, losses)
    np.testing.assert_allclose(state.coefficients[0], [5, 0, 1, 0], atol=1e-5)
    assert not state.coefficients[1].any()
    probabilities = ChebCB(-1.0, 1.0, terms=4).probabilities(state, jnp.zeros((2, 1)))
    assert probabilities.sum() == pytest.approx(1)
    assert probabilities[1] > probabilities[0]  # an arm never tried looks best


def test_chebyshev_series_stay_within_their_bounds():
    # Two points close together and far apart in loss: the line through them would be steep.
    state = chebyshev_state(ChebCB(-1.0, 1.0, terms=3), [0.0, 0.01], [1.0, 3.0])
    assert np.all(np.abs(state.coefficients[0]) <= np.array([3, 4, 2]) + 1e-9)
    single = chebyshev_state(ChebCB(-1.0, 1.0, terms=3), [0.5], [2.0])  # no spread of losses yet
    np.testing.assert_allclose(single.coefficients[0], [2, 0, 0], atol=1e-6)


def test_chebyshev_contexts_outside_are_clipped():
    learner = ChebCB(0.0, 1.0)
    with pytest.warns(UserWarning, match="outside"):
        np.testing.assert_allclose(learner.features(jnp.full((2, 1), 3.0)), np.ones(6))
    with pytest.raises(UsageError, match="features=1"):
        learner.init(BanditSpec(2), KEY)


def test_tuner_finds_the_cheapest_parameter():
    def solver(problem, parameter):
        return problem * 2, 1 + 50 * abs(parameter - 0.6)

    tuner = SolverTuner(solver, [0.0, 0.3, 0.6, 0.9], seed=1)
    for problem in range(300):
        solution, cost = tuner.solve(problem)
        assert solution == 2 * problem
        assert cost == tuner.costs[-1]
    assert tuner.chosen[-100:].count(2) > 60


def test_tuner_on_linear_systems_with_context():
    world = ShiftedLaplacians("low", side=5)
    shifts, right = world.draw(30, np.random.default_rng(0))
    tuner = SolverTuner(sor, np.linspace(1, 1.8, 5).tolist(), ChebCB(-0.15, 0.65), contextual=True)
    for shift, b in zip(shifts, right, strict=True):
        matrix = laplacian(5) + shift * sparse.eye_array(25)
        solution, _ = tuner.solve(matrix, b, context=shift)
        np.testing.assert_allclose(matrix @ solution, b, atol=1e-6)
    assert len(tuner.costs) == 30


def test_tuner_and_bad_solvers():
    def failing(parameter):
        raise ArithmeticError("singular")

    tuner = SolverTuner(failing, [1.0, 2.0], cap=50)
    with pytest.raises(ArithmeticError):
        tuner.solve()
    assert tuner.costs == [50]
    with pytest.raises(DataError, match="not a number"):
        SolverTuner(lambda parameter: (0, float("nan")), [1.0]).solve()
    with pytest.raises(UsageError, match="contextual=True"):
        SolverTuner(lambda parameter: (0, 1), [1.0]).solve(context=0.3)
    free = SolverTuner(lambda parameter: (0, 0), [1.0])
    free.solve()
    assert free.costs == []  # solved before it began
    with pytest.raises(DataError, match="between 1 and the cap"):
        replay_costs(TsallisINF(scale="running"), np.array([[1.0, np.nan]]))
