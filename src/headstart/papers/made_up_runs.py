"""A store of made-up runs of three libraries, and questions about them whose answers are known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from headstart.core.errors import UsageError
from headstart.report.selection import Filters, select
from headstart.runs.folder import RunFolder
from headstart.runs.index import tag
from headstart.runs.pack import add, pack
from headstart.runs.query import Condition, runs_table

WORLDS = ("Ant-v2", "Hopper-v2", "Swimmer-v2", "Walker2d-v2")
SEEDS, POINTS, EVERY = 5, 60, 1000
LIBRARIES = {"alpha": ("env_id", "exp_name"), "beta": ("env", "algo"), "gamma": ("task.name", "exp_name")}
"""Each with the fields that its runs keep world and name in."""
ENTRIES = (("alpha", "ppo"), ("alpha", "dqn"), ("beta", "ppo"), ("gamma", "p&o"))
METRIC, IDENTITY = "charts/episodic_return", "identity"


@dataclass(frozen=True)
class Facts:
    """What is known of one made-up run.

    Attributes:
        number: tells it from the others; logged once.
        library: who recorded it.
        name: of its method.
        world: of its world.
        seed: its seed.
    """

    number: int
    library: str
    name: str
    world: str
    seed: int

    @property
    def folder(self) -> str:
        """Its folder's name."""
        return f"{self.library}-{self.number:03d}"

    @property
    def user(self) -> str:
        """Ada's worlds come before the letter I."""
        return "ada" if self.world < "I" else "bob"

    @property
    def tags(self) -> tuple[str, ...]:
        """``v1`` and ``v2`` take turns by seed; the last seed is a release candidate too."""
        return (f"v{1 + self.seed % 2}", *(["rc"] if self.seed == SEEDS - 1 else []))

    @property
    def rate(self) -> float:
        """The step size; the last two seeds have a larger one."""
        return 3e-4 if self.seed < 3 else 1e-3

    def config(self) -> dict[str, Any]:
        """The configuration, as its library writes it."""
        shared: dict[str, Any] = {"entity": "lab", "project": self.library, "user": self.user, "seed": self.seed}
        numbers = {"learning_rate": self.rate, "anneal": self.seed % 2 == 0, "network": {"hidden": [64, 64]}}
        if self.library == "alpha":
            return shared | numbers | {"env_id": self.world, "exp_name": self.name, "version": str(self.seed % 2)}
        if self.library == "beta":
            return shared | {"env": self.world, "algo": self.name, "params": numbers | {"policy": {"depth": self.seed}}}
        return shared | numbers | {"task": {"name": self.world}, "exp_name": self.name}


def facts() -> list[Facts]:
    """All made-up runs."""
    places = [(*entry, world, seed) for entry in ENTRIES for world in WORLDS for seed in range(SEEDS)]
    return [Facts(number, *place) for number, place in enumerate(places)]


def made_up_curve(run: Facts, generator: np.random.Generator) -> Float[np.ndarray, " points"]:
    """r(t) = a (1 - exp(-t / b)) and noise."""
    height = 100.0 * (1 + WORLDS.index(run.world)) * (1 + 0.2 * ENTRIES.index((run.library, run.name)))
    steps = EVERY * np.arange(1, POINTS + 1)
    return height * (1 - np.exp(-steps / 15_000)) + generator.normal(0, 0.1 * height, POINTS)


def write_store(folder: Path, generator: np.random.Generator) -> dict[int, Float[np.ndarray, " points"]]:
    """Record all made-up runs, one that is damaged and one that lacks the metric; returns the curves by number."""
    curves = {}
    for run in facts():
        recorded = RunFolder.create(folder / run.library / run.folder, run.config(), [run.seed])
        curves[run.number] = made_up_curve(run, generator)
        with recorded.seed(run.seed).record() as recorder:
            recorder.log(0, 0, "online", {IDENTITY: run.number})
            for point, value in enumerate(curves[run.number], 1):
                recorder.log(point, EVERY * point, "online", {METRIC: value})
        tag(recorded.path, run.tags)
    (folder / "half-written").mkdir()
    (folder / "half-written" / "run.json").write_text('{"format": 1, "conf')
    lacking = RunFolder.create(folder / "lacking", {"entity": "other", "env_id": WORLDS[0], "exp_name": "a2c"})
    with lacking.seed(0).record() as recorder:
        recorder.log(0, 0, "online", {"loss/value": 1.0})
    return curves


def header(library: str, metric: str = IDENTITY) -> str:
    """The first text of ``--filters`` for the runs of a library."""
    world, name = LIBRARIES[library]
    return f"?we=lab&wpn={library}&ceik={world}&cen={name}&metric={metric}"


Wanted = Callable[[Facts], bool]
FILTERS: tuple[tuple[str, str, Wanted], ...] = (
    ("alpha", "ppo", lambda run: run.name == "ppo"),
    ("alpha", "dqn", lambda run: run.name == "dqn"),
    ("alpha", "*", lambda run: True),
    ("alpha", "p%2A", lambda run: False),
    ("alpha", "PPO", lambda run: run.name == "ppo"),
    ("alpha", "a2c", lambda run: False),
    ("alpha", "ppo?seed=1", lambda run: run.name == "ppo" and run.seed == 1),
    ("alpha", "ppo?seed=1&seed=3", lambda run: run.name == "ppo" and run.seed in (1, 3)),
    ("alpha", "ppo?tag=v1", lambda run: run.name == "ppo" and "v1" in run.tags),
    ("alpha", "*?tag=v1&tag=rc", lambda run: {"v1", "rc"} <= set(run.tags)),
    ("alpha", "*?tag=v2&tag=rc", lambda run: {"v2", "rc"} <= set(run.tags)),
    ("alpha", "dqn?user=ada", lambda run: run.name == "dqn" and run.user == "ada"),
    ("alpha", "dqn?user=ada&user=bob", lambda run: run.name == "dqn"),
    ("alpha", "*?user=bob&tag=v2&seed=1", lambda run: run.user == "bob" and run.seed == 1),
    ("alpha", "*?user=bob&tag=v1&seed=1", lambda run: False),
    ("alpha", "ppo?learning_rate=0.001", lambda run: run.name == "ppo" and run.rate == 1e-3),
    ("alpha", "ppo?learning_rate.value=1e-3&cl=fast", lambda run: run.name == "ppo" and run.rate == 1e-3),
    ("alpha", "ppo?learning_rate=1e-3&learning_rate=3e-4", lambda run: run.name == "ppo"),
    ("alpha", "*?anneal=True", lambda run: run.seed % 2 == 0),
    ("alpha", "*?version=1", lambda run: run.seed % 2 == 1),
    ("alpha", "*?version=1.0&anneal=false", lambda run: run.seed % 2 == 1),
    ("alpha", "ppo?env_id=Hopper*&seed=0", lambda run: run.name == "ppo" and run.seed == 0 and run.world[0] == "H"),
    ("beta", "ppo", lambda run: True),
    ("beta", "ppo?params.learning_rate=0.0003", lambda run: run.rate == 3e-4),
    ("beta", "ppo?depth=2&depth=4", lambda run: run.seed in (2, 4)),
    ("beta", "ppo?params.policy.depth=2&tag=v1&user=bob", lambda run: run.seed == 2 and run.user == "bob"),
    ("beta", "ppo?params.network.hidden=*64*", lambda run: True),
    ("gamma", "p%26o", lambda run: True),
    ("gamma", "p%26o?cl=a%26b&seed=0", lambda run: run.seed == 0),
    ("gamma", "p%3Fo", lambda run: False),
    ("gamma", "p?o&tag=v1", lambda run: False),
    ("gamma", "*?task.name=Ant-v2&task.name=Swimmer-v2", lambda run: run.world[0] in "AS"),
)
"""For each library's ``--filters``: the text of an arm, and which of the library's runs it asks for."""
CONDITIONS: tuple[tuple[Sequence[str], Wanted], ...] = (
    (("entity=lab",), lambda run: True),
    (("project=beta", "project=gamma"), lambda run: run.library != "alpha"),
    (("exp_name=*", "user!=ada", "entity=lab"), lambda run: run.library != "beta" and run.user == "bob"),
    (("env_id>=0", "entity=lab"), lambda run: False),
    (("project=alpha", "learning_rate>=0.0005"), lambda run: run.library == "alpha" and run.rate == 1e-3),
    (("project=alpha", "learning_rate<0.0005", "tag=v2"), lambda run: run.library == "alpha" and run.seed == 1),
    (("tags!=rc", "algo=ppo"), lambda run: run.library == "beta" and run.seed < 4),
    (("state=finished", "entity=lab", "tag=rc"), lambda run: run.seed == 4),
    (("packages.polars=*", "env=Hopper-v2"), lambda run: run.library == "beta" and run.world == "Hopper-v2"),
    (("task.name=[AH]*",), lambda run: run.library == "gamma" and run.world[0] in "AH"),
)
"""Conditions of ``headstart runs``, and which runs they ask for."""


def ask(folder: Path) -> dict[str, Any]:
    """How many questions the store, and a packed and merged copy of it, answer wrongly."""
    runs = [folder / "made-up" / run.library / run.folder for run in facts()]
    packed = pack([*runs, folder / "made-up" / "lacking"], folder / "shared.zip")
    added = add(packed, folder / "copy")
    wrong = {}
    for place in ("made-up", "copy"):
        answers = list(questions(folder / place))
        wrong[place] = [text for text, found, expected in answers if found != expected]
    again = sum(one.outcome != "present" for one in add(packed, folder / "copy"))
    return {"questions": len(answers), "runs": len(added), "wrong": wrong, "repeated": again}


def questions(folder: Path) -> Iterator[tuple[str, set[int], set[int]]]:
    """Every question, the numbers of the runs that a store answers with, and those that it should."""
    every = facts()
    for library, arm, wanted in FILTERS:
        expected = {run.number for run in every if run.library == library and wanted(run)}
        yield f"{library}: {arm}", _chosen(folder, library, arm), expected
    by_folder = {run.folder: run.number for run in every}
    for conditions, wanted in CONDITIONS:
        table = runs_table([folder], [Condition.parse(condition) for condition in conditions])
        found = {by_folder.get(Path(path).name, -1) for path in table["path"]}
        yield " ".join(conditions), found, {run.number for run in every if wanted(run)}


def _chosen(folder: Path, library: str, arm: str) -> set[int]:
    try:
        (found,) = select([folder], Filters.parse([header(library), arm]))
    except UsageError:
        return set()  # an arm without runs is refused
    return {int(value) for curves in found.curves.values() for _, values in curves for value in values}
