"""Judges learn what pairs say; a pairwise model also where preferences are circular."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from datasets import Dataset

from headstart.core.errors import DataError, DivergenceError, UsageError
from headstart.envs.text.tokenizer import word_tokenizer
from headstart.judges.registry import make_judge
from headstart.language.reward_model import RewardSettings, accuracy, fit_reward_model
from headstart.language.tiny_models import tiny_model
from headstart.runs.checkpoints import Checkpoints

TOKENIZER = word_tokenizer(tuple("abcdefgh"))


def tiny():
    return tiny_model(TOKENIZER, width=16, layers=1)


def pairs(count: int, seed: int = 0) -> list[dict]:
    """The better answer has more of the word a."""
    rng = np.random.default_rng(seed)
    rows = []
    while len(rows) < count:
        sides = [" ".join(rng.choice(list("abcd"), size=rng.integers(2, 7))) for _ in range(2)]
        sides.sort(key=lambda text: -text.count("a"))
        if sides[0].count("a") > sides[1].count("a"):
            rows.append({"prompt": str(rng.choice(list("efgh"))), "chosen": sides[0], "rejected": sides[1]})
    return rows


QUICK = {"learning_rate": 1e-2, "batch_size": 32, "validation_fraction": 0.2}


def test_a_reward_model_learns_the_pairs_and_is_kept(tmp_path) -> None:
    rows = [*pairs(400), {"prompt": "e", "chosen": "a", "rejected": "a"}]
    settings = RewardSettings(epochs=5, **QUICK)
    _, report = fit_reward_model(tiny(), TOKENIZER, rows, settings, tmp_path / "rm", show_progress=False)
    assert report.accuracy_before == 0.5, "a head of zeros cannot tell them apart"
    assert report.accuracy > 0.95
    assert report.training_rows + report.validation_rows == 400
    assert report.dropped == {"chosen equals rejected": 1}
    assert -1 <= report.length_bias <= 1
    loaded = make_judge(f"reward:{tmp_path / 'rm'}")
    assert loaded.score(["e"], ["a a a"]) > loaded.score(["e"], ["b c"])
    assert accuracy(loaded, pairs(100, seed=9)) > 0.9
    saved = json.loads((tmp_path / "rm" / "reward_report.json").read_text())
    assert saved["accuracy"] == report.accuracy
    assert saved["settings"]["epochs"] == 5
    with pytest.raises(UsageError, match="exists; give another folder"):
        fit_reward_model(tiny(), TOKENIZER, rows, settings, tmp_path / "rm")


def test_training_repeats_and_accumulates_exactly() -> None:
    rows = pairs(64)
    scores = []
    for micro in (None, None, 8):
        settings = RewardSettings(micro_batch_size=micro, **{**QUICK, "learning_rate": 1e-3})
        model, _ = fit_reward_model(tiny(), TOKENIZER, rows, settings, show_progress=False)
        scores.append(model.score(["e"], ["a b c"])[0])
    assert scores[0] == scores[1]
    assert scores[2] == pytest.approx(scores[0], rel=1e-3)


PROGRAM = """
import json, sys
from headstart.envs.text.tokenizer import word_tokenizer
from headstart.language.reward_model import RewardSettings, fit_reward_model
from headstart.language.tiny_models import tiny_model
tokenizer = word_tokenizer(tuple("abcdefgh"))
settings = RewardSettings(**json.loads(sys.argv[3]))
fit_reward_model(tiny_model(tokenizer, width=16, layers=1), tokenizer, json.loads(sys.argv[2]), settings, sys.argv[1])
"""


def same_training(one: Path, other: Path) -> None:
    for path in one.glob("*.safetensors"):
        held = [safetensors.torch.load_file(folder / path.name) for folder in (one, other)]
        assert held[0].keys() == held[1].keys()
        assert all(torch.equal(held[0][name], held[1][name]) for name in held[0])
    reports = [json.loads((folder / "reward_report.json").read_text()) for folder in (one, other)]
    assert reports[0] | {"seconds": 0} == reports[1] | {"seconds": 0}


def test_a_killed_training_goes_on_to_the_same_weights(tmp_path) -> None:
    whole, killed, rows = tmp_path / "whole", tmp_path / "killed", pairs(160)
    given = {"epochs": 12, "batch_size": 32, "learning_rate": 1e-3, "checkpoint_minutes": 0.001}
    words = [sys.executable, "-c", PROGRAM, str(killed), json.dumps(rows), json.dumps(given)]
    process = subprocess.Popen(words, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(tmp_path.glob(".killed.training/checkpoints/0*")):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not killed.exists()
    settings = RewardSettings(**given)
    with pytest.raises(UsageError, match="was begun before: resume it"):
        fit_reward_model(tiny(), TOKENIZER, rows, settings, killed)
    with pytest.raises(UsageError, match="begun with other settings and pairs"):
        fit_reward_model(tiny(), TOKENIZER, pairs(100), RewardSettings(), killed, resume=True)
    fit_reward_model(tiny(), TOKENIZER, rows, settings, killed, show_progress=False, resume=True)
    fit_reward_model(tiny(), TOKENIZER, rows, settings, whole, show_progress=False)
    same_training(whole, killed)
    assert not list(tmp_path.glob(".*"))


def test_a_pairwise_training_that_stopped_goes_on_to_the_same_weights(tmp_path, monkeypatch) -> None:
    rows, settings = pairs(100), RewardSettings(kind="pairwise", epochs=3, checkpoint_minutes=0.0, **QUICK)
    fit_reward_model(tiny(), TOKENIZER, rows, settings, tmp_path / "whole", show_progress=False)
    save = Checkpoints.save

    def full(checkpoints, step, *rest):
        if step == 4:
            raise OSError("the disk is full")
        return save(checkpoints, step, *rest)

    monkeypatch.setattr(Checkpoints, "save", full)
    with pytest.raises(OSError, match="full"):
        fit_reward_model(tiny(), TOKENIZER, rows, settings, tmp_path / "stopped", show_progress=False)
    monkeypatch.undo()
    fit_reward_model(tiny(), TOKENIZER, rows, settings, tmp_path / "stopped", show_progress=False, resume=True)
    same_training(tmp_path / "whole", tmp_path / "stopped")


def test_a_pairwise_model_learns_circular_preferences_that_no_score_can() -> None:
    beats = [("a", "b"), ("b", "c"), ("c", "a")]
    asked = [{"prompt": "e", "chosen": better, "rejected": worse} for better, worse in beats]
    settings = RewardSettings(kind="pairwise", epochs=8, batch_size=16, validation_fraction=0.0, learning_rate=5e-3)
    model = tiny_model(TOKENIZER, width=32, layers=2)
    judge, report = fit_reward_model(model, TOKENIZER, asked * 200, settings, show_progress=False)
    assert judge.prefer(["e"] * 3, ["a", "b", "c"], ["b", "c", "a"]) == pytest.approx([1.0] * 3, abs=0.1)
    assert accuracy(judge, asked) == 1.0
    assert report.accuracy is report.position_bias is None, "no pairs were kept apart"


def test_a_pairwise_model_reports_its_position_bias() -> None:
    settings = RewardSettings(kind="pairwise", **QUICK)
    _, report = fit_reward_model(tiny(), TOKENIZER, pairs(40), settings, show_progress=False)
    assert 0 <= report.position_bias <= 1
    assert report.length_bias is None


def test_soft_labels_are_matched() -> None:
    rows = [{"prompt": "e", "chosen": "a", "rejected": "b", "preference_prob": 0.75}] * 64
    settings = RewardSettings(epochs=40, **{**QUICK, "validation_fraction": 0.0})
    model, _ = fit_reward_model(tiny(), TOKENIZER, rows, settings, show_progress=False)
    gap = np.subtract(*model.score(["e"] * 2, ["a", "b"]))
    assert 1 / (1 + np.exp(-gap)) == pytest.approx(0.75, abs=0.02)


def test_adapters_are_merged_at_the_end(tmp_path) -> None:
    settings = RewardSettings(epochs=4, lora_rank=4, **QUICK)
    model, report = fit_reward_model(tiny(), TOKENIZER, pairs(300), settings, tmp_path / "rm", show_progress=False)
    assert report.accuracy > 0.8
    loaded = make_judge(f"reward:{tmp_path / 'rm'}")
    assert loaded.score(["e"], ["a b"]) == pytest.approx(model.score(["e"], ["a b"]), abs=1e-5)


def test_pairs_of_one_prompt_are_not_split_and_bad_settings_are_refused() -> None:
    rows = [{"prompt": "e", "chosen": "a", "rejected": "b"}] * 10
    with pytest.raises(DataError, match="10 pairs with 1 different prompts none are left"):
        fit_reward_model(tiny(), TOKENIZER, rows, show_progress=False)
    with pytest.raises(UsageError, match="epochs is 0"):
        RewardSettings(epochs=0)
    with pytest.raises(DivergenceError, match="lower the learning rate"):
        fit_reward_model(tiny(), TOKENIZER, pairs(64), RewardSettings(learning_rate=1e30, epochs=4), None, False)
    with pytest.raises(DataError, match="need a column 'chosen'"):
        fit_reward_model(tiny(), TOKENIZER, Dataset.from_list([{"prompt": "e"}]))
