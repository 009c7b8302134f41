"""A language run that is asked to stop leaves a checkpoint of the step it was at, and goes on from there."""

import signal

import pytest
import torch

from headstart.language.learner import Learner
from headstart.language.online import Online
from headstart.language.settings import Training
from headstart.language.training import train
from headstart.runs.folder import RunFolder


def test_a_stopped_run_loses_no_step_and_goes_on_to_the_same_weights(key_words, prompts, tmp_path, monkeypatch):
    world, model = key_words
    step = Learner.step

    def learn(folder, resume=False):
        return train(
            "xpo", str(model), prompts=prompts, judge=world, folder=folder, resume=resume, show_progress=False,
            plan=Online(iterations=2, prompts_per_iteration=16, completions=1, comparator="reference",
                        pairing="first_two", steps_per_iteration=5, max_tokens=8),
            training=Training(learning_rate=2e-3, batch_size=8, log_every=1),
        )  # fmt: skip

    def step_and_ask(learner, *rows):
        if learner.steps == 6:
            signal.raise_signal(signal.SIGTERM)
        return step(learner, *rows)

    whole = learn(tmp_path / "whole")
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        monkeypatch.setattr(Learner, "step", step_and_ask)
        with pytest.raises(KeyboardInterrupt):
            learn(tmp_path / "stopped")
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)
    seed = RunFolder.open(tmp_path / "stopped").seed(0)
    assert seed.status().state == "stopped"
    assert seed.checkpoints.latest_progress() == seed.status().updates == 7
    monkeypatch.setattr(Learner, "step", step)
    resumed = learn(tmp_path / "stopped", resume=True)
    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)
    assert resumed.folder.seed(0).metrics().drop("time").equals(whole.folder.seed(0).metrics().drop("time"))
