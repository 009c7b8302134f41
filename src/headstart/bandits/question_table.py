"""Tables of items and yes-or-no questions, as for guessing an animal by twenty questions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float

from headstart.bandits.active_learning import Game
from headstart.core.errors import DataError

ANIMALS = Path(__file__).with_name("shipped") / "animals.csv"
"""24 animals and 12 questions, answered 1 or 0."""


@dataclass(frozen=True, eq=False)
class QuestionTable:
    """What is guessed, and how often each question about it is answered yes.

    Attributes:
        items: names.
        questions: names.
        yes: probability that a question about an item is answered yes.
    """

    items: tuple[str, ...]
    questions: tuple[str, ...]
    yes: Float[np.ndarray, "items questions"]

    def game(self, budget: int) -> Game:
        """The game of guessing the item; the likelier answer to a question is the right one.

        Raises:
            UsageError: two items have all likelier answers in common, or there is no budget.
        """
        return Game(np.where(self.yes >= 0.5, 1, -1), budget)

    @property
    def problems(self) -> Float[np.ndarray, "items questions"]:
        """One problem for each item: theta is the probability of yes less that of no."""
        return 2 * self.yes - 1

    def answered(self, reliability: Float[np.ndarray, " questions"]) -> QuestionTable:
        """The same table where the likelier answer to a question is given with its reliability.

        Raises:
            DataError: a reliability is not one for each question, above 1/2 and up to 1.
        """
        if reliability.shape != (len(self.questions),) or not np.all((reliability > 0.5) & (reliability <= 1)):
            raise DataError(f"needs {len(self.questions)} reliabilities above 1/2 and up to 1; given {reliability}")
        return QuestionTable(self.items, self.questions, np.where(self.yes >= 0.5, reliability, 1 - reliability))


def read_table(path: Path | str = ANIMALS) -> QuestionTable:
    """Read a CSV file: a row an item, named in the first column; all other columns are probabilities of yes.

    Raises:
        DataError: the file is not such a table.
    """
    try:
        table = pl.read_csv(path)
        yes = table[:, 1:].cast(pl.Float64).to_numpy()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} is not a readable table of items and questions: {error}") from error
    if table.width < 2 or table.height < 2 or not np.all((yes >= 0) & (yes <= 1)):
        values = f", values from {yes.min():g} to {yes.max():g}" if yes.size else ""
        raise DataError(
            f"{path} must have two or more items and a column of probabilities for each question; it has "
            f"{table.height} rows, {table.width} columns{values}"
        )
    return QuestionTable(tuple(map(str, table[:, 0])), tuple(table.columns[1:]), yes)
