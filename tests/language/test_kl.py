"""Estimates of the KL have the expectations that their documentation claims, found by summing over all outcomes."""

from __future__ import annotations

import peft
import pytest
import torch

from headstart.core.encoding import collate
from headstart.core.errors import UsageError
from headstart.language import output_head
from headstart.language.hypo import kl_surrogate
from headstart.language.kl import ESTIMATORS, distribution_kl, exact_kl
from tests.language.small_models import WORDS, llama, pairs


@pytest.fixture
def logits() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    policy = torch.randn(12, generator=generator, dtype=torch.float64, requires_grad=True)
    return policy, torch.randn(12, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("name", "unbiased"), [("k1", True), ("k2", False), ("k3", True)])
def test_expected_values(name: str, unbiased: bool, logits: tuple[torch.Tensor, torch.Tensor]) -> None:
    log_p, log_q = (torch.log_softmax(part, -1) for part in logits)
    expected = (log_p.exp() * ESTIMATORS[name](log_p - log_q)).sum()
    exact = distribution_kl(*logits)
    assert (abs(float((expected - exact).detach())) < 1e-12) is unbiased


@pytest.mark.parametrize(("name", "towards"), [("k1", "nothing"), ("k2", "this way"), ("k3", "the other way")])
def test_expected_gradients(name: str, towards: str, logits: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Samples are fixed: no gradient passes through the probabilities they were drawn with."""
    policy, reference = logits
    log_p, log_q = torch.log_softmax(policy, -1), torch.log_softmax(reference, -1)
    (found,) = torch.autograd.grad((log_p.detach().exp() * ESTIMATORS[name](log_p - log_q)).sum(), policy)
    exact = {
        "nothing": lambda: 0.0 * policy.sum(),
        "this way": lambda: distribution_kl(policy, reference),
        "the other way": lambda: distribution_kl(reference, policy),
    }
    (expected,) = torch.autograd.grad(exact[towards](), policy)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_surrogate_of_hypo_has_the_gradient_of_the_kl(logits: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Over all pairs of samples of one prompt, weighted by how likely the pair is."""
    policy, reference = logits
    log_p, log_q = torch.log_softmax(policy, -1), torch.log_softmax(reference, -1)
    (expected,) = torch.autograd.grad(distribution_kl(policy, reference), policy, retain_graph=True)
    total = torch.zeros((), dtype=torch.float64)
    for first in range(len(policy)):
        for second in range(len(policy)):
            chance = (log_p[first] + log_p[second]).exp().detach()
            drawn = torch.tensor([first, second])
            total = total + chance * kl_surrogate(log_p[drawn], log_q[drawn], 2)
    torch.testing.assert_close(torch.autograd.grad(total, policy)[0], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("few", [False, True], ids=["at once", "in chunks"])
def test_exact_kl_of_models(few: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if few:
        monkeypatch.setattr(output_head, "CHUNK_BYTES", 4 * WORDS * 3)
    policy, reference = llama(), llama(initializer_range=0.1)
    rows = pairs()[0]
    found = exact_kl(policy, reference, collate(rows, 0))
    weights = list(policy.parameters())
    ours = torch.autograd.grad(found.log_probability().sum(), weights)
    expected = []
    for row in rows:
        ids = torch.tensor([row.prompt + row.completion])
        both = [model(input_ids=ids).logits[0, len(row.prompt) - 1 : -1] for model in (policy, reference)]
        expected.append(distribution_kl(both[0], both[1].detach()).sum())
    torch.testing.assert_close(found.log_probability(), torch.stack(expected))
    theirs = torch.autograd.grad(torch.stack(expected).sum(), weights)
    torch.testing.assert_close(ours, theirs, rtol=2e-4, atol=2e-5)


def test_exact_kl_of_an_adapter_from_the_model_below() -> None:
    model = peft.get_peft_model(llama(), peft.LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    batch = collate(pairs()[0], 0)
    assert float(exact_kl(model, model, batch).policy.abs().max()) < 1e-6
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.fill_(0.5)
    assert float(exact_kl(model, model, batch).log_probability().min()) > 1e-3


def test_other_vocabularies_are_refused() -> None:
    with pytest.raises(UsageError, match="40 words and the reference's 50"):
        exact_kl(llama(), llama(50), collate(pairs()[0], 0))
