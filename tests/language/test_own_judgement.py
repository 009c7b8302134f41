"""A model that judges itself does so as it began, however far it has come."""

import json
from dataclasses import replace

import pytest
import torch

from headstart.core.causal_models import load_model
from headstart.core.encoding import Encoded, Encoder, collate
from headstart.language.log_probabilities import score
from headstart.language.recipes import RECIPES
from headstart.language.settings import Training
from headstart.language.training import train


def test_own_likelihood_is_that_of_the_model_that_began(key_words, prompts, tmp_path):
    _, folder = key_words
    recipe = RECIPES["sft-sharpening"]
    plan = replace(
        recipe.plan, iterations=2, prompts_per_iteration=8, completions=3, steps_per_iteration=4, max_tokens=12
    )
    run = train(
        recipe.make(), folder, prompts=prompts, judge=recipe.judge, plan=plan, folder=tmp_path / "run",
        training=Training(learning_rate=1e-2, batch_size=8), show_progress=False,
    )  # fmt: skip
    model, tokenizer = load_model(folder)
    encoder = Encoder(tokenizer)
    for iteration in (0, 1):
        path = run.path / f"seed-0/iterations/{iteration:03d}/completions.jsonl"
        for line in path.read_text().splitlines():
            group = json.loads(line)
            assert "own" not in group
            start = encoder.encode_prompt(group["prompt"])
            for ids, reward in zip(group["completion_ids"], group["rewards"], strict=True):
                with torch.no_grad():
                    found = score(model, collate([Encoded(start, ids)], encoder.padding))
                assert reward == pytest.approx(float(found.log_probability()[0]), abs=1e-3)
