"""Newton's method for convex losses of few parameters, to machine precision in a handful of steps."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Parameters = Float[Tensor, " parameter"]


def newton(
    loss: Callable[[Parameters], Float[Tensor, ""]],
    start: Parameters,
    steps: int = 30,
    longest: float = 3.0,
    tolerance: float = 1e-9,
) -> Parameters:
    """The least point of a convex loss.

    What the loss does not depend on stays as it is; a step that would raise the loss is halved until it does not.

    Args:
        loss: of the parameters, in double precision.
        start: where to begin.
        steps: at most; fewer are wanted where the loss has no least point.
        longest: no parameter moves further in one step.
        tolerance: stop when none moves further than this.
    """
    found = start.detach().clone()
    for _ in range(steps):
        slope, bend = torch.func.grad(loss)(found), torch.func.hessian(loss)(found)
        move = -torch.linalg.pinv(bend, rtol=1e-9, hermitian=True) @ slope
        move = move * min(1.0, longest / max(float(move.abs().max()), 1e-300))
        here = float(loss(found))
        while float(loss(found + move)) > here + 1e-12 * abs(here) and float(move.abs().max()) > tolerance:
            move = move / 2
        found = found + move
        if float(move.abs().max()) < tolerance:
            break
    return found
