"""Calibrated Q-learning (Nakamoto et al., 2023, arXiv 2303.05479)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from headstart.control.cql import CQL
from headstart.core.errors import DataError
from headstart.data.batch import Batch


@dataclass(frozen=True, kw_only=True)
class CalQL(CQL):
    """CQL that stops pushing values of the policy's actions down at what the recorded behaviour has returned.

    Defaults are those of the authors' code, which sets for ant mazes a target gap of 0.8 and four hidden layers in the
    critics, and for Adroit a conservative weight of 1; for kitchens WSRL turns the importance correction off.
    """

    name: ClassVar[str] = "cal-ql"
    needs_returns_to_go: ClassVar[bool] = True

    hidden: tuple[int, ...] = (256, 256)
    """Widths of the hidden layers of every network."""
    backup_actions: int = 10
    """Next actions drawn for every target, of which the best counts."""
    bound_uniform_actions: bool = False
    """Whether values of uniform actions are bounded too, not only those of the policy's."""

    def bound(
        self, values: Float[Array, "critics samples batch"], batch: Batch
    ) -> Float[Array, "critics samples batch"]:
        """The greater of values and the return that followed (equation 4.1)."""
        if batch.returns_to_go is None:
            raise DataError("cal-ql needs returns to go in its batches; make the replay with returns_to_go=True")
        bounded = jnp.maximum(values, batch.returns_to_go)
        if self.bound_uniform_actions:
            return bounded
        return jnp.concatenate([values[:, : self.action_samples], bounded[:, self.action_samples :]], 1)
