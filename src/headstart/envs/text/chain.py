"""Chains of modular arithmetic by someone who remembers some facts wrongly.

Greedy decoding is as wrong as sampling, one wrong step ruins the answer, and a longer, careful way is reliable: so
credit assignment matters, and longer reasoning can pay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

OPERATORS = ("+", "*")
Style = Literal["direct", "careful"]


class ChainProblem(NamedTuple):
    """Start with a number, apply operators with operands one after another, modulo the world's modulus."""

    start: int
    operators: tuple[str, ...]
    operands: tuple[int, ...]


@dataclass(frozen=True)
class Chain:
    """A response is steps ``v op y > v' ;`` and then ``# v``; it is right only if it ends there with the right value.

    Attributes:
        steps: operations of a problem.
        modulus: numbers are 0 to modulus - 1, one word each.
        bad_facts: probability that a fact (operator, a, b) is remembered wrongly, always as the same wrong value.
        right_on_good: probability that a demonstration is right on a good fact, and on any fact if careful.
        right_on_bad: probability that it is right on a bad fact.
        careful: probability of a careful step ``~ v op (y//2) > m v' ;``, with m the true value with half the operand.
        reflect: probability of a check ``? v op y > c`` after a step, then ``ok``, or ``! c ;`` which corrects it.
        two_part: the answer is the value after half the steps and the last one, so that luck is rarer.
        facts_seed: of the table of facts.
    """

    steps: int = 4
    modulus: int = 11
    bad_facts: float = 0.4
    right_on_good: float = 0.99
    right_on_bad: float = 0.35
    careful: float = 0.15
    reflect: float = 0.0
    two_part: bool = False
    facts_seed: int = 0
    pretraining: ClassVar = {
        "layers": 3,
        "heads": 4,
        "demonstrations": 20_000,
        "steps": 1000,
        "batch": 64,
        "learning_rate": 2e-3,
        "positions": 128,
    }

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """Numbers, operators and signs."""
        return (*map(str, range(self.modulus)), *OPERATORS, "=", ">", ";", "#", "~", "?", "ok", "!")

    @cached_property
    def _facts(self) -> tuple[Bool[np.ndarray, "operator a b"], Int[np.ndarray, "operator a b"]]:
        rng = np.random.default_rng(self.facts_seed)
        shape = (len(OPERATORS), self.modulus, self.modulus)
        bad = rng.random(shape) < self.bad_facts
        a, b = np.indices(shape[1:])
        true = np.stack([(a + b) % self.modulus, (a * b) % self.modulus])
        return bad, (true + rng.integers(1, self.modulus, shape)) % self.modulus

    def apply(self, operator: str, a: int, b: int) -> int:
        """The true value of one operation."""
        return (a + b if operator == "+" else a * b) % self.modulus

    def sample_problem(self, rng: np.random.Generator) -> ChainProblem:
        """A start, and operators with operands from 1 on."""
        operators = tuple(OPERATORS[i] for i in rng.integers(2, size=self.steps))
        operands = tuple(int(y) for y in rng.integers(1, self.modulus, self.steps))
        return ChainProblem(int(rng.integers(self.modulus)), operators, operands)

    def prompt(self, problem: ChainProblem) -> str:
        """``x0 op1 y1 … opK yK =``."""
        pairs = (f"{operator} {operand}" for operator, operand in zip(problem.operators, problem.operands))
        return " ".join([str(problem.start), *pairs, "="])

    def values(self, problem: ChainProblem) -> list[int]:
        """The true value after each step."""
        values = [problem.start]
        for operator, operand in zip(problem.operators, problem.operands):
            values.append(self.apply(operator, values[-1], operand))
        return values[1:]

    def answer(self, problem: ChainProblem, values: Sequence[int]) -> str:
        """The answer that follows from the values after each step."""
        parts = [values[len(values) // 2 - 1], values[-1]] if self.two_part else [values[-1]]
        return " ".join(["#", *map(str, parts)])

    def demo(self, problem: ChainProblem, rng: np.random.Generator, style: Style | None = None) -> str:
        """A demonstration; later steps go on from the value written, so errors propagate.

        Args:
            problem: what is computed.
            rng: its source of randomness.
            style: all steps direct or all careful; None mixes them.
        """
        chance = {"direct": 0.0, "careful": 1.0, None: self.careful}[style]
        written, values, value = [], [], problem.start
        for operator, operand in zip(problem.operators, problem.operands):
            if rng.random() < chance:
                middle, new = self.apply(operator, value, operand // 2), self._checked(operator, value, operand, rng)
                written.append(f"~ {value} {operator} {operand // 2} > {middle} {new} ;")
            else:
                new = self._remembered(operator, value, operand, rng)
                written.append(f"{value} {operator} {operand} > {new} ;")
            if rng.random() < self.reflect:
                check = self._checked(operator, value, operand, rng)
                verdict = "ok" if check == new else f"! {check} ;"
                written.append(f"? {value} {operator} {operand} > {check} {verdict}")
                new = check
            value = new
            values.append(value)
        return " ".join([*written, self.answer(problem, values)])

    def verify(self, problem: ChainProblem, response: str, ended: bool = True) -> float:
        """1 if the response ends with the right answer.

        Args:
            problem: what was asked.
            response: without the end token.
            ended: whether the end token followed; a truncated response is never right.
        """
        wanted = self.answer(problem, self.values(problem)).split()
        return float(ended and response.split()[-len(wanted) :] == wanted)

    def segment(self, response: str) -> list[tuple[int, int]]:
        """First word and one past the last of each step, check and answer."""
        words = response.split()
        ends = [i + 1 for i, word in enumerate(words) if word in (";", "ok")]
        bounds = [0, *ends, *([len(words)] if not ends or ends[-1] < len(words) else [])]
        return [(a, b) for a, b in pairwise(bounds) if a < b]

    def oracle_step(self, problem: ChainProblem, prefix: str) -> str:
        """The step that is right after the steps written so far, or the answer once all are written."""
        words = prefix.split()
        values: list[int] = []
        for start, end in self.segment(prefix):
            step = words[start:end]
            if step[0] == "?" and step[-1] == ";":
                values[-1] = int(step[-2])
            elif step[0] != "?" and step[-1] == ";":
                values.append(int(step[-2]))
        if len(values) >= len(problem.operands):
            return self.answer(problem, values)
        value = values[-1] if values else problem.start
        operator, operand = problem.operators[len(values)], problem.operands[len(values)]
        return f"{value} {operator} {operand} > {self.apply(operator, value, operand)} ;"

    def _remembered(self, operator: str, a: int, b: int, rng: np.random.Generator) -> int:
        bad, wrong = self._facts
        place = OPERATORS.index(operator), a, b
        if bad[place]:
            return self.apply(operator, a, b) if rng.random() < self.right_on_bad else int(wrong[place])
        return self._checked(operator, a, b, rng)

    def _checked(self, operator: str, a: int, b: int, rng: np.random.Generator) -> int:
        slip = 0 if rng.random() < self.right_on_good else int(rng.integers(1, self.modulus))
        return (self.apply(operator, a, b) + slip) % self.modulus
