"""Training tells how many rows of the data its limits cut: each once, and only what is learned from."""

from headstart.language.online import Online
from headstart.language.settings import Training
from headstart.language.training import train

PAIRS = [
    {"prompt": "w0 w1 w2 =>", "chosen": "w0", "rejected": "w1 w2 w3 w4 w5 w6"},
    {"prompt": "w4 " * 30 + "=>", "chosen": "w4", "rejected": "w1"},
]
LIMITS = Training(steps=1, batch_size=2, max_prompt_tokens=8, max_completion_tokens=4)


def test_pairs_are_counted_once_and_by_side(key_words, tmp_path, capsys):
    held = [{"prompt": "w5 " * 30 + "=>"}]
    run = train("dpo", key_words[1], PAIRS, held_out=held, plan=Online(max_tokens=4), training=LIMITS,
                folder=tmp_path / "run", show_progress=False)  # fmt: skip
    told = "tokens: of 2 rows, 1 cut: prompt on the left, 1 cut: rejected on the right"
    assert told in capsys.readouterr().err.splitlines()
    assert told in run.folder.seed(0).notes()


def test_prompts_are_counted_once_however_often_they_are_asked(key_words, tmp_path, capsys):
    world, folder = key_words
    prompts = [{"prompt": row["prompt"]} for row in PAIRS]
    plan = Online(iterations=2, prompts_per_iteration=4, completions=4, temperatures=(1.0,), steps_per_iteration=1,
                  max_tokens=4, pairing="each")  # fmt: skip
    train("rloo", folder, prompts=prompts, judge=world, plan=plan, held_out=prompts, training=LIMITS,
          folder=tmp_path / "run", show_progress=False)  # fmt: skip
    assert "tokens: of 2 rows, 1 cut: prompt on the left" in capsys.readouterr().err.splitlines()
