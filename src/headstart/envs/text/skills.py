"""A tiny post-training suite: arithmetic, copying, facts and instructions, with evaluations that stay unseen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from headstart.envs.text.chain import Chain, ChainProblem

Skill = Literal["MATH", "COPY", "FACT", "IF"]
Part = Literal["training", "development", "unseen"]
SKILLS: tuple[Skill, ...] = ("MATH", "COPY", "FACT", "IF")
EDITS = ("copy", "reverse", "sort")
KNOWN_CONSTRAINTS = ("END", "TWICE", "BEGIN")
HELD_OUT_CONSTRAINTS = ("MOST", "REVERSED")
KNOWN_PAIRS = (("TWICE", "END"),)
HELD_OUT_PAIRS = (("TWICE", "BEGIN"), ("BEGIN", "END"))
"""Constraints are obeyed in the order in which they are named."""


class Constraint(NamedTuple):
    """What the answer has to obey: ``END z``, ``BEGIN p`` (a symbol), ``TWICE``, ``REVERSED``, ``MOST n`` (only its
    first n words)."""

    name: str
    argument: str = ""

    def obey(self, answer: list[str]) -> list[str]:
        """The answer made to obey."""
        changes = {
            "END": lambda: [*answer, self.argument],
            "BEGIN": lambda: [self.argument, *answer],
            "TWICE": lambda: answer * 2,
            "REVERSED": lambda: answer[::-1],
            "MOST": lambda: answer[: int(self.argument)],
        }
        return changes[self.name]()


class SkillProblem(NamedTuple):
    """One problem.

    Attributes:
        skill: the tag it stands behind.
        task: a ``ChainProblem`` for arithmetic, (edit, symbols) for copying, a key's number for facts.
        constraints: of an instruction; empty for the other skills.
    """

    skill: Skill
    task: Any
    constraints: tuple[Constraint, ...] = ()


class Scraped(NamedTuple):
    """A row of a source that may hold evaluation prompts.

    Attributes:
        prompt: what is asked.
        response: a demonstration.
        contamination: "verbatim" or "changed" (one word) if the prompt is one of the evaluation's, otherwise "".
    """

    prompt: str
    response: str
    contamination: str


@dataclass(frozen=True)
class Skills:
    """Skills behind tags; see ``sample_problem`` for what belongs to training, development and the unseen part.

    Attributes:
        symbols: that are copied, reversed and sorted.
        facts: keys, each with one value.
        values: that a fact can have.
        imperfect: probability that a demonstration of copying, facts or an instruction has one word wrong; arithmetic
            errs as its world does.
        facts_seed: of the facts, of arithmetic too.
    """

    symbols: int = 16
    facts: int = 200
    values: int = 40
    imperfect: float = 0.3
    facts_seed: int = 0
    pretraining: ClassVar = {
        "width": 96,
        "layers": 3,
        "heads": 4,
        "demonstrations": 12_000,
        "steps": 1000,
        "batch": 64,
        "learning_rate": 2e-3,
        "positions": 96,
    }

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """Tags, edits, constraints, symbols, keys, values and the words of arithmetic."""
        named = (*SKILLS, *EDITS, *KNOWN_CONSTRAINTS, *HELD_OUT_CONSTRAINTS)
        numbered = [("s", self.symbols), ("k", self.facts), ("v", self.values)]
        return (*named, *(f"{letter}{i}" for letter, count in numbered for i in range(count)), *Chain().vocabulary)

    @cached_property
    def _table(self) -> tuple[int, ...]:
        return tuple(np.random.default_rng(self.facts_seed).integers(self.values, size=self.facts).tolist())

    def chain(self, steps: int) -> Chain:
        """The world of arithmetic behind MATH."""
        return Chain(steps=steps, facts_seed=self.facts_seed)

    def sample_problem(
        self, rng: np.random.Generator, part: Part = "training", skill: Skill | None = None
    ) -> SkillProblem:
        """A problem.

        Training and development: arithmetic of three steps, copying of 3 to 6 symbols, facts, and instructions with one
        known constraint or a known pair. Unseen: arithmetic of five steps, copying of 7 or 8 symbols, and instructions
        with a constraint or a pair that is held out; facts have no unseen part.

        Args:
            rng: its source of randomness.
            part: what it is for.
            skill: which; any by default.
        """
        unseen = part == "unseen"
        chosen: Skill = skill or _one_of(rng, ("MATH", "COPY", "IF") if unseen else SKILLS)
        if chosen != "IF":
            return SkillProblem(chosen, self._task(rng, chosen, unseen))
        pairs, single = (HELD_OUT_PAIRS, HELD_OUT_CONSTRAINTS) if unseen else (KNOWN_PAIRS, KNOWN_CONSTRAINTS)
        names = pairs[rng.integers(len(pairs))] if rng.random() < 0.3 else (_one_of(rng, single),)
        inner = _one_of(rng, ("MATH", "COPY", "FACT"))
        return SkillProblem(
            "IF", (inner, self._task(rng, inner, False)), tuple(self._constraint(rng, name) for name in names)
        )

    def prompt(self, problem: SkillProblem) -> str:
        """The tag, the constraints of an instruction, and the task."""
        if problem.skill != "IF":
            return f"{problem.skill} {self._asked(problem.skill, problem.task)}"
        inner, task = problem.task
        asked = " ".join(part for constraint in problem.constraints for part in constraint if part)
        return f"IF {asked} {inner} {self._asked(inner, task)}"

    def answer(self, problem: SkillProblem) -> list[str]:
        """The words that the response, or for arithmetic what follows its ``#``, has to be."""
        skill, task = problem.task if problem.skill == "IF" else (problem.skill, problem.task)
        if skill == "MATH":
            answer = [str(self.chain(len(task.operands)).values(task)[-1])]
        elif skill == "COPY":
            edit, symbols = task
            changed = {"copy": symbols, "reverse": symbols[::-1], "sort": tuple(sorted(symbols))}[edit]
            answer = [f"s{i}" for i in changed]
        else:
            answer = [f"v{self._table[task]}"]
        for constraint in problem.constraints:
            answer = constraint.obey(answer)
        return answer

    def demo(self, problem: SkillProblem, rng: np.random.Generator, style: float | None = None) -> str:
        """A demonstration; ``style`` is the probability of an imperfect one instead of the world's own."""
        imperfect = rng.random() < (self.imperfect if style is None else style)
        arithmetic = self._arithmetic(problem)
        answer = self.answer(problem)
        if arithmetic is None:
            if imperfect:
                answer[int(rng.integers(len(answer)))] = f"s{rng.integers(self.symbols)}"
            return " ".join(answer)
        world = self.chain(len(arithmetic.operands))
        if not imperfect:
            world = Chain(world.steps, bad_facts=0.0, right_on_good=1.0)
        *steps, result = world.demo(arithmetic, rng).split()
        wanted = [result]
        for constraint in problem.constraints:
            wanted = constraint.obey(wanted)
        return " ".join([*steps, *wanted])

    def verify(self, problem: SkillProblem, response: str, ended: bool = True) -> float:
        """1 if the response is the answer, or for arithmetic ends with it; ``ended``: the end token followed."""
        words = response.split()
        if self._arithmetic(problem) is not None:
            words = words[len(words) - words[::-1].index("#") :] if "#" in words else []
        return float(ended and words == self.answer(problem))

    def segment(self, response: str) -> list[tuple[int, int]]:
        """The steps of arithmetic; another response is one step."""
        return self.chain(3).segment(response)

    def oracle_step(self, problem: SkillProblem, prefix: str) -> str:
        """The next right step; empty once the answer stands there."""
        arithmetic = self._arithmetic(problem)
        if self.verify(problem, prefix):
            return ""
        if arithmetic is None:
            return " ".join(self.answer(problem))
        step = self.chain(len(arithmetic.operands)).oracle_step(arithmetic, prefix)
        return " ".join(["#", *self.answer(problem)]) if step.startswith("#") else step

    def scrape(
        self, rng: np.random.Generator, count: int, evaluation: Sequence[SkillProblem], share: float = 0.05
    ) -> list[Scraped]:
        """Rows of a source of which a share are evaluation prompts: half of these verbatim, half with one word changed.

        Args:
            rng: its source of randomness.
            count: rows.
            evaluation: problems of an evaluation.
            share: how many of the rows are contaminated.
        """
        rows = []
        for number in range(count):
            if number < round(share * count):
                problem = _one_of(rng, evaluation)
                words, kind = self.prompt(problem).split(), "verbatim" if number % 2 == 0 else "changed"
                if kind == "changed":
                    place = int(rng.integers(1, len(words)))
                    words[place] = _one_of(rng, [word for word in self.vocabulary if word != words[place]])
                rows.append(Scraped(" ".join(words), self.demo(problem, rng), kind))
            else:
                problem = self.sample_problem(rng)
                rows.append(Scraped(self.prompt(problem), self.demo(problem, rng), ""))
        return [rows[int(i)] for i in rng.permutation(count)]

    def _task(self, rng: np.random.Generator, skill: str, unseen: bool) -> Any:
        if skill == "MATH":
            return self.chain(5 if unseen else 3).sample_problem(rng)
        if skill == "COPY":
            length = int(rng.integers(7, 9) if unseen else rng.integers(3, 7))
            return _one_of(rng, EDITS), tuple(rng.integers(self.symbols, size=length).tolist())
        return int(rng.integers(self.facts))

    def _constraint(self, rng: np.random.Generator, name: str) -> Constraint:
        argument = {"MOST": str(rng.integers(1, 4)), "END": f"s{rng.integers(self.symbols)}"}
        argument["BEGIN"] = f"s{rng.integers(self.symbols)}"
        return Constraint(name, argument.get(name, ""))

    def _asked(self, skill: str, task: Any) -> str:
        if skill == "MATH":
            return self.chain(len(task.operands)).prompt(task)
        if skill == "COPY":
            return " ".join([task[0], *(f"s{i}" for i in task[1])])
        return f"k{task}"

    def _arithmetic(self, problem: SkillProblem) -> ChainProblem | None:
        skill, task = problem.task if problem.skill == "IF" else (problem.skill, problem.task)
        return task if skill == "MATH" else None


def _one_of(rng: np.random.Generator, options: Sequence[Any]) -> Any:
    """One of the options, as it is."""
    return options[int(rng.integers(len(options)))]
