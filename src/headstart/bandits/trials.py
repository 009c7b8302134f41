"""Learners with a way of working of their own, each in a world that shows what it is for: one seed, exact numbers.

What ``simulation`` plays pulls one arm a step and learns from its reward. The learners here have logs alone, pull
several arms that tire, predict for groups, tune solvers or search for one good action. A trial is a dataclass of its
options, whose ``run(seed)`` gives numbers by name; ``registry.TRIALS`` lists them, ``headstart bandit simulate NAME``
runs them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from headstart.core.errors import UsageError
from headstart.core.trial import Numbers, Trial, at_least


@dataclass(frozen=True)
class LCBTrial(Trial):
    """LCB on logs alone, beside the arm of best mean and the arm played most."""

    rows: int = 3000
    """Of a log."""
    concentrability: float = 1.3
    """Largest ratio of the expert's frequencies to the log's; 1 is an expert's own log."""
    contexts: int = 20
    """Of the bandit."""
    gap: float = 0.3
    """Between the best arm and the others."""
    family: Literal["spread", "rare", "concentrated"] = "concentrated"
    """Where the log has what is not the expert's."""
    logs: int = 200
    """Averaged over."""

    def run(self, seed: int) -> Numbers:
        """How far from the best arms each policy is, on average over contexts and logs."""
        from headstart.bandits import composition
        from headstart.bandits.lcb import LCB, EmpiricalBest, MostPlayed

        at_least(1, rows=self.rows, contexts=self.contexts, logs=self.logs)
        if not (self.concentrability > 1 and 0 < self.gap <= 1):
            raise UsageError(
                f"concentrability is {self.concentrability} and gap {self.gap}; expected above 1, and within (0, 1]"
            )
        rows = (self.rows,) if self.family == "rare" else ()
        problem = getattr(composition, self.family)(self.contexts, self.gap, self.concentrability, *rows)
        counts = problem.draw(self.rows, self.logs, np.random.default_rng(seed))
        learners = {"LCB": LCB(), "best mean": EmpiricalBest(), "most played": MostPlayed()}
        return {name: float(problem.suboptimality(learner.fit(counts)).mean()) for name, learner in learners.items()}


@dataclass(frozen=True)
class RecoveringTrial(Trial):
    """RecoveringUCB with arms whose rewards recover while they rest: periodic plans for upper bounds of the curves."""

    horizon: int = 10_000
    """Periods."""
    arms: int = 12
    """In all."""
    capacity: int = 4
    """Arms that may be pulled in one period."""
    longest: int = 8
    """Idle periods after which all have recovered."""
    rounding: Literal["restricted", "paper"] = "restricted"
    """How plans are made."""

    def run(self, seed: int) -> Numbers:
        """Loss to the offline plan, that of a UCB blind to recovery, and the plan's share of the bound."""
        from headstart.bandits.periodic_plan import PeriodicPlanner
        from headstart.bandits.recovering import RecoveringBandit, simulate_recovering
        from headstart.bandits.recovering_ucb import RecoveringUCB, RecoveryBlindUCB
        from headstart.bandits.recovery_curves import dirichlet_curves

        at_least(1, arms=self.arms, longest=self.longest)
        curves = dirichlet_curves(self.arms, self.longest, 0.3, np.random.default_rng(seed))
        world = RecoveringBandit(curves, self.capacity)
        plan = PeriodicPlanner(world.capacity, self.rounding).plan(curves)

        def lost(learner) -> float:
            return float(simulate_recovering(learner, world, self.horizon, (seed,), 1).regret(plan.value)[0, -1])

        return {
            "regret": lost(RecoveringUCB(self.capacity, self.horizon, rounding=self.rounding)),
            "regret of UCB blind to recovery": lost(RecoveryBlindUCB(self.capacity, self.horizon)),
            "plan's share of the bound": plan.value / plan.upper_bound if plan.upper_bound else 1.0,
        }


@dataclass(frozen=True)
class GroupwiseTrial(Trial):
    """Groupwise regret: a copy of online ridge for each group, combined by sleeping experts."""

    stream: Literal["synthetic", "adult", "medical", "drugs"] = "synthetic"
    """What is predicted; the real ones are tables of installed or downloaded packages, in an order of the seed's."""
    rounds: int = 5000
    """At most so many."""

    def run(self, seed: int) -> Numbers:
        """Regret of the group where it is largest, and over all rounds, beside one learner for everybody."""
        from headstart.bandits import grouped_data
        from headstart.bandits.groupwise import Groupwise, follow, group_regret

        at_least(1, rounds=self.rounds)
        generator = np.random.default_rng(seed)
        if self.stream == "synthetic":
            data = grouped_data.shapes_and_colours(self.rounds, "mean", generator)
        else:
            load = {
                "adult": grouped_data.load_adult,
                "medical": grouped_data.load_medical_expenditure,
                "drugs": grouped_data.load_drug_expenditure,
            }
            whole = load[self.stream]()
            data = whole.take(generator.permutation(len(whole))[: self.rounds])
        losses = follow(Groupwise(), data.features, data.active, data.labels)
        ours, single = (
            group_regret(loss, data.features, data.labels, data.active) for loss in (losses.ours, losses.by_group[:, 0])
        )
        return {
            "worst group": float(ours.max()),
            "worst group, one learner": float(single.max()),
            "all rounds": float(ours[0]),
            "all rounds, one learner": float(single[0]),
        }


@dataclass(frozen=True)
class RelaxationTrial(Trial):
    """SOR-bandit: tunes the relaxation of a solver over a sequence of Poisson problems from iteration counts alone."""

    systems: int = 1000
    """Solved one after another."""
    variance: Literal["low", "high"] = "low"
    """Spread of the systems' shifts."""
    bins: int = 5
    """Of the contextual form that bins the shift; ChebCB fits polynomials of it."""

    def run(self, seed: int) -> Numbers:
        """Mean iterations a system of each learner, of the best fixed relaxation, and of each system's best."""
        from headstart.bandits.binned import Binned
        from headstart.bandits.chebyshev_cb import ChebCB
        from headstart.bandits.linear_systems import ShiftedLaplacians, optimal_omega, sor_iterations
        from headstart.bandits.solver_tuning import replay_costs
        from headstart.bandits.tsallis_inf import TsallisINF

        at_least(1, systems=self.systems, bins=self.bins)
        world, grid = ShiftedLaplacians(self.variance), np.linspace(1, 1.95, 20)
        shifts, right = world.draw(self.systems, np.random.default_rng(seed))
        count = len(grid)
        costs = sor_iterations(np.repeat(shifts, count), np.repeat(right, count, axis=0), np.tile(grid, self.systems))
        table = costs.reshape(self.systems, count)
        rows, (low, high), tsallis = np.arange(self.systems), world.context_interval, TsallisINF(scale="running")
        binned, chebyshev = Binned(tsallis, self.bins, low, high), ChebCB(low, high)
        return {
            "Tsallis-INF": float(table[rows, replay_costs(tsallis, table, seed=seed)].mean()),
            "Tsallis-INF in bins": float(table[rows, replay_costs(binned, table, shifts, seed)].mean()),
            "ChebCB": float(table[rows, replay_costs(chebyshev, table, shifts, seed)].mean()),
            "best fixed": float(table.mean(0).min()),
            "omega 1": float(table[:, 0].mean()),
            "each system's best": float(sor_iterations(shifts, right, optimal_omega(shifts, world.side)).mean()),
        }


@dataclass(frozen=True)
class HeatTrial(Trial):
    """Spreading heat: tunes the preconditioner of conjugate gradients while a simulation of heat runs.

    The simulation is the same for all seeds, which differ in the learners' luck alone.
    """

    steps: int = 1000
    """Of the simulation; 1,000 are one period of the coefficient, during half of which systems are easy."""
    cells: int = 25
    """Of its grid, in each direction."""

    def run(self, seed: int) -> Numbers:
        """All iterations of the learners, without preconditioner, and with fixed relaxations."""
        from headstart.bandits.binned import Binned
        from headstart.bandits.chebyshev_cb import ChebCB
        from headstart.bandits.heat import Heat, conjugate_gradients
        from headstart.bandits.solver_tuning import SolverTuner
        from headstart.bandits.tsallis_inf import TsallisINF

        at_least(1, steps=self.steps)
        at_least(2, cells=self.cells)
        grid, low, high = np.linspace(1, 1.95, 20).tolist(), 0.0, 10.0
        tuners = {
            "Tsallis-INF": SolverTuner(conjugate_gradients, grid, seed=seed),
            "Tsallis-INF in bins": SolverTuner(
                conjugate_gradients, grid, Binned(TsallisINF(scale="running"), 6, low, high), contextual=True, seed=seed
            ),
            "ChebCB": SolverTuner(conjugate_gradients, grid, ChebCB(low, high), contextual=True, seed=seed),
        }
        total = dict.fromkeys([*tuners, "none", "omega 1", "omega 1.5"], 0.0)
        for system in Heat(self.cells).systems(self.steps):
            problem = (system.matrix, system.right, system.start)
            for name, tuner in tuners.items():
                context = float(np.clip(system.coefficient, low, high)) if tuner.contextual else None
                total[name] += tuner.solve(*problem, context=context)[1]
            for name, omega in (("none", None), ("omega 1", 1.0), ("omega 1.5", 1.5)):
                total[name] += conjugate_gradients(*problem, omega)[1]
        return total


@dataclass(frozen=True)
class SparseTrial(Trial):
    """Sparse search in a misspecified linear bandit: rewards are linear up to an error, in few of many features."""

    features: int = 16
    """In all; two of them matter."""
    actions: int = 3000
    """To search."""
    epsilon: float = 0.03
    """Largest deviation from linear rewards."""
    step: float = 0.1
    """Of the net's grid."""

    def run(self, seed: int) -> Numbers:
        """What each search asks for, and what it loses against the best action in units of epsilon."""
        from headstart.bandits.misspecified import MisspecifiedLinearBandit
        from headstart.bandits.optimal_design import LeastSquaresSearch
        from headstart.bandits.sparse_net import SparseNetSearch
        from headstart.bandits.sparse_regression import SparseRegressionSearch

        at_least(2, features=self.features, actions=self.actions)
        if not self.epsilon > 0:
            raise UsageError(f"epsilon is {self.epsilon}; expected more than 0")
        generator = np.random.default_rng(seed)
        table, parameter = generator.uniform(-1, 1, (self.actions, self.features)), np.zeros(self.features)
        parameter[generator.choice(self.features, 2, replace=False)] = generator.choice([-0.5, 0.5], 2)
        deviation = generator.choice([-self.epsilon, self.epsilon], self.actions)
        bandit = MisspecifiedLinearBandit(table, parameter, deviation)
        found = {
            "elimination": SparseNetSearch(2, self.epsilon, "elimination", self.step).search(table, bandit.queries()),
            "matching pursuit": SparseRegressionSearch(2, self.epsilon, "omp").search(
                table, bandit.queries(), generator
            ),
            "least squares": LeastSquaresSearch(self.epsilon).search(table, bandit.queries()),
        }
        numbers: Numbers = {}
        for name, result in found.items():
            numbers[f"{name}: queries"] = float(result.queries)
            numbers[f"{name}: lost"] = bandit.suboptimality(result.action) / self.epsilon
        return numbers
