"""Questions that the likeliest first word answers wrongly."""

import numpy as np
import pytest

from headstart.envs.text.garden_paths import TEMPTING, WORDY, GardenPaths
from headstart.envs.text.tokenizer import word_tokenizer


@pytest.mark.parametrize("ways", [TEMPTING, WORDY])
def test_responses_are_words_of_the_world_and_right_as_often_as_is_said(ways):
    world, generator = GardenPaths(ways, questions=32, facts_seed=3), np.random.default_rng(0)
    tokenizer, right = word_tokenizer(world.vocabulary), []
    for _ in range(3000):
        problem = world.sample_problem(generator)
        response = world.demo(problem, generator)
        right.append(world.verify(problem, response))
        assert len(tokenizer(response)["input_ids"]) < world.longest
    assert np.mean(right) == pytest.approx(world.sampled_accuracy(), abs=0.03)
    prompts = [world.prompt(problem) for problem in range(32)]
    assert np.mean(world.score(prompts, ["answer-1"] * 32)) == pytest.approx(0.1, abs=0.15)
    assert world.score(prompts[:1], ["plainly"]) == [0.0]


def test_the_likelier_beginning_leads_away_from_the_likelier_answer():
    tempting, plain = TEMPTING
    assert tempting.probability > plain.probability
    assert plain.probability * plain.certain > tempting.probability / tempting.phrasings
    slow, quick = WORDY
    whole = [way.probability / way.phrasings * way.certain for way in WORDY]
    mean = [np.log(p) / (4 + way.filler) for p, way in zip(whole, WORDY)]
    assert whole[0] < whole[1]
    assert mean[0] > mean[1]
    assert (slow.misled, quick.misled) == (0.0, 1.0)
