"""What a paper's module says: claims with the tests that decide them, and the experiment that is tested."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headstart.core.errors import UsageError

Result = dict[str, Any]
"""What one seed gave, every arm of it, as plain JSON values."""
Row = dict[str, str | float]
"""One line of a table, by column."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence of a paper, and how it is decided.

    Attributes:
        name: a short name for it.
        sentence: what is claimed, at the size of the experiment.
        test: the statistical test, stated before the experiment was run.
    """

    name: str
    sentence: str
    test: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the test of one claim gave.

    Attributes:
        claim: the claim's name.
        holds: whether it passed.
        numbers: what the decision was made from.
    """

    claim: str
    holds: bool
    numbers: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Paper:
    """A paper, its claims and its experiment.

    Attributes:
        id: what it is called on the command line; its module has the same name, with underscores.
        title: the paper's.
        authors: the paper's.
        year: of its first version.
        arxiv: its arXiv identifier, or "".
        summary: one or two sentences on what it does.
        claims: what is tested.
        settings: sizes and hyper-parameters of the experiment, as plain JSON values.
        seeds: seeds of a full run.
        quick_seeds: seeds of the smallest run that goes through every part.
        run: ``run(seed, quick)`` carries out the experiment for one seed, all arms of it.
        judge: one verdict a claim, in their order, from the results of all seeds.
        table: the numbers that the verdicts rest on, one line an arm.
        draw: ``draw(results, path)`` writes the figure, an SVG file.
        deviations: where the experiment departs from the paper.
        tried: what was tried on a claim that does not hold.
    """

    id: str
    title: str
    authors: str
    year: int
    arxiv: str
    summary: str
    claims: tuple[Claim, ...]
    settings: Mapping[str, Any]
    seeds: tuple[int, ...]
    run: Callable[[int, bool], Result]
    judge: Callable[[Sequence[Result]], list[Verdict]]
    table: Callable[[Sequence[Result]], list[Row]]
    draw: Callable[[Sequence[Result], Path], None]
    quick_seeds: tuple[int, ...] = (0, 1)
    deviations: tuple[str, ...] = ()
    tried: tuple[str, ...] = ()

    def verdicts(self, results: Sequence[Result]) -> list[Verdict]:
        """The verdicts on all claims.

        Raises:
            UsageError: the module's judgement leaves claims out, or adds some.
        """
        verdicts = self.judge(results)
        judged, claimed = [verdict.claim for verdict in verdicts], [claim.name for claim in self.claims]
        if judged != claimed:
            raise UsageError(f"paper {self.id} claims {claimed} but its judgement is on {judged}")
        return verdicts
