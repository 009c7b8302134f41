"""Deep Q-network (Mnih et al., 2015) and its double variant (van Hasselt et al., 2016, arXiv 1509.06461)."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from headstart.control.action_value import ActionValueMethod
from headstart.data.batch import Batch


@dataclass(frozen=True, kw_only=True)
class DQN(ActionValueMethod):
    """Q-learning with a neural network and a target network."""

    name: ClassVar[str] = "dqn"

    double: bool = True
    """The network picks the next choice and its target only values it; otherwise the target does both."""

    def next_choice(self, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> Int[Array, " batch"]:
        """The best choice at the next observation."""
        chooser = nets.critic if self.double else nets.target_critic
        return jnp.argmax(self.action_values(chooser, batch.next_observations, key), -1)
