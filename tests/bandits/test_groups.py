"""Sleeping experts, learners copied for every group, and the streams they are tried on."""

import numpy as np
import polars as pl
import pytest

from headstart.bandits.grouped_data import (
    grouped,
    load_adult,
    load_drug_expenditure,
    load_medical_costs,
    shapes_and_colours,
)
from headstart.bandits.groupwise import Groupwise, follow, group_regret
from headstart.bandits.layered_paths import PerturbedShortestPath, shortest_paths
from headstart.bandits.online_ridge import OnlineRidge
from headstart.bandits.paired_experts import follow_pairs
from headstart.bandits.sleeping_experts import AdaNormalHedge, Regrets
from headstart.core.errors import DataError, UsageError


def stream(rounds=400, seed=0):
    return shapes_and_colours(rounds, "mean", np.random.default_rng(seed), 4)


def test_weights_follow_their_formula_and_survive_large_regrets():
    hedge = AdaNormalHedge()

    def phi(regret, magnitude):
        return np.exp(max(regret, 0) ** 2 / (3 * magnitude))

    state = Regrets(np.array([2.0, -0.5, 7.0, -9.0]), np.array([5.0, 3.0, 8.0, 9.0]))
    awake = np.array([True, True, False, True])
    raw = [(phi(r + 1, c + 1) - phi(r - 1, c + 1)) / 2 for r, c in zip(*state, strict=True)]
    expected = np.where(awake, raw, 0) / np.array(raw)[awake].sum()
    np.testing.assert_allclose(hedge.weights(state, awake), expected)
    huge = Regrets(np.array([5e4, 4e4]), np.array([5e4, 4e4]))
    assert hedge.weights(huge, np.ones(2, bool)).tolist() == [1.0, 0.0]
    hopeless = Regrets(np.full(2, -9.0), np.full(2, 9.0))
    assert hedge.weights(hopeless, np.ones(2, bool)).tolist() == [0.5, 0.5]


def test_regret_against_every_sleeping_expert_is_small():
    generator = np.random.default_rng(0)
    hedge, state, excess = AdaNormalHedge(), AdaNormalHedge().init(6), np.zeros(6)
    awake_rounds = np.zeros(6)
    for _ in range(2000):
        awake = generator.random(6) < 0.5
        awake[0] = True
        losses = np.clip(generator.normal(np.linspace(0.6, 0.3, 6), 0.2), 0, 1)
        weights = hedge.weights(state, awake)
        state = hedge.observe(state, awake, weights, losses)
        excess += np.where(awake, weights @ losses - losses, 0)
        awake_rounds += awake
    np.testing.assert_allclose(state.sum, excess)
    assert np.all(excess <= 3 * np.sqrt(awake_rounds * np.log(6)))


def test_what_sleeping_experts_refuse():
    hedge = AdaNormalHedge()
    state, nobody, all_awake = hedge.init(2), np.zeros(2, bool), np.ones(2, bool)
    with pytest.raises(DataError, match="asleep"):
        hedge.weights(state, nobody)
    with pytest.raises(DataError, match="2 Booleans"):
        hedge.weights(state, np.ones(2))
    with pytest.raises(DataError, match=r"\[0, 1\]"):
        hedge.observe(state, all_awake, np.full(2, 0.5), np.array([0.5, 1.5]))
    with pytest.raises(UsageError, match="one expert"):
        hedge.init(0)


@pytest.mark.parametrize("forward", [False, True])
def test_online_ridge_is_ridge_regression_on_the_rounds_seen(forward):
    data, ridge = stream(40), OnlineRidge(penalty=0.5, forward=forward)
    state = ridge.init(2, 5)
    for number, (x, y) in enumerate(zip(data.features, data.labels, strict=True)):
        seen, labels = data.features[:number], data.labels[:number]
        gram = 0.5 * np.eye(5) + seen.T @ seen + (np.outer(x, x) if forward else 0)
        expected = np.clip(np.linalg.solve(gram, seen.T @ labels) @ x, 0, 1)
        np.testing.assert_allclose(ridge.predict(state, x), [expected, 0], atol=1e-9)
        state = ridge.observe(state, x, y, np.array([True, False]))


def test_with_one_group_it_is_the_base_learner():
    data = stream()
    losses = follow(Groupwise(), data.features, data.active[:, :1], data.labels)
    np.testing.assert_array_equal(losses.ours, losses.by_group[:, 0])


def test_with_disjoint_groups_it_is_separate_learners():
    data = stream()
    apart = data.active[:, 1:4]
    losses = follow(Groupwise(), data.features, apart, data.labels)
    np.testing.assert_array_equal(losses.ours, losses.by_group[apart])
    for group in range(3):
        rows = apart[:, group]
        alone = follow(Groupwise(), data.features[rows], np.ones((rows.sum(), 1), bool), data.labels[rows])
        np.testing.assert_allclose(losses.ours[rows], alone.ours, atol=1e-12)


def test_overlapping_groups_all_gain():
    data = stream(3000)
    losses = follow(Groupwise(), data.features, data.active, data.labels)
    ours, always_on = (
        group_regret(loss, data.features, data.labels, data.active) for loss in (losses.ours, losses.by_group[:, 0])
    )
    assert np.all(ours < always_on)
    own = np.nansum(np.where(data.active, losses.ours[:, None] - losses.by_group, 0), axis=0)
    assert np.all(own <= 3 * np.sqrt(data.active.sum(0) * np.log(6)))
    drawn = follow(Groupwise(sample=True), data.features, data.active, data.labels)
    assert losses.ours.sum() <= drawn.ours.sum()


def test_streams_that_cannot_be_followed():
    data = stream(5)
    with pytest.raises(DataError, match="round 0 belongs to no group"):
        follow(Groupwise(), data.features, np.zeros((5, 2), bool), data.labels)
    with pytest.raises(DataError, match=r"labels must lie in \[0, 1\]"):
        follow(Groupwise(), data.features, data.active, data.labels + 2)
    with pytest.raises(DataError, match="finite"):
        follow(Groupwise(), data.features * np.nan, data.active, data.labels)
    with pytest.raises(DataError, match="given 5, 5, 3"):
        follow(Groupwise(), data.features, data.active, data.labels[:3])
    with pytest.raises(UsageError, match="generator"):
        Groupwise(sample=True).predict(Groupwise(sample=True).init(2, 5), data.features[0], np.ones(2, bool))


def test_shortest_paths_equal_exhaustive_search():
    lengths = np.random.default_rng(0).normal(size=(4, 3, 3, 3))
    nodes = np.stack(np.meshgrid(*[np.arange(3)] * 4, indexing="ij"), -1).reshape(-1, 4)
    for found, length in zip(shortest_paths(lengths), lengths, strict=True):
        totals = sum(length[layer, nodes[:, layer], nodes[:, layer + 1]] for layer in range(3))
        assert nodes[np.argmin(totals)].tolist() == found.tolist()


def test_paths_that_suit_each_group():
    generator, rounds = np.random.default_rng(0), 1500
    group = generator.integers(2, size=rounds)
    edges = generator.random((rounds, 3, 2, 2)) * 0.4
    edges[np.arange(rounds), :, 1 - group] += 0.6  # through the node that is the group's own, edges are short
    active = np.column_stack([np.ones(rounds, bool), group == 0, group == 1])
    learner = Groupwise(PerturbedShortestPath(3, 2, noise=10.0), sample=True)
    losses = follow(learner, np.zeros((rounds, 1)), active, edges)
    late = losses.ours[-500:].mean()
    assert late < 0.3
    assert losses.by_group[-500:, 0].mean() > 0.4  # no single path suits both


def test_pairs_of_groups_and_hypotheses_find_each_group_s_best():
    generator, rounds = np.random.default_rng(0), 2000
    group = generator.integers(2, size=rounds)
    losses = np.clip(generator.normal(0.5, 0.1, (rounds, 3)), 0, 1)
    losses[np.arange(rounds), group] -= 0.2
    active = np.column_stack([np.ones(rounds, bool), group == 0, group == 1])
    expected = follow_pairs(np.clip(losses, 0, 1), active)
    for number in (0, 1):
        rows = group == number
        assert expected[rows].sum() - losses[rows, number].sum() <= 3 * np.sqrt(rows.sum() * np.log(9))


def test_census_data_are_complete():
    data = load_adult()
    sizes = dict(zip(data.groups, data.active.sum(0).tolist(), strict=True))
    assert (len(data), len(data.groups)) == (48842, 15)
    assert (sizes["Female"], sizes["White"], sizes["age to 25"]) == (16192, 41762, 9627)
    assert data.labels.sum() == 11687
    assert np.all((data.features >= 0) & (data.features <= 1))


def test_expenditure_on_drugs_is_complete():
    data = load_drug_expenditure()
    assert data.features.shape == (10391, 10)
    assert (data.labels.min() >= 0, data.labels.max()) == (True, 1)


def test_medical_costs_from_a_table_of_one_s_own(tmp_path):
    path = tmp_path / "insurance.csv"
    path.write_text(
        "age,sex,bmi,children,smoker,region,charges\n19,female,27.9,0,yes,southwest,16884.9\n50,male,33,1,no,east,1725.5\n"
    )
    data = load_medical_costs(path)
    assert data.labels.max() == 1
    assert data.active[:, data.groups.index("smoker yes")].tolist() == [True, False]
    path.write_text("age,sex\n19,female\n")
    with pytest.raises(DataError, match="lacks the columns"):
        load_medical_costs(path)


def test_tables_that_make_no_stream():
    table = pl.DataFrame({"a": [1.0, 2.0], "b": [0.5, -0.5], "c": [1.0, None]})
    fine = grouped(table, ["a"], pl.col("a"), {"two": pl.col("a") > 1})
    assert fine.labels.tolist() == [0.5, 1.0]
    assert fine.active.tolist() == [[True, False], [True, True]]
    with pytest.raises(DataError, match="not negative"):
        grouped(table, ["a"], pl.col("b"), {})
    with pytest.raises(DataError, match="finite"):
        grouped(table, ["c"], pl.col("a"), {})
    with pytest.raises(DataError, match="group two is given by Float64"):
        grouped(table, ["a"], pl.col("a"), {"two": pl.col("a")})
    with pytest.raises(DataError, match="columns a, b, c"):
        grouped(table, ["d"], pl.col("a"), {})
