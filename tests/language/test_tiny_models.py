from __future__ import annotations

import numpy as np
import pytest
import torch

from headstart.core.encoding import Encoder
from headstart.envs.text.keywords import KeyWords
from headstart.language.sampler import Sampling
from headstart.language.tiny_models import pretrained, tiny_model
from headstart.language.transformers_sampler import TransformersSampler


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))


def test_a_model_taught_key_words_writes_like_its_teacher(tmp_path):
    world = KeyWords()
    model, tokenizer = pretrained(world)
    problems = world.sample_problems(1000, np.random.default_rng(5))
    prompts = [tokenizer(world.prompt(problem))["input_ids"] for problem in problems]
    sampler = TransformersSampler(model, Encoder(tokenizer), 500)
    samples = [completions[0] for completions in sampler.sample(prompts, sampling=Sampling(max_tokens=7))]
    gold = np.mean(world.gold(problems, world.read([sample.text for sample in samples])))
    assert gold == pytest.approx(1.07, abs=0.12)
    assert np.mean([len(sample.ids) for sample in samples]) == pytest.approx(4.45, abs=0.2)
    again, _ = pretrained(world)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values()))
    assert len(list((tmp_path / "tiny-models").iterdir())) == 1


def test_models_belong_to_their_world_settings_and_seed(tmp_path):
    short = {"steps": 2, "demonstrations": 20, "batch": 4}
    models = [pretrained(KeyWords(words=words), seed, **short)[0] for words, seed in [(8, 0), (8, 1), (9, 0)]]
    assert len(list((tmp_path / "tiny-models").iterdir())) == 3
    weights = [model.model.layers[0].mlp.gate_proj.weight for model in models]
    assert not torch.equal(weights[0], weights[1])
    before = torch.get_rng_state()
    _, tokenizer = pretrained(KeyWords(), 0, **short)
    assert torch.equal(tiny_model(tokenizer).lm_head.weight, tiny_model(tokenizer).lm_head.weight)
    assert torch.equal(torch.get_rng_state(), before)
