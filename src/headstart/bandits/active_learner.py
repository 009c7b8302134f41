"""Train a policy of asking, then ask with it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from headstart.bandits.active_learning import Game
from headstart.bandits.active_minimax import Policy, States
from headstart.bandits.active_training import Adversary
from headstart.core.errors import DataError, UsageError
from headstart.core.files import write_atomically

History = Sequence[tuple[int, int]]
"""Questions asked and their answers, +1 or -1, in their order."""


class Certificate(NamedTuple):
    """How good a trained policy is on the problems it was trained on.

    Attributes:
        levels: of difficulty.
        achievable: for each level the worst error of a policy trained for it alone.
        worst: for each level the worst error of this policy.
        upper: its largest gap to ``achievable``, over levels.
        lower: no policy has a smaller largest gap.
    """

    levels: tuple[float, ...]
    achievable: tuple[float, ...]
    worst: tuple[float, ...]
    upper: float
    lower: float


@dataclass(frozen=True, eq=False)
class ActiveLearner:
    """A policy of asking that is nearly as good at every level of difficulty as one made for that level.

    Made by ``train``. One training takes two phases: a policy for each level alone shows what can be achieved there;
    one for all levels at once is then as close to that as possible where it is furthest from it.

    Attributes:
        game: what is asked.
        policy: probabilities of the next question in every state.
        certificate: how good it is.
    """

    game: Game
    policy: Policy
    certificate: Certificate

    @classmethod
    def train(
        cls, game: Game, levels: Sequence[float], adversary: Adversary | None = None, seed: int = 0
    ) -> ActiveLearner:
        """Solve the game exactly for problems found at each level of difficulty.

        Args:
            game: what is asked.
            levels: of difficulty, a rough number of answers that the right hypothesis needs.
            adversary: finds the problems; a fresh ``Adversary()`` by default.
            seed: of the search.

        Raises:
            UsageError: no problem is that easy, or the game is too large for tables.
        """
        states = States.of(game)
        solved = (adversary or Adversary()).train(states, levels, np.random.default_rng(seed))
        reached = states.reach(solved.robust.policy).astype(np.float32)
        worst = tuple(float((table @ reached).max()) for table in solved.tables)
        achievable = tuple(alone.upper for alone in solved.specialists)
        facts = Certificate(tuple(levels), achievable, worst, solved.robust.upper, solved.robust.lower)
        return cls(game, solved.robust.policy, facts)

    def probabilities(self, history: History) -> Float[np.ndarray, " questions"]:
        """Of what to ask next.

        Raises:
            UsageError: the budget is spent, or the history is not one of this game.
        """
        if len(history) >= self.game.budget:
            raise UsageError(f"all {self.game.budget} questions are asked; recommend the answer")
        states, state = self._states, 0
        for number, (question, answer) in enumerate(self._checked(history)):
            state = states.children[number][state, question, 0 if answer > 0 else 1]
        return self.policy[len(history)][state]

    def next_query(self, history: History, generator: np.random.Generator | None = None) -> int:
        """What to ask next: drawn where there is a generator, else what is likeliest."""
        probabilities = self.probabilities(history)
        return int(
            probabilities.argmax() if generator is None else generator.choice(len(probabilities), p=probabilities)
        )

    def recommend(self, history: History) -> int:
        """The hypothesis that agrees most with the answers; the first of several."""
        counts = np.zeros((1, self.game.questions, 2), int)
        for question, answer in self._checked(history):
            counts[0, question, 0 if answer > 0 else 1] += 1
        return int(self.game.recommend(counts)[0].argmax())

    def save(self, path: Path | str) -> None:
        """Write it to one .npz file."""
        layers: dict[str, Any] = {f"policy_{number}": layer for number, layer in enumerate(self.policy)}
        numbers: dict[str, Any] = {name: np.asarray(value) for name, value in self.certificate._asdict().items()}
        content = io.BytesIO()
        columns: dict[str, Any] = {"hypotheses": self.game.hypotheses, "budget": self.game.budget, **numbers, **layers}
        np.savez_compressed(content, **columns)
        write_atomically(path, content.getvalue())

    @classmethod
    def load(cls, path: Path | str) -> ActiveLearner:
        """Read what ``save`` wrote.

        Raises:
            DataError: the file is missing or not such a file.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                game = Game(file["hypotheses"], int(file["budget"]))
                policy = [file[f"policy_{number}"] for number in range(game.budget)]
                levels, achievable, worst = (tuple(file[name].tolist()) for name in Certificate._fields[:3])
                return cls(
                    game, policy, Certificate(levels, achievable, worst, float(file["upper"]), float(file["lower"]))
                )
        except (OSError, KeyError, ValueError) as error:
            raise DataError(f"{path} holds no trained policy of asking: {error}") from error

    @cached_property
    def _states(self) -> States:
        return States.of(self.game)

    def _checked(self, history: History) -> History:
        for question, answer in history:
            if not 0 <= question < self.game.questions or answer not in (-1, 1):
                raise UsageError(
                    f"a history is pairs of a question from 0 to {self.game.questions - 1} and an answer, +1 or -1; "
                    f"given {question, answer}"
                )
        return history
