"""Log-probabilities of completions are the model's own, however they are computed, and take little memory."""

from __future__ import annotations

import random
from typing import Any

import peft
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from headstart.core.encoding import Encoded, TokenBatch, collate
from headstart.core.errors import DataError, UsageError
from headstart.language import output_head
from headstart.language.layout import (
    grouped,
    lay_out,
    saved_by_sharing,
    shares_prompts,
    takes_masks,
    takes_packed_lines,
)
from headstart.language.log_probabilities import score, score_layout, score_pairs, score_sides
from headstart.language.output_head import take_apart
from tests.language.small_models import WORDS, gemma, gpt2, llama, pairs


def one_by_one(model: Any, rows: list[Encoded]) -> list[torch.Tensor]:
    """The reference: each row alone through the whole model."""
    found = []
    for row in rows:
        ids = torch.tensor([row.prompt + row.completion])
        log_softmax = torch.log_softmax(model(input_ids=ids).logits[0, :-1].float(), -1)
        found.append(log_softmax.gather(-1, ids[0, 1:, None])[len(row.prompt) - 1 :, 0])
    return found


def weighted(values: list[torch.Tensor], factors: list[torch.Tensor]) -> torch.Tensor:
    return (torch.cat(values) * torch.cat(factors)).sum()


def adapted(**settings: Any) -> Any:
    model = peft.get_peft_model(llama(), peft.LoraConfig(r=2, task_type="CAUSAL_LM", **settings))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.3)
    return model.eval()


MODELS = {
    "llama": llama,
    "tied": lambda: llama(tie_word_embeddings=True),
    "eager": lambda: llama(attn_implementation="eager"),
    "gemma": gemma,
    "gpt2": gpt2,
    "adapter": lambda: adapted(target_modules=["q_proj", "up_proj"]),
    "adapter on the head": lambda: adapted(target_modules=["q_proj", "lm_head"]),
}


@pytest.mark.parametrize("shared", [False, True], ids=["apart", "shared prompts"])
@pytest.mark.parametrize("few", [False, True], ids=["at once", "in chunks"])
@pytest.mark.parametrize("name", MODELS)
def test_scores_and_gradients_are_those_of_rows_alone(
    name: str, few: bool, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if few:
        monkeypatch.setattr(output_head, "CHUNK_BYTES", 4 * WORDS * 3)
    model = MODELS[name]()
    chosen, rejected = pairs()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    expected = one_by_one(model, chosen + rejected)
    factors = [torch.randn(len(values)) for values in expected]
    theirs = torch.autograd.grad(weighted(expected, factors), weights, allow_unused=True)
    sides = score_sides(model, {"chosen": chosen, "rejected": rejected}, 0, share_prompts=shared)
    found = [s.policy[i][s.mask[i]] for s in (sides["chosen"], sides["rejected"]) for i in range(3)]
    ours = torch.autograd.grad(weighted(found, factors), weights, allow_unused=True)
    for ours_i, theirs_i in zip([*found, *ours], [*expected, *theirs]):
        torch.testing.assert_close(ours_i, theirs_i, rtol=2e-4, atol=2e-5)
    with torch.no_grad():
        again = score_pairs(model, chosen, rejected, padding=1)
    torch.testing.assert_close(again[1].log_probability(), sides["rejected"].log_probability().detach())


def test_layout_of_scores() -> None:
    chosen, rejected = pairs()
    scored = score(llama(), collate(chosen + rejected, 0))
    assert scored.length().tolist() == [4, 1, 3, 2, 5, 2]
    assert (scored.policy[~scored.mask] == 0).all()
    assert scored.policy.dtype == torch.float32


def test_temperature_divides_logits() -> None:
    model, (chosen, _) = llama(), pairs()
    row = chosen[0]
    logits = model(input_ids=torch.tensor([row.prompt + row.completion])).logits[0, len(row.prompt) - 1 : -1] / 0.5
    expected = torch.log_softmax(logits, -1).gather(-1, torch.tensor(row.completion)[:, None]).sum()
    for scored in (score(model, collate([row], 0), 0.5), score_sides(model, {"c": [row]}, 0, 0.5)["c"]):
        torch.testing.assert_close(scored.log_probability()[0], expected)


def test_models_are_taken_apart_where_that_gives_their_own_logits() -> None:
    assert take_apart(llama()) is not None
    assert take_apart(adapted(target_modules=["q_proj"])) is not None

    class Odd(type(llama())):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            found = super().forward(*args, **kwargs)
            found.logits = found.logits * 2
            return found

    odd = Odd(llama().config).eval()
    assert take_apart(odd) is None
    chosen, rejected = pairs()
    found = score(odd, collate(chosen + rejected, 0))
    expected = [values.sum() for values in one_by_one(odd, chosen + rejected)]
    torch.testing.assert_close(found.log_probability(), torch.stack(expected))


def test_prompts_are_shared_where_it_saves_and_the_model_allows() -> None:
    prompt = list(range(2, 22))
    pair = [[Encoded(prompt, [3, 1])], [Encoded(prompt, [4, 1])]]
    assert saved_by_sharing(pair) == pytest.approx(1 - 24 / 44)
    together = grouped(pair, together=True)
    assert shares_prompts(pair)
    assert takes_masks(llama(), together)
    assert not takes_masks(gpt2(), together)  # learned positions
    assert not takes_masks(gemma(), together)  # longer than the window
    assert not shares_prompts([pair[0], [Encoded(prompt[:-1], [4, 1])]])


def uneven() -> tuple[list[Encoded], list[Encoded]]:
    """Pairs of very different lengths."""
    draw = random.Random(1)

    def ids(low: int, high: int) -> list[int]:
        return [draw.randrange(2, WORDS) for _ in range(draw.randint(low, high))]

    prompts = [ids(1, 4) for _ in range(8)] + [ids(9, 10)]
    return tuple([Encoded(prompt, ids(1, 2 + i)) for i, prompt in enumerate(prompts)] for _ in range(2))


@pytest.mark.parametrize("name", ["llama", "eager", "adapter", "gemma", "gpt2"])
@pytest.mark.parametrize("shared", [None, False], ids=["shared prompts", "apart"])
def test_packed_rows_have_the_scores_and_gradients_of_rows_alone(name: str, shared: bool | None) -> None:
    """Gemma's windows are shorter than the longest rows and GPT-2's places are learned, so both read a row a line."""
    model, (chosen, rejected) = MODELS[name](), uneven()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    read = []
    hook = model.get_input_embeddings().register_forward_hook(lambda module, given, out: read.append(out.shape))
    sides = score_sides(model, {"c": chosen, "r": rejected}, 0, share_prompts=shared, packing=True)
    hook.remove()
    lines, width, _ = read[-1]
    needed = sum(len(row.prompt) + len(row.completion) for row in chosen + rejected)
    assert (lines * width < 1.1 * needed) == (name not in ("gemma", "gpt2"))
    found = [s.policy[i][s.mask[i]] for s in sides.values() for i in range(len(chosen))]
    expected = one_by_one(model, chosen + rejected)
    factors = [torch.randn(len(values)) for values in expected]
    ours = torch.autograd.grad(weighted(found, factors), weights, allow_unused=True)
    theirs = torch.autograd.grad(weighted(expected, factors), weights, allow_unused=True)
    for ours_i, theirs_i in zip([*found, *ours], [*expected, *theirs]):
        torch.testing.assert_close(ours_i, theirs_i, rtol=2e-4, atol=2e-5)


def test_kernels_that_tell_rows_apart_by_their_places_get_one_line_without_a_mask() -> None:
    """transformers makes of such places the mask that its flash kernels imply."""
    model, (chosen, _) = llama(), uneven()
    assert not takes_packed_lines(model)
    layout = lay_out([grouped([chosen], together=False)], 0, model, masked=False)
    assert list(layout.attention()) == ["position_ids"]
    assert layout.ids.shape == (1, sum(len(row.prompt) + len(row.completion) for row in chosen))
    found = score_layout(model, layout)
    for i, expected in enumerate(one_by_one(model, chosen)):
        torch.testing.assert_close(found.policy[i][found.mask[i]], expected, rtol=2e-4, atol=2e-5)
    model.config._attn_implementation = "flash_attention_2"
    assert takes_packed_lines(model)


class Largest(TorchDispatchMode):
    """Notes the largest tensor that anything makes."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = function(*args, **(kwargs or {}))
        for value in found if isinstance(found, tuple | list) else [found]:
            if isinstance(value, torch.Tensor):
                self.numbers = max(self.numbers, value.numel())
        return found


@pytest.mark.parametrize("head", ["plain", "with an adapter"])
def test_logits_of_all_positions_never_exist_together(head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words, few = 500, 500 * 4
    monkeypatch.setattr(output_head, "CHUNK_BYTES", few * 4)
    model = llama(words)
    if head == "with an adapter":
        targets = ["lm_head"]
        model = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=targets, task_type="CAUSAL_LM"))
    rows = [Encoded([2] * 5, list(range(3, 23))) for _ in range(4)]
    take_apart(model)
    with Largest() as largest:
        score(model, collate(rows, 0)).log_probability().sum().backward()
    assert largest.numbers <= max(few, words * 16)  # the output matrix itself, not 80 positions of 500 words


def test_sums_over_long_completions_are_exact_to_float32() -> None:
    """A completion of 1000 tokens against the same numbers in float64."""
    model = llama()
    row = Encoded([2], [3 + i % 30 for i in range(1000)])
    model.config.max_position_embeddings = 2048
    found = score(model, collate([row], 0)).log_probability()
    exact = score(model.double(), collate([row], 0)).log_probability()
    assert exact.dtype == torch.float64
    assert abs(float((found - exact).detach())) < 1e-6 * abs(float(exact.detach()))


def test_rows_that_cannot_be_scored_are_refused() -> None:
    with pytest.raises(DataError, match="row 1 has an empty prompt"):
        score(llama(), collate([Encoded([2], [3]), Encoded([], [3, 4])], 0))
    ids = torch.tensor([[0, 2, 3]])
    with pytest.raises(UsageError, match="padded on the left"):
        score(llama(), TokenBatch(ids, ids > 0, ids > 2))
