"""Recorded pairs and own completions together."""

import pytest

from headstart.core.errors import DataError, UsageError
from headstart.language.online import Online
from headstart.language.row_files import read_rows
from headstart.language.settings import Training
from headstart.language.training import train

FAST = Training(learning_rate=1e-3, batch_size=8)


def test_recorded_pairs_are_learned_from_beside_own_completions(key_words, prompts, tmp_path):
    world, folder = key_words
    text = world.text(world.read_prompts([prompts[0]["prompt"]])[0])
    pairs = [{**row, "chosen": text, "rejected": text.split()[0]} for row in prompts[:5]]
    found = {}
    for history in ("all", "current"):
        plan = Online(iterations=2, prompts_per_iteration=8, completions=4, steps_per_iteration=2, max_tokens=8,
                      history=history)  # fmt: skip
        both = {"data": pairs, "prompts": prompts, "judge": world, "plan": plan, "training": FAST}
        run = train("dpo", folder, folder=tmp_path / history, show_progress=False, **both)
        assert run.folder.config["recorded"] == run.folder.config["data"]["name"] == "rows in memory"
        ids = run.tokenizer(text)["input_ids"]
        files = sorted(run.path.glob("seed-0/iterations/*/rows.parquet"))
        found[history] = [sum(row.sides["chosen"].completion[: len(ids)] == ids for row in read_rows(f)) for f in files]
    assert found["all"][0] >= 5 > found["all"][1]
    assert min(found["current"]) >= 5


def test_what_they_lack_is_named(key_words, prompts, tmp_path):
    world, folder = key_words
    pairs = [{**prompts[0], "chosen": world.vocabulary[0], "rejected": world.vocabulary[1]}]
    both = {"data": pairs, "prompts": prompts, "judge": world, "training": FAST, "show_progress": False}
    plan = Online(iterations=1, prompts_per_iteration=8, completions=1, comparator="reference", pairing="first_two",
                  max_tokens=8)  # fmt: skip
    with pytest.raises(DataError, match="no chosen_from_comparator"):
        train("xpo", folder, plan=plan, folder=tmp_path / "xpo", **both)
    with pytest.raises(UsageError, match="pairing each"):
        train("dpo", folder, plan=Online(pairing="each"), folder=tmp_path / "each", **both)


def test_pairs_that_say_who_wrote_them_are_learned_from_by_xpo(key_words, prompts, tmp_path):
    world, folder = key_words
    first, second = world.vocabulary[0], world.vocabulary[1]
    plain = [{**row, "chosen": first, "rejected": second} for row in prompts[:4]]
    sources = [("reference", "policy"), ("policy", "reference"), ("policy", "comparator"), ("comparator", "policy")]
    told = [{**row, "chosen_source": a, "rejected_source": b} for row, (a, b) in zip(plain, sources, strict=True)]
    given = {"training": Training(learning_rate=1e-3, batch_size=4, steps=1), "show_progress": False}
    run = train("xpo", folder, told, folder=tmp_path / "told", **given)
    rows = read_rows(run.path / "seed-0/iterations/000/rows.parquet")
    assert [row.fields["chosen_from_comparator"] for row in rows] == [1.0, 0.0, 0.0, 1.0]
    said = [{**row, "chosen_from_comparator": a != "policy"} for row, (a, _) in zip(plain, sources, strict=True)]
    same = train("xpo", folder, said, folder=tmp_path / "said", **given)
    assert run.folder.metrics(["loss"])["value"].to_list() == same.folder.metrics(["loss"])["value"].to_list()
    both = [{**told[0], "rejected_source": "reference"}]
    for wrong, message in ((plain, "Give it in every row, or chosen_source"), (both, "one side is by 'policy'")):
        with pytest.raises(DataError, match=message):
            train("xpo", "nowhere", wrong, folder=tmp_path / "wrong", **given)
    assert not (tmp_path / "wrong").exists()
