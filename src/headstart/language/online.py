"""Rows that a model makes for itself: completions to prompts, judged, and turned into what its method learns from."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from datasets import Dataset

from headstart.core.encoding import Encoded
from headstart.core.errors import UsageError
from headstart.core.files import write_json
from headstart.data.row_conversion import Rule, best, in_rounds, knockout_pairs, rejection_sample, to_pairs
from headstart.judges.judge import Forgiving, Judge, PairJudge
from headstart.language.actor_critic import with_advantages
from headstart.language.advantages import group_normalized, leave_one_out
from headstart.language.anchors import anchored
from headstart.language.comparators import FROM_COMPARATOR, POLICY
from headstart.language.constant_rewards import constant_rewards
from headstart.language.encoded_rows import EncodedRow, encode_rows
from headstart.language.judged_groups import SAMPLED, append, complete_lines, drawn_before, judged, rewrite
from headstart.language.judged_groups import SelfJudge as SelfJudge
from headstart.language.learner import Learner
from headstart.language.method import LanguageMethod
from headstart.language.online_plan import Online as Online
from headstart.language.own_completions import OwnCompletions
from headstart.language.pairings import check_judge
from headstart.language.sampler import Sample, Sampler, Sampling
from headstart.language.snapshots import as_it_was, keep_weights
from headstart.language.transformers_sampler import TransformersSampler


class Collected:
    """Rows of each iteration, sampled from the policy as it then is; see ``headstart.language.trainer.RowSource``.

    Everything sampled and judged is written down as it comes (``completions.jsonl`` of the iteration), so that nothing
    is paid for twice. Completions that the judge would not score are listed there with the reason and left out;
    prompts whose completions gave no pair, in ``left_out.json``.

    Args:
        prompts: rows with a ``prompt`` and whatever else the judge reads.
        judge: scores completions, or compares them (then ``pairing`` is knockout).
        plan: what to sample and to make of it.
        seed: of prompts and samples.
        sampler: draws completions; transformers' engine on the model being trained by default.
        recorded: rows of the method's kind that are learned from besides: with the first iteration's own, and so with
            all of them, or with each iteration's if that learns from its own alone.

    Attributes:
        note: called, in the first process, with lines that a reader of the run should know.
    """

    def __init__(
        self,
        prompts: Sequence[Mapping[str, Any]],
        judge: Judge | PairJudge | SelfJudge,
        plan: Online,
        seed: int,
        sampler: Sampler | None = None,
        recorded: Sequence[Mapping[str, Any]] = (),
    ):
        check_judge(judge, plan, bool(recorded))
        self.prompts, self.judge, self.plan, self.seed, self.sampler = list(prompts), judge, plan, seed, sampler
        self.recorded = list(recorded)
        self.note: Callable[[list[str]], None] = lambda lines: None
        self.iterations, self.steps, self.history = plan.iterations, plan.steps_per_iteration, plan.history
        self.restart, self.fresh = plan.restart, OwnCompletions(seed, plan.max_tokens, stop=plan.stop)

    def rows(self, iteration: int, learner: Learner, folder: Path) -> list[EncodedRow]:
        """Rows of an iteration, with the reference's log-probabilities where the method needs them."""
        if self.plan.comparator == "mixture" and 0 < iteration < self.iterations - 1:
            keep_weights(learner, folder / WEIGHTS)
        groups = self._completions(iteration, learner, folder / "completions.jsonl")
        kept = [self._ended(group) for group in groups if len(group["completions"]) > 0]
        refused = [one["reason"] for group in groups for one in group.get("left_out", ())]
        if refused and learner.processes.first:
            warnings.warn(
                f"iteration {iteration}: {len(refused)} completions are set aside, such as one because: {refused[0]};"
                f" they are listed in {folder / 'completions.jsonl'}",
                stacklevel=2,
            )
        if not kept:
            aside = folder / "refused.jsonl"
            learner.processes.told(lambda: (folder / "completions.jsonl").replace(aside) and None)
            raise UsageError(
                f"iteration {iteration}: every completion was set aside, such as one because: {refused[0]}; mend the"
                f" judge and resume the run, which judges them again and draws none ({aside} lists what was refused)"
            )
        if learner.processes.first:
            (folder / SAMPLED).unlink(missing_ok=True)
        constant = constant_rewards(kept, self.plan)
        if constant is not None and learner.processes.first:
            self._note(f"iteration {iteration}: {constant[0]}", aloud=constant[1])
        if self.plan.pairing == "each":
            return learner.prepare(self._each(kept, learner))
        made, left_out = learner.processes.told(lambda: self._made(kept, iteration, learner))
        if left_out and learner.processes.first:
            asked = {reason: [kept[position]["prompt"] for position in groups] for reason, groups in left_out.items()}
            write_json(folder / "left_out.json", asked)
        if not made:
            raise UsageError(
                f"iteration {iteration}: none of {len(groups)} groups of completions gave rows for"
                f" {learner.method.name} (pairing {self.plan.pairing}): completions or rewards are all equal;"
                " sample more of them, or at a higher temperature"
            )
        told = [_told(row) for row in made]
        if iteration == 0 or self.history == "current":
            told += [{"identical": False, **row} for row in self.recorded]
        rows = encode_rows(told, learner.method, learner.encoder)
        return anchored(learner, rows)

    def own(self, rows: Sequence[EncodedRow], learner: Learner, step: int) -> list[EncodedRow]:
        """Fresh completions to the prompts of the batch, for HyPO; for other methods none: the rows are the policy's
        own.
        """
        return self.fresh.draw(rows, learner, step)

    # -- sampling and judging ----------------------------------------------------------------------------------------

    def _completions(self, iteration: int, learner: Learner, path: Path) -> list[dict[str, Any]]:
        chosen, first_process = self._prompts_of(iteration), learner.processes.first
        done = learner.processes.told(lambda: complete_lines(path))
        size, drawn = self.plan.prompts_at_once, path.with_name(SAMPLED)
        done = done[: len(done) - len(done) % size if len(done) < len(chosen) else len(chosen)]
        before = learner.processes.told(lambda: drawn_before(drawn))
        if first_process:
            rewrite(path, done)
        for first in range(len(done), len(chosen), size):
            asked = chosen[first : first + size]
            sampled = [before[place] for place in range(first, first + len(asked)) if place in before]
            if [group["prompt"] for group in sampled] != [row["prompt"] for row in asked]:
                sampled = self._sampled(asked, iteration, first, learner, path.parent.parent)
                if first_process:
                    append(drawn, [{"place": first + i, "group": group} for i, group in enumerate(sampled)])
            groups = learner.processes.told(lambda sampled=sampled: self._judged(sampled, drawn))
            if first_process:
                append(path, groups)
            done += groups
        return done

    def _judged(self, sampled: list[dict[str, Any]], drawn: Path) -> list[dict[str, Any]]:
        try:
            return judged(sampled, self.judge, self.plan)
        except UsageError as error:
            reason = str(error).rstrip(".")
            raise UsageError(f"{reason}. The completions are kept in {drawn}; a resumed run judges those") from error

    def _prompts_of(self, iteration: int) -> list[Mapping[str, Any]]:
        count, total = self.plan.prompts_per_iteration, len(self.prompts)
        picked = []
        for position in range(iteration * count, (iteration + 1) * count):
            order = np.random.default_rng((self.seed, 7, position // total)).permutation(total)
            picked.append(self.prompts[order[position % total]])
        return picked

    def _sampled(
        self, prompts: Sequence[Mapping[str, Any]], iteration: int, first: int, learner: Learner, iterations: Path
    ) -> list[dict[str, Any]]:
        plan, groups = self.plan, [{**row, "completions": []} for row in prompts]
        ids = [learner.encoder.encode_prompt(row["prompt"]) for row in prompts]
        shares = np.array_split(np.arange(plan.completions), len(plan.temperatures))
        drawn: list[list[tuple[str, Sample]]] = [[] for _ in prompts]
        # All completions of a prompt go on from the same prefix, so that each is a baseline for the others.
        forced = (
            self._prefixes(prompts, learner, _seed(self.seed, iteration, first, 0, 2)) if plan.reset_fraction else None
        )
        for part, (temperature, share) in enumerate(zip(plan.temperatures, shares, strict=True)):
            sampling = Sampling(temperature, plan.top_k, plan.top_p, plan.max_tokens, plan.stop)
            seed = _seed(self.seed, iteration, first, part, 0)
            for held, samples in zip(
                drawn, learner.draw(ids, len(share), sampling, seed, forced, self.sampler), strict=True
            ):
                held += [("policy", sample) for sample in samples]
        extra = (plan.comparator == "reference") + plan.calibrate
        if extra:
            with learner.reference() as model:
                other = TransformersSampler(model, learner.encoder)
                seed = _seed(self.seed, iteration, first, len(plan.temperatures), 0)
                sampling = Sampling(1.0, plan.top_k, plan.top_p, plan.max_tokens, plan.stop)
                for group, held, samples in zip(
                    groups, drawn, learner.draw(ids, extra, sampling, seed, sampler=other), strict=True
                ):
                    if plan.calibrate:
                        calibration = samples.pop()
                        group |= {"calibration_ids": calibration.ids, "calibration_truncated": calibration.truncated}
                    held += [("reference", sample) for sample in samples]
        if plan.comparator == "mixture":
            found = self._by_past_policies(ids, iteration, first, learner, iterations)
            for held, sample in zip(drawn, found, strict=True):
                held.append(("comparator", sample))
        elif plan.comparator == "policy" and FROM_COMPARATOR in learner.method.fields:
            for held in drawn:
                held[-1] = ("comparator", held[-1][1])
        for group, held in zip(groups, drawn, strict=True):
            group |= {
                "completions": [sample.text for _, sample in held],
                "completion_ids": [sample.ids for _, sample in held],
                "truncated": [sample.truncated for _, sample in held],
                "sources": [source for source, _ in held],
                "forced": [sample.forced for _, sample in held],
                "log_probabilities": [sample.model_log_probabilities for _, sample in held],
            }
        if isinstance(self.judge, SelfJudge) and iteration:
            _rescore(groups, ids, learner)
        return groups

    def _by_past_policies(
        self, ids: Sequence[Sequence[int]], iteration: int, first: int, learner: Learner, iterations: Path
    ) -> list[Sample]:
        """A completion of each prompt by one of the policies that iterations began with, each as likely."""
        plan = self.plan
        sampling = Sampling(1.0, plan.top_k, plan.top_p, plan.max_tokens, plan.stop)
        whose = np.random.default_rng((self.seed, 17, iteration, first)).integers(iteration + 1, size=len(ids))
        found: dict[int, Sample] = {}
        for past in range(iteration + 1):
            places = [place for place in range(len(ids)) if whose[place] == past]
            asked, seed = [ids[place] for place in places], _seed(self.seed, iteration, first, past, 4)
            if not places:
                continue
            if past == iteration:
                drawn = learner.draw(asked, 1, sampling, seed, sampler=self.sampler)
            elif past == 0:
                with learner.reference() as model:
                    other = TransformersSampler(model, learner.encoder)
                    drawn = learner.draw(asked, 1, sampling, seed, sampler=other)
            else:
                with as_it_was(learner, iterations / f"{past:03d}" / WEIGHTS):
                    drawn = learner.draw(asked, 1, sampling, seed)
            found |= {place: samples[0] for place, samples in zip(places, drawn, strict=True)}
        return [found[place] for place in range(len(ids))]

    def _prefixes(self, prompts: Sequence[Mapping[str, Any]], learner: Learner, seed: int) -> list[list[int]]:
        generator, prefixes = np.random.default_rng(seed), []
        for row in prompts:
            resets, position = generator.random(2)
            answer = row.get(self.plan.reset_column)
            ids = learner.encoder.encode(row["prompt"], answer).completion if answer else []
            # Exclusive: the whole answer is never given, nor all that a completion may be.
            low, high = self.plan.min_prefix, min(len(ids), self.plan.max_tokens)
            if resets >= self.plan.reset_fraction or high - low < 1:
                prefixes.append([])
            else:
                prefixes.append(ids[: low + int(position * (high - low))])
        return prefixes

    # -- rows of it --------------------------------------------------------------------------------------------------

    def _ended(self, group: dict[str, Any]) -> dict[str, Any]:
        """A group whose completions that were cut before their end are worth what the plan says."""
        plan = self.plan
        if not plan.missing_end_penalty and plan.missing_end_score is None:
            return group
        rewards = [
            (reward if plan.missing_end_score is None else plan.missing_end_score) - plan.missing_end_penalty
            if cut
            else reward
            for reward, cut in zip(group["rewards"], group["truncated"], strict=True)
        ]
        return {**group, "rewards": rewards}

    def _made(
        self, groups: list[dict[str, Any]], iteration: int, learner: Learner
    ) -> tuple[list[dict[str, Any]], dict[str, list[Any]]]:
        """Rows of groups, and by reason the positions of those that gave none."""
        plan = self.plan
        dataset = Dataset.from_list([{name: group[name] for name in _LEARNED if name in group} for group in groups])
        if plan.pairing == "best":
            return _plain(best(dataset)), {}
        if plan.pairing == "rejection":
            seed = _seed(self.seed, iteration, 0, 0, 1)
            checked = in_rounds(rejection_sample(dataset, plan.kept, plan.sampling_beta, seed), seed=seed)
        elif plan.pairing == "knockout":
            assert isinstance(self.judge, PairJudge)
            checked = knockout_pairs(dataset, Forgiving(self.judge, timeout=plan.judge_timeout))
        else:
            coin = _seed(self.seed, iteration, 0, 0, 3) if plan.ties == "coin" else None
            identical = plan.pairing == "first_two" and "identical" in learner.method.optional_fields
            rule = cast("Rule", plan.pairing)
            checked = to_pairs(dataset, rule, plan.length_penalty, coin=coin, identical=identical)
        for reason, pairs in checked.noted.items():
            self._note(f"iteration {iteration}: {len(pairs)} pairs left out: {reason}")
        return _plain(checked.dataset), checked.dropped

    def _note(self, line: str, aloud: bool = False) -> None:
        if aloud:
            print(line, file=sys.stderr)
        self.note([line])

    def _each(self, groups: list[dict[str, Any]], learner: Learner) -> list[EncodedRow]:
        """One row a completion, with the advantage over the prompt's others, or its reward where that is learned
        from.
        """
        rows, penalised, by_critic = [], [], self.plan.by_critic
        groups = [group for group in groups if by_critic or len(group["completions"]) == self.plan.per_prompt]
        for group in groups:
            start = learner.encoder.encode_prompt(group["prompt"])
            for ids, cut, forced, behavior in zip(
                group["completion_ids"], group["truncated"], group["forced"], group["log_probabilities"], strict=True
            ):
                fields = {"advantage": 0.0, "behavior": behavior, "forced": float(forced)}
                rows.append(EncodedRow({"completion": Encoded(start, ids, cut)}, fields))
            penalised += group["rewards"]
        rewards = torch.tensor(penalised, dtype=torch.float64)
        if self.plan.reward_kl:
            rows = learner.referred(rows)
        if by_critic:
            return with_advantages(rows, penalised, learner, self.plan)
        if self.plan.reward_kl:
            ratio = [_drawn(row.fields["behavior"], row) - _drawn(row.reference["completion"], row) for row in rows]
            rewards = rewards - self.plan.reward_kl * torch.tensor(ratio, dtype=torch.float64)
        baseline = leave_one_out if self.plan.advantage == "leave_one_out" else group_normalized
        advantages = baseline(rewards, self.plan.per_prompt).tolist()
        return [
            replace(row, fields={**row.fields, "advantage": value, **_plain_reward(reward, learner.method)})
            for row, value, reward in zip(rows, advantages, rewards.tolist(), strict=True)
        ]


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """A row with what its method's loss may read."""
    if "chosen_source" in row:
        row[FROM_COMPARATOR] = row["chosen_source"] != POLICY
        row["identical"] = row["chosen"] == row["rejected"]
    return row


def _plain_reward(reward: float, method: LanguageMethod) -> dict[str, float]:
    """The columns of a method that learns from rewards as they are."""
    if "weight" in method.fields and reward < 0:
        raise UsageError(
            f"a completion scored {reward:g}, and {method.name} takes scores as weights: give a judge whose scores are"
            " 0 or more"
        )
    return {name: reward for name in ("reward", "weight") if name in method.fields}


WEIGHTS = "policy.safetensors"
"""In an iteration's folder, the weights that it began with, where later ones draw with them."""
_LEARNED = (
    *("prompt", "completions", "rewards", "completion_ids", "truncated", "sources"),
    *("calibration_ids", "calibration_truncated"),
)


def _rescore(groups: Sequence[dict[str, Any]], prompts: Sequence[Sequence[int]], learner: Learner) -> None:
    """Add what the model that began says of the completions, token by token; by now the policy is another."""
    rows = [
        EncodedRow({"completion": Encoded(list(prompt), ids, cut)})
        for prompt, group in zip(prompts, groups, strict=True)
        for ids, cut in zip(group["completion_ids"], group["truncated"], strict=True)
    ]
    scored = iter(learner.referred(rows))
    for group in groups:
        group["own"] = [list(next(scored).reference["completion"]) for _ in group["completion_ids"]]


def _plain(dataset: Dataset) -> list[dict[str, Any]]:
    return [dict(row) for row in dataset]


def _drawn(values: Any, row: EncodedRow) -> float:
    """Sum over the tokens that were not forced."""
    forced = row.fields["forced"]
    assert not isinstance(forced, list)
    return float(sum(values[int(forced) :]))


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint32)[0])
