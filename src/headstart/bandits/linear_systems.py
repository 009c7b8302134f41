"""Sequences of linear systems, and a solver for them whose speed hangs on one parameter.

Successive over-relaxation (SOR) is inherently sequential within a system, so many systems are solved side by side: the
points on an anti-diagonal of a grid do not depend on each other, and each is one NumPy operation over all systems.
Double precision throughout, for residuals must fall to 1e-8 of where they began.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.sparse as sparse
from jaxtyping import Float, Int
from scipy.sparse.linalg import splu

from headstart.core.errors import UsageError

CAP = 10_000
"""Iterations after which a solver gives up."""


def laplacian(side: int) -> sparse.csr_array:
    """The five-point Laplacian of a ``side`` x ``side`` grid, zero at its border: 4 on the diagonal, -1 beside it."""
    places: Any = [-1, 0, 1]
    line = sparse.diags_array([-1.0, 2.0, -1.0], offsets=places, shape=(side, side))
    return sparse.csr_array(sparse.kronsum(line, line))


def optimal_omega(shift: Float[np.ndarray, " systems"] | float, side: int) -> Any:
    """The relaxation that makes SOR asymptotically fastest on ``laplacian(side) + shift I`` (Young 1971).

    ``1 + (beta / (1 + sqrt(1 - beta^2)))^2`` where beta is the spectral radius of the Jacobi iteration.
    """
    beta = _jacobi_radius(np.asarray(shift), side)
    return 1 + (beta / (1 + np.sqrt(1 - beta**2))) ** 2


def _jacobi_radius(shift: np.ndarray, side: int) -> np.ndarray:
    """Spectral radius of the Jacobi iteration."""
    return 4 * np.cos(np.pi / (side + 1)) / (4 + shift)


@dataclass(frozen=True)
class ShiftedLaplacians:
    """Systems ``(laplacian + c I) x = b`` with c drawn from an interval; c is all that a context can tell of a system.

    The two spreads are those of Khodak et al. (arXiv 2310.02246, section 2.4): ``c = -0.15 + 0.6 Beta(2, 6)``, or the
    same with ``Beta(1/2, 3/2)``. Right sides are standard normal vectors, rejected until their norm is at most
    ``sqrt(n)``.
    """

    variance: Literal["low", "high"] = "low"
    side: int = 10

    @property
    def context_interval(self) -> tuple[float, float]:
        """Where all shifts lie: the interval of the paper, wider than the shifts need."""
        return (-0.15, 0.65)

    def draw(
        self, systems: int, generator: np.random.Generator
    ) -> tuple[Float[np.ndarray, " systems"], Float[np.ndarray, "systems unknowns"]]:
        """Shifts and right sides of as many systems."""
        shape = {"low": (2.0, 6.0), "high": (0.5, 1.5)}[self.variance]
        shifts = -0.15 + 0.6 * generator.beta(*shape, systems)
        unknowns = self.side**2
        right = np.empty((0, unknowns))
        while len(right) < systems:
            drawn = generator.standard_normal((2 * systems, unknowns))
            right = np.concatenate([right, drawn[np.linalg.norm(drawn, axis=1) <= np.sqrt(unknowns)]])
        return shifts, right[:systems]


def sor(
    matrix: sparse.csr_array,
    right: Float[np.ndarray, " unknowns"],
    omega: float,
    tolerance: float = 1e-8,
    cap: int = CAP,
) -> tuple[Float[np.ndarray, " unknowns"], int]:
    """Solve one system by successive over-relaxation from zero: ``x += (D / omega + L)^-1 (b - A x)``.

    Args:
        matrix: positive definite, sparse.
        right: the right side.
        omega: the relaxation, above 0 and below 2.
        tolerance: stop when the residual's norm is below this share of what it was.
        cap: iterations after which to give up, with a warning.

    Returns:
        The solution, and how many iterations it took (0 where the right side is zero).

    Raises:
        UsageError: omega cannot converge.
    """
    _check_omega(omega)
    solution, target = np.zeros(len(right)), tolerance * float(np.linalg.norm(right))
    if target == 0:
        return solution, 0
    lower = sparse.diags_array(np.asarray(matrix.diagonal(), np.float64) / omega) + sparse.tril(matrix, -1)
    # Of a triangular matrix kept in its own order, the factors are itself: each solve is one forward substitution.
    forward = splu(sparse.csc_array(lower), permc_spec="NATURAL", diag_pivot_thresh=0.0)
    residual = right
    for iteration in range(1, cap + 1):
        solution = solution + forward.solve(residual)
        residual = right - matrix @ solution
        if np.linalg.norm(residual) < target:
            return solution, iteration
    warnings.warn(f"SOR did not converge in {cap} iterations; is the matrix positive definite?", stacklevel=2)
    return solution, cap


def sor_iterations(
    shifts: Float[np.ndarray, " systems"],
    right: Float[np.ndarray, "systems unknowns"],
    omegas: Float[np.ndarray, " systems"] | float,
    tolerance: float = 1e-8,
    cap: int = CAP,
) -> Int[np.ndarray, " systems"]:
    """How many iterations ``sor`` takes on each shifted Laplacian, all systems side by side.

    Args:
        shifts: c of each system.
        right: its right side, a square grid's points row by row.
        omegas: the relaxation of each system, or one for all.
        tolerance: as for ``sor``.
        cap: as for ``sor``; systems that reach it count as that many.

    Raises:
        UsageError: the unknowns are no square grid's, or an omega cannot converge.
    """
    systems, unknowns = right.shape
    side = round(unknowns**0.5)
    if side**2 != unknowns:
        raise UsageError(f"{unknowns} unknowns are not the points of a square grid; give side * side of them")
    omegas = np.broadcast_to(np.asarray(omegas, float), systems)
    for omega in (omegas.min(), omegas.max()):
        _check_omega(float(omega))
    counts = np.full(systems, cap)
    targets = tolerance * np.linalg.norm(right, axis=1)
    counts[targets == 0] = 0
    waiting = np.flatnonzero(targets > 0)
    # Systems of one block should take similarly long, so that few wait for the slowest: sort by the factor that errors
    # shrink by in the long run, which is known (Young 1971).
    beta, omega = _jacobi_radius(shifts[waiting], side), omegas[waiting]
    slow = ((omega * beta + np.sqrt(np.maximum(omega**2 * beta**2 - 4 * (omega - 1), 0))) / 2) ** 2
    order = waiting[np.argsort(np.maximum(slow, omega - 1))]
    for block in np.array_split(order, max(1, len(order) // 2048)):
        _sweep(shifts, right, omegas, targets, counts, block, side, cap)
    return counts


def _sweep(shifts, right, omegas, targets, counts, block, side, cap) -> None:
    """Fill in ``counts`` of a block of systems. Arrays are ``[row, column, system]`` with a border of zeros."""
    padded = np.zeros((side + 2, side + 2, len(block)))
    padded[1:-1, 1:-1] = right[block].T.reshape(side, side, -1)
    x = np.zeros_like(padded)
    diagonal, factor, limit = 4 + shifts[block], omegas[block] / (4 + shifts[block]), targets[block] ** 2
    keep = 1 - omegas[block]
    for iteration in range(1, cap + 1):
        flat, b = x.reshape((side + 2) ** 2, -1), padded.reshape((side + 2) ** 2, -1)
        for total in range(2, 2 * side + 1):
            rows = np.arange(max(1, total - side), min(side, total - 1) + 1)
            first, last, step = rows[0] * (side + 1) + total, rows[-1] * (side + 1) + total, side + 1
            here = slice(first, last + 1, step)
            # One point further up, left, right and down in the flattened grid.
            near = flat[first - side - 2 : last - side - 1 : step] + flat[first - 1 : last : step]
            near += flat[first + 1 : last + 2 : step]
            near += flat[first + side + 2 : last + side + 3 : step]
            near += b[here]
            near *= factor
            flat[here] *= keep
            flat[here] += near
        inner = x[1:-1, 1:-1]
        residual = padded[1:-1, 1:-1] - diagonal * inner
        residual += x[:-2, 1:-1]
        residual += x[2:, 1:-1]
        residual += x[1:-1, :-2]
        residual += x[1:-1, 2:]
        left = np.einsum("ijs,ijs->s", residual, residual) >= limit
        if not left.all():
            counts[block[~left]] = iteration
            if not left.any():
                return
            block, x, padded = block[left], np.ascontiguousarray(x[..., left]), np.ascontiguousarray(padded[..., left])
            diagonal, factor, limit, keep = diagonal[left], factor[left], limit[left], keep[left]


def _check_omega(omega: float) -> None:
    if not 0 < omega < 2:
        raise UsageError(f"omega is {omega}; SOR converges only where it is above 0 and below 2")
