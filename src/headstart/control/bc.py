"""Behavioural cloning, of all data or of the best episodes only."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from headstart.control.actor_critic import PolicyMethod
from headstart.control.distributions import Deterministic
from headstart.control.method import Metrics
from headstart.core.errors import DataError, UsageError
from headstart.core.specs import Spec
from headstart.data.batch import Batch

if TYPE_CHECKING:
    from headstart.data.experience import Experience


@dataclass(frozen=True, kw_only=True)
class BC(PolicyMethod):
    """Behavioural cloning: do what the data did, as supervised learning. Continuous or discrete actions.

    Networks, step size and batch are those of TD3+BC's experiments (Fujimoto & Gu, 2021, arXiv 2106.06860).
    """

    name: ClassVar[str] = "bc"
    order: ClassVar[tuple[str, ...]] = ("actor",)
    targeted: ClassVar[tuple[str, ...]] = ()
    discrete: ClassVar[bool] = True
    online: ClassVar[bool] = False

    likelihood: bool = False
    """Fit a Gaussian by maximum likelihood; otherwise a deterministic policy by mean squared error, as TD3+BC's authors
    compare with. Discrete actions always take maximum likelihood (cross-entropy)."""

    def networks(self, spec: Spec, key: PRNGKeyArray) -> dict[str, Any]:
        """The policy."""
        return {"actor": self.make_actor(spec, key, "gaussian" if self.likelihood else "deterministic")}

    def actor_loss(self, actor: Any, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> tuple[Array, Metrics]:
        """Mean squared error of the action, or minus its mean log-likelihood."""
        distribution = actor(batch.observations)
        if isinstance(distribution, Deterministic):
            return jnp.mean(jnp.square(distribution.action - batch.actions)), {}
        return -jnp.mean(distribution.log_prob(batch.actions)), {}


@dataclass(frozen=True, kw_only=True)
class FilteredBC(BC):
    """Behavioural cloning of the episodes with the highest returns ("10% BC": Chen et al., 2021, arXiv 2106.01345)."""

    name: ClassVar[str] = "filtered-bc"

    fraction: float = 0.1
    """Of the complete episodes, those with the highest undiscounted return; at least one is kept. 10% is the share that
    later comparisons keep of the several that Chen et al. report."""

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise UsageError(f"fraction {self.fraction} is not a part of the episodes; give a number in (0, 1]")

    def select(self, experience: Experience) -> Experience:
        """The episodes with the highest returns, best first.

        Raises:
            DataError: no episode is complete, so none has a return.
        """
        complete = np.flatnonzero(experience.episodes().complete)
        if not len(complete):
            raise DataError(
                "filtered-bc ranks complete episodes by return, but none ends with a termination or truncation; "
                "mark where episodes end, or use bc"
            )
        kept = max(1, int(self.fraction * len(complete)))
        best = np.argsort(-experience.returns(), kind="stable")[:kept]
        return experience.select(complete[best])
