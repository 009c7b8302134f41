"""A tiny language model whose greedy answers are led astray, and its own choices among several, which are not."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headstart.core.encoding import Encoded, Encoder
from headstart.envs.text.garden_paths import TEMPTING, WORDY, GardenPaths
from headstart.language.best_of import Best, SelfReward, best_of, self_scores
from headstart.language.encoded_rows import EncodedRow
from headstart.language.learner import Learner
from headstart.language.sampler import Sampling
from headstart.language.settings import Training
from headstart.language.sft import SFT
from headstart.language.tiny_models import pretrained
from headstart.language.transformers_sampler import TransformersSampler

SIZES = (1, 2, 5, 10, 50)
CANDIDATES, RATE, BATCH, AT_ONCE = 16, 1e-3, 32, 2048


@dataclass(frozen=True)
class Size:
    """How long the experiment is.

    Attributes:
        questions: of the world.
        demonstrations: that make the base model.
        taught: steps on them.
        steps: of imitation of its own choices.
        answers: drawn of each question where a share of right ones is measured.
    """

    questions: int = 128
    demonstrations: int = 12_000
    taught: int = 600
    steps: int = 300
    answers: int = 16


FULL, QUICK = Size(), Size(questions=16, demonstrations=400, taught=20, steps=5, answers=2)


def led_astray(seed: int, size: Size) -> dict[str, Any]:
    """Right answers by one sample, by greedy decoding, by choosing, and after imitating the choices; and choosing where
    right answers are long.
    """
    world = GardenPaths(TEMPTING, size.questions, facts_seed=seed)
    model, tokenizer = pretrained(world, seed, demonstrations=size.demonstrations, steps=size.taught)
    encoder = Encoder(tokenizer)
    sampler = TransformersSampler(model, encoder, AT_ONCE)
    asked = prompts(world, encoder)
    sampling = Sampling(max_tokens=world.longest)
    greedy = sampler.sample(asked, 1, Sampling(temperature=0.0, max_tokens=world.longest))
    found: dict[str, Any] = {
        "sampled": right(world, sampler.sample(asked, size.answers, sampling, seed)),
        "greedy": right(world, greedy),
        "chosen": [],
        "likelihood": [],
    }
    for n in SIZES:
        picks = choices(sampler, asked, n, sampling, seed + n)
        found["chosen"].append(picked(world, picks))
        scores = [one.scores[one.index] for one in picks if one.index is not None]
        found["likelihood"].append(float(np.mean([score for score in scores if score is not None])))
    shown = choices(sampler, asked, CANDIDATES, sampling, seed + 100)
    taught = imitate(model, tokenizer, asked, shown, size.steps, seed)
    again = TransformersSampler(taught.model, encoder, AT_ONCE)
    found["taught"] = right(world, again.sample(asked, size.answers, sampling, seed + 200))
    found["wordy"] = wordy(seed, size)
    return found


def wordy(seed: int, size: Size) -> dict[str, list[float]]:
    """Right answers among choices by whole likelihood and by its mean over words, where right answers are long."""
    world = GardenPaths(WORDY, size.questions, facts_seed=seed)
    model, tokenizer = pretrained(world, seed, demonstrations=size.demonstrations, steps=size.taught)
    encoder = Encoder(tokenizer)
    sampler, asked = TransformersSampler(model, encoder, AT_ONCE), prompts(world, encoder)
    kinds: tuple[SelfReward, ...] = ("loglik", "mean_loglik")
    found: dict[str, list[float]] = {kind: [] for kind in kinds}
    for n in SIZES:
        groups = sampler.sample(asked, n, Sampling(max_tokens=world.longest), seed + n)
        for kind in kinds:
            found[kind].append(
                picked(world, [Best(group, self_scores(group, kind, truncated=True)) for group in groups])
            )
    return found


def prompts(world: GardenPaths, encoder: Encoder) -> list[list[int]]:
    """Every question as ids."""
    return [encoder.encode_prompt(world.prompt(problem)) for problem in range(world.questions)]


def choices(sampler: TransformersSampler, asked: list[list[int]], n: int, sampling: Sampling, seed: int) -> list[Best]:
    """The likeliest of ``n`` answers to each question, cut ones too: they end where the world's longest does."""
    return best_of(sampler, asked, n, "loglik", sampling, seed, truncated=True)


def picked(world: GardenPaths, bests: Sequence[Best]) -> float:
    """Share of right choices."""
    return float(
        np.mean([world.verify(i, one.sample.text if one.sample is not None else "") for i, one in enumerate(bests)])
    )


def right(world: GardenPaths, groups: Sequence[Sequence[Any]]) -> float:
    """Share of right answers."""
    return float(np.mean([[world.verify(i, sample.text) for sample in group] for i, group in enumerate(groups)]))


def imitate(
    model: Any, tokenizer: Any, asked: list[list[int]], shown: Sequence[Best], steps: int, seed: int
) -> Learner:
    """A copy of a model, taught its own choices."""
    training = Training(batch_size=BATCH, learning_rate=RATE, schedule="linear", warmup_fraction=0.0)
    learner = Learner(copy.deepcopy(model), tokenizer, SFT(normalization="sum"), training, steps)
    rows = [
        EncodedRow({"completion": Encoded(prompt, best.sample.ids, best.sample.truncated)})
        for prompt, best in zip(asked, shown, strict=True)
        if best.sample is not None
    ]
    generator = np.random.default_rng([seed, 62])
    order = np.concatenate([generator.permutation(len(rows)) for _ in range(1 + steps * BATCH // len(rows))])
    for step in range(steps):
        learner.step([rows[i] for i in order[step * BATCH : (step + 1) * BATCH]])
    return learner
