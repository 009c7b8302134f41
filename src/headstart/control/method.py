"""The contract of control methods: frozen hyper-parameters, pure updates over a state that is a pytree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from headstart.control.networks import MLP
from headstart.core.errors import DataError, UsageError
from headstart.core.specs import Box, Spec
from headstart.data.batch import Batch

if TYPE_CHECKING:
    from headstart.control.plan import Phase
    from headstart.data.experience import Experience

Metrics = dict[str, Array]


class State(eqx.Module):
    """Everything a method learns.

    Attributes:
        nets: networks by name ("actor", "critic", …).
        targets: slowly moving copies of some of them.
        optimizers: optimiser state of each network.
        updates: how many times ``update`` has run, int32.
    """

    nets: dict[str, Any]
    targets: dict[str, Any]
    optimizers: dict[str, Any]
    updates: Int[Array, ""]

    def views(self) -> SimpleNamespace:
        """Networks as attributes, targets as ``target_<name>``: what losses read."""
        return SimpleNamespace(**self.nets, **{f"target_{name}": net for name, net in self.targets.items()})

    def replace(self, **changes: Any) -> State:
        """A copy with some fields changed."""
        fields = {"nets": self.nets, "targets": self.targets, "optimizers": self.optimizers, "updates": self.updates}
        return State(**(fields | changes))


@dataclass(frozen=True, kw_only=True)
class Method:
    """What every method shares: optimisers, target networks, and the order in which its networks are updated.

    A subclass names its networks in ``networks``, gives each a loss ``<name>_loss(self, net, nets, batch, key)``
    returning ``(loss, metrics)``, and lists in ``order`` which are updated and when. ``nets`` in a loss holds all
    networks as attributes and targets as ``target_<name>``.
    """

    name: ClassVar[str] = ""
    order: ClassVar[tuple[str, ...]] = ("critic", "actor")
    targeted: ClassVar[tuple[str, ...]] = ("critic",)
    continuous: ClassVar[bool] = True
    discrete: ClassVar[bool] = False
    offline: ClassVar[bool] = True  # can learn from data alone
    online: ClassVar[bool] = True  # can learn from replayed interaction
    on_policy: ClassVar[bool] = False  # learns only from its own latest rollouts
    needs_returns_to_go: ClassVar[bool] = False
    needs_next_actions: ClassVar[bool] = False
    default_data_ratio: ClassVar[float] = 0.0  # part of online batches from recorded data, unless the plan says
    default_updates_per_step: ClassVar[float] = 1.0
    default_warmup_steps: ClassVar[int] = 0  # between learning offline and online
    learns_offline_first: ClassVar[bool] = True  # whether given data it begins with an offline phase

    discount: float = 0.99
    """How much a reward one step later is worth."""
    batch_size: int = 256
    """Transitions per update."""
    hidden: tuple[int, ...] = (256, 256)
    """Widths of the hidden layers of every network."""
    learning_rate: float = 3e-4
    """Adam's step size, for networks without one of their own."""
    target_rate: float = 0.005
    """How far target networks move towards their networks at each move (Polyak's tau); 1 copies them."""
    target_period: int = 1
    """Updates between two moves of the target networks."""
    n_step: int = 1
    """Rewards summed before bootstrapping."""
    normalize_observations: bool = False
    """Standardise observations with the dataset's mean and standard deviation."""

    def networks(self, spec: Spec, key: PRNGKeyArray) -> dict[str, Any]:
        """Freshly initialised networks by name."""
        raise NotImplementedError

    def perceptron(self, inputs: int, outputs: int, key: PRNGKeyArray, layer_norm: bool = False) -> MLP:
        """What every network is built of; a method overrides it to initialise or shape them its own way."""
        return MLP(inputs, outputs, self.hidden, key, layer_norm=layer_norm)

    def select(self, experience: Experience) -> Experience:
        """The part of the recorded data to learn from; called once, on the host, before learning offline."""
        return experience

    def for_phase(self, kind: str) -> Method:
        """The method that carries out a phase of this kind ("offline", "warmup" or "online")."""
        return self

    def for_plan(self, plan: Sequence[Phase], worlds: int) -> Method:
        """The method with what follows from a run's plan filled in, such as how long a schedule is; it is what the
        run's record holds. ``worlds`` are acted in at once."""
        return self

    def optimizer(self, name: str) -> optax.GradientTransformation:
        """The optimiser of one network."""
        return optax.adam(getattr(self, f"{name}_learning_rate", self.learning_rate))

    def check(self, spec: Spec) -> None:
        """Refuse worlds whose actions the method cannot take.

        Raises:
            UsageError: discrete actions for a continuous method, or the reverse, or unbounded actions.
        """
        if spec.discrete and not self.discrete:
            raise UsageError(
                f"{self.name} needs continuous (Box) actions, but these are {spec.action_size} discrete choices; "
                "use dqn, bc, iql or discrete-cql, which take discrete actions"
            )
        if not spec.discrete and not self.continuous:
            raise UsageError(
                f"{self.name} needs discrete actions, but these are a Box of {spec.action_size}; "
                "use sac, td3, iql or another method for continuous actions"
            )
        if isinstance(spec.action, Box) and not spec.action.bounded:
            raise UsageError("the world's action bounds are infinite; wrap it with gymnasium.wrappers.RescaleAction")

    def init(self, key: PRNGKeyArray, spec: Spec) -> State:
        """A fresh state for worlds of this spec."""
        self.check(spec)
        nets = self.networks(spec, key)
        return State(
            nets=nets,
            targets={name: jax.tree.map(jnp.copy, nets[name]) for name in self.targeted},
            optimizers={name: self.optimizer(name).init(nets[name]) for name in self.order},
            updates=jnp.zeros((), jnp.int32),
        )

    def step(self, state: State, name: str, batch: Batch, key: PRNGKeyArray) -> tuple[State, Metrics]:
        """One optimiser step on one network."""
        loss = getattr(self, f"{name}_loss")
        (value, metrics), gradients = jax.value_and_grad(loss, has_aux=True)(
            state.nets[name], state.views(), batch, key
        )
        changes, optimizer = self.optimizer(name).update(gradients, state.optimizers[name], state.nets[name])
        state = state.replace(
            nets=state.nets | {name: optax.apply_updates(state.nets[name], changes)},
            optimizers=state.optimizers | {name: optimizer},
        )
        return state, {f"loss/{name}": value, **metrics}

    def move_targets(self, state: State) -> State:
        """Move every target network towards its network, once in ``target_period`` updates."""

        def move(target: Any, net: Any) -> Any:
            moved = optax.incremental_update(net, target, self.target_rate)
            if self.target_period == 1:
                return moved
            due = state.updates % self.target_period == 0
            return jax.tree.map(lambda new, old: jnp.where(due, new, old), moved, target)

        return state.replace(targets={name: move(target, state.nets[name]) for name, target in state.targets.items()})

    def update(self, state: State, batch: Batch, key: PRNGKeyArray) -> tuple[State, Metrics]:
        """One step on every network in ``order``, then the targets."""
        metrics: Metrics = {}
        for name, step_key in zip(self.order, jax.random.split(key, len(self.order)), strict=True):
            state, more = self.step(state, name, batch, step_key)
            metrics |= more
        return self.move_targets(state.replace(updates=state.updates + 1)), metrics

    def learn(self, state: State, batches: Batch, key: PRNGKeyArray) -> tuple[State, Metrics]:
        """Several updates, one for each batch along the leading axis; metrics are those of the last."""
        count = batches.rewards.shape[0]

        def body(state: State, inputs: tuple[Batch, PRNGKeyArray]) -> tuple[State, Metrics]:
            return self.update(state, *inputs)

        if count == 1:
            return body(state, (jax.tree.map(lambda x: x[0], batches), key))
        state, metrics = jax.lax.scan(body, state, (batches, jax.random.split(key, count)))
        return state, jax.tree.map(lambda x: x[-1], metrics)

    def act(
        self, state: State, observation: Float[Array, "*batch observation"], key: PRNGKeyArray, explore: bool
    ) -> Array:
        """Actions in [-1, 1], or choices; sampled when exploring, the mode when not."""
        distribution = state.nets["actor"](observation)
        return distribution.sample(key) if explore else distribution.mode()


def recorded(batch: Batch, name: str) -> Array:
    """A column that batches only hold when asked to.

    Raises:
        DataError: the column is not there.
    """
    column = getattr(batch, name)
    if column is None:
        raise DataError(f"the method needs {name}, which these batches lack; sample them with {name}=True")
    return column


def td_target(batch: Batch, next_value: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """r + γⁿ (1 - terminated) V(s'), not differentiated through."""
    return jax.lax.stop_gradient(batch.rewards + batch.discounts * (1 - batch.terminations) * next_value)
