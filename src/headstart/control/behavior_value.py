"""Values of the behaviour that made the data, acted on greedily: one step of policy improvement and no more."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar

from jaxtyping import Array, Float, Int, PRNGKeyArray

from headstart.control.action_value import ActionValueMethod
from headstart.control.method import recorded
from headstart.data.batch import Batch


@dataclass(frozen=True, kw_only=True)
class BVE(ActionValueMethod):
    """Behaviour value estimation (Gulcehre et al., 2021, arXiv 2103.09575): SARSA on the recorded next choices."""

    name: ClassVar[str] = "bve"
    online: ClassVar[bool] = False
    needs_next_actions: ClassVar[bool] = True

    target_period: int = 1
    """Every update, so that with ``target_rate=1`` there is in effect no target network (arXiv 2111.04714's code)."""

    def next_choice(self, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> Int[Array, " batch"]:
        """The recorded one."""
        return recorded(batch, "next_actions")


@dataclass(frozen=True, kw_only=True)
class MCE(ActionValueMethod):
    """Monte-Carlo estimation: regression on the discounted returns that followed (arXiv 2111.04714)."""

    name: ClassVar[str] = "mce"
    targeted: ClassVar[tuple[str, ...]] = ()
    online: ClassVar[bool] = False
    needs_returns_to_go: ClassVar[bool] = True

    def target(self, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> Float[Array, " batch"]:
        """The recorded return from here to the end of the episode."""
        return recorded(batch, "returns_to_go")
