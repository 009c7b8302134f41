"""Learn from recorded data alone and then play: what the experiments on datasets share."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from headstart.control import programs
from headstart.control.evaluation import Evaluation, evaluate_functional
from headstart.control.method import Method
from headstart.control.preprocessing import Preprocessor, with_transformed_rewards
from headstart.control.recipes.small_worlds import SMALL_WORLD_RECIPES
from headstart.core.errors import DivergenceError
from headstart.data.columns import COLUMNS
from headstart.data.experience import Experience
from headstart.data.replay import Replay
from headstart.envs.functional import FunctionalWorld


def record_dataset(name: str, seed: int, transitions: int | None = None) -> Experience:
    """A dataset of a small world by its recipe's name, in memory; as many transitions as the recipe has by default."""
    recipe = {recipe.name: recipe for recipe in SMALL_WORLD_RECIPES}[name]
    recording = recipe.record(transitions or recipe.transitions, seed, False)
    parts = list(recording.rows)
    columns = {column: np.concatenate([part[column] for part in parts]) for column in COLUMNS}
    return Experience(recording.spec, columns, {"name": name, "world": recipe.world})


class OfflineLearner:
    """A method learning from one dataset.

    Learners of equal methods whose replays have equal shapes share one compiled program; ``capacity`` makes shapes
    equal where datasets are not.

    Args:
        method: the method.
        data: what it learns from; a method that selects part of it does so here.
        seed: all randomness comes from it.
        reward_scale: rewards are multiplied by this for learning.
        weights: sampling weight of every row; None for uniform.
        capacity: rows to make room for.
    """

    def __init__(
        self,
        method: Method,
        data: Experience,
        seed: int,
        *,
        reward_scale: float = 1.0,
        weights: Float[np.ndarray, " rows"] | None = None,
        capacity: int | None = None,
    ):
        data = with_transformed_rewards(method.select(data), reward_scale, 0.0)
        self.method, self.key, self.updates = method, jax.random.key(seed), 0
        standardise = method.normalize_observations
        self.preprocessor = Preprocessor.standardizing(data) if standardise else Preprocessor.identity(data.spec)
        self.state = programs.initialise(method, data.spec, jax.random.fold_in(self.key, 0))
        self.replay = Replay.from_experience(data, method.discount, method.n_step, weights=weights, capacity=capacity)

    def learn(self, updates: int) -> OfflineLearner:
        """Go on learning; returns itself.

        Raises:
            DivergenceError: a network is no longer finite.
        """
        step, key = jnp.asarray(self.updates), jax.random.fold_in(self.key, 1)
        self.state, _ = programs.learn_offline(
            self.method, self.preprocessor, self.state, self.replay, key, step, updates
        )
        self.updates += updates
        if not programs.all_finite(self.state):
            raise DivergenceError(f"{self.method.name} diverged within {self.updates} updates")
        return self

    def evaluate(self, world: FunctionalWorld, episodes: int) -> Evaluation:
        """Greedy episodes, from the same starts for all learners of one seed."""
        key = jax.random.fold_in(self.key, 2)
        return evaluate_functional(self.method, world, self.preprocessor, self.state, key, episodes)
