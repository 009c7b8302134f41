"""Thompson sampling with linear rewards (Agrawal and Goyal, 2013)."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from headstart.bandits.bandit import BanditSpec, Context
from headstart.bandits.lin_ucb import LinearState
from headstart.bandits.linear_model import LinearModel
from headstart.bandits.posterior_sampling import PosteriorSampling
from headstart.bandits.ucb import noise_bound


@dataclass(frozen=True)
class LinThompson(PosteriorSampling):
    """Pull the best arm of one draw of the parameter from its normal posterior."""

    deviation: float | None = None
    """Standard deviation of the noise, by which the posterior is scaled; None takes half the range of bounded rewards.
    The analysis of 2013 multiplies it by sqrt(9 features log(t / delta)), which explores more than is needed."""
    ridge: float = 1.0
    """Weight of the squared norm of the parameter; the prior's precision times the noise's variance."""
    disjoint: bool = False
    """A parameter for each arm, in place of one that all share."""

    def init(self, spec: BanditSpec, key: PRNGKeyArray) -> LinearState:
        """Nothing seen yet."""
        model = LinearModel.empty(spec, self.ridge, self.disjoint)
        return LinearState(model, jnp.float32(noise_bound(spec, self.deviation)))

    def sample(self, state: LinearState, context: Context, key: PRNGKeyArray) -> Float[Array, " arms"]:
        """Predicted rewards of a parameter drawn from the posterior."""
        model = state.model
        noise = jax.random.normal(key, model.moment.shape)
        drawn = model.parameters + state.deviation * jnp.einsum("mij,mj->mi", jnp.linalg.cholesky(model.inverse), noise)
        return jnp.sum(context * drawn, axis=1)

    def observe(self, state: LinearState, context, action, reward, propensity) -> LinearState:
        """Add to the regression."""
        return state._replace(model=state.model.add(context, action, reward))
