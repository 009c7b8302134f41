"""What does not fit the context of a judge that is a model is told."""

import json

from headstart.cli import main
from headstart.envs.text.keywords import KeyWords
from headstart.language.tiny_models import pretrained

SHORT = {"prompt": "w0 w1 w2 =>", "chosen": "w0 w1", "rejected": "w3"}
LONG_PROMPT = {**SHORT, "prompt": " ".join(["w4"] * 40) + " =>"}
LONG_ANSWER = {**SHORT, "rejected": " ".join(["w5"] * 40)}


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_rows_cut_in_training_and_judging_a_reward_model(tmp_path, capsys):
    model, tokenizer = pretrained(KeyWords(), steps=1, demonstrations=50, width=16, positions=16)
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    data, out = written(tmp_path / "pairs.jsonl", [SHORT, LONG_PROMPT, LONG_ANSWER]), tmp_path / "reward"
    options = ["--epochs", "3", "--batch-size", "2", "--validation-fraction", "0.3", "--quiet"]
    assert main(["lm", "reward", "--model", str(tmp_path / "model"), "--data", data, "--out", str(out), *options]) == 0
    told = capsys.readouterr().err
    assert "2 of 3 pairs cut to fit the model's context: prompt on the left" in told
    assert "1 of 3 pairs cut to fit the model's context: rejected on the right" in told
    cut = json.loads((out / "reward_report.json").read_text())["cut"]
    assert cut == {"prompt on the left": 2, "rejected on the right": 1}

    rows = [{"prompt": row["prompt"], "completion": row["rejected"]} for row in (SHORT, LONG_PROMPT, LONG_ANSWER)]
    data = written(tmp_path / "rows.jsonl", rows)
    judging = ["lm", "judge", "--data", data, "--judge", f"reward:{out}", "--quiet", "--out"]
    assert main([*judging, str(tmp_path / "judged.jsonl")]) == 0
    assert "of 3 rows, 2 prompts cut on the left, 1 completions on the right, to fit" in capsys.readouterr().err
