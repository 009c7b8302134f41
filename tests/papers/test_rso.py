"""Rejection sampling of pairs: the sampler's law and limits, its judgement, its smallest run."""

import copy

import numpy as np
import pytest
from datasets import Dataset

from headstart.core.errors import UsageError
from headstart.data.row_conversion import accept, rejection_sample, top_k
from headstart.language.ipo import IPO
from headstart.language.rso import SigmoidNorm
from headstart.language.table_fitting import fit_table
from headstart.papers import rso
from tests.papers.judging import quick


def group(rewards):
    return Dataset.from_list(
        [{"prompt": "p", "completions": [f"y{i}" for i in range(len(rewards))], "rewards": rewards}]
    )


def test_the_first_accepted_follows_the_tilted_policy():
    generator = np.random.default_rng(0)
    reference, rewards = np.array([0.6, 0.3, 0.1]), np.array([0.0, 0.5, 1.0])
    wanted = reference * np.exp(rewards / 0.5)
    wanted /= wanted.sum()
    counts = np.zeros(3)
    for _ in range(3000):
        drawn = generator.choice(3, 60, p=reference)
        counts[drawn[accept(rewards[drawn], 1, 0.5, generator)[0]]] += 1
    assert counts / counts.sum() == pytest.approx(wanted, abs=0.03)


def test_a_high_temperature_keeps_the_first_and_a_low_one_the_best():
    rewards = np.random.default_rng(1).normal(size=30).tolist()
    best = sorted(range(30), key=lambda i: -rewards[i])[:8]
    (first,) = rejection_sample(group(rewards), 8, 1e9)
    (low,) = rejection_sample(group(rewards), 8, 1e-9)
    (top,) = top_k(group(rewards), 8)
    assert first["completions"] == [f"y{i}" for i in range(8)]
    assert low["completions"] == top["completions"] == [f"y{i}" for i in best]
    with pytest.raises(UsageError, match="beta is 0, expected above 0"):
        rejection_sample(group(rewards), 8, 0)


def test_fewer_different_candidates_than_wanted_are_all_kept():
    (kept,) = rejection_sample(group([0.0, 1.0, 2.0]), 8, 0.5)
    assert sorted(kept["completions"]) == ["y0", "y1", "y2"]


def test_a_table_comes_to_prefer_what_its_pairs_chose():
    reference = np.log(np.full((2, 3), 1 / 3))
    policy = np.exp(fit_table(SigmoidNorm(gamma=0.5), reference, [(0, 1, 2), (1, 0, 2)], 100))
    assert policy[0].argmax() == 1
    assert policy[1].argmax() == 0
    gap = fit_table(IPO(tau=0.25), reference, [(0, 1, 2)], 500)
    assert gap[0, 1] - gap[0, 2] == pytest.approx(2.0, abs=0.01)
    assert gap[1] == pytest.approx(reference[1])


def results():
    generator = np.random.default_rng(3)

    def one(seed):
        counts = {str(beta): generator.multinomial(400, rso.target(beta)).tolist() for beta in rso.BETAS}
        acceptance = {str(beta): rso.theorem(beta) for beta in rso.BETAS}
        tables = {arm: {"reward": 1.0, "kl": 2.0} for arm in rso.TABLE_ARMS}
        tables["sft"]["reward"], tables["direct"]["reward"] = 0.5, 0.1 + 0.001 * seed
        text = {arm: {"reward": 2.3, "kl": 3.0} for arm in ("before", *rso.TEXT_ARMS)}
        text["direct"]["reward"] = 2.0
        law = {"counts": counts, "collapsed": counts, "acceptance": acceptance}
        return {"law": law, "tables": tables, "hacked": tables} | ({"text": text} if seed < 5 else {})

    return [one(seed) for seed in range(6)]


def test_each_claim_is_judged_by_its_own_numbers():
    def holds(*path, value=None):
        changed = copy.deepcopy(results())
        for result in changed:
            place = result
            for key in path[:-1]:
                place = place.get(key, {})
            if path:
                place[path[-1]] = value
        return [verdict.holds for verdict in rso.PAPER.verdicts(changed)]

    assert holds() == [True] * 5
    assert holds("law", "counts", "0.5", value=[40] * 10) == [False, True, True, True, True]
    assert holds("law", "acceptance", "2.0", value=rso.theorem(2.0) * 1.03) == [True, False, True, True, True]
    assert holds("tables", "0.5", "reward", value=0.69) == [True, True, False, True, True]
    assert holds("tables", "direct", "reward", value=0.6) == [True, True, True, False, True]
    assert holds("text", "direct", "reward", value=2.4) == [True, True, True, True, False]


def test_quick_run(tmp_path):
    rows = quick(rso.PAPER, tmp_path)
    sampler = [row for row in rows if row["part"] == "sampler"]
    assert all(row["acceptance"] == pytest.approx(row["theorem's acceptance"], rel=0.1) for row in sampler)
    tables = {row["arm"]: row["true reward"] for row in rows if row["part"] == "tables"}
    assert tables[rso.TABLE_ARMS["0.5"]] > tables[rso.TABLE_ARMS["direct"]]
