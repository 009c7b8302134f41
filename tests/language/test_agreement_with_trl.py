"""Losses that TRL also has, on inputs for which ``record_trl.py`` recorded TRL's loss and gradient."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import Tensor

from headstart.core.encoding import Encoded
from headstart.language.dpo import DPO
from headstart.language.log_probabilities import score_sides
from headstart.language.method import LossBatch, Scored
from headstart.language.registry import make_method
from tests.language.record_trl import FIXTURE, wave_model, wave_pairs

RECORDED = json.loads(FIXTURE.read_text())


def tensors(case: dict[str, Any]) -> dict[str, Tensor]:
    found = {name: torch.tensor(value) for name, value in case.items() if isinstance(value, list)}
    found["policy"].requires_grad_()
    return found


def pair_batch(given: dict[str, Tensor]) -> LossBatch:
    """TRL stacks chosen above rejected."""
    count = len(given["policy"]) // 2
    parts = {"chosen": slice(count), "rejected": slice(count, None)}
    reference = given.get("reference")
    return LossBatch(
        {
            name: Scored(given["policy"][part], given["mask"][part], None if reference is None else reference[part])
            for name, part in parts.items()
        }
    )


def assert_agrees(loss: Tensor, policy: Tensor, case: dict[str, Any], mask: Tensor) -> None:
    """To 1e-5, where tokens count; TRL's sums also run over what lies beyond a completion's end."""
    assert float(loss.detach()) == pytest.approx(case["loss"], rel=1e-5, abs=1e-5)
    (gradient,) = torch.autograd.grad(loss, policy)
    expected = torch.where(mask, torch.tensor(case["gradient"]), 0.0)
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-5)


PAIR_CASES = {
    ("dpo", "sigmoid"): ("dpo", {"beta": 0.3}),
    ("dpo", "robust"): ("dpo", {"beta": 0.3, "label_smoothing": 0.2, "robust": True}),
    ("dpo", "ipo"): ("ipo", {"tau": 0.4, "length_normalized": True}),
    ("dpo", "hinge"): ("hinge-norm", {"gamma": 0.7}),
    ("dpo", "sigmoid_norm"): ("ln-dpo", {"beta": 2.0}),
    ("dpo", "sft"): ("bo2", {"normalization": "token"}),
    ("cpo", "simpo"): ("simpo", {"beta": 2.0, "gamma": 0.8, "label_smoothing": 0.1}),
    ("cpo", "sigmoid"): ("dpo", {"beta": 0.3, "label_smoothing": 0.2}),  # its reference is uniform: conservative DPO
    ("cpo", "hinge"): ("slic", {"gamma": 0.4}),
}


@pytest.mark.parametrize("which", PAIR_CASES, ids=" ".join)
def test_losses_of_pairs(which: tuple[str, str]) -> None:
    case = RECORDED[which[0]][which[1]]
    name, fields = PAIR_CASES[which]
    given = tensors(case)
    loss, _ = make_method(name, **fields).loss(pair_batch(given))
    assert_agrees(loss, given["policy"], case, given["mask"])


def test_orpo() -> None:
    """TRL's cross-entropy runs over the prompt too, so its odds ratio is compared, and the rest is what is left."""
    case = RECORDED["orpo"]
    given = tensors(case)
    batch = pair_batch(given)
    loss, metrics = make_method("orpo", weight=case["settings"]["beta"]).loss(batch)
    likelihood = -batch.chosen.log_probability().sum() / batch.chosen.length().sum()
    assert float(metrics["loss/likelihood"]) == pytest.approx(float(likelihood.detach()), rel=1e-6)
    assert_agrees(loss - likelihood, given["policy"], case, given["mask"])


@pytest.mark.parametrize("mean_log_ratio", ["above", "below"])
def test_kto(mean_log_ratio: str) -> None:
    case = RECORDED["kto"][mean_log_ratio]
    given = tensors(case)
    sides = {
        "completion": Scored(given["policy"], given["mask"], given["reference"]),
        "mismatched": Scored(given["mismatched"], given["mismatched_mask"], given["mismatched_reference"]),
    }
    loss, metrics = make_method("kto", **case["settings"]).loss(LossBatch(sides, {"label": given["label"]}))
    assert (float(metrics["kl"]) > 0) is (mean_log_ratio == "above")
    assert_agrees(loss, given["policy"], case, given["mask"])


@pytest.mark.parametrize("name", ["rloo", "ppo"])
def test_policy_gradients(name: str) -> None:
    case = RECORDED["policy gradient"][name]
    given = tensors(case)
    fields = {"advantage": given["advantage"], "behavior": given["behavior"]}
    batch = LossBatch({"completion": Scored(given["policy"], given["mask"])}, fields)
    assert_agrees(make_method(name).loss(batch)[0], given["policy"], case, given["mask"])


@pytest.mark.parametrize("shared", [False, True], ids=["apart", "shared prompts"])
def test_dpo_from_tokens_to_the_gradient_of_every_weight(shared: bool) -> None:
    case = RECORDED["whole run"]
    model, reference = wave_model(), wave_model(0.5)
    sides = {
        side: [Encoded(row["prompt_ids"], row[f"{side}_ids"]) for row in wave_pairs()]
        for side in ("chosen", "rejected")
    }
    policy = score_sides(model, sides, 0, share_prompts=shared)
    with torch.no_grad():
        frozen = score_sides(reference, sides, 0, share_prompts=shared)
    scored = {side: Scored(policy[side].policy, policy[side].mask, frozen[side].policy) for side in sides}
    loss, metrics = DPO(beta=0.3).loss(LossBatch(scored))
    assert float(loss.detach()) == pytest.approx(case["loss"], rel=1e-5)
    told = [float(metrics["log_probability/chosen"]), float(metrics["log_probability/rejected"])]
    assert told == pytest.approx(case["log_probabilities"], rel=1e-5)
    loss.backward()
    weights = dict(model.named_parameters())
    norms = {name: float(weight.grad.norm()) for name, weight in weights.items() if weight.grad is not None}
    assert norms == pytest.approx(case["norms"], rel=1e-4, abs=1e-6)
    for name, gradient in case["gradients"].items():
        torch.testing.assert_close(weights[name].grad, torch.tensor(gradient), rtol=1e-5, atol=1e-5)


def test_the_fixture_says_what_it_was_recorded_with() -> None:
    assert RECORDED["versions"].keys() == {"trl", "torch"}
    assert FIXTURE.stat().st_size < 300_000
