"""Arms in the world of key words: the policy that all of them begin as, their training, and what they are judged by."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from headstart.core.encoding import Encoder
from headstart.envs.text.keywords import KeyWords, Problems, Responses, Writer
from headstart.language.evaluation import Evaluation
from headstart.language.learner import Learner
from headstart.language.method import LanguageMethod
from headstart.language.online import Collected, Online
from headstart.language.recorded import Recorded
from headstart.language.sampler import Sampling
from headstart.language.settings import Training
from headstart.language.tiny_models import pretrained
from headstart.language.trainer import RowSource, Trainer
from headstart.language.transformers_sampler import TransformersSampler
from headstart.runs.folder import SeedFolder

WORLD = KeyWords()
LONGEST = WORLD.longest
"""Tokens of a completion at most: so many words, or fewer and the end."""
AT_ONCE = 2048

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Trained:
    """What an arm ended with.

    Attributes:
        learner: the policy and its reference.
        evaluations: before training and after each iteration: ``reward``, ``kl``, ``tokens``, ``distinct``, …
    """

    learner: Learner
    evaluations: list[dict[str, float]]

    @property
    def model(self) -> Any:
        """The trained model."""
        return self.learner.model

    def curve(self, name: str) -> list[float]:
        """One number of every evaluation."""
        return [numbers[name] for numbers in self.evaluations]


@dataclass(frozen=True)
class Start:
    """A policy taught by demonstrations, which arms begin as and refer to.

    Attributes:
        model: it stays as it is.
        tokenizer: the world's.
        seed: of its teaching.
    """

    model: Any
    tokenizer: Any
    seed: int

    @classmethod
    def of(cls, seed: int, writer: Writer | None = None, steps: int | None = None) -> Start:
        """Taught by so many steps on a writer's demonstrations; the world's usual ones by default."""
        changes = {"style": writer, **({} if steps is None else {"steps": steps})}
        return cls(*pretrained(WORLD, seed, **changes), seed)

    def train(
        self,
        method: LanguageMethod,
        source: RowSource,
        *,
        held_out: Rows,
        judge: Any = WORLD,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
    ) -> Trained:
        """Train a copy at a constant learning rate, leaving nothing on disk."""
        training = Training(
            batch_size=batch_size,
            learning_rate=learning_rate,
            schedule="constant",
            warmup_fraction=0.0,
            checkpoint_minutes=60.0,
        )
        steps = source.iterations * source.steps
        learner = Learner(copy.deepcopy(self.model), self.tokenizer, method, training, steps, keep_reference=True)
        if isinstance(source, Collected):
            source.sampler = TransformersSampler(learner.model, learner.encoder, AT_ONCE)
        evaluations: list[dict[str, float]] = []
        evaluation = Evaluation(held_out, judge, Sampling(max_tokens=LONGEST), self.seed)

        def evaluate(learner: Learner) -> dict[str, float]:
            evaluations.append(evaluation(learner))
            return evaluations[-1]

        with tempfile.TemporaryDirectory(prefix="headstart-arm-") as folder:
            place = SeedFolder(Path(folder), self.seed)
            with place.record() as recorder:
                Trainer(learner, source, self.seed, recorder, Path(folder), evaluate).run()
        return Trained(learner, evaluations)

    def recorded(self, rows: Sequence[Mapping[str, Any]], steps: int) -> Recorded:
        """Recorded rows as a source."""
        return Recorded(rows, steps, self.seed)

    def collected(self, prompts: Rows, judge: Any, plan: Online) -> Collected:
        """The policy's own completions as a source."""
        return Collected(prompts, judge, replace(plan, max_tokens=LONGEST, prompts_at_once=AT_ONCE), self.seed)

    def respond(self, problems: Problems, count: int, seed: int, model: Any = None, temperature: float = 1.0) -> Rows:
        """``count`` responses of a model, the start by default, to each problem.

        Returns:
            A row a problem with ``prompt``, ``completions``, ``completion_ids`` and ``truncated``.
        """
        model = self.model if model is None else model
        encoder = Encoder(self.tokenizer)
        prompts = [WORLD.prompt(problem) for problem in problems]
        sampling = Sampling(temperature=temperature, max_tokens=LONGEST)
        sampler = TransformersSampler(model, encoder, AT_ONCE)
        groups = sampler.sample([encoder.encode_prompt(prompt) for prompt in prompts], count, sampling, seed)
        return [
            {
                "prompt": prompt,
                "completions": [sample.text for sample in group],
                "completion_ids": [sample.ids for sample in group],
                "truncated": [sample.truncated for sample in group],
            }
            for prompt, group in zip(prompts, groups, strict=True)
        ]


def prompts_of(problems: Problems) -> Rows:
    """Rows with prompts alone."""
    return [{"prompt": WORLD.prompt(problem)} for problem in problems]


def sides(rows: Rows) -> tuple[Problems, Responses, Responses]:
    """Problems, first and second responses of rows with two completions each."""
    first, second = ([row["completions"][i] for row in rows] for i in (0, 1))
    return WORLD.read_prompts([row["prompt"] for row in rows]), WORLD.read(first), WORLD.read(second)


def labelled(
    rows: Rows, generator: np.random.Generator, length_bias: float = 0.0
) -> tuple[Rows, Float[np.ndarray, " row"]]:
    """Preference pairs of rows with two completions each, by the world's annotator.

    Args:
        rows: as ``Start.respond`` gives them.
        generator: of the annotator's choices.
        length_bias: how much more a word is worth to the annotator than to the true reward.

    Returns:
        Pairs of different completions, and for every row whether the first was preferred.
    """
    problems, first, second = sides(rows)
    longer = (first >= 0).sum(-1) - (second >= 0).sum(-1)
    gap = WORLD.gold(problems, first) - WORLD.gold(problems, second) + length_bias * longer
    preferred = (generator.random(len(rows)) < 1 / (1 + np.exp(-2 * gap))).astype(np.float64)
    pairs = [pair(row, 0 if won else 1) for row, won in zip(rows, preferred, strict=True)]
    return [made for made in pairs if made["chosen"] != made["rejected"]], preferred


def pair(row: Mapping[str, Any], chosen: int) -> dict[str, Any]:
    """A pair of a row with two completions, ids and cuts with it."""
    made = {"prompt": row["prompt"]}
    for side, index in (("chosen", chosen), ("rejected", 1 - chosen)):
        made |= {
            side: row["completions"][index],
            f"{side}_ids": row["completion_ids"][index],
            f"{side}_truncated": row["truncated"][index],
        }
    return made
