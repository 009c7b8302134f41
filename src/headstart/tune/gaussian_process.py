"""Gaussian-process regression of how much a generation gains, as its configuration and time decide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

Rows = Float[np.ndarray, "rows inputs"]
Vector = Float[np.ndarray, " rows"]


@dataclass(frozen=True)
class TimeVaryingGP:
    """A Gaussian process whose covariance falls with distance and with time between observations.

    k((x, t), (x', t')) = exp(-|x - x'|² / 2l²) (1 - ω)^(|t - t'| / 2), the kernel of PB2 (Parker-Holder et al., 2020).
    Outputs are standardised; length l, forgetting ω and noise maximise the marginal likelihood.

    Attributes:
        inputs: ``[rows, inputs]``.
        times: ``[rows]``, in generations.
        outputs: ``[rows]``.
        mean: of the outputs.
        scale: standard deviation of the outputs.
        length: l.
        forgetting: ω, 0 to 1.
        noise: standard deviation of the noise, in standardised outputs.
        factor: Cholesky factor of the covariance of the observations.
        weights: its inverse times the standardised outputs.
    """

    inputs: Rows
    times: Vector
    outputs: Vector
    mean: float
    scale: float
    length: float
    forgetting: float
    noise: float
    factor: Float[np.ndarray, "rows rows"]
    weights: Vector

    @classmethod
    def fit(cls, inputs: Rows, times: Vector, outputs: Vector) -> TimeVaryingGP:
        """The process that explains some observations best."""
        standard = (outputs - outputs.mean()) / (outputs.std() or 1.0)

        def loss(parameters: np.ndarray) -> float:
            length, forgetting, noise = _natural(parameters)
            covariance = kernel(inputs, times, inputs, times, length, forgetting) + noise**2 * np.eye(len(times))
            factor = cholesky(covariance, lower=True)
            fit = 0.5 * standard @ cho_solve((factor, True), standard) + np.log(np.diag(factor)).sum()
            return float(fit + 0.5 * np.sum(np.square(parameters - _START)))

        best = minimize(loss, _START, method="L-BFGS-B", bounds=_BOUNDS, options={"maxiter": 20}).x
        return cls._with(_natural(best), inputs, times, outputs)

    @classmethod
    def _with(cls, natural: tuple[float, float, float], inputs: Rows, times: Vector, outputs: Vector) -> TimeVaryingGP:
        length, forgetting, noise = natural
        mean, scale = float(outputs.mean()), float(outputs.std()) or 1.0
        covariance = kernel(inputs, times, inputs, times, length, forgetting) + noise**2 * np.eye(len(times))
        factor = cholesky(covariance, lower=True)
        weights = cho_solve((factor, True), (outputs - mean) / scale)
        return cls(inputs, times, outputs, mean, scale, length, forgetting, noise, factor, weights)

    def believing(self, point: Float[np.ndarray, " inputs"], time: float) -> TimeVaryingGP:
        """The process once its own mean at a point counts as observed, so that the next proposal lies elsewhere."""
        believed = self.predict(point[None], time)[0]
        rows = (np.vstack([self.inputs, point]), np.append(self.times, time), np.append(self.outputs, believed))
        return self._with((self.length, self.forgetting, self.noise), *rows)

    def predict(self, inputs: Rows, time: float) -> tuple[Vector, Vector]:
        """Mean and standard deviation of the output at some inputs, all at one time."""
        times = np.full(len(inputs), time)
        cross = kernel(inputs, times, self.inputs, self.times, self.length, self.forgetting)
        explained = solve_triangular(self.factor, cross.T, lower=True)
        variance = np.maximum(1 - np.square(explained).sum(0), 1e-12)
        return self.mean + self.scale * (cross @ self.weights), self.scale * np.sqrt(variance)


_START = np.array([np.log(0.4), -2.0, np.log(0.3)])
"""Log of the length, logit of the forgetting, log of the noise: where fitting starts, and the prior's means."""
_BOUNDS = [(np.log(0.05), np.log(5.0)), (-6.0, 2.0), (np.log(0.02), np.log(2.0))]


def _natural(parameters: np.ndarray) -> tuple[float, float, float]:
    length, forgetting, noise = parameters.tolist()
    return float(np.exp(length)), float(1 / (1 + np.exp(-forgetting))), float(np.exp(noise))


def kernel(
    a: Rows, a_times: np.ndarray, b: Rows, b_times: np.ndarray, length: float, forgetting: float
) -> Float[np.ndarray, "a b"]:
    """Covariance of two sets of observations."""
    squared = np.square(a[:, None, :] - b[None, :, :]).sum(-1)
    apart = np.abs(a_times[:, None] - b_times[None, :])
    return np.exp(-squared / (2 * length**2)) * (1 - forgetting) ** (apart / 2)
