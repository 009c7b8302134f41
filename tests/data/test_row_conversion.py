"""Converters give the rows that their rules say, seeded, and say which groups gave none."""

import numpy as np
import pytest
from datasets import Dataset
from scipy.stats import chisquare

from headstart.core.errors import DataError, UsageError
from headstart.data import row_conversion as convert


def group(texts, rewards, **columns):
    return {"prompt": "p", "completions": list(texts), "rewards": [float(r) for r in rewards], **columns}


def rows(*groups) -> Dataset:
    return Dataset.from_list(list(groups))


def sides(dataset: Dataset) -> list[tuple[str, str]]:
    return [(row["chosen"], row["rejected"]) for row in dataset]


ONE = rows(group(["a", "b", "c", "d"], [1, 3, 0, 2], sources=["policy", "ref", "data", "ref"], row_id=9))


@pytest.mark.parametrize(
    ("converter", "expected"),
    [
        (convert.best_worst, [("b", "c")]),
        (convert.best_random, [("b", "a")]),
        (convert.best_second, [("b", "d")]),
        (convert.first_two, [("b", "a")]),
        (convert.all_pairs, [("a", "c"), ("b", "a"), ("b", "c"), ("b", "d"), ("d", "a"), ("d", "c")]),
    ],
)
def test_rules_of_pairing(converter, expected) -> None:
    assert sides(converter(ONE)) == expected


def test_a_pair_keeps_what_belongs_to_its_sides() -> None:
    assert convert.best_worst(ONE)[0] == {
        "prompt": "p",
        "chosen": "b",
        "rejected": "c",
        "chosen_reward": 3.0,
        "rejected_reward": 0.0,
        "margin": 3.0,
        "chosen_source": "ref",
        "rejected_source": "data",
        "group_id": 9,
        "row_id": 0,
    }
    assert sides(convert.all_pairs(ONE, threshold=2)) == [("b", "c")]


def test_ties_and_equal_texts_give_no_pair_and_are_counted() -> None:
    made = convert.to_pairs(
        rows(
            group("ab", [1, 1]),
            group("aa", [1, 2]),
            group("a", [1]),
            group("abc", [2, 2, 1]),
        )
    )
    assert sides(made.dataset) == [("a", "c")], "ties go to the lower position"
    assert made.dropped == {
        "the scores are equal": [0],
        "the completions are identical": [1],
        "fewer than two completions": [2],
    }
    nothing = convert.best_worst(rows(group("ab", [1, 1])))
    assert len(nothing) == 0
    assert "chosen" in nothing.column_names


def test_a_length_penalty_orients_the_pair_and_is_not_stored() -> None:
    two = rows(group(["long " * 10, "short"], [1.0, 0.9]))
    assert sides(convert.first_two(two)) == [("long " * 10, "short")]
    row = convert.first_two(two, length_penalty=0.01)[0]
    assert (row["chosen"], row["chosen_reward"], row["rejected_reward"]) == ("short", 0.9, 1.0)
    assert row["margin"] == pytest.approx(-0.1)


def test_bad_rewards_and_rules_are_refused() -> None:
    with pytest.raises(DataError, match=r"row 1 \(row_id 1\) has a reward that is not finite"):
        convert.best_worst(rows(group("ab", [1, 2]), group("ab", [1, float("nan")])))
    with pytest.raises(UsageError, match="unknown rule 'worst'"):
        convert.to_pairs(ONE, "worst")
    with pytest.raises(UsageError, match="top_k keeps the best"):
        convert.rejection_sample(ONE, beta=0)


def test_best_of_n() -> None:
    row = convert.best(ONE)[0]
    assert (row["completion"], row["reward"], row["source"]) == ("b", 3.0, "ref")


@pytest.mark.parametrize("beta", [0.2, 0.5, 2.0])
def test_accepted_completions_are_distributed_as_the_optimal_policy(beta) -> None:
    rng = np.random.default_rng(0)
    reference = rng.dirichlet(np.ones(10) * 3)
    reward = rng.normal(size=10)
    counts = np.zeros(10)
    for _ in range(3000):
        candidates = rng.choice(10, size=200, p=reference)
        counts[candidates[convert.accept(reward[candidates], 1, beta, rng)]] += 1
    target = reference * np.exp(reward / beta)
    assert chisquare(counts, 3000 * target / target.sum()).pvalue > 0.01


def test_limits_of_rejection_sampling() -> None:
    texts = [f"t{i}" for i in range(20)]
    rewards = np.random.default_rng(1).permutation(20)
    many = rows(group(texts, rewards))
    assert convert.rejection_sample(many, 5, beta=1e9)[0]["completions"] == texts[:5]
    best = [texts[i] for i in np.argsort(-rewards)[:5]]
    assert convert.rejection_sample(many, 5, beta=1e-9)[0]["completions"] == best
    assert convert.top_k(many, 5)[0]["completions"] == best


def test_rejection_sampling_of_too_few_keeps_all_and_repeats_under_its_seed() -> None:
    few = rows(group(["a", "b", "a"], [0, 5, 0], sources=["x", "y", "z"]))
    kept = convert.rejection_sample(few, 8, beta=1.0)[0]
    assert sorted(kept["completions"]) == ["a", "b"]
    assert kept["sources"] == [{"a": "x", "b": "y"}[text] for text in kept["completions"]]
    assert kept["acceptance"] == pytest.approx((1 + np.exp(-5)) / 2)
    many = rows(*[group([f"t{i}" for i in range(30)], np.linspace(0, 1, 30))] * 3)
    first = convert.rejection_sample(many, 4, seed=3).to_list()
    assert first == convert.rejection_sample(many, 4, seed=3).to_list()
    assert first != convert.rejection_sample(many, 4, seed=4).to_list()


class ByRank:
    """Prefers what comes later in the alphabet, and leans to what is shown first."""

    def __init__(self, bias=0.0):
        self.bias, self.asked, self.batches = bias, 0, 0

    def prefer(self, prompts, first, second, columns=None):
        self.asked += len(first)
        self.batches += 1
        assert columns is None or all(len(values) == len(first) for values in columns.values())
        return [float(np.clip((0.9 if a > b else 0.1) + self.bias, 0, 1)) for a, b in zip(first, second)]


def test_a_knockout_of_eight_takes_eleven_comparisons_in_both_orders() -> None:
    judge = ByRank(bias=0.05)
    made = convert.knockout_pairs(rows({"prompt": "p", "completions": list("cahbgdfe"), "topic": "x"}), judge)
    assert sides(made.dataset) == [("h", "a")]
    assert judge.asked == 2 * 11
    assert made.dataset[0]["preference_prob"] == pytest.approx(0.9), "the lean is averaged away"
    judge = ByRank()
    several = rows(*[{"prompt": "p", "completions": list("abcdefgh"[:n])} for n in range(1, 9)])
    made = convert.knockout_pairs(several, judge)
    assert sides(made.dataset) == [("abcdefgh"[n - 1], "a") for n in range(2, 9)]
    assert made.dropped == {"fewer than two completions": [0]}
    assert judge.batches <= 5, "the matches of all groups are asked together"


def test_circular_and_undecided_preferences_give_no_pair() -> None:
    class Circle:
        def prefer(self, prompts, first, second, columns=None):
            beats = {("a", "b"), ("b", "c"), ("c", "a")}
            return [float("nan") if "x" in (a, b) else float((a, b) in beats) for a, b in zip(first, second)]

    made = convert.knockout_pairs(
        rows({"prompt": "p", "completions": list("abc")}, {"prompt": "p", "completions": list("ax")}), Circle()
    )
    assert len(made.dataset) == 0
    assert made.dropped == {"the preferences are circular": [0], "the judge did not decide": [1]}


def test_rounds_of_rejection_samples_are_paired_by_rewards_or_by_a_judge() -> None:
    eight = rows(group("abcdefgh", range(8)), group("abc", [0, 1, 2]))
    pairs = convert.first_round(eight, seed=1)
    assert len(pairs) == 4 + 1
    assert all(row["chosen"] > row["rejected"] for row in pairs)
    assert sorted("".join(a + b for a, b in sides(pairs)[:4])) == list("abcdefgh")
    pairs = convert.tournament(eight, ByRank())
    assert len(pairs) == 7 + 1
    assert sides(pairs)[6][0] == "h"
    assert sides(convert.tournament(eight)) == sides(pairs), "rewards and judge agree here"


def test_pairs_as_groups_labels_and_from_the_other_side() -> None:
    pair = {"prompt": "p", "chosen": "a", "rejected": "b", "chosen_reward": 2.0, "rejected_reward": 1.0, "margin": 1.0}
    extra = {"preference_prob": 0.75, "chosen_source": "policy", "rejected_source": "ref", "iteration": 2}
    pairs = rows({**pair, **extra})
    scored = convert.pairs_to_scored(pairs)[0]
    assert (scored["completions"], scored["rewards"], scored["sources"]) == (["a", "b"], [2.0, 1.0], ["policy", "ref"])
    assert sides(convert.best_worst(convert.pairs_to_scored(pairs))) == [("a", "b")]
    plain = convert.pairs_to_scored(rows({"prompt": "p", "chosen": "a", "rejected": "b"}))[0]
    assert plain["rewards"] == [1.0, 0.0]
    labels = convert.pairs_to_labels(pairs)
    assert [(r["completion"], r["label"], r["reward"], r["iteration"], r["row_id"]) for r in labels] == [
        ("a", True, 2.0, 2, 0),
        ("b", False, 1.0, 2, 1),
    ]
    swapped = convert.swap_sides(pairs)[0]
    assert (swapped["chosen"], swapped["chosen_reward"], swapped["chosen_source"]) == ("b", 1.0, "ref")
    assert (swapped["preference_prob"], swapped["margin"]) == (0.25, -1.0)
    assert convert.swap_sides(convert.swap_sides(pairs)).to_list() == pairs.to_list()


def test_ties_are_no_pairs_of_a_round_and_are_counted_unless_a_judge_met_them() -> None:
    class Undecided:
        def prefer(self, prompts, first, second, columns=None):
            return [0.5] * len(first)

    tied = rows(group("abcd", [1, 1, 1, 1]), group("abcd", [0, 1, 2, 3]))
    made = convert.in_rounds(tied, rounds=None)
    assert made.noted == {"the scores are equal": [0, 0, 0]}
    assert made.dropped == {"the scores are equal": [0]}
    assert all(row["margin"] > 0 for row in made.dataset)
    assert len(convert.first_round(tied)) == 2
    assert sides(convert.first_round(tied)) == sides(convert.first_round(tied, ties=True))[2:]
    assert len(convert.first_round(tied, Undecided())) == 4
