"""Conservative Q-learning (Kumar et al., 2020, arXiv 2006.04779), for continuous and for discrete actions."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from headstart.control.dqn import DQN
from headstart.control.method import Metrics, State, td_target
from headstart.control.networks import Scalar, chosen, evaluate, subset
from headstart.control.sac import SAC
from headstart.control.screening import screened_values
from headstart.core.errors import UsageError
from headstart.core.specs import Spec
from headstart.data.batch import Batch

WEIGHT = "conservative_multiplier"


@dataclass(frozen=True, kw_only=True)
class CQL(SAC):
    """SAC whose critics are pushed down on the policy's and on random actions, and up on recorded ones: CQL(H).

    Defaults are those that the authors recommend beside their code for locomotion, with a fixed weight. Their code can
    also begin with some 20 000 updates of imitation, of which it says itself that they make little difference; that is
    not offered.
    """

    name: ClassVar[str] = "cql"
    default_data_ratio: ClassVar[float] = 0.5

    hidden: tuple[int, ...] = (256, 256, 256)
    """Widths of the hidden layers of every network (authors' code)."""
    actor_learning_rate: float = 1e-4
    """Adam's step size for the policy (authors' code; 3e-5 in appendix F)."""
    temperature_learning_rate: float = 1e-4
    """Adam's step size for the entropy's weight (authors' code)."""
    entropy_backup: bool = False
    """Whether the critic's target includes the entropy of the next action; not by default in the authors' code."""
    conservative_weight: float = 5.0
    """Weight of the conservative term (5 or 10 in the authors' notes); where it is adapted, its first value."""
    target_gap: float | None = None
    """Adapt the weight so that the conservative gap stays at this value (τ of appendix F, 5 or 10); None fixes it."""
    action_samples: int = 10
    """Actions of each kind (uniform, the policy's here, the policy's at the next observation) in the log-sum-exp."""
    importance_correction: bool = True
    """Whether sampled actions are weighted by one over their density; if not, the recorded action joins them."""
    gradient_actions: int | None = None
    """Sampled actions, drawn by their share of the log-sum-exp, that its gradient passes through: the same gradient on
    average, at less than half the cost for 1 to 4. None passes it through all, as the authors do."""
    screening: Literal["float32", "bfloat16"] = "float32"
    """With gradient_actions: precision of the pass over all sampled actions, of which only their shares are used.
    bfloat16 takes half the time where the processor knows it; shares are then those of values rounded to about three
    digits, so the gradient is the same on average but for that."""

    def check(self, spec: Spec) -> None:
        """Refuse a rounded pass that gradients would go through."""
        super().check(spec)
        if self.screening != "float32" and self.gradient_actions is None:
            raise UsageError(
                "screening is only of use where gradients pass through a few actions; set gradient_actions to 1 to 4"
            )

    def init(self, key: PRNGKeyArray, spec: Spec) -> State:
        """A fresh state, in which the conservative term's weight is a network of its own where it is adapted."""
        state = super().init(key, spec)
        if self.target_gap is None:
            return state
        weight: Any = Scalar.of(self.conservative_weight)
        optimizers = state.optimizers | {WEIGHT: self.optimizer(WEIGHT).init(weight)}
        return state.replace(nets=state.nets | {WEIGHT: weight}, optimizers=optimizers)

    def sample_actions(
        self, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray
    ) -> tuple[Float[Array, "samples batch action"], Float[Array, "samples batch"]]:
        """Uniform actions, then the policy's here and at the next observation, with their log densities."""
        uniform_key, here_key, next_key = jax.random.split(key, 3)
        uniform = jax.random.uniform(uniform_key, (self.action_samples, *batch.actions.shape), minval=-1)
        uniform_density = jnp.full(uniform.shape[:-1], -uniform.shape[-1] * jnp.log(2.0))
        here, here_density = nets.actor(batch.observations).sample_and_log_prob(here_key, self.action_samples)
        later, later_density = nets.actor(batch.next_observations).sample_and_log_prob(next_key, self.action_samples)
        return jnp.concatenate([uniform, here, later]), jnp.concatenate([uniform_density, here_density, later_density])

    def sampled_values(
        self,
        critics: Any,
        batch: Batch,
        actions: Float[Array, "samples batch action"],
        log_densities: Float[Array, "samples batch"],
        key: PRNGKeyArray,
    ) -> Float[Array, "critics samples batch"]:
        """Values of sampled actions; the gradient passes through all of them, or through a few drawn ones."""
        if self.gradient_actions is None:
            return evaluate(critics, batch.observations, actions)
        screen = screened_values if self.screening == "bfloat16" else evaluate
        values = screen(jax.lax.stop_gradient(critics), batch.observations, actions)
        logits = self.bound(values, batch) - (log_densities if self.importance_correction else 0.0)
        draws = (self.gradient_actions, values.shape[0], values.shape[2])
        rows, member, column = jax.random.categorical(key, logits, axis=1, shape=draws), *jnp.indices(draws)[1:]
        shares = jax.nn.softmax(logits, axis=1)[member, rows, column] * self.gradient_actions
        few = jax.vmap(lambda critic, chosen: critic(batch.observations, chosen), (0, 1), 1)(
            critics, actions[rows, column]
        )
        # Adds nothing but a gradient, which the log-sum-exp will multiply by the share that is divided out here.
        return values.at[member, rows, column].add((few - jax.lax.stop_gradient(few)) / shares)

    def bound(
        self, values: Float[Array, "critics samples batch"], batch: Batch
    ) -> Float[Array, "critics samples batch"]:
        """Values of sampled actions as they enter the log-sum-exp."""
        return values

    def conservative_gap(
        self,
        sampled: Float[Array, "critics samples batch"],
        recorded: Float[Array, "critics batch"],
        log_densities: Float[Array, "samples batch"],
    ) -> Float[Array, "critics batch"]:
        """log ∫ exp Q(s, a) da, estimated from values of sampled actions, minus Q of the recorded one (appendix F)."""
        if self.importance_correction:
            # The mean over samples would subtract a constant; the authors leave it out.
            return jax.nn.logsumexp(sampled - log_densities, axis=1) - recorded
        together = jnp.concatenate([sampled, recorded[:, None]], 1)
        return jax.nn.logsumexp(together, axis=1) - jnp.log(together.shape[1]) - recorded

    def critic_loss(self, critic: Any, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> tuple[Array, Metrics]:
        """Temporal differences plus the weighted conservative gap (equation 4)."""
        target = td_target(batch, self.next_value(nets, batch, key))
        recorded = evaluate(critic, batch.observations, batch.actions)
        loss = jnp.mean(jnp.sum(jnp.square(recorded - target), 0))
        action_key, subset_key, draw_key = jax.random.split(jax.random.fold_in(key, 2), 3)
        actions, log_densities = self.sample_actions(nets, batch, action_key)
        drawn, drawn_recorded = critic, recorded
        if self.critic_subset is not None:
            drawn, drawn_recorded = subset((critic, recorded), self.critic_subset, subset_key, self.subset_replacement)
        sampled = self.bound(self.sampled_values(drawn, batch, actions, log_densities, draw_key), batch)
        gap = jnp.mean(self.conservative_gap(sampled, drawn_recorded, log_densities))
        weight = self.conservative_weight if self.target_gap is None else getattr(nets, WEIGHT)()
        metrics = {"value/critic": jnp.mean(recorded), "loss/temporal_difference": loss, "value/conservative_gap": gap}
        return loss + weight * self.critics * gap, metrics

    def step(self, state: State, name: str, batch: Batch, key: PRNGKeyArray) -> tuple[State, Metrics]:
        """One optimiser step on one network; the adapted weight moves with the critics."""
        state, metrics = super().step(state, name, batch, key)
        if name != "critic" or self.target_gap is None:
            return state, metrics
        excess = metrics["value/conservative_gap"] - self.target_gap
        gradients = jax.grad(lambda weight: -weight() * excess)(state.nets[WEIGHT])
        changes, optimizer = self.optimizer(WEIGHT).update(gradients, state.optimizers[WEIGHT])
        weight = optax.apply_updates(state.nets[WEIGHT], changes)
        state = state.replace(nets=state.nets | {WEIGHT: weight}, optimizers=state.optimizers | {WEIGHT: optimizer})
        return state, metrics | {"policy/conservative_weight": state.nets[WEIGHT]()}


@dataclass(frozen=True, kw_only=True)
class DiscreteCQL(DQN):
    """Double DQN whose values are pushed down on all choices, by their log-sum-exp, and up on the recorded one."""

    name: ClassVar[str] = "discrete-cql"
    default_data_ratio: ClassVar[float] = 0.5

    conservative_weight: float = 0.1
    """Weight of the conservative term; 0.1 in the code that the other defaults are from, 1 to 4 in the paper's."""

    def critic_loss(self, critic: Any, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> tuple[Array, Metrics]:
        """Temporal differences plus the weighted conservative gap (equation 4, exactly)."""
        loss, metrics = super().critic_loss(critic, nets, batch, key)
        values = self.action_values(critic, batch.observations, key)
        gap = jnp.mean(jax.nn.logsumexp(values, axis=-1) - chosen(values, batch.actions))
        return loss + self.conservative_weight * gap, metrics | {"value/conservative_gap": gap}
