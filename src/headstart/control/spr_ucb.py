"""Self-predictive representations with an elliptical bonus (Qiu et al., 2022, arXiv 2207.14800: the deep form).

A categorical value distribution (Bellemare et al., 2017, arXiv 1707.06887) whose encoder also learns to predict its own
next output (SPR, Schwarzer et al., 2021, arXiv 2007.05929). The probabilities of the atoms of the choice taken are
features; a bonus for directions of them that were seen little is added to rewards in the target alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from headstart.control.dqn import DQN
from headstart.control.elliptical_bonus import EllipticalBonus
from headstart.control.method import Metrics, State
from headstart.control.networks import MLP
from headstart.core.errors import UsageError
from headstart.core.specs import Spec
from headstart.data.batch import Batch


class PredictiveCritic(eqx.Module):
    """Distributions of the return on a latent state, and a model of how that moves."""

    encoder: MLP
    """From observations to latents."""
    head: MLP
    """From latents to logits of every choice's atoms."""
    model: MLP
    """From a latent and a choice to what comes next."""
    predictor: MLP
    """From there to the next latent."""
    atoms: int = eqx.field(static=True)

    def __call__(self, observations: Float[Array, "*batch observation"]) -> Float[Array, "*batch choices atoms"]:
        """Logarithms of the atoms' probabilities."""
        logits = self.head(self.encoder(observations))
        return jax.nn.log_softmax(logits.reshape(*logits.shape[:-1], -1, self.atoms))

    def predict(
        self, observations: Float[Array, "*batch observation"], choices: Float[Array, "*batch choices"]
    ) -> Float[Array, "*batch latent"]:
        """The next latent, the choices taken given one-hot."""
        latent = self.encoder(observations)
        return self.predictor(self.model(jnp.concatenate([latent, choices], -1)))


def project(
    probabilities: Float[Array, "batch atoms"],
    values: Float[Array, "batch atoms"],
    support: Float[Array, " atoms"],
) -> Float[Array, "batch atoms"]:
    """A distribution on any values as one on evenly spaced ones of the same mean: each mass is shared between its two
    neighbours (Bellemare et al., 2017, algorithm 1); what lies outside counts as the end."""
    spacing = support[1] - support[0]
    place = (jnp.clip(values, support[0], support[-1]) - support[0]) / spacing
    share = jnp.clip(1 - jnp.abs(place[:, :, None] - jnp.arange(len(support))), 0, 1)
    return jnp.einsum("bi,bij->bj", probabilities, share)


@dataclass(frozen=True, kw_only=True)
class SPRUCB(DQN):
    """Categorical DQN that predicts its own next latent and explores with an elliptical bonus.

    The official code works on frames, with five predicted steps, ten-step returns, a duelling network and noise in its
    weights. Here observations are vectors, one step is predicted and summed, and exploring is ε-greedy beside the
    bonus.
    """

    name: ClassVar[str] = "spr-ucb"

    hidden: tuple[int, ...] = (256,)
    """Widths of the hidden layers of the encoder, the head and the model."""
    latent: int = 128
    """Width of the latent state."""
    atoms: int = 51
    """Of each distribution; the features have as many dimensions."""
    lowest: float = -10.0
    """Least return that the atoms can stand for; bonuses are part of returns."""
    highest: float = 10.0
    """Largest."""
    prediction_weight: float = 5.0
    """Of the self-predictive loss (SPR's)."""
    bonus_factor: float = 1.0
    """Of the bonus, as in the official runs; 0 gives SPR without it."""
    bonus_ridge: float = 1e-5
    """Of the design. It is never begun anew: features that change are counted as they were (the official code's)."""

    def check(self, spec: Spec) -> None:
        """Refuse settings that cannot be, besides worlds with other than discrete actions."""
        super().check(spec)
        self._rule()
        if self.n_step != 1:
            raise UsageError(f"n_step is {self.n_step}; spr-ucb predicts the very next observation and needs 1")
        if self.atoms < 2 or not self.lowest < self.highest or self.latent < 1:
            raise UsageError(
                f"atoms is {self.atoms} from {self.lowest} to {self.highest}, latent {self.latent}; expected at least "
                "2 atoms, lowest below highest, and a latent of at least 1"
            )

    def networks(self, spec: Spec, key: PRNGKeyArray) -> dict[str, Any]:
        """The critic, and the design of the features seen."""
        keys = jax.random.split(key, 4)
        critic = PredictiveCritic(
            self.perceptron(spec.observation_size, self.latent, keys[0]),
            self.perceptron(self.latent, spec.action_size * self.atoms, keys[1]),
            self.perceptron(self.latent + spec.action_size, self.latent, keys[2]),
            replace(self, hidden=()).perceptron(self.latent, self.latent, keys[3]),
            self.atoms,
        )
        return {"critic": critic, "design": self._rule().init(self.atoms)}

    @property
    def support(self) -> Float[Array, " atoms"]:
        """The returns that the atoms stand for."""
        return jnp.linspace(self.lowest, self.highest, self.atoms)

    def action_values(
        self, critic: Any, observations: Float[Array, "*batch observation"], key: PRNGKeyArray | None = None
    ) -> Float[Array, "*batch choices"]:
        """Means of the distributions."""
        return jnp.exp(critic(observations)) @ self.support

    def update(self, state: State, batch: Batch, key: PRNGKeyArray) -> tuple[State, Metrics]:
        """Add the batch's features to the design, then learn as DQN does."""
        features = jnp.exp(_of_choice(state.nets["critic"](batch.observations), batch))
        design = self._rule().add(state.nets["design"], features)
        return super().update(state.replace(nets=state.nets | {"design": design}), batch, key)

    def critic_loss(self, critic: Any, nets: SimpleNamespace, batch: Batch, key: PRNGKeyArray) -> tuple[Array, Metrics]:
        """Cross-entropy to the projected target with the bonus, and one minus the cosine of the predicted latent."""
        choice = self.next_choice(nets, batch, key)
        later = jnp.exp(_of_choice(nets.target_critic(batch.next_observations), batch._replace(actions=choice)))
        bonus = self._rule().bonus(nets.design, jnp.exp(_of_choice(nets.critic(batch.observations), batch)))
        going_on = (batch.discounts * (1 - batch.terminations))[:, None]
        target = project(later, (batch.rewards + bonus)[:, None] + going_on * self.support, self.support)
        learned = _of_choice(critic(batch.observations), batch)
        fit = -jnp.mean(jnp.sum(jax.lax.stop_gradient(target) * learned, -1))

        choices = critic.model.layers[0].weight.shape[0] - self.latent
        predicted = critic.predict(batch.observations, jax.nn.one_hot(batch.actions, choices))
        seen = jax.lax.stop_gradient(nets.critic.encoder(batch.next_observations))
        prediction = jnp.mean(1 - _cosine(predicted, seen))
        metrics = {"value/critic": jnp.mean(jnp.exp(learned) @ self.support), "bonus": jnp.mean(bonus)}
        return fit + self.prediction_weight * prediction, metrics | {"loss/prediction": prediction}

    def _rule(self) -> EllipticalBonus:
        return EllipticalBonus(self.bonus_factor, self.bonus_ridge)


def _of_choice(distributions: Float[Array, "batch choices atoms"], batch: Batch) -> Float[Array, "batch atoms"]:
    return jnp.take_along_axis(distributions, batch.actions[:, None, None], 1)[:, 0]


def _cosine(a: Float[Array, "batch latent"], b: Float[Array, "batch latent"]) -> Float[Array, " batch"]:
    lengths = jnp.sqrt(jnp.sum(a**2, -1) * jnp.sum(b**2, -1) + 1e-12)
    return jnp.sum(a * b, -1) / lengths
