import numpy as np
import pytest

from headstart.envs.text.keywords import KeyWords
from headstart.language.tiny_models import pretrained

WORLD = KeyWords()


@pytest.fixture(scope="session")
def key_words(tmp_path_factory):
    """The world of key words, and a folder with a tiny model that knows a little of it."""
    model, tokenizer = pretrained(WORLD, steps=60, demonstrations=2000, width=32, positions=32)
    folder = tmp_path_factory.mktemp("taught")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return WORLD, folder


@pytest.fixture(scope="session")
def prompts():
    """Prompts of the world of key words."""
    rng = np.random.default_rng(3)
    return [{"prompt": WORLD.prompt(problem)} for problem in WORLD.sample_problems(96, rng)]
