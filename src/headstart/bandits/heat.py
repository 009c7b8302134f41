"""Heat spreading over a square: a linear system at every step, harder the faster it spreads, solved by conjugate
gradients whose preconditioner has a relaxation to tune (Khodak et al., arXiv 2310.02246, section 2.4).

SciPy's sparse matrices: each system follows from the solution of the one before.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse as sparse
from jaxtyping import Float
from scipy.sparse.linalg import splu, spsolve

from headstart.bandits.linear_systems import CAP, laplacian
from headstart.core.errors import UsageError


class HeatSystem(NamedTuple):
    """The system of one step.

    Attributes:
        matrix: positive definite.
        right: its right side.
        start: the temperatures before the step, close to the solution.
        coefficient: how fast heat spreads at present, which says how hard the system is.
    """

    matrix: sparse.csr_array
    right: Float[np.ndarray, " points"]
    start: Float[np.ndarray, " points"]
    coefficient: float


@dataclass(frozen=True)
class Heat:
    """Heat on the unit square, zero at its border, by Crank and Nicolson's method.

    It spreads with a coefficient that changes in time, ``max(0.1 sin 2 pi t, -10 sin 2 pi t)``, from a bump in the
    middle, and is fed by a smaller one that circles around it eight times in a unit of time.
    """

    cells: int = 25
    """Of the grid in each direction; there are ``(cells - 1)^2`` unknowns."""
    step: float = 1e-3
    """Length of a step in time."""

    def systems(self, steps: int) -> Iterator[HeatSystem]:
        """The systems of so many steps, each from the exact solution of the one before."""
        inner = np.arange(1, self.cells) / self.cells
        places = np.stack(np.meshgrid(inner, inner, indexing="ij"), -1).reshape(-1, 2)
        spreading = laplacian(self.cells - 1) * self.cells**2
        identity = sparse.eye_array(len(places), format="csr")
        temperature = _bump(places, (0.5, 0.5), 0.25)
        for number in range(steps):
            time = (number + 0.5) * self.step
            coefficient = max(0.1 * np.sin(2 * np.pi * time), -10 * np.sin(2 * np.pi * time))
            half = coefficient * self.step / 2 * spreading
            angle = 16 * np.pi * time
            fed = 32 * _bump(places, (0.5 + np.cos(angle) / 4, 0.5 + np.sin(angle) / 4), 0.125)
            matrix = sparse.csr_array(sparse.csr_array(identity) + sparse.csr_array(half))
            right = temperature - half @ temperature + self.step * fed
            yield HeatSystem(matrix, right, temperature, float(coefficient))
            temperature = np.asarray(spsolve(matrix, right))


def _bump(places: Float[np.ndarray, "points 2"], centre: tuple[float, float], radius: float) -> np.ndarray:
    """A smooth bump of height 1, zero from ``radius`` on."""
    share = ((places - centre) ** 2).sum(1) / radius**2
    inside = share < 1
    return np.where(inside, np.exp(1 - 1 / np.where(inside, 1 - share, 1.0)), 0.0)


def conjugate_gradients(
    matrix: sparse.csr_array,
    right: Float[np.ndarray, " unknowns"],
    start: Float[np.ndarray, " unknowns"],
    omega: float | None = None,
    tolerance: float = 1e-8,
    cap: int = CAP,
) -> tuple[Float[np.ndarray, " unknowns"], int]:
    """Solve a system by conjugate gradients, preconditioned by symmetric successive over-relaxation.

    The preconditioner is ``X D^-1 X^T / (omega (2 - omega))`` with ``X = D + omega L``.

    Args:
        matrix: positive definite, sparse.
        right: the right side.
        start: where to start.
        omega: the relaxation, above 0 and below 2; None for no preconditioner.
        tolerance: stop when the residual's norm is at most this share of the right side's.
        cap: iterations after which to give up, with a warning.

    Returns:
        The solution, and how many iterations it took.

    Raises:
        UsageError: omega is out of range.
    """
    if omega is not None and not 0 < omega < 2:
        raise UsageError(f"omega is {omega}; the preconditioner needs it above 0 and below 2")
    precondition = _precondition(matrix, omega)
    solution, residual = start.copy(), right - matrix @ start
    target, direction, product = tolerance * np.linalg.norm(right), np.zeros_like(start), 1.0
    for iteration in range(cap):
        if np.linalg.norm(residual) <= target:
            return solution, iteration
        preconditioned = precondition(residual)
        before, product = product, float(residual @ preconditioned)
        direction = preconditioned + (product / before if iteration else 0.0) * direction
        along = matrix @ direction
        length = product / (direction @ along)
        solution += length * direction
        residual = residual - length * along
    warnings.warn(f"conjugate gradients did not converge in {cap} iterations", stacklevel=2)
    return solution, cap


def _precondition(matrix: sparse.csr_array, omega: float | None):
    if omega is None:
        return lambda residual: residual
    diagonal = matrix.diagonal()
    lower = sparse.csc_array(sparse.diags_array(diagonal) + omega * sparse.tril(matrix, -1))
    factors = splu(lower, permc_spec="NATURAL", diag_pivot_thresh=0.0)
    return lambda residual: omega * (2 - omega) * factors.solve(diagonal * factors.solve(residual), trans="T")
