"""Completions that a judge does not tell apart are no preferences, and a run says how many there were."""

from dataclasses import replace

import pytest

from headstart.core.errors import UsageError
from headstart.language.recipes import plan_of
from headstart.language.settings import Training
from headstart.language.training import train

FAST = Training(learning_rate=1e-3, batch_size=8)


class Constant:
    def score(self, prompts, completions, columns=None):
        return [1.0] * len(completions)


def run_of(method, folder, prompts, judge, path, **changes):
    plan = replace(plan_of(method), iterations=1, prompts_per_iteration=8, steps_per_iteration=1, max_tokens=8)
    plan = replace(plan, **changes)
    return train(method, folder, prompts=prompts, judge=judge, plan=plan, training=FAST, folder=path,
                 show_progress=False)  # fmt: skip


@pytest.mark.parametrize("advantage", ["leave_one_out", "group_normalized"])
def test_policy_gradients_note_prompts_of_one_reward(advantage, key_words, prompts, tmp_path, capsys):
    _, folder = key_words
    run = run_of("rloo", folder, prompts, Constant(), tmp_path / "run", advantage=advantage)
    (line,) = run.folder.seed(0).notes()
    assert line.startswith("iteration 0: 8 of 8 prompts have one reward")
    assert line in capsys.readouterr().err


def test_a_critic_is_told_of_one_reward_for_all(key_words, prompts, tmp_path, capsys):
    _, folder = key_words
    run_of("ppo", folder, prompts, Constant(), tmp_path / "run")
    assert "all 8 completions have the reward 1" in capsys.readouterr().err


def test_best_of_n_says_how_many_prompts_had_no_best(key_words, prompts, tmp_path, capsys):
    _, folder = key_words
    run_of("sft", folder, prompts, Constant(), tmp_path / "run", completions=4)
    assert "8 of 8 prompts have one reward for all their completions: the first" in capsys.readouterr().err
    assert not run_of("sft", folder, prompts, Loglik(), tmp_path / "other", completions=4).folder.seed(0).notes()


class Loglik:
    """Never the same twice."""

    def score(self, prompts, completions, columns=None):
        return [float(i) for i in range(len(completions))]


def test_rejection_sampling_makes_no_pairs_of_ties(key_words, prompts, tmp_path):
    _, folder = key_words
    with pytest.raises(UsageError, match="all equal"):
        run_of("sigmoid-norm", folder, prompts, Constant(), tmp_path / "none", completions=8)

    class Half(Constant):
        def score(self, prompts, completions, columns=None):
            return [float(i // 8 % 2 and i) for i in range(len(completions))]

    run = run_of("sigmoid-norm", folder, prompts, Half(), tmp_path / "half", completions=8, sampling_beta=100.0)
    (line,) = run.folder.seed(0).notes()
    assert "pairs left out: the scores are equal" in line
