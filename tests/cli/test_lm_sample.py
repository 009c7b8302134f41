from __future__ import annotations

import json

import pytest

from headstart.cli.lm_sample import chat, sample
from headstart.core.causal_models import save_model
from headstart.core.errors import UsageError
from headstart.envs.text.keywords import KeyWords
from headstart.envs.text.tokenizer import word_tokenizer
from headstart.language.tiny_models import tiny_model

WORLD = KeyWords()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tokenizer = word_tokenizer(WORLD.vocabulary)
    save_model(tiny_model(tokenizer, width=16), tokenizer, folder)
    return str(folder)


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "prompts.jsonl"
    rows = [{"prompt": WORLD.prompt((i % 8, (i + 1) % 8, (i + 3) % 8)), "topic": i} for i in range(70)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_an_interrupted_file_is_finished_with_the_same_completions(model, prompts, tmp_path, capsys):
    def draw(out, *more):
        return sample(
            [
                "--model",
                model,
                "--prompts",
                prompts,
                "-n",
                "3",
                "--max-tokens",
                "7",
                "--out",
                str(out),
                "--quiet",
                *more,
            ]
        )

    whole, part = tmp_path / "whole.jsonl", tmp_path / "part.jsonl"
    assert draw(whole) == 0
    lines = whole.read_text().splitlines()
    assert len(lines) == 70
    first = json.loads(lines[0])
    assert first["topic"] == 0
    assert len(first["completions"]) == 3
    assert list(map(len, first["completion_ids"])) == list(map(len, first["log_probabilities"]))
    assert draw(part, "--batch-size", "5") == 0
    part.write_text("\n".join(lines[:66]) + "\n" + lines[66][:40])  # killed in the middle of a write
    assert draw(part) == 0
    assert part.read_text().splitlines()[:66] == lines[:66]
    again = [json.loads(line) for line in part.read_text().splitlines()]
    assert [row["completions"] for row in again] == [json.loads(line)["completions"] for line in lines]
    assert "12 completions of 4 prompts" in capsys.readouterr().out
    assert draw(part) == 0
    assert "already" in capsys.readouterr().out
    with pytest.raises(UsageError, match="another temperature"):
        draw(part, "--temperature", "0.5")
    other = tmp_path / "other.jsonl"
    other.write_text("{}\n")
    with pytest.raises(UsageError, match="not made by this command"):
        draw(other)


def test_the_best_completion_is_named(model, prompts, tmp_path):
    out = tmp_path / "best.jsonl"
    common = ["--model", model, "--prompts", prompts, "-n", "4", "--max-tokens", "30", "--quiet"]
    assert sample([*common, "--out", str(out), "--best-by", "loglik"]) == 0
    for row in map(json.loads, out.read_text().splitlines()):
        whole = [i for i, cut in enumerate(row["truncated"]) if not cut]
        totals = [sum(values) for values in row["model_log_probabilities"]]
        assert row["best"] == max(whole, key=lambda i: totals[i], default=None)
    judged = tmp_path / "judged.jsonl"
    assert sample([*common, "--out", str(judged), "--best-by", "regex:w1"]) == 0
    for row in map(json.loads, judged.read_text().splitlines()):
        assert row["scores"] == [
            None if cut else float("w1" in text) for text, cut in zip(row["completions"], row["truncated"])
        ]
    with pytest.raises(UsageError, match="nothing-known"):
        sample([*common, "--out", str(tmp_path / "none.jsonl"), "--best-by", "nothing-known"])
    assert not (tmp_path / "none.jsonl").exists()


def test_prompts_that_do_not_fit_are_refused_before_anything_is_drawn(model, tmp_path):
    long = tmp_path / "long.jsonl"
    long.write_text(json.dumps({"prompt": "w1 w2"}) + "\n" + json.dumps({"prompt": "w1 " * 70}) + "\n")
    out = tmp_path / "out.jsonl"
    with pytest.raises(UsageError, match="prompt 1 has 70 tokens"):
        sample(["--model", model, "--prompts", str(long), "--out", str(out), "--quiet"])
    with pytest.raises(UsageError, match="-n is 0"):
        sample(["--model", model, "--prompts", str(long), "-n", "0", "--out", str(out), "--quiet"])
    assert not out.exists()
    with pytest.raises(UsageError, match=r"\.jsonl"):
        sample(["--model", model, "--prompts", str(long), "--out", str(tmp_path / "out.csv"), "--quiet"])


def test_long_prompts_lose_their_left_side_where_that_is_asked_for(model, tmp_path, capsys):
    long, out = tmp_path / "long.jsonl", tmp_path / "out.jsonl"
    long.write_text(json.dumps({"prompt": "w1 w2"}) + "\n" + json.dumps({"prompt": "w1 " * 70}) + "\n")
    given = ["--model", model, "--prompts", str(long), "--out", str(out), "--max-tokens", "5", "--quiet"]
    assert sample([*given, "--max-prompt-tokens", "40"]) == 0
    assert "1 prompts were cut on the left to 40 tokens" in capsys.readouterr().out
    assert len(out.read_text().splitlines()) == 2


def test_a_chat_keeps_the_question_where_the_context_is_short(model, monkeypatch, capsys):
    lines = iter(["w1 w2 w3 =>", ""])
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
    assert chat(["--model", model]) == 0  # 256 tokens an answer do not fit
    said = capsys.readouterr().err
    assert "answers are at most 32" in said
    assert "only the last" not in said


def test_a_chat_goes_on_until_an_empty_line(model, monkeypatch, capsys):
    lines = iter(["w1 w2 w3 =>", "/new", "w2 w3 w4 =>", ""])
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
    assert chat(["--model", model, "--max-tokens", "9", "--temperature", "1", "--top-p", "1.0"]) == 0
    said = capsys.readouterr()
    assert set(said.out.split()) <= set(WORLD.vocabulary)
    assert said.out.count("\n") == 2
    assert "no chat template" in said.err
    with pytest.raises(UsageError, match="--system"):
        chat(["--model", model, "--system", "be brief"])
