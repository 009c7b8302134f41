"""Training of judges on pairs: a Bradley–Terry reward model, or a model that reads both answers and says A or B.

Both minimise -log of the probability of the recorded preference (Dong et al. 2024, arXiv:2405.07863, Section 2); a
column ``preference_prob`` makes the label soft.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from datasets import Dataset
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax

from headstart.core.causal_models import use_suitable_threads
from headstart.core.encoding import collate
from headstart.core.errors import DataError, DivergenceError, UsageError
from headstart.core.files import read_json, write_json
from headstart.core.progress import progress
from headstart.data.rows import check_rows
from headstart.evaluate.correlation import pearson
from headstart.evaluate.tournament import both_orders
from headstart.judges.judge import plain_text
from headstart.judges.position_bias import warn_of_position_bias
from headstart.judges.preference_model import PreferenceModel
from headstart.judges.reward_model import RewardModel
from headstart.judges.truncation import cut_pairs
from headstart.language.settings import Training
from headstart.language.training_state import load_state, save_state, state_of
from headstart.runs.checkpoints import Checkpoints

REPORT_FILE = "reward_report.json"


@dataclass(frozen=True, kw_only=True)
class RewardSettings:
    """What is trained, and how."""

    kind: Literal["bradley-terry", "pairwise"] = "bradley-terry"
    """A score for each completion, or a comparison of two (which can express circular preferences)."""
    epochs: int = 1
    """Passes over the pairs; more than one or two overfits."""
    batch_size: int = 32
    """Pairs a step."""
    micro_batch_size: int | None = None
    """Pairs a forward pass, accumulated up to ``batch_size``; all of them by default."""
    learning_rate: float | None = None
    """Peak learning rate, then half a cosine to zero; 1e-5 by default, 1e-4 with an adapter."""
    warmup_fraction: float = 0.03
    """Part of the steps over which the learning rate rises from zero."""
    weight_decay: float = 0.0
    """Decoupled weight decay (AdamW)."""
    gradient_clip: float = 1.0
    """Largest norm of the gradient; 0 for none."""
    lora_rank: int = 0
    """Rank of low-rank adapters, merged into the weights at the end; 0 trains every weight."""
    validation_fraction: float = 0.05
    """Part of the pairs kept apart to measure accuracy on; 0 keeps none."""
    seed: int = 0
    """Of the split, the order, the sides that are shown and new weights."""
    checkpoint_minutes: float = 5.0
    """Minutes between checkpoints, where the model is written to a folder."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; expected 1 or more")
        if self.checkpoint_minutes < 0:
            raise UsageError(f"checkpoint_minutes is {self.checkpoint_minutes}; expected 0 or more")
        if not 0 <= self.validation_fraction < 1:
            raise UsageError(f"validation_fraction is {self.validation_fraction}; expected a part from 0 to below 1")


@dataclass(frozen=True)
class RewardReport:
    """How training went.

    Attributes:
        kind: what was trained.
        training_rows: pairs learned from.
        validation_rows: pairs kept apart.
        steps: optimiser steps.
        loss: mean loss over the last tenth of the steps, in nats.
        accuracy: share of the validation pairs ordered as recorded, ties half; None without such pairs.
        accuracy_before: the same before training.
        length_accuracy: share of them that "the longer one is better" orders rightly: what length alone would give.
        length_bias: Pearson correlation of reward and length in characters over their completions; None for a pairwise
            model, or where it is not defined.
        position_bias: of a pairwise model, how much its probabilities change with the order, on average; it is warned
            of above 0.1.
        dropped: pairs left out, by reason.
        cut: pairs, kept apart or not, that the model's context did not hold whole, by what they lost.
        seconds: wall time, since it was last gone on with.
    """

    kind: str
    training_rows: int
    validation_rows: int
    steps: int
    loss: float
    accuracy: float | None
    accuracy_before: float | None
    length_accuracy: float | None
    length_bias: float | None
    position_bias: float | None
    dropped: dict[str, int]
    cut: dict[str, int]
    seconds: float


def fit_reward_model(
    model: Any,
    tokenizer: Any,
    rows: Dataset | Sequence[dict[str, Any]],
    settings: RewardSettings | None = None,
    folder: Path | str | None = None,
    show_progress: bool = True,
    resume: bool = False,
) -> tuple[RewardModel | PreferenceModel, RewardReport]:
    """Train a judge on preference pairs.

    Args:
        model: a causal language model; its layers are trained in place.
        tokenizer: its tokenizer.
        rows: pairs (``prompt``, ``chosen``, ``rejected``), with ``preference_prob`` for soft labels.
        settings: what is trained, and how.
        folder: where to write the model (read by ``reward:FOLDER`` or ``pairwise:FOLDER``) and ``reward_report.json``;
            None writes nothing. Until training has ended its checkpoints are beside it, in ``.FOLDER.training``.
        show_progress: show a bar.
        resume: go on from the latest checkpoint of the same training, if there is one, to the very weights that it
            would have come to.

    Raises:
        UsageError: the folder is there already, a training of it was begun and ``resume`` is not asked for or differs,
            or the settings cannot work.
        DataError: rows that are no pairs, or too few to keep some apart.
        DivergenceError: the loss is not finite.
    """
    settings = settings or RewardSettings()
    if folder is not None and Path(folder).exists():
        raise UsageError(f"{folder} exists; give another folder, or move it away")
    started = time.monotonic()
    checked = check_rows(rows if isinstance(rows, Dataset) else Dataset.from_list(list(rows)), "pair")
    pairs = [dict(row) for row in checked.dataset.to_list()]
    learned, held = _split(pairs, settings)
    checkpoints = None if folder is None else _begun(Path(folder), settings, pairs, resume)
    use_suitable_threads(model)
    judge, trained = _judge(model, tokenizer, settings)
    before = accuracy(judge, held)
    loss, steps = _train(judge, trained, learned, settings, checkpoints, show_progress)
    if settings.lora_rank:
        _merge(judge)
    report = RewardReport(
        settings.kind,
        len(learned),
        len(held),
        steps,
        loss,
        accuracy(judge, held),
        before,
        _length_accuracy(held),
        _length_bias(judge, held),
        _position_bias(judge, held),
        {reason: len(row_ids) for reason, row_ids in checked.dropped.items()},
        cut_pairs(judge, pairs),
        time.monotonic() - started,
    )
    if folder is not None:
        partial = Path(folder).with_name(f".{Path(folder).name}.partial")
        judge.save(partial)
        write_json(partial / REPORT_FILE, {**asdict(report), "settings": asdict(settings)})
        partial.rename(folder)
        shutil.rmtree(_workplace(Path(folder)))
    return judge, report


def _workplace(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.training")


def _begun(folder: Path, settings: RewardSettings, pairs: list[dict[str, Any]], resume: bool) -> Checkpoints:
    """Where the checkpoints of a training are, once it is sure that they are of this one."""
    place, told = _workplace(folder), "training.json"
    digest = hashlib.sha256(json.dumps(pairs, sort_keys=True).encode()).hexdigest()
    facts = {"settings": asdict(settings), "pairs": digest}
    if (place / told).exists():
        if not resume:
            raise UsageError(f"training of {folder} was begun before: resume it, or remove {place}")
        changed = [name for name, value in read_json(place / told).items() if facts[name] != value]
        if changed:
            raise UsageError(f"{folder} was begun with other {' and '.join(changed)}; resume it as it was, or anew")
    else:
        place.mkdir(parents=True, exist_ok=True)
        write_json(place / told, facts)
    return Checkpoints(place / "checkpoints")


def accuracy(judge: RewardModel | PreferenceModel, pairs: Sequence[dict[str, Any]]) -> float | None:
    """Share of pairs whose chosen completion the judge prefers, ties half; None of none."""
    if not pairs:
        return None
    prompts, chosen, rejected = ([pair[name] for pair in pairs] for name in ("prompt", "chosen", "rejected"))
    if isinstance(judge, RewardModel):
        gaps = np.subtract(judge.score(prompts, chosen), judge.score(prompts, rejected))
    else:
        gaps = both_orders(judge.prefer_as_shown, prompts, chosen, rejected)[0] - 0.5
    wanted = np.sign(np.subtract([_recorded(pair) for pair in pairs], 0.5))
    return float(np.mean((np.sign(gaps) * wanted + 1) / 2))


def _split(pairs: list[dict[str, Any]], settings: RewardSettings) -> tuple[list[Any], list[Any]]:
    """Pairs to learn from and pairs kept apart; pairs of one prompt stay together."""
    by_prompt: dict[str, list[dict[str, Any]]] = {}
    for pair in pairs:
        by_prompt.setdefault(repr(pair["prompt"]), []).append(pair)
    groups = list(by_prompt.values())
    order = np.random.default_rng(settings.seed).permutation(len(groups))
    learned: list[Any] = []
    held: list[Any] = []
    wanted = settings.validation_fraction * len(pairs)
    for index in order:
        (held if len(held) < wanted else learned).extend(groups[index])
    if not learned:
        raise DataError(
            f"of {len(pairs)} pairs with {len(groups)} different prompts none are left to learn from; give more, or"
            " validation_fraction=0"
        )
    return learned, held


def _judge(
    model: Any, tokenizer: Any, settings: RewardSettings
) -> tuple[RewardModel | PreferenceModel, dict[str, Tensor]]:
    """The judge to train, and which of its weights are, by name."""
    if settings.kind == "bradley-terry":
        judge, inner = (made := RewardModel.from_causal_lm(model, tokenizer)), made.body
    else:
        judge = PreferenceModel.from_causal_lm(model, tokenizer, seed=settings.seed)
        inner = judge.model
    if settings.lora_rank:
        import peft

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            configuration = peft.LoraConfig(
                r=settings.lora_rank, lora_alpha=2 * settings.lora_rank, target_modules="all-linear"
            )
            inner = peft.get_peft_model(inner, configuration)
        _put(judge, inner)
    else:
        inner.requires_grad_(True)
    weights: dict[str, Tensor] = {name: weight for name, weight in inner.named_parameters() if weight.requires_grad}
    return judge, weights | ({"reward head": judge.head.weight} if isinstance(judge, RewardModel) else {})


def _merge(judge: RewardModel | PreferenceModel) -> None:
    adapted: Any = judge.body if isinstance(judge, RewardModel) else judge.model
    _put(judge, adapted.merge_and_unload())


def _put(judge: RewardModel | PreferenceModel, inner: Any) -> None:
    if isinstance(judge, RewardModel):
        judge.body = inner
    else:
        judge.model = inner


def _train(
    judge: RewardModel | PreferenceModel,
    trained: dict[str, Tensor],
    pairs: list[dict[str, Any]],
    settings: RewardSettings,
    checkpoints: Checkpoints | None,
    show_progress: bool,
) -> tuple[float, int]:
    """Minimise the loss; returns its mean over the last tenth of the steps, and the number of steps. Dropout is off."""
    batch_size = min(settings.batch_size, len(pairs))
    size = settings.micro_batch_size or batch_size
    total = max(1, round(settings.epochs * len(pairs) / batch_size))
    peak = settings.learning_rate or (1e-4 if settings.lora_rank else 1e-5)
    schedule, weights = Training(warmup_fraction=settings.warmup_fraction), list(trained.values())
    optimizer = torch.optim.AdamW(weights, lr=peak, weight_decay=settings.weight_decay)
    latest, losses = None if checkpoints is None else checkpoints.latest(), []
    if latest is not None:
        load_state(latest.folder, trained, optimizer, type(judge).__name__)
        losses = latest.metadata["losses"]
    saved = time.monotonic()
    batches = islice(_batches(pairs, settings, batch_size), len(losses), total)
    with progress(f"training a {settings.kind} model", total, show_progress) as bar:
        for step, (batch, swapped) in enumerate(batches, len(losses)):
            value = 0.0
            for start in range(0, batch_size, size):
                part = slice(start, start + size)
                loss = _losses(judge, batch[part], swapped[part]).sum() / batch_size
                loss.backward()
                value += float(loss.detach())
            norm = torch.nn.utils.clip_grad_norm_(weights, settings.gradient_clip or float("inf"))
            if not (np.isfinite(value) and torch.isfinite(norm)):
                raise DivergenceError(f"the loss is {value} at step {step}; lower the learning rate ({peak:g})")
            for group in optimizer.param_groups:
                group["lr"] = peak * schedule.rate(step, total)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(value)
            if checkpoints is not None and time.monotonic() - saved >= 60 * settings.checkpoint_minutes:
                state = state_of(trained, optimizer)
                checkpoints.save(step + 1, partial(save_state, state=state), {"losses": losses})
                saved = time.monotonic()
            bar.update(step + 1, f"loss {value:.3f}")
    return float(np.mean(losses[-max(1, total // 10) :])), total


def _batches(
    pairs: list[dict[str, Any]], settings: RewardSettings, batch_size: int
) -> Iterator[tuple[list[dict[str, Any]], Bool[np.ndarray, " pair"]]]:
    """The pairs of each step, and which of them a pairwise model is shown the other way round, so that it learns no
    side; the same at every call.
    """
    rng = np.random.default_rng([settings.seed, 1])
    order: list[int] = []
    while True:
        while len(order) < batch_size:
            order += rng.permutation(len(pairs)).tolist()
        chosen, order = order[:batch_size], order[batch_size:]
        swapped = rng.random(batch_size) < 0.5 if settings.kind == "pairwise" else np.zeros(batch_size, bool)
        yield [pairs[i] for i in chosen], swapped


def _losses(
    judge: RewardModel | PreferenceModel, pairs: Sequence[dict[str, Any]], swapped: Bool[np.ndarray, " pair"]
) -> Float[Tensor, " pair"]:
    """The loss of each pair: -log of the probability of what was recorded."""
    soft = torch.tensor([_recorded(pair) for pair in pairs])
    if isinstance(judge, RewardModel):
        texts = [judge.encode(pair["prompt"], pair[side]) for side in ("chosen", "rejected") for pair in pairs]
        device = judge.head.weight.device
        chosen, rejected = judge(collate(texts, judge.encoder.padding).to(device)).chunk(2)
        return binary_cross_entropy_with_logits(chosen - rejected, soft.to(device), reduction="none")
    sides = [("rejected", "chosen") if swap else ("chosen", "rejected") for swap in swapped]
    texts = [judge.encode(pair["prompt"], pair[one], pair[other]) for pair, (one, other) in zip(pairs, sides)]
    logits = judge.logits(texts)
    labels = judge.labels.to(logits.device)
    first = torch.where(torch.from_numpy(swapped), 1 - soft, soft).to(logits.device)
    said = log_softmax(logits, -1)[:, labels]
    return -(first * said[:, 0] + (1 - first) * said[:, 1])


def _recorded(pair: dict[str, Any]) -> float:
    """Recorded probability that the chosen side is preferred."""
    probability = pair.get("preference_prob")
    return 1.0 if probability is None else float(probability)


def _position_bias(judge: RewardModel | PreferenceModel, pairs: Sequence[dict[str, Any]]) -> float | None:
    if isinstance(judge, RewardModel) or not pairs:
        return None
    prompts, chosen, rejected = ([pair[name] for pair in pairs] for name in ("prompt", "chosen", "rejected"))
    bias = both_orders(judge.prefer_as_shown, prompts, chosen, rejected)[1]
    warn_of_position_bias(bias)
    return float(np.abs(bias).mean())


def _length_accuracy(pairs: Sequence[dict[str, Any]]) -> float | None:
    if not pairs:
        return None
    gaps = [len(plain_text(pair["chosen"])) - len(plain_text(pair["rejected"])) for pair in pairs]
    return float(np.mean((np.sign(gaps) + 1) / 2))


def _length_bias(judge: RewardModel | PreferenceModel, pairs: Sequence[dict[str, Any]]) -> float | None:
    if not isinstance(judge, RewardModel) or not pairs:
        return None
    texts = [pair[side] for side in ("chosen", "rejected") for pair in pairs]
    try:
        rewards = judge.score([pair["prompt"] for pair in pairs] * 2, texts)
        return pearson(rewards, [len(plain_text(text)) for text in texts])
    except DataError:  # all of one length, or of one reward
        return None
