"""Proximal policy optimisation (Schulman et al., 2017, arXiv 1707.06347), with the details of CleanRL's code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from headstart.control.distributions import Normal
from headstart.control.method import Method, Metrics, State
from headstart.control.networks import MLP, CategoricalActor, Value
from headstart.core.errors import UsageError
from headstart.core.specs import Spec

if TYPE_CHECKING:
    from headstart.control.plan import Phase

LIMIT = 10.0
"""Standardised observations and scaled rewards are kept within ± this."""


class Rollout(NamedTuple):
    """What the current policy met, along axes of time and of worlds.

    Attributes:
        observations: where it acted, float32.
        actions: what it chose, before they are clipped to [-1, 1]; or choices.
        log_probs: their log density.
        values: what it thought of ``observations``.
        rewards: what followed.
        terminations: whether the world truly ended there.
        truncations: whether an episode was cut off there.
        next_values: what it thought of the true successors, never of a reset observation.
    """

    observations: Float[Array, "time worlds observation"]
    actions: Array
    log_probs: Float[Array, "time worlds"]
    values: Float[Array, "time worlds"]
    rewards: Float[Array, "time worlds"]
    terminations: Bool[Array, "time worlds"]
    truncations: Bool[Array, "time worlds"]
    next_values: Float[Array, "time worlds"]


class Choice(NamedTuple):
    """Actions of the exploring policy, with what a rollout keeps of them."""

    actions: Array
    log_probs: Float[Array, " worlds"]
    values: Float[Array, " worlds"]


class Statistics(eqx.Module):
    """Running mean and variance of everything seen so far."""

    mean: Float[Array, "*shape"]
    variance: Float[Array, "*shape"]
    count: Float[Array, ""]

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> Statistics:
        """Mean 0 and variance 1, soon outweighed."""
        return cls(jnp.zeros(shape), jnp.ones(shape), jnp.asarray(1e-4))

    def including(self, rows: Float[Array, "rows ..."]) -> Statistics:
        """The statistics once these rows are seen too (Chan et al., 1979)."""
        count = self.count + rows.shape[0]
        gap, share = jnp.mean(rows, 0) - self.mean, rows.shape[0] / count
        variance = self.variance * (1 - share) + jnp.var(rows, 0) * share + jnp.square(gap) * share * (1 - share)
        return Statistics(self.mean + gap * share, variance, count)

    def standardize(self, x: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
        """Mean 0 and variance 1, within ±``LIMIT``."""
        return jnp.clip((x - self.mean) * jax.lax.rsqrt(self.variance + 1e-8), -LIMIT, LIMIT)


class UnboundedGaussianActor(eqx.Module):
    """A Gaussian with an unbounded mean and one free vector of log standard deviations."""

    trunk: MLP
    log_std: Float[Array, " action"]

    def __call__(self, observations: Float[Array, "*batch observation"]) -> Normal:
        """The distribution of actions, before clipping, at each observation."""
        mean = self.trunk(observations)
        return Normal(mean, jnp.broadcast_to(jnp.exp(self.log_std), mean.shape))


@dataclass(frozen=True, kw_only=True)
class PPO(Method):
    """Collect a rollout, estimate advantages, and take many clipped policy-gradient steps on it; then forget it.

    Defaults are those of CleanRL for continuous actions.
    """

    name: ClassVar[str] = "ppo"
    discrete: ClassVar[bool] = True
    offline: ClassVar[bool] = False
    on_policy: ClassVar[bool] = True
    order: ClassVar[tuple[str, ...]] = ()
    targeted: ClassVar[tuple[str, ...]] = ()

    hidden: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers of policy and value, which share none."""
    rollout_steps: int = 2048
    """Steps that each world takes between two rounds of learning."""
    epochs: int = 10
    """Passes over a rollout."""
    minibatches: int = 32
    """Parts that a rollout is shuffled into at every pass."""
    trace_decay: float = 0.95
    """λ of generalised advantage estimation."""
    clip: float = 0.2
    """How far the probability ratio may move before it stops counting (ε, equation 7)."""
    clip_values: bool = True
    """Whether values may only move as far from their former estimate."""
    entropy_weight: float = 0.0
    """Weight of the policy's entropy in what is maximised (c₂, equation 9)."""
    value_weight: float = 0.5
    """Weight of the value loss (c₁, equation 9)."""
    max_gradient_norm: float = 0.5
    """The gradient of all parameters together is shortened to this length."""
    annealing_rollouts: int | Literal["plan"] | None = "plan"
    """Rollouts over which the step size falls linearly to zero: those of the plan ("plan"), or so many (488 are a
    million steps in one world); None keeps it constant."""
    running_observation_scale: bool = True
    """Standardise observations with statistics of all that were met so far."""
    running_reward_scale: bool = True
    """Divide rewards by the standard deviation of discounted returns so far."""

    def networks(self, spec: Spec, key: PRNGKeyArray) -> dict[str, Any]:
        """Policy, value, and the statistics of observations and of discounted returns."""
        actor_key, critic_key = jax.random.split(key)
        trunk = self._perceptron(spec, spec.action_size, actor_key, 0.01)
        actor = CategoricalActor(trunk) if spec.discrete else UnboundedGaussianActor(trunk, jnp.zeros(spec.action_size))
        return {
            "actor": actor,
            "value": Value(self._perceptron(spec, 1, critic_key, 1.0)),
            "observations": Statistics.empty((spec.observation_size,)),
            "returns": Statistics.empty(()),
        }

    def _perceptron(self, spec: Spec, outputs: int, key: PRNGKeyArray, final_scale: float) -> MLP:
        return MLP(
            spec.observation_size,
            outputs,
            self.hidden,
            key,
            activation="tanh",
            initializer="orthogonal",
            final_scale=final_scale,
        )

    def for_plan(self, plan: Sequence[Phase], worlds: int) -> PPO:
        """The method with the number of the plan's rollouts filled in."""
        if self.annealing_rollouts != "plan":
            return self
        rollout = self.rollout_steps * worlds
        return replace(self, annealing_rollouts=sum(-(-phase.steps // rollout) for phase in plan))

    def optimizer(self, name: str) -> optax.GradientTransformation:
        """Adam on policy and value together, after shortening the gradient."""
        rate = self.learning_rate
        if isinstance(self.annealing_rollouts, int):
            steps = self.annealing_rollouts * self.epochs * self.minibatches
            rate = optax.linear_schedule(self.learning_rate, 0.0, steps)
        return optax.chain(optax.clip_by_global_norm(self.max_gradient_norm), optax.adam(rate, eps=1e-5))

    def init(self, key: PRNGKeyArray, spec: Spec) -> State:
        """A fresh state, whose one optimiser holds policy and value."""
        state = super().init(key, spec)
        learned = {name: state.nets[name] for name in ("actor", "value")}
        return state.replace(optimizers={"networks": self.optimizer("networks").init(learned)})

    def scaled(self, nets: dict[str, Any], observations: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
        """Observations as policy and value see them."""
        return nets["observations"].standardize(observations) if self.running_observation_scale else observations

    def act(
        self, state: State, observation: Float[Array, "*batch observation"], key: PRNGKeyArray, explore: bool
    ) -> Array:
        """Actions in [-1, 1], or choices; sampled when exploring, the mode when not."""
        distribution = state.nets["actor"](self.scaled(state.nets, observation))
        return distribution.sample(key) if explore else distribution.mode()

    def value(self, state: State, observations: Float[Array, "*batch observation"]) -> Float[Array, "*batch"]:
        """Value of observations; a rollout's ``next_values`` are those of the true successors."""
        return state.nets["value"](self.scaled(state.nets, observations))

    def choose(self, state: State, observations: Float[Array, "worlds observation"], key: PRNGKeyArray) -> Choice:
        """Exploring actions for a rollout. Those of a Box are unbounded: clip them to [-1, 1] to act with them."""
        distribution = state.nets["actor"](self.scaled(state.nets, observations))
        if isinstance(distribution, Normal):
            actions = distribution.mean + distribution.std * jax.random.normal(key, distribution.mean.shape)
        else:
            actions = distribution.sample(key)
        return Choice(actions, distribution.log_prob(actions), self.value(state, observations))

    def advantages(self, rollout: Rollout) -> Float[Array, "time worlds"]:
        """Generalised advantage estimates (Schulman et al., 2016).

        A termination has no value after it; a truncation has that of the true successor; traces stop at both.
        """
        goes_on = 1.0 - rollout.terminations
        errors = rollout.rewards + self.discount * goes_on * rollout.next_values - rollout.values
        decay = self.discount * self.trace_decay * goes_on * (1.0 - rollout.truncations)

        def back(later: Array, step: tuple[Array, Array]) -> tuple[Array, Array]:
            error, decay = step
            advantage = error + decay * later
            return advantage, advantage

        return jax.lax.scan(back, jnp.zeros_like(errors[0]), (errors, decay), reverse=True)[1]

    def discounted_returns(self, rollout: Rollout) -> Float[Array, "time worlds"]:
        """Discounted sums of the rewards so far, from the start of the rollout or of the episode."""
        keep = 1.0 - (rollout.terminations | rollout.truncations)

        def forward(total: Array, step: tuple[Array, Array]) -> tuple[Array, Array]:
            reward, keep = step
            total = self.discount * total + reward
            return total * keep, total

        return jax.lax.scan(forward, jnp.zeros_like(rollout.rewards[0]), (rollout.rewards, keep))[1]

    def policy_loss(
        self, log_probs: Float[Array, " rows"], old_log_probs: Float[Array, " rows"], advantages: Float[Array, " rows"]
    ) -> Float[Array, ""]:
        """Minus the clipped surrogate objective (equation 7)."""
        ratio = jnp.exp(log_probs - old_log_probs)
        clipped = jnp.clip(ratio, 1 - self.clip, 1 + self.clip)
        return -jnp.mean(jnp.minimum(ratio * advantages, clipped * advantages))

    def value_loss(
        self, values: Float[Array, " rows"], old_values: Float[Array, " rows"], returns: Float[Array, " rows"]
    ) -> Float[Array, ""]:
        """Half the squared error, the worse of it with and without clipping."""
        error = jnp.square(values - returns)
        if self.clip_values:
            moved = old_values + jnp.clip(values - old_values, -self.clip, self.clip)
            error = jnp.maximum(error, jnp.square(moved - returns))
        return 0.5 * jnp.mean(error)

    def loss(
        self, learned: dict[str, Any], rows: Rollout, advantages: Float[Array, " rows"], returns: Float[Array, " rows"]
    ) -> tuple[Array, Metrics]:
        """Policy, value and entropy together (equation 9), on standardised observations and advantages."""
        distribution = learned["actor"](rows.observations)
        log_probs = distribution.log_prob(rows.actions)
        advantages = (advantages - jnp.mean(advantages)) / (jnp.std(advantages, ddof=1) + 1e-8)
        policy_loss = self.policy_loss(log_probs, rows.log_probs, advantages)
        value_loss = self.value_loss(learned["value"](rows.observations), rows.values, returns)
        entropy = jnp.mean(distribution.entropy())
        moved = log_probs - rows.log_probs
        metrics = {
            "loss/actor": policy_loss,
            "loss/value": value_loss,
            "policy/entropy": entropy,
            "policy/divergence": jnp.mean(jnp.expm1(moved) - moved),
            "policy/clipped": jnp.mean(jnp.abs(jnp.expm1(moved)) > self.clip),
        }
        return policy_loss + self.value_weight * value_loss - self.entropy_weight * entropy, metrics

    def update_from_rollout(self, state: State, rollout: Rollout, key: PRNGKeyArray) -> tuple[State, Metrics]:
        """``epochs`` passes over one rollout; metrics are means over their steps.

        Raises:
            UsageError: the rollout does not divide into ``minibatches``.
        """
        rows = rollout.rewards.size
        if rows % self.minibatches:
            raise UsageError(f"a rollout of {rows} steps does not divide into {self.minibatches} minibatches")
        statistics = {name: state.nets[name] for name in ("observations", "returns")}
        if self.running_reward_scale:
            statistics["returns"] = statistics["returns"].including(self.discounted_returns(rollout).reshape(-1))
            scale = jax.lax.rsqrt(statistics["returns"].variance + 1e-8)
            rollout = rollout._replace(rewards=jnp.clip(rollout.rewards * scale, -LIMIT, LIMIT))
        advantages = self.advantages(rollout)
        table = (
            rollout._replace(observations=self.scaled(state.nets, rollout.observations)),
            advantages,
            advantages + rollout.values,
        )
        table = jax.tree.map(lambda column: column.reshape(rows, *column.shape[2:]), table)
        optimizer = self.optimizer("networks")

        def step(carry: tuple[Any, Any], chosen: Array) -> tuple[tuple[Any, Any], Metrics]:
            learned, memory = carry
            part = jax.tree.map(lambda column: column[chosen], table)
            gradients, metrics = jax.grad(self.loss, has_aux=True)(learned, *part)
            changes, memory = optimizer.update(gradients, memory, learned)
            return (optax.apply_updates(learned, changes), memory), metrics

        orders = jax.vmap(lambda key: jax.random.permutation(key, rows))(jax.random.split(key, self.epochs))
        learned = {name: state.nets[name] for name in ("actor", "value")}
        (learned, memory), metrics = jax.lax.scan(
            step, (learned, state.optimizers["networks"]), orders.reshape(self.epochs * self.minibatches, -1)
        )
        # Only now: the log-probabilities of the rollout are those of observations scaled as before.
        statistics["observations"] = statistics["observations"].including(
            rollout.observations.reshape(rows, *rollout.observations.shape[2:])
        )
        state = state.replace(
            nets=state.nets | learned | statistics,
            optimizers={"networks": memory},
            updates=state.updates + self.epochs * self.minibatches,
        )
        return state, jax.tree.map(jnp.mean, metrics)


@dataclass(frozen=True, kw_only=True)
class DiscretePPO(PPO):
    """PPO with CleanRL's defaults for discrete actions, which it acts in several (4) worlds at once with."""

    name: ClassVar[str] = "ppo-discrete"
    continuous: ClassVar[bool] = False

    learning_rate: float = 2.5e-4
    """Adam's step size."""
    rollout_steps: int = 128
    """Steps that each world takes between two rounds of learning."""
    epochs: int = 4
    """Passes over a rollout."""
    minibatches: int = 4
    """Parts that a rollout is shuffled into at every pass."""
    entropy_weight: float = 0.01
    """Weight of the policy's entropy in what is maximised."""
    running_observation_scale: bool = False
    """Standardise observations with statistics of all that were met so far."""
    running_reward_scale: bool = False
    """Divide rewards by the standard deviation of discounted returns so far."""
