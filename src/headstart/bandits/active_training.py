"""Problems that a policy of asking is trained on, and the exact solutions for them.

What counts is the worst problem of a level of difficulty, and a random draw hardly ever holds it. So an adversary looks
for it: of many fresh problems those on which the present solutions do worst are added, and the game is solved again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from headstart.bandits.active_learning import draw_problems
from headstart.bandits.active_minimax import Minimax, States, solve


class Solutions(NamedTuple):
    """What came of training.

    Attributes:
        tables: losses of each level's problems, from ``States.losses``.
        specialists: the solution for each level alone; its upper end is what can be achieved there.
        robust: the solution for all levels, compared with what can be achieved.
    """

    tables: list[Float[np.ndarray, "problems final"]]
    specialists: list[Minimax]
    robust: Minimax

    @property
    def everything(self) -> Float[np.ndarray, "problems final"]:
        """Losses of all levels' problems."""
        return np.concatenate(self.tables)

    @property
    def targets(self) -> Float[np.ndarray, " problems"]:
        """What can be achieved at the level of each of these problems."""
        return np.concatenate([np.full(len(t), s.upper) for t, s in zip(self.tables, self.specialists, strict=True)])


@dataclass(frozen=True)
class Adversary:
    """How problems are found.

    Attributes:
        problems: drawn at each level to begin with.
        rounds: how often more are looked for.
        candidates: fresh problems at each level in a round.
        added: most of them that are kept for each solution that they are bad for.
        iterations: of each solution; those before the last are half as long.
    """

    problems: int = 240
    rounds: int = 4
    candidates: int = 4000
    added: int = 30
    iterations: int = 200

    def train(self, states: States, levels: Sequence[float], generator: np.random.Generator) -> Solutions:
        """Solve the game for problems of these levels of difficulty.

        Raises:
            UsageError: no problem is as easy as the least level.
        """
        game = states.game
        tables = [states.losses(draw_problems(game, level, self.problems, generator)) for level in levels]
        for _ in range(self.rounds):
            present = _solve(states, tables, self.iterations // 2)
            for number, (level, alone) in enumerate(zip(levels, present.specialists, strict=True)):
                fresh = draw_problems(game, level, self.candidates, generator)
                worse = [
                    self._worse(states, fresh, alone, 0.0),
                    self._worse(states, fresh, present.robust, alone.upper),
                ]
                if rows := np.unique(np.concatenate(worse)).tolist():
                    tables[number] = np.concatenate([tables[number], states.losses(fresh[rows])])
        return _solve(states, tables, self.iterations)

    def _worse(self, states: States, fresh: np.ndarray, solution: Minimax, target: float) -> np.ndarray:
        """The problems on which a solution is worst, of those where it is worse than on its own."""
        gaps = states.errors(fresh, solution.policy) - target
        rows = np.argsort(-gaps)[: self.added]
        return rows[gaps[rows] > solution.upper]


def _solve(states: States, tables: list[Float[np.ndarray, "problems final"]], iterations: int) -> Solutions:
    alone = [solve(states, table, iterations=iterations) for table in tables]
    unsolved = Solutions(tables, alone, alone[0])
    return unsolved._replace(robust=solve(states, unsolved.everything, unsolved.targets, iterations))
