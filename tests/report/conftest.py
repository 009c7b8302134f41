import os
import shutil
import subprocess

import numpy as np
import pytest

from headstart.runs.folder import RunFolder


@pytest.fixture(scope="session")
def chromium():
    """The browser's program."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    program = next((found for name in names if (found := shutil.which(name))), None)
    if program is None:
        message = "no Chromium or Chrome on PATH; install one to check the page"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return program


@pytest.fixture
def browser(tmp_path, chromium):
    """A function that opens an HTML file without a window and returns its document once scripts have run."""

    def dump(path, width=1280, height=900):
        command = (
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--window-size={width},{height}",
            "--virtual-time-budget=10000",
            "--dump-dom",
            f"file://{path}",
        )
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout

    return dump


def record(path, config, plan, score, seeds, generator, every=100, metric="evaluation/score"):
    """Record a run with the real writer: ``score(phase, updates, steps)`` plus noise for each seed."""
    run = RunFolder.create(path, config, seeds, accelerators=[])
    for folder in run.seed_folders():
        with folder.record() as recorder:
            updates = steps = 0
            for phase, length in plan:
                for done in range(0, length + 1, every):
                    now = (updates + done * (phase != "warmup"), steps + done * (phase != "offline"))
                    value = score(phase, *now) + generator.normal(0, 2)
                    recorder.log(*now, phase, {metric: value, "loss/critic": 0.5})
                    recorder.log(*now, phase, {"evaluation/return": 30 * value})
                updates, steps = now
    return run


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """For reading only: offline then online, online from scratch, and offline alone with a single seed."""
    tmp_path, generator = tmp_path_factory.mktemp("runs"), np.random.default_rng(11)
    data = {
        "name": "hopper-medium",
        "source": "/somewhere/" + "very-long-" * 30,
        "description": {"episodes": 412, "TQ": 0.62},
    }
    shared = {"world": {"name": "Hopper-v5"}, "settings": {"batch_size": 256}}

    def offline_score(updates):
        return 55 * (1 - np.exp(-updates / 300))

    fine_tuned = record(
        tmp_path / "a",
        {**shared, "method": {"name": "wsrl", "critics": 10, "discount": 0.99}, "data": data},
        [("offline", 1000), ("warmup", 200), ("online", 1000)],
        lambda phase, updates, steps: offline_score(updates) if phase == "offline" else 55 + steps / 40,
        [0, 1, 2, 5],
        generator,
    )
    scratch = record(
        tmp_path / "b",
        {**shared, "method": {"name": "sac", "critics": 2, "discount": 0.99}, "data": None},
        [("online", 1200)],
        lambda phase, updates, steps: steps / 30,
        [0, 1, 2],
        generator,
    )
    kept = record(
        tmp_path / "c",
        {**shared, "method": {"name": "</script><b>calql&", "critics": 10, "discount": 0.99}, "data": data},
        [("offline", 1000)],
        lambda phase, updates, steps: offline_score(updates),
        [7],
        generator,
    )
    return [fine_tuned, scratch, kept]
