"""Rows of one kind from rows of another: pairs from scored completions, scored completions from more of them, …

Every function is pure: the same rows and seed give the same rows, in the order of the first. Groups that give nothing
are left out; ``to_pairs`` and ``knockout_pairs`` also tell which and why. What a row is not asked for is kept: of a
scored row the entries of each completion go with it (``sources`` becomes ``chosen_source`` and ``rejected_source``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
from datasets import Dataset

from headstart.core.errors import DataError, UsageError
from headstart.data.rows import PER_COMPLETION, Checked
from headstart.evaluate.tournament import Comparer, fair_preferences, knockout, paired_rounds, play

Rule = Literal["best_worst", "best_random", "best_second", "first_two", "all_pairs"]

SINGULAR = {"sources": "source", "behavior_logps": "behavior_logp", "truncated": "truncated", "completion_ids": "ids"}
"""What an entry for each completion is called on one side of a pair, after ``chosen_`` or ``rejected_``."""

EXCHANGED = ("reward", "source", "behavior_logp", "truncated", "ids")
"""Columns that belong to one side of a pair."""


EQUAL = "the scores are equal"
"""Why two completions are no pair, or a group gave none."""


def characters(completion: Any) -> float:
    """Length of a completion's text in characters."""
    return (
        len(completion) if isinstance(completion, str) else sum(len(message["content"] or "") for message in completion)
    )


def to_pairs(
    dataset: Dataset,
    rule: Rule = "best_worst",
    length_penalty: float = 0.0,
    threshold: float = 0.0,
    length: Callable[[Any], float] = characters,
    coin: int | None = None,
    identical: bool = False,
) -> Checked:
    """Preference pairs from scored completions.

    Args:
        dataset: scored rows (``prompt``, ``completions``, ``rewards``).
        rule: which completions are paired: the best with the worst, with the first other (``best_random``: the others
            are exchangeable, so the first is a random one) or with the second; the first two, better one first; or
            every two whose scores are more than ``threshold`` apart.
        length_penalty: what each unit of length takes from a completion's score. Completions are ranked, and pairs
            oriented, by reward less this; rewards and ``margin`` are stored without it.
        threshold: least difference of scores, exclusive, for ``all_pairs``.
        length: of a completion; characters by default.
        coin: for ``first_two``: a fair coin of this seed decides between equal scores, in place of leaving them out.
        identical: for ``first_two``: keep pairs of one and the same text too.

    Returns:
        Pairs with ``chosen_reward``, ``rejected_reward``, ``margin``, new ``row_id`` and the group's as ``group_id``;
        and the groups that gave none, by reason.

    Raises:
        DataError: rewards that are not finite, or as many as completions; the row is named.
    """
    if rule not in get_args(Rule):
        raise UsageError(f"unknown rule {rule!r}; known: {', '.join(get_args(Rule))}")
    if threshold < 0:
        raise UsageError(f"threshold is {threshold}, expected at least 0")
    if rule != "first_two" and (coin is not None or identical):
        raise UsageError(f"only rule first_two keeps equal scores or completions; given {rule}")
    pairs: list[dict[str, Any]] = []
    dropped: dict[str, list[Any]] = {}
    for position, (group_id, row) in enumerate(_groups(dataset)):
        completions = row["completions"]
        scores = [
            reward - (length_penalty * length(text) if length_penalty else 0.0)
            for reward, text in zip(row["rewards"], completions)
        ]
        found, reason = [], "fewer than two completions"
        for better, worse in _ranked(scores, rule, threshold):
            equal, same = scores[better] == scores[worse], completions[better] == completions[worse]
            if equal and coin is None and not (same and identical):
                reason = EQUAL
            elif same and not identical:
                reason = "the completions are identical"
            else:
                if equal and coin is not None and np.random.default_rng([coin, position]).random() < 0.5:
                    better, worse = worse, better
                found.append(_pair(row, better, worse, group_id))
        if not found:
            reason = "no two scores are far enough apart" if rule == "all_pairs" and len(scores) > 1 else reason
            dropped.setdefault(reason, []).append(group_id)
        pairs += found
    return Checked(_numbered(pairs, ("prompt", "chosen", "rejected")), dropped)


def best_worst(dataset: Dataset, length_penalty: float = 0.0) -> Dataset:
    """The best and the worst completion of each group, ties by the lower position."""
    return to_pairs(dataset, "best_worst", length_penalty).dataset


def best_random(dataset: Dataset, length_penalty: float = 0.0) -> Dataset:
    """The best completion of each group and the first of the others."""
    return to_pairs(dataset, "best_random", length_penalty).dataset


def best_second(dataset: Dataset, length_penalty: float = 0.0) -> Dataset:
    """The best two completions of each group."""
    return to_pairs(dataset, "best_second", length_penalty).dataset


def first_two(dataset: Dataset, length_penalty: float = 0.0) -> Dataset:
    """The first two completions of each group, the better one chosen."""
    return to_pairs(dataset, "first_two", length_penalty).dataset


def all_pairs(dataset: Dataset, threshold: float = 0.0, length_penalty: float = 0.0) -> Dataset:
    """Every two completions of a group whose scores are more than ``threshold`` apart."""
    return to_pairs(dataset, "all_pairs", length_penalty, threshold).dataset


def best(dataset: Dataset) -> Dataset:
    """The best completion of each group as a row to imitate (best-of-n), ties by the lower position; its score is
    ``reward``.
    """
    rows = []
    for group_id, row in _groups(dataset):
        if row["completions"]:
            chosen = int(np.argmax(row["rewards"]))
            entries = {
                name if name in ("truncated", "completion_ids") else singular: row[name][chosen]
                for name, singular in SINGULAR.items()
                if row.get(name) is not None
            }
            rows.append(
                {
                    **_shared(row),
                    "completion": row["completions"][chosen],
                    "reward": float(row["rewards"][chosen]),
                    **entries,
                    "group_id": group_id,
                }
            )
    return _numbered(rows, ("prompt", "completion"))


def rejection_sample(dataset: Dataset, k: int = 8, beta: float = 0.5, seed: int = 0) -> Dataset:
    """Keep up to ``k`` completions of each group so that they look as if drawn from the policy that is optimal for the
    reward with a KL penalty ``beta`` (RSO, Liu et al. 2024, Algorithm 1).

    Equal completions count once, with the first one's reward. A group of fewer than ``k`` different completions keeps
    them all. Choose ``beta`` so that the mean of the column ``acceptance``, the expected share accepted in a pass over
    all candidates, is 0.05 to 0.3.

    Args:
        dataset: scored rows; the completions were drawn from the reference policy.
        k: completions to keep.
        beta: temperature of the target, in units of the reward; see ``top_k`` for the limit 0.
        seed: of the acceptance; each row has its own stream.

    Returns:
        Scored rows, the completions in the order of acceptance, with ``acceptance``.
    """
    _check_positive(k, "k")
    if not beta > 0:
        raise UsageError(f"beta is {beta}, expected above 0; top_k keeps the best completions without chance")
    return _selected(dataset, lambda rewards, row: accept(rewards, k, beta, np.random.default_rng([seed, row])), beta)


def top_k(dataset: Dataset, k: int) -> Dataset:
    """The ``k`` best different completions of each group, best first: rejection sampling in the limit of beta 0."""
    _check_positive(k, "k")
    return _selected(dataset, lambda rewards, row: list(np.argsort(-rewards, kind="stable")[:k]), None)


def accept(rewards: np.ndarray, k: int, beta: float, rng: np.random.Generator) -> list[int]:
    """Positions accepted by statistical rejection sampling, in order.

    In each pass the candidates left are taken in order, and each is accepted with probability exp((reward - maximum) /
    beta), the maximum being over those left when the pass began. That one is accepted for certain, so every pass
    accepts somebody.

    Args:
        rewards: ``[candidate]``.
        k: how many to accept; all, if there are fewer.
        beta: temperature, above 0.
        rng: draws one number for each candidate that is looked at.
    """
    left, accepted = list(range(len(rewards))), []
    while left and len(accepted) < k:
        maximum = max(rewards[i] for i in left)
        taken = set()
        for i in left:
            if len(accepted) == k:
                break
            if rng.random() < math.exp((rewards[i] - maximum) / beta):
                accepted.append(i)
                taken.add(i)
        left = [i for i in left if i not in taken]
    return accepted


def knockout_pairs(dataset: Dataset, judge: Comparer) -> Checked:
    """The best and the worst completion of each group by a knockout under a pairwise judge, both orders averaged.

    Args:
        dataset: rows with ``prompt`` and ``completions``; rewards are not needed.
        judge: compares two completions; its answers that are not-a-number set a group aside.

    Returns:
        Pairs with ``preference_prob`` by the final check, and the groups without one, by reason: where the losers'
        loser is not worse than the winners' winner, the preferences are circular and nothing is kept.
    """
    groups = list(_groups(dataset, rewards=False))
    outcomes = play([knockout(len(row["completions"])) for _, row in groups], _comparer(judge, groups))
    pairs: list[dict[str, Any]] = []
    dropped: dict[str, list[Any]] = {}
    for (group_id, row), outcome in zip(groups, outcomes):
        reason = None
        if len(row["completions"]) < 2:
            reason = "fewer than two completions"
        elif outcome is None:
            reason = "the judge did not decide"
        elif outcome.best == outcome.worst or outcome.probability <= 0.5:
            reason = "the preferences are circular"
        elif row["completions"][outcome.best] == row["completions"][outcome.worst]:
            reason = "the completions are identical"
        else:
            pair = _pair(row, outcome.best, outcome.worst, group_id)
            pairs.append({**pair, "preference_prob": outcome.probability})
        if reason:
            dropped.setdefault(reason, []).append(group_id)
    return Checked(_numbered(pairs, ("prompt", "chosen", "rejected")), dropped)


def first_round(dataset: Dataset, judge: Comparer | None = None, seed: int = 0, ties: bool = False) -> Dataset:
    """Random disjoint pairs of each group's completions (RSO's first round): 4 of 8; see ``in_rounds``."""
    return in_rounds(dataset, judge, seed, ties=ties).dataset


def tournament(dataset: Dataset, judge: Comparer | None = None, seed: int = 0) -> Dataset:
    """As ``first_round``, and the winners meet again until one is left: 7 pairs of 8 completions."""
    return in_rounds(dataset, judge, seed, rounds=None).dataset


def pairs_to_scored(dataset: Dataset) -> Dataset:
    """Each pair as a group of two completions: its rewards where both are given, else 1 and 0."""
    rows = []
    for row in _rows(dataset):
        given = row.get("chosen_reward") is not None and row.get("rejected_reward") is not None
        rewards = [float(row["chosen_reward"]), float(row["rejected_reward"])] if given else [1.0, 0.0]
        entries = {
            many: [row[f"chosen_{one}"], row[f"rejected_{one}"]] for many, one in SINGULAR.items() if _both(row, one)
        }
        rows.append(
            {**_without_sides(row), "completions": [row["chosen"], row["rejected"]], "rewards": rewards, **entries}
        )
    return _dataset(rows, ("prompt", "completions", "rewards"))


def pairs_to_labels(dataset: Dataset) -> Dataset:
    """Each pair as two rows: the chosen completion labelled true, the rejected one false."""
    rows = []
    for row in _rows(dataset):
        kept = {name: value for name, value in _without_sides(row).items() if name != "row_id"}
        for side in ("chosen", "rejected"):
            own = {one: row[f"{side}_{one}"] for one in EXCHANGED if _both(row, one)}
            if "ids" in own:
                own["completion_ids"] = own.pop("ids")
            rows.append({**kept, "completion": row[side], "label": side == "chosen", **own})
    return _numbered(rows, ("prompt", "completion", "label"))


def swap_sides(dataset: Dataset) -> Dataset:
    """The same facts told from the other side: chosen and rejected exchanged with all that belongs to one side,
    ``preference_prob`` turned to 1 - p and ``margin`` to its negative.
    """
    return _dataset([_swapped(row) for row in _rows(dataset)], ("prompt", "chosen", "rejected"))


def _swapped(row: Mapping[str, Any]) -> dict[str, Any]:
    swapped = dict(row)
    for name in row:
        for side, other in (("chosen", "rejected"), ("rejected", "chosen")):
            twin = name.replace(side, other)
            if side in name and twin in row:
                swapped[name] = row[twin]
    if row.get("preference_prob") is not None:
        swapped["preference_prob"] = 1 - row["preference_prob"]
    if row.get("margin") is not None:
        swapped["margin"] = -row["margin"]
    return swapped


def _ranked(scores: Sequence[float], rule: Rule, threshold: float) -> list[tuple[int, int]]:
    """Positions of the better and the worse of each pair that a rule makes."""
    if len(scores) < 2:
        return []
    highest = int(np.argmax(scores))
    others = [i for i in range(len(scores)) if i != highest]
    if rule == "all_pairs":
        positions = range(len(scores))
        return [(i, j) for i in positions for j in positions if scores[i] - scores[j] > threshold]
    if rule == "first_two":
        return [(0, 1) if scores[0] >= scores[1] else (1, 0)]
    if rule == "best_second":
        return [(highest, max(others, key=lambda i: (scores[i], -i)))]
    return [(highest, others[0] if rule == "best_random" else int(np.argmin(scores)))]


def in_rounds(
    dataset: Dataset, judge: Comparer | None = None, seed: int = 0, rounds: int | None = 1, ties: bool = False
) -> Checked:
    """Pairs of each group's completions, drawn at random to meet.

    Args:
        dataset: scored rows.
        judge: which labels the pairs, both orders averaged; the rewards by default.
        seed: of who meets whom.
        rounds: how many; with more than one the winners meet again, until one is left with None.
        ties: keep pairs of one reward, the one met first as chosen; they say nothing and are left out otherwise.

    Returns:
        Pairs; the groups that gave none, by reason; and noted, once a pair, the groups of those left out as ties.
    """
    groups = list(_groups(dataset, rewards=judge is None))
    orders = [
        np.random.default_rng([seed, position]).permutation(len(row["completions"])).tolist()
        for position, (_, row) in enumerate(groups)
    ]
    compare = _by_reward(groups) if judge is None else _comparer(judge, groups)
    played = play([paired_rounds(order, rounds) for order in orders], compare)
    pairs: list[dict[str, Any]] = []
    dropped: dict[str, list[Any]] = {}
    tied: list[Any] = []
    for (group_id, row), matches in zip(groups, played):
        met = [(i, j) for i, j in matches or () if row["completions"][i] != row["completions"][j]]
        told = [(i, j) for i, j in met if ties or judge is not None or row["rewards"][i] != row["rewards"][j]]
        pairs += [_pair(row, winner, loser, group_id) for winner, loser in told]
        tied += [group_id] * (len(met) - len(told))
        if not told:
            undecided = "the judge did not decide" if matches is None else "no two different completions"
            dropped.setdefault(EQUAL if met else undecided, []).append(group_id)
    return Checked(_numbered(pairs, ("prompt", "chosen", "rejected")), dropped, {EQUAL: tied} if tied else {})


def _comparer(judge: Comparer, groups: Sequence[tuple[Any, Mapping[str, Any]]]) -> Callable[..., Sequence[float]]:
    def compare(asked: list[tuple[int, int, int]]) -> Sequence[float]:
        if not asked:
            return []
        rows = [groups[index][1] for index, _, _ in asked]
        sides = [[row["completions"][match[side]] for row, match in zip(rows, asked)] for side in (1, 2)]
        names = [name for name in _shared(rows[0]) if name != "prompt"]
        columns = {name: [row.get(name) for row in rows] for name in names}
        return fair_preferences(judge, [row["prompt"] for row in rows], sides[0], sides[1], columns)

    return compare


def _by_reward(groups: Sequence[tuple[Any, Mapping[str, Any]]]) -> Callable[..., Sequence[float]]:
    def compare(asked: list[tuple[int, int, int]]) -> Sequence[float]:
        rewards = [(groups[index][1]["rewards"][i], groups[index][1]["rewards"][j]) for index, i, j in asked]
        return [0.5 + 0.5 * float(np.sign(first - second)) for first, second in rewards]

    return compare


def _selected(dataset: Dataset, choose: Callable[[np.ndarray, int], list[int]], beta: float | None) -> Dataset:
    """Scored rows with the completions that ``choose`` picks of the different ones."""
    rows = []
    for position, (_, row) in enumerate(_groups(dataset)):
        texts = [repr(completion) for completion in row["completions"]]
        different = [i for i, text in enumerate(texts) if text not in texts[:i]]
        rewards = np.asarray([row["rewards"][i] for i in different], np.float64)
        kept = [different[i] for i in choose(rewards, position)]
        entries = {name: [row[name][i] for i in kept] for name in PER_COMPLETION if row.get(name) is not None}
        selected = {**row, "completions": [row["completions"][i] for i in kept], **entries}
        if beta is not None:
            selected["acceptance"] = float(np.exp((rewards - rewards.max()) / beta).mean()) if len(rewards) else None
        rows.append(selected)
    return _dataset(rows, ("prompt", "completions", "rewards"))


def _pair(row: Mapping[str, Any], chosen: int, rejected: int, group_id: Any) -> dict[str, Any]:
    pair = {**_shared(row), "chosen": row["completions"][chosen], "rejected": row["completions"][rejected]}
    rewards = row.get("rewards")
    if rewards is not None:
        pair["chosen_reward"], pair["rejected_reward"] = float(rewards[chosen]), float(rewards[rejected])
        pair["margin"] = pair["chosen_reward"] - pair["rejected_reward"]
    for many, one in SINGULAR.items():
        if row.get(many) is not None:
            pair[f"chosen_{one}"], pair[f"rejected_{one}"] = row[many][chosen], row[many][rejected]
    return {**pair, "group_id": group_id}


def _shared(row: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of a scored row that belong to all its completions."""
    own = {"completions", "row_id", *PER_COMPLETION}
    return {name: value for name, value in row.items() if name not in own}


def _without_sides(row: Mapping[str, Any]) -> dict[str, Any]:
    own = {"chosen", "rejected", *(f"{side}_{one}" for side in ("chosen", "rejected") for one in EXCHANGED)}
    return {name: value for name, value in row.items() if name not in own}


def _both(row: Mapping[str, Any], name: str) -> bool:
    return row.get(f"chosen_{name}") is not None and row.get(f"rejected_{name}") is not None


def _groups(dataset: Dataset, rewards: bool = True) -> Iterable[tuple[Any, dict[str, Any]]]:
    """Scored rows with what names them, checked."""
    for position, row in enumerate(_rows(dataset)):
        group_id = row.get("row_id", position)
        if rewards:
            given = row.get("rewards")
            if given is None or len(given) != len(row["completions"]):
                raise DataError(f"row {position} (row_id {group_id}) has not one reward for each completion: {given}")
            if not all(reward is not None and math.isfinite(reward) for reward in given):
                raise DataError(
                    f"row {position} (row_id {group_id}) has a reward that is not finite: {given}; check_rows leaves"
                    " such rows out"
                )
        yield group_id, row


def _rows(dataset: Iterable[Any]) -> Iterable[dict[str, Any]]:
    yield from map(dict, dataset)


def _numbered(rows: list[dict[str, Any]], columns: Sequence[str]) -> Dataset:
    return _dataset([{**row, "row_id": number} for number, row in enumerate(rows)], (*columns, "row_id"))


def _dataset(rows: list[dict[str, Any]], columns: Sequence[str]) -> Dataset:
    return Dataset.from_list(rows) if rows else Dataset.from_dict({name: [] for name in columns})


def _check_positive(value: int, name: str) -> None:
    if value < 1:
        raise UsageError(f"{name} is {value}, expected at least 1")
