"""What an online or hybrid iteration may do otherwise: ties, comparators, restarts, prompts of its own, anchors."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from datasets import Dataset

from headstart.core.encoding import Encoded
from headstart.core.errors import UsageError
from headstart.data.row_conversion import to_pairs
from headstart.language.anchors import check_anchors
from headstart.language.encoded_rows import EncodedRow
from headstart.language.hypo import HyPO
from headstart.language.learner import Learner
from headstart.language.online import Online
from headstart.language.recipes import plan_of
from headstart.language.row_files import read_rows
from headstart.language.settings import Training
from headstart.language.training import resume, train

FAST = Training(learning_rate=1e-3, batch_size=8)
PLAN = Online(
    iterations=2, prompts_per_iteration=32, completions=2, pairing="first_two", steps_per_iteration=2, max_tokens=8
)


def tied(count):
    return Dataset.from_list(
        [{"prompt": "q", "completions": ["a", "b"], "rewards": [1.0, 1.0], "sources": ["x", "y"]}] * count
    )


def test_a_fair_coin_decides_ties_where_it_is_asked_to():
    assert to_pairs(tied(10), "first_two").dropped == {"the scores are equal": list(range(10))}
    first, again = (to_pairs(tied(400), "first_two", coin=3).dataset["chosen"] for _ in range(2))
    assert list(first) == list(again)
    assert list(first) != list(to_pairs(tied(400), "first_two", coin=4).dataset["chosen"])
    assert abs(sum(text == "a" for text in first) - 200) < 50
    sources = to_pairs(tied(40), "first_two", coin=3).dataset
    assert all((row["chosen"] == "a") == (row["chosen_source"] == "x") for row in sources)
    plain = Dataset.from_list([{"prompt": "q", "completions": ["a", "b"], "rewards": [0.0, 1.0]}] * 20)
    assert set(to_pairs(plain, "first_two", coin=3).dataset["chosen"]) == {"b"}


def test_pairs_of_one_text_are_kept_where_they_are_asked_for():
    same = Dataset.from_list([{"prompt": "q", "completions": ["a", "a"], "rewards": [1.0, 1.0]}] * 3)
    assert len(to_pairs(same, "first_two", identical=True).dataset) == 3
    assert len(to_pairs(same, "first_two", coin=1).dataset) == 0
    for wrong in ({"coin": 1}, {"identical": True}):
        with pytest.raises(UsageError, match="only rule first_two"):
            to_pairs(same, "best_worst", **wrong)
    with pytest.raises(UsageError, match="given pairing best_worst"):
        Online(ties="coin")


class Constant:
    def score(self, prompts, completions, columns=None):
        return [0.0] * len(completions)


def test_xpo_learns_from_ties_and_from_pairs_of_one_text(key_words, prompts, tmp_path):
    _, folder = key_words
    plan = replace(plan_of("xpo"), iterations=1, prompts_per_iteration=96, steps_per_iteration=1, max_tokens=8)
    run = train("xpo", folder, prompts=prompts, judge=Constant(), plan=plan, training=FAST, folder=tmp_path / "run",
                show_progress=False)  # fmt: skip
    rows = read_rows(run.path / "seed-0/iterations/000/rows.parquet")
    assert len(rows) == 96
    comparator = [row.fields["chosen_from_comparator"] for row in rows]
    assert 25 < sum(comparator) < 71
    for row in rows:
        assert row.fields["identical"] == (row.sides["chosen"].completion == row.sides["rejected"].completion)
    with pytest.raises(UsageError, match="none of 96"):
        train("dpo", folder, prompts=prompts, judge=Constant(), plan=replace(plan, ties="leave_out", completions=2,
              comparator="policy"), training=FAST, folder=tmp_path / "other", show_progress=False)  # fmt: skip


def sources(run, iteration):
    lines = (run.path / f"seed-0/iterations/{iteration:03d}/completions.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_comparators_are_the_policy_itself_the_reference_or_all_that_drew_so_far(key_words, prompts, tmp_path):
    world, folder = key_words
    given = {"prompts": prompts, "judge": world, "training": FAST, "show_progress": False}
    own = train("xpo", folder, plan=PLAN, folder=tmp_path / "own", **given)
    assert {tuple(group["sources"]) for group in sources(own, 1)} == {("policy", "comparator")}
    assert {row.fields["chosen_from_comparator"] for row in read_rows(own.path / "seed-0/iterations/001/rows.parquet")}\
        == {0.0, 1.0}  # fmt: skip
    mixed = replace(PLAN, completions=1, comparator="mixture", iterations=3)
    quick = replace(FAST, learning_rate=1e-2)
    run = train("xpo", folder, plan=mixed, folder=tmp_path / "mixed", **given | {"training": quick})
    kept = sorted(path.parent.name for path in run.path.glob("seed-0/iterations/*/policy.safetensors"))
    assert kept == ["001"]
    third = sources(run, 2)
    drawn = [group["completion_ids"][1] for group in third]
    whose = np.random.default_rng((0, 17, 2, 0)).integers(3, size=len(drawn))
    assert set(whose) == {0, 1, 2}
    # What a past policy says of its own words is what was recorded when it drew them, and no other policy says that.
    model, tokenizer = run.model, run.tokenizer
    now = model.state_dict()
    import safetensors.torch

    from headstart.core.causal_models import load_model
    from headstart.core.encoding import Encoder
    from headstart.language.encoded_rows import with_reference

    encoder = Encoder(tokenizer)
    rows = [
        EncodedRow({"completion": Encoded(encoder.encode_prompt(group["prompt"]), ids, group["truncated"][1])})
        for group, ids in zip(third, drawn, strict=True)
    ]
    second = safetensors.torch.load_file(str(run.path / "seed-0/iterations/001/policy.safetensors"))
    for past, weights in ((0, load_model(folder)[0].state_dict()), (1, second)):
        model.load_state_dict({**now, **weights})
        said = with_reference(rows, model, encoder.padding, "cpu")
        gaps = np.array(
            [
                abs(sum(row.reference["completion"]) - sum(group["log_probabilities"][1]))
                for row, group in zip(said, third, strict=True)
            ]
        )
        assert gaps[whose == past].max() < 1e-4
        assert gaps[whose != past].max() > 1e-3


def test_plans_that_hide_who_the_comparator_was_are_refused():
    for wrong in ({"pairing": "best_worst"}, {"completions": 2, "comparator": "reference"}):
        with pytest.raises(UsageError, match="one completion of the comparator"):
            train("xpo", "nowhere", prompts=[{"prompt": "q"}], judge="loglik", plan=replace(PLAN, **wrong))


def test_an_iteration_that_restarts_learns_what_one_on_all_rows_from_the_start_learns(key_words, prompts, tmp_path):
    world, folder = key_words
    given = {"prompts": prompts, "judge": world, "training": FAST, "show_progress": False}
    plan = replace(PLAN, steps_per_iteration=8, restart=True)
    run = train("dpo", folder, plan=plan, folder=tmp_path / "restart", **given)
    assert (run.path / "seed-0/initial.safetensors").exists()
    other = train("dpo", folder, plan=replace(plan, restart=False), folder=tmp_path / "on", **given)
    assert not all(torch.equal(a, b) for a, b in zip(run.model.parameters(), other.model.parameters(), strict=True))
    # The same rows, learned from once: the order of the second iteration, the initial weights, a schedule of 8 steps.
    from headstart.core.causal_models import load_model
    from headstart.language.dpo import DPO
    from headstart.language.learner import Learner
    from headstart.language.trainer import BatchOrder

    rows = [row for i in (0, 1) for row in read_rows(run.path / f"seed-0/iterations/{i:03d}/rows.parquet")]
    learner = Learner(*load_model(folder), DPO(), FAST, 8)
    order = BatchOrder(rows, 8, (0, 1))
    for step in range(8):
        learner.step(order.batch(step))
    for a, b in zip(run.model.parameters(), learner.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_hypo_completes_prompts_of_its_own_without_a_judge(key_words, prompts, tmp_path, monkeypatch):
    world, folder = key_words
    text = world.text(world.read_prompts([prompts[0]["prompt"]])[0])
    pairs = [{**row, "chosen": text, "rejected": text.split()[0]} for row in prompts[:16]]
    apart = prompts[40:60]
    files = {}
    for name, rows in {"pairs": pairs, "prompts": apart}.items():
        files[name] = tmp_path / f"{name}.jsonl"
        files[name].write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = []
    from headstart.language.learner import Learner

    draw = Learner.draw

    def drawn(self, ids, *arguments, **options):
        asked.extend(map(tuple, ids))
        return draw(self, ids, *arguments, **options)

    monkeypatch.setattr(Learner, "draw", drawn)
    method, settings = HyPO(kl_coef=0.1), replace(FAST, steps=5, checkpoint_minutes=0.0)
    run = train(method, folder, files["pairs"], prompts=files["prompts"], plan=Online(max_tokens=6), training=settings,
                folder=tmp_path / "run", show_progress=False)  # fmt: skip
    expected = {tuple(run.tokenizer(row["prompt"])["input_ids"]) for row in apart}
    ids = {ids[-len(next(iter(expected))) :] for ids in asked}
    assert len(asked) == 5 * 8
    assert ids == expected
    first = [weight.clone() for weight in run.model.parameters()]
    again = resume(run.path, show_progress=False)  # its record is enough, the longest completion included
    assert all(torch.equal(a, b) for a, b in zip(first, again.model.parameters(), strict=True))
    config = run.folder.config
    assert (config["prompts"], config["plan"]["max_tokens"]) == (str(files["prompts"]), 6)
    with pytest.raises(UsageError, match="prompts alone"):
        train(method, folder, prompts=apart, folder=tmp_path / "none", show_progress=False)


def test_hypo_in_rounds_draws_besides(key_words, prompts, tmp_path):
    world, folder = key_words
    run = train(HyPO(kl_coef=0.1), folder, prompts=prompts, judge=world, plan=PLAN, training=replace(FAST, log_every=1),
                folder=tmp_path / "run", show_progress=False)  # fmt: skip
    metrics = run.folder.metrics()
    assert len(metrics.filter(metrics["name"] == "kl")) == 4


def test_one_completion_a_prompt_is_warned_of(key_words, prompts, tmp_path):
    world, folder = key_words
    text = world.text(world.read_prompts([prompts[0]["prompt"]])[0])
    with pytest.warns(UserWarning, match="no baseline"):
        train(HyPO(generations=1), folder, [{**prompts[0], "chosen": text, "rejected": text.split()[0]}],
              training=replace(FAST, steps=1), folder=tmp_path / "run", show_progress=False)  # fmt: skip


def test_completions_without_end_are_worth_what_the_plan_says(key_words, prompts, tmp_path):
    world, folder = key_words
    plan = replace(PLAN, pairing="all_pairs", completions=4, max_tokens=3, iterations=1, missing_end_score=-9.0)
    run = train("dpo", folder, prompts=prompts, judge=world, plan=plan, training=FAST, folder=tmp_path / "run",
                show_progress=False)  # fmt: skip
    groups = sources(run, 0)
    assert any(any(group["truncated"]) and not all(group["truncated"]) for group in groups)
    assert min(min(group["rewards"]) for group in groups) > -9  # what the judge said is kept
    for row in read_rows(run.path / "seed-0/iterations/000/rows.parquet"):
        assert not row.sides["chosen"].truncated
    with pytest.raises(UsageError, match="knockout"):
        replace(PLAN, pairing="knockout", missing_end_penalty=1.0)
    with pytest.raises(UsageError, match="0 or more"):
        replace(PLAN, missing_end_penalty=-1.0)


def test_stale_anchors_are_named(key_words, prompts, tmp_path):
    world, folder = key_words
    given = {"prompts": prompts, "judge": world, "training": replace(FAST, checkpoint_minutes=0.0),
             "show_progress": False}  # fmt: skip
    with pytest.raises(UsageError, match="history current"):
        train("inpo", folder, plan=replace(PLAN, history="all"), folder=tmp_path / "all", **given)
    plan = replace(PLAN, history="current")
    run = train("inpo", folder, plan=plan, folder=tmp_path / "run", **given)
    parts = [read_rows(run.path / f"seed-0/iterations/{i:03d}/rows.parquet") for i in (0, 1)]
    assert [{row.fields["anchored_at"] for row in rows} for rows in parts] == [{0.0}, {2.0}]
    check_anchors(parts[1], 2)
    with pytest.raises(UsageError, match="after 0, 2 steps, but this iteration began after 4"):
        check_anchors(parts[0] + parts[1], 4)


class Failing(Constant):
    """Raises until it is mended."""

    broken = True

    def score(self, prompts, completions, columns=None):
        if Failing.broken:
            raise ValueError("no luck")
        return [float(len(text)) for text in completions]


def test_a_judge_that_fails_is_named_and_once_mended_the_run_goes_on(key_words, prompts, tmp_path, monkeypatch):
    _, folder = key_words
    plan = replace(PLAN, iterations=1, prompts_per_iteration=8)
    given = {"prompts": prompts, "judge": Failing(), "plan": plan, "training": FAST, "folder": tmp_path / "run",
             "show_progress": False}  # fmt: skip
    with pytest.warns(UserWarning, match="16 completions are set aside"), pytest.raises(UsageError, match="no luck"):
        train("dpo", folder, **given)
    Failing.broken = False
    monkeypatch.setattr(Learner, "draw", None)  # what was drawn is judged again
    run = train("dpo", folder, resume=True, **given)
    place = run.path / "seed-0/iterations/000"
    aside = [json.loads(line) for line in (place / "refused.jsonl").read_text().splitlines()]
    judged = [json.loads(line) for line in (place / "completions.jsonl").read_text().splitlines()]
    assert [[one["completion"] for one in group["left_out"]] for group in aside] == [g["completions"] for g in judged]
    assert not (place / "sampled.jsonl").exists()
    Failing.broken = True


class Stubborn:
    """Refuses to go on at its second call."""

    def __init__(self, mended=False):
        self.calls, self.mended = 0, mended

    def score(self, prompts, completions, columns=None):
        self.calls += 1
        if self.calls == 2 and not self.mended:
            raise UsageError("no such key.")
        return [float(len(text)) for text in completions]


def test_what_was_drawn_before_the_judge_stopped_the_run_is_judged_and_not_drawn_again(
    key_words, prompts, tmp_path, monkeypatch
):
    _, folder = key_words
    plan = replace(PLAN, iterations=1, prompts_per_iteration=8, prompts_at_once=4)
    given = {"prompts": prompts, "plan": plan, "training": FAST, "show_progress": False}
    whole = train("dpo", folder, judge=Stubborn(mended=True), folder=tmp_path / "whole", **given)
    judge = Stubborn()
    with pytest.raises(UsageError, match=r"no such key\. The completions are kept in .*sampled\.jsonl"):
        train("dpo", folder, judge=judge, folder=tmp_path / "run", **given)
    place = tmp_path / "run/seed-0/iterations/000"
    assert len((place / "completions.jsonl").read_text().splitlines()) == 4
    with open(place / "sampled.jsonl", "a") as file:
        file.write('{"place": 8, "gro')  # a kill in the middle of a line
    judge.mended = True
    monkeypatch.setattr(Learner, "draw", None)
    run = train("dpo", folder, judge=judge, folder=tmp_path / "run", resume=True, **given)
    first, second = (one.path / "seed-0/iterations/000/completions.jsonl" for one in (whole, run))
    assert first.read_text() == second.read_text()
    assert not (place / "sampled.jsonl").exists()
    for a, b in zip(whole.model.parameters(), run.model.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("judge", "told"),
    [
        ("exact:anser", "prompts: unknown column 'anser'; did you mean answer"),
        ("numeric:answer", "prompts: row 1 .row_id 7.: column 'answer' holds 'many'"),
        ("tests:answer", "holds no tests for row 2"),
    ],
)
def test_columns_that_a_judge_cannot_read_are_refused_before_anything_is_drawn(judge, told, tmp_path):
    rows = [{"prompt": "q", "row_id": i, "answer": answer} for i, answer in ((3, "1"), (7, "many"), (8, ""))]
    rows[2]["answer"] = "" if judge != "tests:answer" else None
    with pytest.raises(UsageError, match=told):
        train("dpo", "nowhere", prompts=rows, judge=judge, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_was_cut_is_told(key_words, prompts, tmp_path, capsys):
    world, folder = key_words
    text = world.text(world.read_prompts([prompts[0]["prompt"]])[0])
    pairs = [{**row, "chosen": text, "rejected": text.split()[0]} for row in prompts[:4]]
    train("dpo", folder, pairs, training=replace(FAST, max_completion_tokens=2), folder=tmp_path / "run",
          show_progress=False)  # fmt: skip
    assert "of 4 rows, 4 cut: chosen on the right" in capsys.readouterr().err


def test_resets_to_a_column_that_no_prompt_has_are_refused(key_words, prompts, tmp_path):
    world, folder = key_words
    plan = replace(PLAN, pairing="each", reset_fraction=0.5, reset_column="choosen")
    rows = [{**row, "chosen": "a"} for row in prompts]
    with pytest.raises(UsageError, match="did you mean chosen"):
        train("rloo", folder, prompts=rows, judge=world, plan=plan, folder=tmp_path / "run", show_progress=False)
