"""Training language models from recorded rows and from their own completions, killed and gone on with."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest
import safetensors.torch
import torch

from headstart.cli import main
from headstart.core.causal_models import load_model
from headstart.core.errors import CheckpointError, DataError, DivergenceError, UsageError
from headstart.language.dpo import DPO
from headstart.language.hypo import HyPO
from headstart.language.online import Online
from headstart.language.recipes import plan_of
from headstart.language.registry import make_method
from headstart.language.settings import Training
from headstart.language.training import train

FAST = {"learning_rate": 2e-3, "batch_size": 16, "schedule": "constant", "warmup_fraction": 0.0, "log_every": 1}


def pairs(world, prompts, seed=0):
    rng = np.random.default_rng(seed)
    rows = []
    for row in prompts:
        problems = world.read_prompts([row["prompt"]] * 2)
        texts = [world.text(response) for response in world.write(problems, rng)]
        scores = world.score([row["prompt"]] * 2, texts)
        if texts[0] != texts[1] and all(texts):
            order = (0, 1) if scores[0] >= scores[1] else (1, 0)
            rows.append({**row, "chosen": texts[order[0]], "rejected": texts[order[1]]})
    return rows


def last(run, name):
    values = run.folder.metrics([name]).sort("updates")["value"]
    return values[0], values[-1]


def small(method, **changes):
    usual = plan_of(method)
    fields = {
        "iterations": 2,
        "prompts_per_iteration": 24,
        "completions": min(usual.completions, 4),
        "temperatures": (1.0,),
        "steps_per_iteration": 4,
        "max_tokens": 8,
        "kept": 4,
    }
    return Online(**{**vars(usual), **fields, **changes})


def test_recorded_pairs_raise_the_margin_and_leave_a_model_that_loads(key_words, prompts, tmp_path):
    world, folder = key_words
    run = train(
        DPO(beta=0.1), folder, pairs(world, prompts), training=Training(steps=30, **FAST),
        folder=tmp_path / "run", show_progress=False,
    )  # fmt: skip
    before, after = last(run, "reward/margin")
    assert before == pytest.approx(0.0, abs=1e-5)  # policy and reference are the same at the first step
    assert after > 0.3
    model, _ = load_model(run.model_path())
    for name, weight in run.model.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], weight, rtol=0, atol=0)
    assert run.folder.config["data"]["rows"] > 50
    assert run.folder.state() == "finished"


def test_own_completions_judged_raise_the_reward(key_words, prompts, tmp_path):
    world, folder = key_words
    run = train(
        "rloo", folder, prompts=prompts, judge=world, plan=small("rloo", iterations=15, steps_per_iteration=6),
        training=Training(**FAST), held_out=prompts, folder=tmp_path / "run", show_progress=False,
    )  # fmt: skip
    before, after = last(run, "evaluation/reward")
    assert after > before + 0.3
    first = (tmp_path / "run/seed-0/iterations/000/completions.jsonl").read_text().splitlines()
    group = json.loads(first[0])
    assert len(group["completions"]) == len(group["rewards"]) == len(group["log_probabilities"]) == 4


@pytest.mark.parametrize(
    "method", ["dpo", "xpo", "vpo", "inpo", "ipo", "sigmoid-norm", "sft", "sharpening", "ppo", "hypo", "simpo", "orpo"]
)
def test_every_method_learns_from_own_completions(method, key_words, prompts, tmp_path):
    world, folder = key_words
    made = make_method(method, **({"mode": "online", "calibration": "calibration"} if method == "vpo" else {}))
    judge = "loglik" if method == "sharpening" else world
    run = train(
        made, folder, prompts=prompts, judge=judge, plan=small(method), training=Training(**FAST),
        held_out=prompts[:16], folder=tmp_path / "run", show_progress=False,
    )  # fmt: skip
    table = run.folder.metrics()
    assert table.filter(pl.col("name") == "loss").height == 8
    assert table["value"].is_finite().all()
    assert {f"evaluation/{name}" for name in ("tokens", "distinct", "truncated")} <= set(table["name"])


def test_hypo_draws_its_own_completions_and_tells_the_kl(key_words, prompts, tmp_path):
    world, folder = key_words
    runs = [
        train(
            HyPO(beta=0.1, kl_coef=weight), folder, pairs(world, prompts), plan=Online(max_tokens=8),
            training=Training(steps=25, **FAST), folder=tmp_path / f"{weight}", show_progress=False,
        )
        for weight in (0.001, 1.0)
    ]  # fmt: skip
    near, far = (last(run, "kl")[1] for run in reversed(runs))
    assert abs(near) < 0.3 < far


def test_a_half_precision_adapter_learns_and_loads(key_words, prompts, tmp_path):
    world, folder = key_words
    run = train(
        "dpo", folder, pairs(world, prompts), training=Training(steps=30, lora_rank=8, micro_batch_size=4, **FAST),
        folder=tmp_path / "run", show_progress=False,
    )  # fmt: skip
    assert last(run, "reward/margin")[1] > 0.1
    assert (run.model_path() / "adapter_model.safetensors").exists()
    model, tokenizer = load_model(run.model_path())
    ids = tokenizer(prompts[0]["prompt"], return_tensors="pt")["input_ids"]
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, run.model(ids).logits)


PROGRAM = """
import json, sys, numpy as np
from headstart.envs.text.keywords import KeyWords
from headstart.language.online import Online
from headstart.language.settings import Training
from headstart.language.training import train
model, folder, prompts, resume = sys.argv[1:5]
train(
    "xpo", model, prompts=json.loads(prompts), judge=KeyWords(), folder=folder, resume=resume == "resume",
    plan=Online(iterations=3, prompts_per_iteration=32, prompts_at_once=8, completions=1, comparator="reference",
                pairing="first_two", steps_per_iteration=40, max_tokens=8),
    training=Training(learning_rate=2e-3, batch_size=16, checkpoint_minutes=0.001, log_every=1), show_progress=False,
)
"""


def test_a_killed_run_goes_on_to_the_same_weights(key_words, prompts, tmp_path):
    """SIGKILL at random moments, sampling and optimising; the weights and numbers are those of a run left alone."""
    _, model = key_words
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(folder, resume):
        words = [sys.executable, "-c", PROGRAM, str(model), str(folder), json.dumps(prompts), resume]
        return subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    whole, killed, dice = tmp_path / "whole", tmp_path / "killed", random.Random(5)
    other = start(whole, "begin")
    kills = 0
    for attempt in range(12):
        process = start(killed, "resume" if killed.exists() else "begin")
        status = killed / "seed-0" / "status.json"
        while process.poll() is None and not (status.exists() and '"running"' in status.read_text()):
            time.sleep(0.02)
        if attempt < 3:
            time.sleep(dice.uniform(0.2, 1.5))
            process.send_signal(signal.SIGKILL)
            kills += process.wait() == -signal.SIGKILL
        elif process.wait() == 0:
            break
    assert other.wait() == 0
    assert kills == 3
    tensors = [safetensors.torch.load_file(f"{run}/seed-0/model/model.safetensors") for run in (whole, killed)]
    assert tensors[0].keys() == tensors[1].keys()
    for name, value in tensors[0].items():
        assert torch.equal(value, tensors[1][name]), name
    from headstart.runs.folder import RunFolder

    columns = ["name", "value", "updates"]
    one, two = (RunFolder.open(run).metrics().sort(columns).select(columns) for run in (whole, killed))
    assert one.equals(two)


def test_what_cannot_work_is_refused_before_anything_is_spent(key_words, prompts, tmp_path):
    world, folder = key_words
    where = {"folder": tmp_path / "run", "show_progress": False}
    with pytest.raises(UsageError, match=r"either data .* or prompts"):
        train("dpo", folder, **where)
    with pytest.raises(UsageError, match="give a judge"):
        train("dpo", folder, prompts=prompts, **where)
    with pytest.raises(UsageError, match="no model at"):
        train("dpo", tmp_path / "nothing", pairs(world, prompts), **where)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="has no weights"):
        train("dpo", tmp_path / "empty", pairs(world, prompts), **where)
    with pytest.raises(DataError, match="rejected"):
        train("dpo", folder, [{"prompt": "a", "chosen": "b"}], **where)
    long = Training(max_prompt_tokens=30, max_completion_tokens=9)
    with pytest.raises(UsageError, match="together exceed the model's context of 32"):
        train("dpo", folder, pairs(world, prompts), training=long, **where)
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").glob("seed-0/model"))


def test_a_judge_that_fails_for_some_rows_is_listed_and_the_run_goes_on(key_words, prompts, tmp_path):
    world, folder = key_words

    class Moody:
        def score(self, asked, completions, columns=None):
            if any(prompt == prompts[0]["prompt"] for prompt in asked):
                raise RuntimeError("not that one")
            return world.score(asked, completions)

    run = train(
        "dpo", folder, prompts=prompts[:24], judge=Moody(), plan=small("dpo", iterations=1), training=Training(**FAST),
        folder=tmp_path / "run", show_progress=False,
    )  # fmt: skip
    groups = [json.loads(line) for line in (run.path / "seed-0/iterations/000/completions.jsonl").open()]
    refused = [group for group in groups if group.get("left_out")]
    assert [group["prompt"] for group in refused] == [prompts[0]["prompt"]]
    assert "not that one" in refused[0]["left_out"][0]["reason"]
    assert refused[0]["completions"] == []


def test_a_judge_that_hangs_is_given_up_and_the_run_goes_on(key_words, prompts, tmp_path):
    world, folder = key_words
    asked = [dict(row) for row in prompts[:12]]

    class Sleepy:
        def score(self, prompts, completions, columns=None):
            if asked[0]["prompt"] in prompts:
                time.sleep(3)
            return world.score(prompts, completions)

    run = train(
        "dpo", folder, prompts=asked, judge=Sleepy(), training=Training(**FAST),
        plan=small("dpo", iterations=1, prompts_per_iteration=12, prompts_at_once=4, judge_timeout=0.1),
        folder=tmp_path / "run", show_progress=False,
    )  # fmt: skip
    groups = [json.loads(line) for line in (run.path / "seed-0/iterations/000/completions.jsonl").open()]
    refused = [group for group in groups if group.get("left_out")]
    assert len(groups) == 12
    assert asked[0]["prompt"] in [group["prompt"] for group in refused]
    assert len(refused) <= 4, "no more than were asked together"
    assert any("took over 0.1 s" in told["reason"] for group in refused for told in group["left_out"])
    assert run.folder.state() == "finished"
    with pytest.raises(UsageError, match="judge_timeout is 0"):
        Online(judge_timeout=0)


def test_rows_that_teach_nothing_are_listed_in_the_run(key_words, prompts, tmp_path, capsys):
    world, folder = key_words
    rows = [*pairs(world, prompts), {"prompt": "a", "chosen": "b", "rejected": "b"}]
    run = train(
        "dpo", folder, rows, training=Training(steps=1, **FAST), held_out=prompts[:4], judge=world,
        folder=tmp_path / "run", show_progress=False,
    )  # fmt: skip
    last_row = len(rows) - 1
    assert run.folder.seed(0).notes() == [f"data: 1 rows left out: chosen equals rejected; row_id {last_row}"]
    assert f"1 left out: chosen equals rejected (row_id {last_row})" in capsys.readouterr().err
    assert run.folder.config["data"]["rows"] == last_row


def test_a_loss_that_is_not_finite_stops_with_the_weights_as_they_were(key_words, prompts, tmp_path):
    world, folder = key_words
    with pytest.raises(DivergenceError, match="lower the learning rate"):
        train(
            DPO(beta=0.1), folder, pairs(world, prompts),
            training=Training(steps=400, **{**FAST, "learning_rate": 1e18, "log_every": 100}),
            folder=tmp_path / "run", show_progress=False,
        )  # fmt: skip


def test_recomputing_activations_changes_no_gradient(key_words, prompts, tmp_path):
    world, folder = key_words
    runs = [
        train(
            "dpo", folder, pairs(world, prompts), training=Training(steps=3, gradient_checkpointing=on, **FAST),
            folder=tmp_path / f"{on}", show_progress=False,
        )
        for on in (False, True)
    ]  # fmt: skip
    one, two = (run.folder.metrics(["gradient_norm"])["value"].to_list() for run in runs)
    assert one == pytest.approx(two, rel=1e-5)
    assert any(getattr(layer, "gradient_checkpointing", False) for layer in runs[1].model.modules())


def test_a_run_from_files_goes_on_from_its_record_and_is_reported(key_words, prompts, tmp_path, capsys):
    world, folder = key_words
    data = tmp_path / "pairs.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in pairs(world, prompts)))
    words = [
        "lm", "ipo", "--model", str(folder), "--data", str(data), "--steps", "6", "--learning-rate", "1e-3",
        "--out", str(tmp_path / "run"), "--quiet",
    ]  # fmt: skip
    assert main(words) == 0
    assert main([*words, "--resume"]) == 0
    assert main(["resume", str(tmp_path / "run"), "--quiet"]) == 0
    assert capsys.readouterr().out.count("run recorded in") == 3
    assert main(["report", str(tmp_path / "run"), "--out", str(tmp_path / "page.html")]) == 0
    assert "ipo" in (tmp_path / "page.html").read_text()
    words[words.index("1e-3")] = "2e-3"
    assert main([*words, "--resume"]) == 2
    assert "begun with another training" in capsys.readouterr().err
