"""TQ, SACo and what they suggest; trajectory weights and their limiting cases."""

from dataclasses import replace

import numpy as np
import pytest

from headstart.core.errors import DataError, UsageError
from headstart.core.specs import Box, Discrete, Spec
from headstart.data.describe import describe, recommend
from headstart.data.experience import Experience, concatenate
from headstart.data.replay import Replay
from headstart.data.weights import TrajectoryWeights


def trajectories(returns, lengths, starts=None, size: int = 1, discrete: bool = False, seed: int = 0) -> Experience:
    """Episodes with the given returns (all of it in the last reward), lengths and first observations."""
    generator = np.random.default_rng(seed)
    rows = int(np.sum(lengths))
    last = np.cumsum(lengths) - 1
    observations = generator.uniform(-1, 1, (rows, size))
    if starts is not None:
        observations[np.append(0, last[:-1] + 1)] = np.reshape(starts, (len(lengths), size))
    rewards = np.zeros(rows)
    rewards[last] = returns
    columns = {
        "observations": observations,
        "actions": generator.integers(0, 3, rows) if discrete else generator.uniform(-1, 1, (rows, 1)),
        "rewards": rewards,
        "next_observations": generator.uniform(-1, 1, (rows, size)),
        "terminations": np.isin(np.arange(rows), last[::2]),
        "truncations": np.isin(np.arange(rows), last[1::2]),
    }
    action = Discrete(3) if discrete else Box.uniform((1,), -1, 1)
    return Experience(Spec(Box.uniform((size,), -np.inf, np.inf), action), columns)


class TestDescription:
    def test_quality_of_random_and_expert_data(self):
        data = trajectories([10, 20, 30], [5, 5, 5])
        assert describe(data, random_return=20.0, expert_return=50.0).tq == 0.0
        assert describe(data, random_return=0.0, expert_return=20.0).tq == 1.0
        assert describe(data, random_return=30.0, expert_return=40.0).tq == -1.0
        assert describe(data, random_return=0.0, expert_return=10.0).tq == 2.0
        assert describe(data).tq is None

    @pytest.mark.parametrize("discrete", [False, True])
    def test_coverage_of_itself_and_of_its_copy(self, discrete):
        data = trajectories(np.arange(40), [25] * 40, size=2, discrete=discrete)
        itself = describe(data, reference=data, random_return=0.0, expert_return=50.0, bins=4)
        assert (itself.saco, itself.lsaco) == (1.0, 1.0)
        twice = describe(concatenate([data, data]), data, random_return=0.0, expert_return=50.0, bins=4)
        assert (twice.saco, twice.tq, twice.n_unique) == (itself.saco, itself.tq, itself.n_unique)
        assert any("equal size" in note for note in twice.notes)

    def test_unique_pairs_are_counted_exactly(self):
        data = trajectories([0.0] * 8, [500] * 8, size=2, discrete=True)
        low, high = data.observations.min(0), data.observations.max(0)
        cells = np.minimum(((data.observations.astype(float) - low) / (high - low) * 10).astype(int), 9)
        pairs = np.unique(np.column_stack([cells, data.actions]), axis=0, return_counts=True)[1]
        found = describe(data, bins=10)
        assert found.n_unique == len(pairs)
        shares = pairs / pairs.sum()
        assert found.entropy == pytest.approx(-(shares * np.log(shares)).sum())

    def test_coverage_can_exceed_one_and_uses_the_reference_ranges(self):
        wide, narrow = trajectories([0.0] * 4, [250] * 4), trajectories([0.0] * 4, [250] * 4, seed=1)
        narrow = Experience(narrow.spec, {**narrow.columns, "observations": narrow.observations * 0.1})
        assert describe(narrow, reference=wide, bins=20).saco == pytest.approx(0.1, abs=0.06)
        assert describe(wide, reference=wide.select([0]), bins=20).saco > 1.5
        constant = Experience(wide.spec, {**wide.columns, "observations": np.zeros((1000, 1))})
        assert describe(wide, reference=constant, bins=5).saco == 1.0
        single = Experience(wide.spec, {**constant.columns, "actions": np.zeros((1000, 1))})
        assert describe(wide, reference=single, bins=5).lsaco is None

    def test_numbers_of_a_small_file(self):
        found = describe(trajectories([1, 2, 4], [2, 4, 6], discrete=True))
        assert (found.n_transitions, found.n_trajectories, found.n_incomplete) == (12, 3, 0)
        assert (found.returns[0], found.returns[3], found.returns[-1]) == (1, 2, 4)
        assert (found.lengths[0], found.lengths[-1]) == (2, 6)
        assert found.mean_return == pytest.approx(7 / 3)
        assert found.rewards == (0.0, 4.0)
        assert found.reward_sparsity == 9 / 12
        assert sum(found.action_low) == 12
        assert (found.n_terminations, found.n_truncations) == (2, 1)

    def test_what_cannot_be_described(self):
        data = trajectories([1, 2], [3, 3])
        with pytest.raises(UsageError, match="not above"):
            describe(data, random_return=1.0, expert_return=1.0)
        with pytest.raises(UsageError, match="both"):
            describe(data, random_return=1.0)
        with pytest.raises(UsageError, match=r"it has observations \[2\] and actions \[1\]; the dataset has"):
            describe(data, reference=trajectories([1], [3], size=2))
        endless = Experience(data.spec, {**data.columns, "terminations": np.zeros(6), "truncations": np.zeros(6)})
        with pytest.raises(DataError, match="complete"):
            describe(endless)
        with pytest.raises(DataError, match="NaN"):
            describe(Experience(data.spec, {**data.columns, "observations": np.full((6, 1), np.nan)}))

    def test_recommendations_are_methods_there_are(self):
        from headstart.control.registry import METHODS

        base = describe(trajectories([1, 2], [3, 3]))
        for discrete in (False, True):
            for tq, saco in ((None, None), (0.9, 0.2), (0.1, 0.9), (0.5, 0.5), (0.1, 0.1)):
                for name in recommend(replace(base, discrete=discrete, tq=tq, saco=saco)).methods:
                    assert METHODS.get(name).discrete if discrete else METHODS.get(name).continuous, name

    def test_recommendations_follow_the_plane(self):
        base = describe(trajectories([1, 2], [3, 3]))
        assert recommend(base).methods[0] == "bc"
        assert "reference" in recommend(base).text
        first = {
            (tq, saco): recommend(replace(base, tq=tq, saco=saco)).methods[0]
            for tq in (0.1, 0.5, 0.95)
            for saco in (0.2, 0.95)
        }
        assert first[0.95, 0.2] == first[0.95, 0.95] == "bc"
        assert recommend(replace(base, tq=0.1, saco=0.95)).methods[-1] == "sac-n"
        assert recommend(replace(base, tq=0.1, saco=0.95, discrete=True)).methods[-1] == "dqn"
        assert first[0.5, 0.2] == "iql"
        assert "interaction" in recommend(replace(base, tq=0.1, saco=0.2)).text
        assert all("rule of thumb" in recommend(replace(base, tq=tq, saco=0.5)).text for tq in (0.1, 0.5, 0.95))


class TestWeights:
    def test_return_weights_follow_the_formula(self):
        data = trajectories([0, 5, 10], [2, 3, 4])
        weights = TrajectoryWeights("return", alpha=0.5).transition_weights(data)
        raw = np.repeat(np.exp(np.array([0.0, 0.5, 1.0]) / 0.5), [2, 3, 4])
        np.testing.assert_allclose(weights, raw / raw.sum(), rtol=1e-12)

    def test_advantage_weights_follow_the_formula(self):
        starts = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 3.0], [4.0, 1.0]])
        returns = np.array([1.0, 2.0, 6.0, 3.0, 5.0])
        data = trajectories(returns, [2] * 5, starts, size=2)
        inputs = np.column_stack([starts, np.ones(5)])
        scores = returns - inputs @ np.linalg.solve(inputs.T @ inputs, inputs.T @ returns)
        raw = np.exp((scores - scores.min()) / (scores.max() - scores.min()) / 0.1)
        found = TrajectoryWeights("advantage").weigh(data)
        np.testing.assert_allclose(found.probabilities, raw / raw.sum(), rtol=1e-6)

    def test_the_baseline_removes_luck_of_the_start(self):
        generator = np.random.default_rng(0)
        starts, skill = generator.uniform(-1, 1, 200), generator.uniform(-1, 1, 200)
        data = trajectories(10 * starts + skill, [4] * 200, starts)
        by_advantage = TrajectoryWeights("advantage").weigh(data).probabilities
        by_return = TrajectoryWeights("return").weigh(data).probabilities
        assert by_advantage @ skill > 0.6 > by_return @ skill
        assert by_return @ starts > 0.6 > abs(by_advantage @ starts)
        own = TrajectoryWeights("advantage", baseline=lambda starts, returns: 10 * starts[:, 0])
        assert own.weigh(data).probabilities @ skill > 0.6
        mean = TrajectoryWeights("advantage", baseline="mean").weigh(data).probabilities
        np.testing.assert_allclose(mean, by_return, rtol=1e-9)

    def test_top_keeps_the_best_uniformly_over_transitions(self):
        data = trajectories(np.arange(10), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
        weights = TrajectoryWeights("top", fraction=0.25).transition_weights(data)
        np.testing.assert_allclose(weights, np.where(np.arange(55) >= 36, 1 / 19, 0.0))
        one = TrajectoryWeights("top", fraction=0.01).weigh(data)
        assert one.probabilities.tolist() == [0.0] * 9 + [1.0]

    @pytest.mark.parametrize("kind", ["advantage", "return"])
    def test_limits_are_uniform(self, kind):
        generator = np.random.default_rng(0)
        starts = generator.normal(size=12)
        lengths = generator.integers(1, 9, 12)
        uniform = np.full(lengths.sum(), 1 / lengths.sum())
        varied = trajectories(generator.normal(size=12), lengths, starts)
        same = trajectories([7.3] * 12, lengths, starts)
        single = trajectories([3.0], [5], [1.0])
        for alpha, data in ((1e14, varied), (0.1, same), (1e-3, same)):
            weights = TrajectoryWeights(kind, alpha=alpha).transition_weights(data)
            np.testing.assert_allclose(weights, uniform, atol=1e-12, rtol=0)
        np.testing.assert_allclose(TrajectoryWeights(kind).transition_weights(single), 0.2)
        if kind == "advantage":  # returns that the start explains wholly
            explained = trajectories(3 * starts + 1, lengths, starts)
            np.testing.assert_allclose(TrajectoryWeights().transition_weights(explained), uniform, atol=1e-9)

    def test_tiny_alpha_takes_the_best_alone(self):
        found = TrajectoryWeights("return", alpha=1e-6).weigh(trajectories([1, 2, 3], [4, 4, 4]))
        np.testing.assert_array_equal(found.probabilities, [0, 0, 1])
        assert found.effective_trajectories() == 1.0
        assert found.expected_return() == 3.0

    def test_diagnostics(self):
        found = TrajectoryWeights("return", alpha=1e9).weigh(trajectories([0, 0, 0, 4], [3, 3, 3, 3]))
        assert found.effective_trajectories() == pytest.approx(4.0)
        assert found.expected_return() == pytest.approx(1.0)
        assert found.positive_sided_variance() == pytest.approx(9 / 4)

    def test_length_counts_unless_trajectories_are_drawn(self):
        data = trajectories([1, 1], [1, 9])
        np.testing.assert_allclose(TrajectoryWeights("return").weigh(data).probabilities, [0.1, 0.9])
        per_trajectory = TrajectoryWeights("return", per_trajectory=True)
        np.testing.assert_allclose(per_trajectory.weigh(data).probabilities, [0.5, 0.5])
        assert per_trajectory.transition_weights(data)[0] == pytest.approx(0.5)

    def test_unfinished_trajectories_are_dropped_or_kept(self):
        data = trajectories([1, 2, 3], [2, 2, 2])
        columns = {**data.columns, "terminations": data.terminations & (np.arange(6) != 5)}
        data = Experience(data.spec, columns)
        assert TrajectoryWeights("return").transition_weights(data)[4:].sum() == 0.0
        kept = TrajectoryWeights("return", incomplete="keep").transition_weights(data)
        assert kept[4] == kept.max()

    def test_streams_of_a_ring_keep_their_rows(self):
        ring = Experience.empty(trajectories([1], [1]).spec, 8, streams=2)
        for step in range(4):
            done = [step % 2 == 1] * 2
            ring.append([[0], [0]], [[0], [0]], [[0, 0], [0, 10]][step % 2], [[0], [0]], done, [False] * 2)
        weights = TrajectoryWeights("return").transition_weights(ring)
        np.testing.assert_allclose(weights[1::2].sum(), 1.0, atol=1e-4)
        replay = Replay.from_experience(ring, 0.9, weights=weights)
        assert replay.table is not None

    def test_what_cannot_be_weighed(self):
        data = trajectories([1, 2], [3, 3])
        with pytest.raises(UsageError, match="alpha"):
            TrajectoryWeights(alpha=0.0)
        with pytest.raises(UsageError, match="fraction"):
            TrajectoryWeights("top", fraction=0.0)
        endless = Experience(data.spec, {**data.columns, "terminations": np.zeros(6), "truncations": np.zeros(6)})
        with pytest.raises(DataError, match="need trajectories"):
            TrajectoryWeights().weigh(endless)
        with pytest.raises(DataError, match="NaN"):
            TrajectoryWeights().weigh(Experience(data.spec, {**data.columns, "rewards": np.full(6, np.nan)}))
        with pytest.raises(DataError, match="too few"):
            TrajectoryWeights().weigh(trajectories([1, 2, 3], [2] * 3, size=5))
        images = Spec(Box.uniform((2, 2), 0, 1), data.spec.action)
        pixels = np.zeros((6, 2, 2))
        images = Experience(images, {**data.columns, "observations": pixels, "next_observations": pixels})
        with pytest.raises(DataError, match="no linear baseline"):
            TrajectoryWeights().weigh(images)
        with pytest.raises(DataError, match="finite values"):
            TrajectoryWeights(baseline=lambda starts, returns: returns[:1]).weigh(data)
