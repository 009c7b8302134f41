"""Where good completions lie under a model."""

import numpy as np
import pytest

from headstart.core.errors import DataError
from headstart.language.alignment_diagnosis import diagnose


def rows(sign, count=40, noise=0.1):
    generator = np.random.default_rng(0)
    made = []
    for _ in range(count):
        likelihoods = -generator.exponential(5, size=8)
        rewards = sign * likelihoods + noise * generator.normal(size=8)
        made.append(
            {
                "completions": [""] * 8,
                "rewards": rewards.tolist(),
                "model_log_probabilities": [[value / 2, value / 2] for value in likelihoods],
            }
        )
    return made


def test_likely_best_ones_need_no_fresh_samples_and_rare_ones_do():
    inside, tail, chance = diagnose(rows(1)), diagnose(rows(-1)), diagnose(rows(0.0, 200))
    assert inside.place == 1
    assert inside.correlation > 0.9
    assert "fresh samples add little" in inside.advice
    assert tail.place == 0
    assert "in the tail" in tail.advice
    assert 0.35 < chance.place < 0.65


def test_cut_completions_and_prompts_without_a_difference_do_not_count():
    (row,) = rows(1, 1)
    best = int(np.argmax(row["rewards"]))
    cut = [i == best for i in range(8)]
    assert diagnose([row | {"truncated": cut}]).place == 1  # the best of the others is the likeliest of the others
    same = row | {"rewards": [1.0] * 8}
    assert diagnose([row, same]).prompts == 1
    with pytest.raises(DataError, match="different rewards"):
        diagnose([same])
    with pytest.raises(DataError, match="row 0 has no rewards"):
        diagnose([{**row, "rewards": None}])
