"""Weights that change from iteration to iteration, completions drawn now and then, and the best iterate kept."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest

from headstart.cli import main
from headstart.core.causal_models import load_model
from headstart.core.errors import UsageError
from headstart.language.hypo import HyPO
from headstart.language.online import Online
from headstart.language.schedules import Scheduled
from headstart.language.settings import Training
from headstart.language.training import train
from headstart.language.vpo import VPO
from headstart.language.xpo import XPO
from headstart.runs.folder import RunFolder

FAST = Training(learning_rate=2e-3, batch_size=8, schedule="constant", warmup_fraction=0.0, log_every=1)


def test_weights_of_the_bonus_by_iteration():
    method = XPO(alphas=(1e-5, 5e-6, 0.0))
    assert isinstance(method, Scheduled)
    assert [method.at(i).alpha for i in range(4)] == [1e-5, 5e-6, 0.0, 0.0]
    assert XPO(alpha=0.5).at(3).alpha == 0.5
    assert [VPO(mode="online", alpha=1.0, alpha_schedule="sqrt").at(i).alpha for i in (0, 3)] == [1.0, 0.5]
    with pytest.raises(UsageError, match="alpha is -1"):
        XPO(alphas=(1.0, -1.0))


def test_each_iteration_learns_by_its_own_weight(key_words, prompts, tmp_path):
    world, folder = key_words
    plan = Online(iterations=2, prompts_per_iteration=16, completions=1, comparator="reference", pairing="first_two",
                  steps_per_iteration=2, max_tokens=8)  # fmt: skip
    runs = [
        train(method, folder, prompts=prompts, judge=world, plan=plan, training=FAST,
              folder=tmp_path / name, show_progress=False)
        for name, method in (("falling", XPO(alphas=(0.0, 3.0))), ("none", XPO(alpha=0.0)), ("all", XPO(alpha=3.0)))
    ]  # fmt: skip
    falling, none, everywhere = (run.folder.metrics(["gradient_norm"])["value"].to_list() for run in runs)
    assert falling[:2] == none[:2] != everywhere[:2]
    assert falling[2] != none[2]


def test_completions_are_drawn_every_so_often_and_cut_ones_are_warned_of(key_words, prompts, tmp_path):
    world, folder = key_words
    text = world.text(world.sample_problems(1, np.random.default_rng(0))[0])
    rows = [{**row, "chosen": text, "rejected": text.split()[0]} for row in prompts]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = train(HyPO(online_every=3, kl_coef=0.1), folder, rows, plan=Online(max_tokens=2),
                    training=replace(FAST, steps=6), folder=tmp_path / "run", show_progress=False)  # fmt: skip
    assert run.folder.metrics(["kl"])["updates"].to_list() == [1, 4]
    assert any("over a tenth" in str(one.message) for one in caught)


def test_the_iterate_that_did_best_is_kept_and_exported(key_words, prompts, tmp_path, capsys):
    _, folder = key_words
    asked = tmp_path / "prompts.jsonl"
    asked.write_text("".join(json.dumps(row) + "\n" for row in prompts[:32]))
    judge = "headstart.envs.text.keywords:KeyWords"
    words = ["lm", "iterative-dpo", "--model", str(folder), "--prompts", str(asked), "--judge", judge, "--quiet"]
    words += ["--iterations", "5", "--prompts-per-iteration", "16", "--steps-per-iteration", "3", "--max-tokens", "8"]
    words += ["--completions", "4", "--learning-rate", "3e-2", "--schedule", "constant", "--batch-size", "8"]
    assert main([*words, "--held-out", str(asked), "--out", str(tmp_path / "run")]) == 0
    run = RunFolder.open(tmp_path / "run")
    table = run.metrics(["evaluation/reward"]).sort("updates")
    after = {updates: value for updates, value in zip(table["updates"], table["value"], strict=True) if updates}
    best = max(after, key=lambda updates: (after[updates], updates))
    kept = run.seed(0).checkpoints.best()
    assert kept is not None
    assert kept.progress == best
    assert main(["lm", "export", str(tmp_path / "run"), "--out", str(tmp_path / "best")]) == 0
    assert f"after step {best}, held-out reward" in capsys.readouterr().out
    load_model(tmp_path / "best")
    assert main(["lm", "export", str(tmp_path / "run"), "--out", str(tmp_path / "best")]) == 2
