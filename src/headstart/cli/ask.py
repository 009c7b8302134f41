"""``headstart ask``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

if TYPE_CHECKING:
    from headstart.bandits.active_learning import Game
    from headstart.bandits.active_learning_policy import Asker
    from headstart.bandits.question_table import QuestionTable


@dataclass
class AskOptions:
    """Train a policy that guesses an item by few yes-or-no questions, then play: think of an item, answer y or n.

    The policy is trained so that the item it is worst at is guessed as well as possible. Prints how often each item is
    guessed wrong, beside soft bisection.
    """

    questions: Path | None = None
    """CSV file: a row an item, named in the first column; the other columns, one a question, hold the probability that
    it is answered yes. By default 24 animals that ship with the package, answered right with probability 0.8."""
    budget: int = 12
    """Questions that may be asked."""
    iterations: int = 1000
    """Steps of training."""
    seed: int = 0
    """Of everything random."""
    play: bool = True
    """Play in the terminal once trained."""


def ask(arguments: Sequence[str]) -> int:
    """Run ``headstart ask``."""
    options = tyro.cli(AskOptions, args=list(arguments), prog="headstart ask")
    import jax
    import numpy as np

    from headstart.bandits.active_learning_policy import (
        BISECTION,
        Asker,
        AskerTraining,
        error_rates,
        train_by_play,
    )
    from headstart.bandits.question_table import read_table
    from headstart.cli.papers import format_table

    table = read_table(options.questions) if options.questions is not None else read_table()
    if options.questions is None:
        table = table.answered(np.full(len(table.questions), 0.8))
    game, key = table.game(options.budget), jax.random.key(options.seed)
    reliability = min(float(np.maximum(table.yes, 1 - table.yes).mean()), 0.99)
    start, bisecting = (Asker(game, key, 64, bias, reliability) for bias in (10.0, BISECTION))
    training = AskerTraining(iterations=options.iterations, learning_rate=1e-3)
    asker = train_by_play(start, game, table.problems, training=training, seed=options.seed)
    rates = [error_rates(policy, table.problems, 500, options.seed) for policy in (bisecting, asker)]
    rows = [
        {"item": item, "soft bisection errs": float(before), "trained": float(after)}
        for item, before, after in zip(table.items, *rates, strict=True)
    ]
    rows.append({"item": "worst", "soft bisection errs": float(rates[0].max()), "trained": float(rates[1].max())})
    print(format_table(rows))
    if options.play:
        _play(table, game, asker)
    return 0


def _play(table: QuestionTable, game: Game, asker: Asker) -> None:
    """Ask in the terminal until the budget is spent or the answers end."""
    import numpy as np

    counts = np.zeros((1, game.questions, 2), int)
    for number in range(game.budget):
        question = int(asker.probabilities(counts)[0].argmax())
        answer = ""
        while answer[:1] not in ("y", "n"):
            try:
                answer = input(f"{number + 1}. {table.questions[question]}? [y/n] ").strip().lower() or " "
            except EOFError:
                return print()
        counts[0, question, 0 if answer[0] == "y" else 1] += 1
    print(f"It is: {table.items[int(game.recommend(counts)[0].argmax())]}")
