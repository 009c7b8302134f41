"""Policies over finitely many responses, trained by the very losses that language models are trained by.

A response is a completion of one token. Where many rows are alike, each distinct one is scored once and weighted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from headstart.language.method import LanguageMethod, LossBatch, Scored

Table = Float[Tensor, "*batch prompt response"]
"""Log-probabilities of the responses to each prompt."""
Side = tuple[Float[Tensor, "*batch row"], Float[Tensor, " row"]]
"""Log-probabilities of one side of rows, under the policy and under the reference."""


def scored(policy: Float[Tensor, " row"], reference: Float[Tensor, " row"]) -> Scored:
    """Log-probabilities of completions of one token."""
    shown = torch.ones((len(policy), 1), dtype=torch.bool)
    return Scored(policy[:, None], shown, reference=reference[:, None], reference_sum=reference)


def side(policy: Table, reference: Table, prompts: Int[Tensor, " row"], responses: Int[Tensor, " row"]) -> Side:
    """What ``row_losses`` wants to know of one response of each row; tables of policies may be stacked, references not.

    A reference with one line serves all prompts.
    """
    lines = prompts if len(reference) > 1 else torch.zeros_like(prompts)
    return policy[..., prompts, responses], reference[lines, responses]


def row_losses(
    method: LanguageMethod, sides: Mapping[str, Side], fields: Mapping[str, Float[Tensor, " row"]] | None = None
) -> Float[Tensor, "*batch row"]:
    """The method's loss of each row by itself; their mean is the method's loss of all rows together."""
    names, fields = list(sides), fields or {}
    shape = sides[names[0]][0].shape
    policies = [sides[name][0].reshape(-1) for name in names]
    references = [sides[name][1].expand(shape).reshape(-1) for name in names]
    numbers = [value.expand(shape).reshape(-1) for value in fields.values()]

    def one(policies: list[Tensor], references: list[Tensor], numbers: list[Tensor]) -> Tensor:
        batch = LossBatch(
            {name: scored(p[None], r[None]) for name, p, r in zip(names, policies, references, strict=True)},
            {name: number[None] for name, number in zip(fields, numbers, strict=True)},
        )
        return method.loss(batch)[0]

    return torch.func.vmap(one)(policies, references, numbers).reshape(shape)


def descend(
    objective: Callable[[Table], Float[Tensor, "*batch prompt"]],
    start: Table,
    steps: int,
    low: float = -torch.inf,
    high: float = torch.inf,
    tolerance: float = 1e-9,
) -> tuple[Table, Float[Tensor, "*batch prompt"]]:
    """Least points of many small problems at once, near their starts: projected gradient with spectral steps.

    Lines whose gradient is zero stay where they are. A step is taken back when it ends above the worst of the last
    four values (Birgin, Martinez and Raydan 2000); the best point seen is returned.

    Args:
        objective: value of each line of the table, depending on that line alone.
        start: where to begin.
        steps: evaluations at most.
        low: least value of an entry.
        high: greatest value of an entry.
        tolerance: stop when no entry would move further than this.

    Returns:
        The points and their values.
    """
    point = start.detach().clone()
    value, gradient = _with_gradient(objective, point)
    best, best_value = point, value
    recent = value.expand(4, *value.shape).clone()
    step = 1 / gradient.abs().amax(-1).clamp(min=1e-12)
    for count in range(steps):
        moved = (point - step[..., None] * gradient).clamp(low, high)
        if float((moved - point).abs().max()) < tolerance:
            break
        moved_value, moved_gradient = _with_gradient(objective, moved)
        kept = moved_value <= recent.amax(0) + 1e-12
        change, bend = moved - point, moved_gradient - gradient
        curvature = (change * bend).sum(-1)
        spectral = (change**2).sum(-1) / curvature
        spectral = torch.where(curvature > 0, spectral, 4 * step).clamp(1e-8, 1e8)
        step = torch.where(kept, spectral, step / 4)
        point = torch.where(kept[..., None], moved, point)
        gradient = torch.where(kept[..., None], moved_gradient, gradient)
        value = torch.where(kept, moved_value, value)
        recent[count % 4] = value
        better = value < best_value
        best = torch.where(better[..., None], point, best)
        best_value = torch.where(better, value, best_value)
    return best, best_value


def _with_gradient(objective: Callable[[Table], Tensor], point: Table) -> tuple[Tensor, Table]:
    point = point.detach().requires_grad_()
    value = objective(point)
    (gradient,) = torch.autograd.grad(value.sum(), point)
    return value.detach(), gradient
