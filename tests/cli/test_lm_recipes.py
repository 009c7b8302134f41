"""Every recipe and online method, from the command to a trained model, on a tiny one."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from headstart.cli import main
from headstart.core.errors import UsageError
from headstart.envs.text.keywords import KeyWords
from headstart.envs.text.tokenizer import word_tokenizer
from headstart.language.recipes import PLANS, RECIPES, find_recipe
from headstart.language.tiny_models import tiny_model
from headstart.runs.folder import RunFolder

WORLD = KeyWords()
SMALL = [
    *("--iterations", "2", "--prompts-per-iteration", "8", "--steps-per-iteration", "2", "--max-tokens", "24"),
    *("--batch-size", "4", "--learning-rate", "1e-3", "--log-every", "1", "--quiet"),
]


def judge(prompts, completions):
    """The world's own reward."""
    return WORLD.score(prompts, completions)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tokenizer = word_tokenizer(WORLD.vocabulary)
    tiny_model(tokenizer, width=16, positions=32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Prompts with answers, and logged completions with rewards."""
    folder = tmp_path_factory.mktemp("rows")
    rows, logged = [], []
    for i in range(24):
        problem = (i % 8, (i + 1) % 8, (i + 3) % 8)
        prompt, text = WORLD.prompt(problem), WORLD.text(problem)
        rows.append({"prompt": prompt, "chosen": text, "rejected": " ".join(text.split()[:1])})
        logged.append({"prompt": prompt, "completion": text, "reward": 0.5 + 0.02 * i})
    paths = {}
    for name, content in (("rows", rows), ("logged", logged)):
        paths[name] = str(folder / f"{name}.jsonl")
        with open(paths[name], "w") as file:
            file.writelines(json.dumps(row) + "\n" for row in content)
    return paths


ONLINE = {
    **{name: [] for name in RECIPES if name != "adaptive-sharpening"},
    **{name: [] for name in PLANS if name not in ("vpo",)},
    "hypo": [],
    "weighted-bc": ["--judge", "tests.cli.test_lm_recipes:share"],
    "dpo": ["--pairing", "best_random"],
    "orpo": ["--pairing", "all_pairs"],
}


@pytest.mark.parametrize("name", ONLINE)
def test_every_way_of_learning_from_own_completions_runs_from_the_command(name, model, files, tmp_path):
    recipe = RECIPES.get(name)
    plan = recipe.plan if recipe else PLANS.get(name)
    words = ["lm", name, "--model", model, "--prompts", files["rows"], "--out", str(tmp_path / "run"), *SMALL]
    if plan is not None and plan.completions > 4:
        words += ["--completions", "4"]
    if recipe is None or recipe.judge is None:
        words += ["--judge", "tests.cli.test_lm_recipes:judge"] if name != "sharpening" else ["--judge", "loglik"]
    assert main([*words, *ONLINE[name]]) == 0
    run = RunFolder.open(tmp_path / "run")
    losses = run.metrics(["loss"])
    assert losses.height == 4
    assert losses["value"].is_finite().all()
    if recipe is not None:
        assert run.config["plan"]["pairing"] == recipe.plan.pairing
        assert run.config["method"]["name"] == recipe.method
        assert {key: run.config["method"][key] for key in recipe.fields} == dict(recipe.fields)
        assert run.config["judge"] == recipe.judge or recipe.judge is None


def test_adaptive_sharpening_draws_until_the_likeliest_is_there_and_learns_it(model, files, tmp_path, capsys):
    words = ["lm", "adaptive-sharpening", "--model", model, "--prompts", files["rows"], "--most", "16", *SMALL]
    assert main([*words, "--epochs", "1", "--out", str(tmp_path / "run")]) == 0
    rows = [json.loads(line) for line in (tmp_path / "run.rows.jsonl").open()]
    assert 0 < len(rows) <= 24
    assert all(row["candidates"] <= 16 and row["completion_ids"] for row in rows)
    assert "candidates of" in capsys.readouterr().out
    assert RunFolder.open(tmp_path / "run").config["method"]["normalization"] == "sum"
    assert main([*words, "--epochs", "1", "--out", str(tmp_path / "run")]) == 2  # a run is never written over


def test_logged_rows_get_their_advantages_from_the_frozen_model(model, files, tmp_path, capsys):
    words = ["lm", "alol", "--model", model, "--data", files["logged"], "--steps", "2", *SMALL[8:], "--max-tokens", "6"]
    assert main([*words, "--out", str(tmp_path / "refused")]) == 2
    assert "no column advantage" in capsys.readouterr().err
    words += ["--validation", files["rows"], "--judge", "tests.cli.test_lm_recipes:share", "--least-rows", "5"]
    words += ["--value-heads", "2", "--value-epochs", "2", "--value-learning-rate", "1e-2"]
    for value in ("attention", "mean"):
        assert main([*words, "--value", value, "--out", str(tmp_path / value)]) == 0
        rows = [json.loads(line) for line in (tmp_path / f"{value}.rows.jsonl").open()]
        assert rows
        assert all(row["advantage"] > 0 and row["priority"] == row["advantage"] for row in rows)
        worth = {row["reward"] - row["advantage"] for row in rows}
        assert (len({round(x, 6) for x in worth}) == 1) == (value == "mean")
    told = capsys.readouterr().out
    assert "squared error on held-out prompts" in told
    assert "24 validation prompts are among those of the rows" in told


def share(prompts, completions):
    """Words of eight, so that it lies in [0, 1]."""
    return [min(len(text.split()), 8) / 8 for text in completions]


def test_rows_drawn_by_reward(model, files, tmp_path):
    words = ["lm", "r-gold", "--model", model, "--data", files["logged"], "--steps", "2", "--quiet"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    rows = [json.loads(line) for line in (tmp_path / "run.rows.jsonl").open()]
    assert all(row["priority"] == row["weight"] == row["reward"] for row in rows)
    assert main([*words, "--no-by-reward", "--out", str(tmp_path / "plain")]) == 0
    assert not (tmp_path / "plain.rows.jsonl").exists()


@pytest.mark.parametrize("calibration", ["chosen", "calibration"])
def test_pessimism_on_recorded_pairs(calibration, model, files, tmp_path):
    words = ["lm", "vpo", "--mode", "offline", "--model", model, "--data", files["rows"], "--steps", "12", *SMALL[8:]]
    assert (
        main(
            [
                *words,
                "--alpha",
                "100",
                "--calibration",
                calibration,
                "--max-tokens",
                "6",
                "--out",
                str(tmp_path / "run"),
            ]
        )
        == 0
    )
    found = RunFolder.open(tmp_path / "run").metrics(["log_ratio/calibration"])["value"]
    assert found[0] == pytest.approx(0, abs=1e-5)
    assert found[-1] > found[0]


def test_a_run_is_reproduced_from_its_record_or_told_where_it_differs(model, files, tmp_path, capsys):
    words = ["lm", "rlhf-sharpening", "--model", model, "--prompts", files["rows"], *SMALL]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    assert main(["reproduce", str(tmp_path / "run"), "--quiet"]) == 0
    assert "the same numbers, bit for bit" in capsys.readouterr().out
    part = next((tmp_path / "run" / "seed-0" / "metrics").glob("*.parquet"))
    table = pl.read_parquet(part)
    table.with_columns(value=pl.when(pl.col("name") == "loss").then(7.0).otherwise(pl.col("value"))).write_parquet(part)
    assert main(["reproduce", str(tmp_path / "run"), "--quiet", "--out", str(tmp_path / "other")]) == 1
    assert "other numbers from seed 0, loss at update 1 on: 7.0 recorded" in capsys.readouterr().out


def test_an_unknown_recipe_offers_the_nearest():
    with pytest.raises(UsageError, match="rlhf-sharpening"):
        find_recipe("rlhf-sharpenin")
    assert main(["lm", "online-dop"]) == 2


class Shorter:
    """A judge that compares: it prefers fewer words."""

    def prefer(self, prompts, first, second, columns=None):
        return [
            0.5 + 0.1 * max(-4, min(4, len(b.split()) - len(a.split()))) for a, b in zip(first, second, strict=True)
        ]


def test_pairs_by_a_judge_that_compares_in_one_command_or_by_stages(model, files, tmp_path, capsys):
    shorter = "tests.cli.test_lm_recipes:Shorter"
    words = ["lm", "inpo", "--model", model, "--prompts", files["rows"], "--completions", "4", *SMALL]
    for name, judge, pairing in (
        ("knockout", shorter, "knockout"),
        ("wins", f"wins:{shorter}", "best_worst"),
        ("odds", f"odds:{shorter}", "rejection"),
    ):
        told = ["--judge", judge, "--pairing", pairing, "--kept", "4", "--out", str(tmp_path / name)]
        assert main([*words, *told]) == 0
        assert RunFolder.open(tmp_path / name).metrics(["loss"])["value"].is_finite().all()
    drawn, judged, pairs = (str(tmp_path / f"{name}.jsonl") for name in ("drawn", "judged", "pairs"))
    draw = ["lm", "sample", "--model", model, "--prompts", files["rows"], "-n", "4", "--max-tokens", "24", "--quiet"]
    assert main([*draw, "--best-by", "loglik", "--out", drawn]) == 0
    assert "probability exp(-" in capsys.readouterr().out
    assert main(["lm", "rows", "--data", drawn, "--make", "knockout", "--judge", shorter, "--out", pairs]) == 0
    made = [json.loads(line) for line in Path(pairs).read_text().splitlines()]
    assert all(len(row["chosen"].split()) < len(row["rejected"].split()) for row in made)
    assert all(row["preference_prob"] > 0.5 for row in made)
    assert main(["lm", "rows", "--data", drawn, "--make", "knockout", "--judge", shorter, "--out", pairs]) == 2
    scorer = "tests.cli.test_lm_recipes:judge"
    assert main(["lm", "judge", "--data", drawn, "--judge", scorer, "--out", judged, "--quiet"]) == 0
    for make, more in (("rejection", ["--kept", "2"]), ("best", []), ("best_worst", ["--length-penalty", "0.1"])):
        out = str(tmp_path / f"{make}.jsonl")
        assert main(["lm", "rows", "--data", judged, "--make", make, *more, "--out", out]) == 0
        method = "sft" if make == "best" else "sigmoid-norm"
        train = ["lm", method, "--model", model, "--data", out, "--steps", "2", "--quiet"]
        assert main([*train, "--out", str(tmp_path / make)]) == 0
    assert main(["lm", "rows", "--data", drawn, "--make", "picked", "--out", str(tmp_path / "picked.jsonl")]) == 0
    picked = [json.loads(line) for line in (tmp_path / "picked.jsonl").read_text().splitlines()]
    first = [json.loads(line) for line in Path(drawn).read_text().splitlines()]
    bests = {row["prompt"]: row["completions"][row["best"]] for row in first if row["best"] is not None}
    assert {row["prompt"]: row["completion"] for row in picked} == bests
    assert main(["lm", "diagnose", judged]) == 0
    assert "place of the best completion" in capsys.readouterr().out
    made = ["lm", "rows", "--data", judged, "--make", "rejection", "--out", str(tmp_path / "again.jsonl")]
    assert main(made) == 0
    assert "would be accepted in a pass" in capsys.readouterr().out
    wrong = ["lm", "rows", "--data", judged, "--make", "best", "--judge", shorter, "--out", str(tmp_path / "x.jsonl")]
    assert main(wrong) == 2
    assert "leave --judge out" in capsys.readouterr().err


def test_labels_for_kto_are_made_in_stages(model, files, tmp_path, capsys):
    words = ["lm", "kto", "--model", model, "--prompts", files["rows"], "--judge", "tests.cli.test_lm_recipes:share"]
    assert main([*words, *SMALL, "--out", str(tmp_path / "own")]) == 2
    assert "--make labels" in capsys.readouterr().err
    assert not (tmp_path / "own").exists()
    drawn, judged, made = (str(tmp_path / f"{name}.jsonl") for name in ("drawn", "judged", "made"))
    draw = ["lm", "sample", "--model", model, "--prompts", files["rows"], "-n", "4", "--max-tokens", "12", "--quiet"]
    assert main([*draw, "--out", drawn]) == 0
    assert main(["lm", "judge", "--data", drawn, "--judge", words[-1], "--out", judged, "--quiet"]) == 0
    assert main(["lm", "rows", "--data", judged, "--make", "labels", "--out", made]) == 0
    rows = [json.loads(line) for line in Path(made).read_text().splitlines()]
    assert {row["label"] for row in rows} == {True, False}
    train = ["lm", "kto", "--model", model, "--data", made, "--steps", "2", "--batch-size", "4", "--quiet"]
    assert main([*train, "--out", str(tmp_path / "run")]) == 0
