"""A plan whose rows a method cannot learn from is refused before anything is made."""

from dataclasses import replace

import pytest

from headstart.core.errors import UsageError
from headstart.language.pairings import fitting
from headstart.language.recipes import plan_of
from headstart.language.registry import METHODS
from headstart.language.row_files import read_rows
from headstart.language.settings import Training
from headstart.language.training import train

ASKED = {"prompts": [{"prompt": "q"}], "judge": "regex:a"}


@pytest.mark.parametrize(
    ("method", "pairing", "told"),
    [
        ("dpo", "best", "give pairing best_worst or"),
        ("dpo", "each", "does not make"),
        ("sft", "best_worst", "give pairing best or each"),
        ("rloo", "best_worst", "give pairing each"),
        ("weighted-bc", "best", "with prompt, completion, weight"),
        ("alol", "best", "give pairing each"),
        ("kto", "best_worst", "--make labels"),
    ],
)
def test_a_pairing_that_does_not_fit_is_refused_and_what_fits_is_named(method, pairing, told, tmp_path):
    with pytest.raises(UsageError, match=told):
        train(method, "nowhere", plan=replace(plan_of("dpo"), pairing=pairing), folder=tmp_path / "run", **ASKED)
    assert not (tmp_path / "run").exists()


def test_every_usual_plan_fits_its_method():
    for name in set(METHODS.names()) - {"kto", "alol"}:
        assert plan_of(name).pairing in fitting(METHODS.get(name))


def test_a_judge_that_does_not_fit_the_plan_leaves_no_run(tmp_path):
    with pytest.raises(UsageError, match="knockout needs a judge"):
        train("dpo", "nowhere", plan=replace(plan_of("dpo"), pairing="knockout"), folder=tmp_path / "run", **ASKED)
    assert not (tmp_path / "run").exists()


class Length:
    def __init__(self, sign=1.0):
        self.sign = sign

    def score(self, prompts, completions, columns=None):
        return [self.sign * (1 + len(text.split())) for text in completions]


@pytest.mark.parametrize("method", ["weighted-bc", "r-lol", "r-gold"])
def test_own_completions_are_learned_from_with_their_rewards(method, key_words, prompts, tmp_path):
    _, folder = key_words
    plan = replace(plan_of(method), iterations=1, prompts_per_iteration=8, completions=3, steps_per_iteration=2)
    given = {"plan": replace(plan, max_tokens=8), "training": Training(learning_rate=1e-3, batch_size=8)}
    given |= {"prompts": prompts, "show_progress": False}
    run = train(method, folder, judge=Length(), folder=tmp_path / "run", **given)
    rows = read_rows(run.path / "seed-0/iterations/000/rows.parquet")
    texts = [run.tokenizer.decode(row.sides["completion"].completion, skip_special_tokens=True) for row in rows]
    name = "weight" if method == "weighted-bc" else "reward"
    assert [row.fields[name] for row in rows] == Length().score([], texts)
    assert run.folder.metrics(["loss"])["value"].is_finite().all()
    if method == "weighted-bc":
        with pytest.raises(UsageError, match="0 or more"):
            train(method, folder, judge=Length(-1.0), folder=tmp_path / "below", **given)


def words(completions):
    return [float(len(text.split())) for text in completions]


def test_a_plain_function_is_a_judge_and_what_is_none_is_refused_at_once(key_words, prompts, tmp_path):
    _, folder = key_words
    plan = replace(plan_of("dpo"), iterations=1, prompts_per_iteration=8, steps_per_iteration=1, max_tokens=8)
    run = train("dpo", folder, prompts=prompts, judge=words, plan=plan, folder=tmp_path / "run", show_progress=False)
    assert run.folder.config["judge"] == "words"
    assert run.folder.metrics(["loss"])["value"].is_finite().all()
    with pytest.raises(UsageError, match="judge is a dict; expected a function, or an object with score or prefer"):
        train("dpo", "nowhere", prompts=prompts, judge={}, folder=tmp_path / "none")
