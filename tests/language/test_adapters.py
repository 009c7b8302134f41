"""A run that begins from an adapter: it trains that adapter, and its reference is the model under it as it was."""

import math

import pytest
import torch

from headstart.core.causal_models import load_model
from headstart.core.errors import UsageError
from headstart.language.dpo import DPO
from headstart.language.encoded_rows import encode_rows
from headstart.language.kto import KTO
from headstart.language.learner import Learner
from headstart.language.online import Online
from headstart.language.settings import Training
from headstart.language.training import train

QUICK = {"learning_rate": 1e-2, "batch_size": 4, "schedule": "constant", "warmup_fraction": 0.0, "log_every": 1}


@pytest.fixture(scope="module")
def pairs(prompts):
    return [{**row, "chosen": "w1 w2", "rejected": row["prompt"].split()[0]} for row in prompts[:8]]


@pytest.fixture(scope="module")
def adapter(key_words, pairs, tmp_path_factory):
    """The folder of an adapter of rank 4 that was trained."""
    run = train(
        "dpo", key_words[1], pairs, training=Training(steps=6, lora_rank=4, **QUICK), show_progress=False,
        folder=tmp_path_factory.mktemp("first") / "run",
    )  # fmt: skip
    return run.model_path()


def reference(learner, rows):
    return reference_of(learner.referred(rows))


def reference_of(rows):
    return torch.tensor([sum(row.reference["chosen"]) for row in rows])


def first(run, name):
    return run.folder.metrics([name]).sort("updates")["value"][0]


@pytest.mark.parametrize("rank", [0, 4])
def test_the_reference_is_the_adapter_that_a_run_began_with(rank, adapter, pairs, prompts, tmp_path):
    run = train(
        "dpo", adapter, pairs, held_out=prompts[:8], training=Training(steps=3, lora_rank=rank, **QUICK),
        plan=Online(max_tokens=8), folder=tmp_path / "run", show_progress=False,
    )  # fmt: skip
    assert first(run, "loss") == pytest.approx(math.log(2), abs=1e-6)
    told = run.folder.metrics(["evaluation/kl"]).sort("updates")["value"]
    assert told[0] == pytest.approx(0.0, abs=1e-4)
    assert abs(told[-1]) > 1e-3


def test_a_resumed_run_compares_with_its_beginning(adapter, pairs, tmp_path):
    def begun():
        model, tokenizer = load_model(adapter)
        return Learner(model, tokenizer, DPO(), Training(steps=4, **QUICK), 4)

    learner = begun()
    rows = encode_rows(pairs, learner.method, learner.encoder)
    at_first = reference(learner, rows)
    assert torch.equal(at_first, reference_of(learner.scored(rows, learner.model)))
    for _ in range(2):
        learner.step(learner.prepare(rows))
    learner.save(tmp_path)
    resumed = begun()
    resumed.load(tmp_path)
    kept = {name: weight.clone() for name, weight in resumed.trained_weights().items()}
    assert torch.equal(reference(resumed, rows), at_first)
    assert torch.equal(reference(learner, rows), at_first)
    assert all(torch.equal(weight, kept[name]) for name, weight in resumed.trained_weights().items())
    assert resumed.step(resumed.prepare(rows)) == learner.step(learner.prepare(rows))


def test_kto_estimates_its_kl_from_the_adapter_that_it_began_with(adapter, pairs):
    """Its reference point is had from rows that are made as it trains."""
    model, tokenizer = load_model(adapter)
    learner = Learner(model, tokenizer, KTO(), Training(steps=1, **QUICK), 1)
    labels = [{"prompt": row["prompt"], "completion": row["chosen"], "label": i % 2} for i, row in enumerate(pairs)]
    told = learner.step(learner.prepare(encode_rows(labels, learner.method, learner.encoder)))
    assert told["loss"] == pytest.approx(0.5, abs=1e-5)


def test_a_new_adapter_is_compared_with_the_model_below(key_words, pairs):
    model, tokenizer = load_model(key_words[1])
    learner = Learner(model, tokenizer, DPO(), Training(steps=2, lora_rank=4, **QUICK), 2)
    rows = encode_rows(pairs, learner.method, learner.encoder)
    before = reference(learner, rows)
    for _ in range(2):
        learner.step(learner.prepare(rows))
    assert torch.equal(reference(learner, rows), before)


@pytest.mark.parametrize(("asked", "named"), [({"lora_rank": 16}, "rank 4"), ({"lora_rank": 4, "lora_alpha": 1}, "8")])
def test_another_adapter_than_the_model_comes_with_is_refused(asked, named, adapter, pairs, tmp_path):
    with pytest.raises(UsageError, match=f"{named}, which is trained on; given lora_"):
        train("dpo", adapter, pairs, training=Training(**asked, **QUICK), folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()
