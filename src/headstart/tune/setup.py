"""What a search was asked for: kept in its folder, checked before anything is spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from headstart.core.errors import DataError, UsageError
from headstart.core.files import read_json
from headstart.tune.objective import FunctionObjective, TrainingObjective, objective_from_json
from headstart.tune.searcher import Searcher, Task, schedule_from_json
from headstart.tune.space import Configuration, Space

FORMAT = 1
"""Version of ``tuning.json`` and of the journal."""
SamplerName = Literal["random", "tpe", "cmaes", "dehb", "pbt", "bgt"]
SAMPLERS: dict[str, str] = {
    "random": "independent uniform draws",
    "tpe": "tree-structured Parzen estimator (Optuna)",
    "cmaes": "covariance matrix adaptation evolution strategy (Optuna)",
    "dehb": "Hyperband with differential evolution",
    "pbt": "population based training",
    "bgt": "Bayesian generational population based training",
}
"""Every sampler and what it is."""


@dataclass(frozen=True)
class Setup:
    """A search.

    Attributes:
        objective: what is trained.
        space: where to look.
        sampler: one of ``SAMPLERS``.
        pruner: how the samplers random, tpe and cmaes stop trials early: "none", "halving" or "median".
        trials: the budget: what so many whole trials cost.
        tuning_seeds: seeds that configurations are compared by.
        test_seeds: seeds that the chosen configuration is tested with; none of them is a tuning seed.
        default: values of the searched fields that the search begins with, or None.
        full: steps of a whole training.
        points: steps at which trainings are evaluated.
        seed: of the search itself.
        compare_default: whether ``default`` is trained on the test seeds too.

    Raises:
        UsageError: seeds overlap, repeat or are missing, or numbers are out of range.
    """

    objective: FunctionObjective | TrainingObjective
    space: Space
    sampler: SamplerName
    trials: int
    tuning_seeds: tuple[int, ...]
    test_seeds: tuple[int, ...]
    default: Configuration | None
    full: int
    points: tuple[int, ...]
    pruner: Literal["none", "halving", "median"] = "none"
    seed: int = 0
    compare_default: bool = True

    def __post_init__(self) -> None:
        check_seeds(self.tuning_seeds, self.test_seeds)
        if self.sampler not in SAMPLERS:
            raise UsageError(f"sampler {self.sampler!r}; expected one of {', '.join(SAMPLERS)}")
        if self.pruner != "none" and self.sampler not in ("random", "tpe", "cmaes"):
            raise UsageError(f"sampler {self.sampler} stops trials by itself; leave out the pruner {self.pruner}")
        if self.trials < 1:
            raise UsageError(f"trials {self.trials}: the budget is at least one whole trial")
        if self.sampler in ("pbt", "bgt") and self.trials < 2:
            raise UsageError(f"sampler {self.sampler} needs a population; give at least 2 trials")

    @property
    def budget(self) -> int:
        """Steps that the search may spend, over all trials and tuning seeds."""
        return self.trials * self.full * len(self.tuning_seeds)

    def searcher(self) -> Searcher:
        """A fresh searcher.

        Raises:
            UsageError: trials are evaluated too seldom for the sampler, or Optuna is not installed.
        """
        task = Task(self.space, self.full, self.points, self.trials, self.default, self.seed)
        if self.sampler == "dehb":
            from headstart.tune.dehb import DEHB

            return DEHB(task)
        if self.sampler == "pbt":
            from headstart.tune.population import PopulationSearch

            return PopulationSearch(task)
        if self.sampler == "bgt":
            from headstart.tune.bgt import BayesianGenerations

            return BayesianGenerations(task)
        try:
            from headstart.tune.sampled import SampledSearch
        except ImportError as error:
            raise UsageError(f"sampler {self.sampler} needs Optuna ({error}); pip install 'headstart[tune]'") from error
        return SampledSearch(task, self.sampler, self.pruner)

    def check(self) -> None:
        """Refuse what cannot work, before anything is spent.

        Raises:
            UsageError: see ``Objective.check`` and ``searcher``.
        """
        self.objective.check(self.space, self.sampler in ("pbt", "bgt"))
        self.searcher()

    def to_json(self) -> dict[str, Any]:
        """The setup as plain JSON values."""
        default = None if self.default is None else dict(self.default)
        own = {"objective": self.objective.to_json(), "space": self.space.to_json(), "default": default}
        lists = {name: list(getattr(self, name)) for name in ("tuning_seeds", "test_seeds", "points")}
        return {"format": FORMAT, **vars(self), **own, **lists}

    @classmethod
    def open(cls, folder: Path) -> Setup:
        """The setup of the search in a folder.

        Raises:
            UsageError: there is none.
            DataError: its record is damaged.
        """
        path = folder / "tuning.json"
        if not path.is_file():
            raise UsageError(f"{folder} is not a search: it has no tuning.json; `headstart tune METHOD` makes one")
        try:
            fields = dict(read_json(path)["setup"])
            if fields.pop("format") != FORMAT:
                raise ValueError("it is of another version")
            fields |= {name: tuple(fields[name]) for name in ("tuning_seeds", "test_seeds", "points")}
            fields |= {
                "objective": objective_from_json(fields["objective"]),
                "space": Space.from_json(fields["space"]),
                "default": fields["default"] and schedule_from_json([[0, fields["default"]]])[0][1],
            }
            return cls(**fields)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} is not a readable record of a search: {error!r}") from error


def check_seeds(tuning_seeds: Sequence[int], test_seeds: Sequence[int]) -> None:
    """Refuse seeds that would let the search choose by what it is tested with.

    Raises:
        UsageError: a seed is in both, twice in one, negative, or there are none to tune with.
    """
    for name, seeds in (("tuning", tuning_seeds), ("test", test_seeds)):
        if len(set(seeds)) != len(seeds) or any(seed < 0 for seed in seeds):
            raise UsageError(f"{name} seeds {list(seeds)}: give whole numbers from 0, each once")
    if not tuning_seeds:
        raise UsageError("there are no tuning seeds; give at least one, such as 0-2")
    shared = sorted(set(tuning_seeds) & set(test_seeds))
    if shared:
        raise UsageError(
            f"seeds {', '.join(map(str, shared))} are both tuning and test seeds; what is chosen by a seed cannot be "
            "tested with it. Give seeds that do not overlap, such as 0-2 and 10-19"
        )


def parse_seeds(text: str) -> tuple[int, ...]:
    """The seeds that text such as "0-2,7" lists.

    Raises:
        UsageError: it cannot be read, or a range goes backwards.
    """
    seeds: list[int] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        first, _, last = part.partition("-")
        if not first.isdigit() or (last and not last.isdigit()) or (last and int(last) < int(first)):
            raise UsageError(f"seeds {text!r}: cannot read {part!r}; write numbers and ranges, such as 0-2,7")
        seeds += range(int(first), int(last or first) + 1)
    return tuple(seeds)
