"""Twin delayed deep deterministic policy gradient (Fujimoto et al., 2018, arXiv 1802.09477)."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from headstart.control.actor_critic import ActorCritic
from headstart.control.method import Metrics, State, td_target
from headstart.control.networks import evaluate, member
from headstart.data.batch import Batch


@dataclass(frozen=True, kw_only=True)
class TD3(ActorCritic):
    """TD3: a deterministic policy, two critics, smoothed target actions, and a policy that learns half as often.

    Defaults are those of the authors' current code (github.com/sfujim/TD3): 256×256 networks, batches of 256 and step
    size 3e-4 in place of the paper's 400×300, 100 and 1e-3.
    """

    name: ClassVar[str] = "td3"
    policy: ClassVar[str] = "deterministic"
    targeted: ClassVar[tuple[str, ...]] = ("critic", "actor")

    policy_delay: int = 2
    """Critic updates for each update of the policy and of the targets (section 5.2)."""
    target_noise: float = 0.2
    """Standard deviation of the noise on the target policy's actions, in units of [-1, 1] (section 5.3)."""
    target_noise_clip: float = 0.5
    """Largest such noise."""
    exploration_noise: float = 0.1
    """Standard deviation of the noise on actions while exploring (section 6.1)."""

    def next_actions(self, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> Float[Array, "batch action"]:
        """What the target policy does next, with clipped noise (section 5.3)."""
        actions = nets.target_actor(batch.next_observations).mode()
        noise = self.target_noise * jax.random.normal(key, actions.shape)
        return jnp.clip(actions + jnp.clip(noise, -self.target_noise_clip, self.target_noise_clip), -1, 1)

    def next_value(self, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> Float[Array, " batch"]:
        """The lower of the target critics' values of the next action (section 4.2)."""
        actions = self.next_actions(nets, batch, key)
        return jnp.min(evaluate(nets.target_critic, batch.next_observations, actions), 0)

    def critic_loss(self, critic: Any, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> tuple[Array, Metrics]:
        """Squared distance of every critic to the one target."""
        target = td_target(batch, self.next_value(nets, batch, key))
        values = evaluate(critic, batch.observations, batch.actions)
        return jnp.mean(jnp.sum(jnp.square(values - target), 0)), {"value/critic": jnp.mean(values)}

    def actor_loss(self, actor: Any, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> tuple[Array, Metrics]:
        """Minus the first critic's value of the policy's action (deterministic policy gradient)."""
        actions = actor(batch.observations).mode()
        return -jnp.mean(member(nets.critic, 0)(batch.observations, actions)), {}

    def update(self, state: State, batch: Batch, key: PRNGKeyArray) -> tuple[State, Metrics]:
        """A step of the critics; every ``policy_delay`` times, also one of the policy and the targets."""
        critic_key, actor_key = jax.random.split(key)
        state, metrics = self.step(state, "critic", batch, critic_key)
        state = state.replace(updates=state.updates + 1)

        def improve(state: State) -> tuple[State, Metrics]:
            state, more = self.step(state, "actor", batch, actor_key)
            return self.move_targets(state), more

        def wait(state: State) -> tuple[State, Metrics]:
            loss, more = self.actor_loss(state.nets["actor"], state.views(), batch, actor_key)
            return state, {"loss/actor": loss, **more}

        state, more = jax.lax.cond(state.updates % self.policy_delay == 0, improve, wait, state)
        return state, metrics | more

    def act(
        self, state: State, observation: Float[Array, "*batch observation"], key: PRNGKeyArray, explore: bool
    ) -> Float[Array, "*batch action"]:
        """The policy's action, with Gaussian noise when exploring."""
        actions = state.nets["actor"](observation).mode()
        if not explore:
            return actions
        return jnp.clip(actions + self.exploration_noise * jax.random.normal(key, actions.shape), -1, 1)
