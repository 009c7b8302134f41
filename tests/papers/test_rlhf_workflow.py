"""Preference learning in rounds: its limiting cases, its judgement, its smallest run."""

import copy

import numpy as np
import torch

from headstart.data.row_conversion import best_worst, first_two
from headstart.language.dpo import DPO
from headstart.language.online import Online
from headstart.papers import rlhf_workflow
from headstart.papers.key_words import WORLD, Start, labelled, prompts_of
from tests.papers.judging import quick


def results(seeds=5):
    def one(seed):
        noise = 0.01 * seed
        return {
            "offline": {"reward": [1.0, 1.5], "kl": [0.0, 3.0], "tokens": [4.5, 5.5]},
            "iterative": {"reward": [1.0, 1.5, 2.0 + noise], "kl": [0.0, 2.0, 4.0], "tokens": [4.5, 5.0, 6.0]},
            "concise": {"reward": [1.0, 2.0, 2.5], "kl": [0.0, 2.0, 4.0], "tokens": [4.5, 4.5, 4.0]},
            "random": {"reward": [1.0, 1.5, 1.8], "kl": [0.0, 2.0, 4.0], "tokens": [4.5, 5.0, 6.0]},
            "judges": {"bradley-terry": 0.6 + noise, "pairwise": 0.8 + noise, "annotator": 0.9},
        }

    return [one(seed) for seed in range(seeds)]


def test_each_claim_is_judged_by_its_own_numbers():
    def holds(arm=None, name=None, values=None, seeds=5):
        changed = copy.deepcopy(results())
        for result in changed[:seeds]:
            if arm:
                result[arm][name] = values
        return [verdict.holds for verdict in rlhf_workflow.PAPER.verdicts(changed)]

    assert holds() == [True] * 5
    assert holds("offline", "reward", [1.0, 2.1]) == [False, True, True, True, True]
    assert holds("concise", "reward", [1.0, 2.0, 1.9]) == [True, False, True, True, True]
    assert holds("iterative", "reward", [1.0, 0.9, 2.0], seeds=1) == [True, True, True, True, True]
    assert holds("iterative", "reward", [1.0, 0.9, 2.0], seeds=2) == [True, True, False, True, True]
    assert holds("judges", "pairwise", 0.64) == [True, True, True, True, False]
    assert holds("concise", "tokens", [4.5, 4.5, 6.1], seeds=1) == [True, True, True, False, True]


def test_one_round_without_further_sampling_is_plain_dpo_on_its_pairs():
    start, generator = Start.of(0), np.random.default_rng(0)
    held_out = prompts_of(WORLD.sample_problems(4, generator))
    prompts = prompts_of(WORLD.sample_problems(24, generator))
    plan = Online(iterations=1, prompts_per_iteration=24, completions=4, steps_per_iteration=3)
    source = start.collected(prompts, WORLD, plan)
    kept = []

    def keep(groups, iteration, learner, made=source._made):
        rows, left_out = made(groups, iteration, learner)
        kept.extend(rows)
        return rows, left_out

    source._made = keep
    ours = start.train(DPO(), source, held_out=held_out)
    plain = start.train(DPO(), start.recorded(kept, 3), held_out=held_out)
    for a, b in zip(ours.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_of_two_completions_the_best_and_the_worst_are_the_first_two_in_order():
    start, generator = Start.of(0), np.random.default_rng(1)
    rows = start.respond(WORLD.sample_problems(50, generator), 2, 3)
    scored = [
        {**row, "rewards": WORLD.score([row["prompt"]] * 2, row["completions"]), "row_id": number}
        for number, row in enumerate(rows)
    ]
    columns = ("prompt", "chosen", "rejected")
    ours, theirs = ([{name: row[name] for name in columns} for row in rule(scored)] for rule in (best_worst, first_two))
    assert len(ours) > 30
    assert ours == theirs


def test_people_biased_towards_length_prefer_longer_responses():
    start, generator = Start.of(0), np.random.default_rng(2)
    rows = start.respond(WORLD.sample_problems(400, generator), 2, 4)

    def longer_chosen(bias):
        pairs, _ = labelled(rows, np.random.default_rng(0), bias)
        return np.mean([len(pair["chosen"].split()) > len(pair["rejected"].split()) for pair in pairs])

    assert longer_chosen(2.0) > longer_chosen(0.0) + 0.1


def test_quick_run(tmp_path):
    rows = quick(rlhf_workflow.PAPER, tmp_path)
    arms, judges = ["before", *rlhf_workflow.ARMS.values()], list(rlhf_workflow.JUDGES.values())
    assert [row["arm"] for row in rows] == arms + judges
    assert all(row["KL to the start, nats"] > 0.1 for row in rows[1 : len(arms)])
