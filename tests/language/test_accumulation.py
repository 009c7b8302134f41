"""A step on a batch is the same step however the batch is cut into parts or packed into lines."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch

from headstart.core.encoding import Encoded
from headstart.envs.text.tokenizer import word_tokenizer
from headstart.language.encoded_rows import EncodedRow
from headstart.language.learner import Learner
from headstart.language.registry import make_method
from headstart.language.settings import Training
from tests.language.small_models import WORDS, llama

METHODS: list[tuple[str, dict[str, Any]]] = [
    *(("sft", {"normalization": kind}) for kind in ("token", "example", "sum")),
    *(("weighted-bc", {"normalization": kind}) for kind in ("token", "example", "sum")),
    *(("bo2", {"normalization": kind}) for kind in ("token", "example", "sum")),
    ("orpo", {"normalization": "token", "weight": 1.0}),
    ("dpo", {}),
    ("simpo", {}),
    ("kto", {}),
    ("ppo", {}),
    ("hypo", {"kl_coef": 1.0}),
]


def rows_of(method: Any, count: int = 10) -> tuple[list[EncodedRow], list[EncodedRow]]:
    """Rows of very different lengths, and completions of the policy's own where the method learns from them."""
    draw = random.Random(0)

    def ids(low: int, high: int) -> list[int]:
        return [draw.randrange(3, WORDS) for _ in range(draw.randint(low, high))]

    rows = []
    for i in range(count):
        prompt = ids(1, 5)
        sides = ("chosen", "rejected") if method.rows == "pair" else ("completion",)
        made = {side: Encoded(prompt, ids(1, 2 + 2 * i)) for side in sides}
        fields: dict[str, Any] = {"label": float(i % 2), "weight": draw.random(), "advantage": draw.gauss(0, 1)}
        fields["behavior"] = [-3.0 - draw.random() for _ in made[sides[0]].completion]
        fields["forced"] = float(draw.randint(0, 1))
        wanted = (*method.fields, *(("forced",) if "forced" in method.optional_fields else ()))
        rows.append(EncodedRow(made, {name: fields[name] for name in wanted}))
    own = []
    if method.name == "hypo":
        own = [EncodedRow({"online": Encoded(row.sides["chosen"].prompt, ids(1, 9))}) for row in rows for _ in "ab"]
    return rows, own


def stepped(method: Any, **settings: Any) -> tuple[float, dict[str, torch.Tensor]]:
    """The loss of a step, and the gradient it went along."""
    model = llama()
    tokenizer = word_tokenizer([f"w{i}" for i in range(WORDS - 2)])
    training = Training(learning_rate=1e-3, gradient_clip=0.0, **settings)
    learner = Learner(model, tokenizer, method, training, 10, keep_reference=True)
    rows, own = rows_of(method)
    with torch.no_grad():  # away from the reference
        generator = torch.Generator().manual_seed(1)
        for weight in model.parameters():
            weight += 0.05 * torch.randn(weight.shape, generator=generator)
    if own:
        from headstart.language.encoded_rows import with_reference

        with learner.reference() as reference:
            own = with_reference(own, reference, 0, "cpu")
    gradients: dict[str, torch.Tensor] = {}
    names = {weight: name for name, weight in model.named_parameters()}

    def keep(optimizer: Any, *_: Any) -> None:
        for group in optimizer.param_groups:
            gradients.update({names[weight]: weight.grad.clone() for weight in group["params"]})

    learner.optimizer.register_step_pre_hook(keep)
    metrics = learner.step(learner.prepare(rows), own)
    assert np.isfinite(list(metrics.values())).all()
    return metrics["loss"], gradients


@pytest.mark.parametrize(("name", "fields"), METHODS, ids=lambda value: str(value).strip("{}"))
def test_parts_add_up_to_the_batch_and_packing_changes_nothing(name: str, fields: dict[str, Any]) -> None:
    method = make_method(name, **fields)
    loss, gradients = stepped(method)
    for settings in ({"micro_batch_size": 3}, {"packing": True}, {"packing": True, "micro_batch_size": 4}):
        other, others = stepped(method, **settings)
        assert other == pytest.approx(loss, rel=1e-5), settings
        for name, gradient in gradients.items():
            torch.testing.assert_close(others[name], gradient, rtol=1e-4, atol=1e-6)
