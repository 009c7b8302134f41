"""Candidates until the likeliest completion has been seen, and rows that are kept part by part."""

import json
import math

import numpy as np
import pytest

from headstart.core.errors import UsageError
from headstart.language.adaptive_sampling import Adaptive, likeliest
from headstart.language.sampler import Sample, Sampling
from headstart.language.staged_rows import staged_rows


class Known:
    """Draws one of a few completions with known probabilities; ids of a prompt choose the line."""

    def __init__(self, probabilities):
        self.probabilities, self.drawn = probabilities, 0

    def sample(self, prompts, n=1, sampling=None, seed=0, forced=None):
        groups = []
        for place, prompt in enumerate(prompts):
            line = self.probabilities[prompt[0]]
            generator = np.random.default_rng([seed, place])
            picks = generator.choice(len(line), n, p=line)
            self.drawn += n
            groups.append([self.one(i, line[i]) for i in picks.tolist()])
        return groups

    def one(self, i, p):
        return Sample([i], str(i), [math.log(p)], [math.log(p)], truncated=i == 9)


def test_drawing_stops_by_the_rule_and_finds_the_likeliest_as_often_as_it_promises():
    rule = Adaptive(delta=0.2, most=200, at_once=4)
    scale = math.log(2 / 0.2)
    assert rule.stops([math.log(0.5)] * 4) is None
    assert rule.stops([math.log(0.5)] * 9) == math.ceil(2 * scale)  # 1 / p = 2 <= k / ln(2 / delta)
    assert rule.stops([-math.inf] * 50) is None
    lines = [[0.6, 0.3, 0.1], [0.2, 0.2, 0.25, 0.35]] * 100
    sampler = Known(lines)
    found = likeliest(sampler, [[i] for i in range(200)], rule, Sampling(), seed=1)
    assert all(one.settled for one in found)
    picks = [-1 if one.sample is None else one.sample.ids[0] for one in found]
    right = [pick == int(np.argmax(line)) for pick, line in zip(picks, lines, strict=True)]
    assert np.mean(right) > 0.9
    easy, hard = (np.mean([one.candidates for one in found[start::2]]) for start in (0, 1))
    assert easy == pytest.approx(math.ceil(scale / 0.6), abs=1)
    assert hard > 1.5 * easy
    assert sampler.drawn <= sum(one.candidates + 3 for one in found)


def test_the_most_allowed_and_truncated_candidates():
    (found,) = likeliest(Known([[0.125] * 8]), [[0]], Adaptive(most=6, at_once=4), seed=0)
    assert (found.candidates, found.settled) == (6, False)
    (cut,) = likeliest(Known([[0.0] * 9 + [1.0]]), [[0]], Adaptive(most=5))
    assert cut.sample is None
    assert cut.log_probability == -math.inf
    with pytest.raises(UsageError, match="delta"):
        Adaptive(delta=0)


def test_parts_of_rows_are_made_once_whatever_happens(tmp_path):
    sources, asked = [{"n": i} for i in range(7)], []

    def make(part, first):
        asked.append(first)
        if first == 4 and asked.count(4) == 1:
            raise KeyboardInterrupt
        return [row for row in part if row["n"] % 2]

    path = tmp_path / "rows.jsonl"
    with pytest.raises(KeyboardInterrupt):
        staged_rows(path, sources, make, {"model": "m"}, at_once=2)
    assert not path.exists()
    with (tmp_path / "rows.jsonl.partial").open("a") as file:
        file.write('[{"n": ')  # a line that a kill cut short
    with pytest.raises(UsageError, match="another model"):
        staged_rows(path, sources, make, {"model": "other"}, at_once=2)
    rows = staged_rows(path, sources, make, {"model": "m"}, at_once=2)
    assert asked == [0, 2, 4, 4, 6]
    assert rows == [{"n": 1}, {"n": 3}, {"n": 5}] == [json.loads(line) for line in path.open()]
    assert staged_rows(path, sources, make, {"model": "m"}, at_once=2) == rows
    assert asked == [0, 2, 4, 4, 6]
