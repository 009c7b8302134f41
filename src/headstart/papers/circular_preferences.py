"""Two judges learned from preferences that go in circles: a score for each answer, and a comparison of two."""

from __future__ import annotations

import numpy as np

from headstart.envs.preference_game import cyclic_game
from headstart.envs.text.tokenizer import word_tokenizer
from headstart.language.reward_model import RewardSettings, accuracy, fit_reward_model
from headstart.language.tiny_models import tiny_model

QUESTION = "which"
KINDS = ("bradley-terry", "pairwise")


def judges_of_circles(seed: int, pairs: int, held_out: int, epochs: int) -> dict[str, float]:
    """Share of held-out labels that each kind of judge foretells, and that the annotator's own odds do.

    Answers are nine words. The annotator prefers each to the four that follow it in a circle, but for a quality of its
    own and chance.

    Args:
        seed: of the annotator, its labels and the judges.
        pairs: labelled pairs of different answers, drawn evenly, to learn from.
        held_out: more of them, labelled anew.
        epochs: passes over the pairs.
    """
    game, generator = cyclic_game(seed), np.random.default_rng([seed, 61])
    words = tuple(f"answer-{i}" for i in range(game.responses))
    first = generator.integers(game.responses, size=pairs + held_out)
    second = (first + generator.integers(1, game.responses, size=len(first))) % game.responses
    won = game.wins(first, second, generator)
    rows = [
        {"prompt": QUESTION, "chosen": words[a if first_won else b], "rejected": words[b if first_won else a]}
        for a, b, first_won in zip(first.tolist(), second.tolist(), won.tolist(), strict=True)
    ]
    likelier = game.preference[first, second] > 0.5
    found = {"annotator": float(np.mean((likelier == won)[pairs:]))}
    for kind in KINDS:
        tokenizer = word_tokenizer((QUESTION, *words))
        settings = RewardSettings(
            kind=kind, epochs=epochs, batch_size=64, learning_rate=3e-3, validation_fraction=0.0, seed=seed
        )
        model = tiny_model(tokenizer, width=32, seed=seed)
        judge, _ = fit_reward_model(model, tokenizer, rows[:pairs], settings, show_progress=False)
        judge.batch_size = 512
        told = accuracy(judge, rows[pairs:])
        assert told is not None
        found[kind] = told
    return found
