"""Carry out a paper's experiment, seed by seed in processes of their own, and judge it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.control.workers import ONE_THREAD
from headstart.core.errors import HeadstartError
from headstart.core.files import cache_folder, read_json
from headstart.core.progress import progress
from headstart.papers import evidence, page
from headstart.papers.digest import code_digest
from headstart.papers.paper import Paper, Row, Verdict
from headstart.papers.registry import PAPERS, module_of, target_of


@dataclass(frozen=True)
class Proof:
    """What an experiment gave.

    Attributes:
        paper: the paper.
        table: the numbers that the verdicts rest on.
        verdicts: one a claim.
        seconds: wall time of all seeds, summed.
        evidence: the file that was written; None after a quick run.
    """

    paper: Paper
    table: list[Row]
    verdicts: list[Verdict]
    seconds: float
    evidence: Path | None

    @property
    def holds(self) -> bool:
        """Whether every claim does."""
        return all(verdict.holds for verdict in self.verdicts)


def prove(name: str, quick: bool = False, workers: int | None = None, show_progress: bool = True) -> Proof:
    """Run a paper's experiment and judge it; a full run writes evidence.

    A full run that was stopped goes on with the seeds that are missing, as long as the code is the same.

    Args:
        name: the paper's id.
        quick: the smallest run that goes through every part; nothing is recorded.
        workers: seeds at a time; by default one for each core.
        show_progress: whether to show a progress bar.

    Raises:
        UsageError: the paper is unknown, or there is nowhere to keep evidence.
        HeadstartError: seeds failed; says which and why.
    """
    paper: Paper = PAPERS.get(name)
    digest = code_digest(module_of(name))
    workers = workers or len(os.sched_getaffinity(0))
    if quick:
        with tempfile.TemporaryDirectory(prefix=f"headstart-{name}-") as folder:
            results = _run_seeds(paper, digest, Path(folder), workers, show_progress, quick=True)
            numbers = [result["numbers"] for result in results]
            paper.draw(numbers, Path(folder) / "figure.svg")
        seconds = sum(result["seconds"] for result in results)
        return Proof(paper, paper.table(numbers), paper.verdicts(numbers), seconds, None)
    folder = evidence.evidence_folder()
    finished = cache_folder() / "papers" / name / digest
    results = _run_seeds(paper, digest, finished, workers, show_progress, quick=False)
    record = evidence.write(paper, results, digest, folder)
    page.write(folder)
    shutil.rmtree(finished)
    verdicts = [Verdict(claim=c["name"], holds=c["holds"], numbers=c["numbers"]) for c in record["claims"]]
    seconds = sum(result["seconds"] for result in results)
    return Proof(paper, record["table"], verdicts, seconds, folder / f"{name}.json")


def _run_seeds(
    paper: Paper, digest: str, folder: Path, workers: int, show_progress: bool, quick: bool
) -> list[dict[str, Any]]:
    """Results of all seeds in their order; those already in ``folder`` are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    seeds = paper.quick_seeds if quick else paper.seeds
    waiting = [seed for seed in seeds if not _result(folder, seed).exists()]
    running: dict[int, subprocess.Popen] = {}
    failed: list[int] = []
    try:
        with progress(f"{paper.id} ({len(seeds)} seeds)", len(seeds), show_progress) as bar:
            while waiting or running:
                while waiting and len(running) < workers:
                    seed = waiting.pop(0)
                    running[seed] = _start(paper.id, seed, quick, digest, folder)
                for seed, process in list(running.items()):
                    if process.poll() is not None:
                        del running[seed]
                        failed += [seed] if process.returncode else []
                        done = len(seeds) - len(waiting) - len(running)
                        bar.update(done, f"seeds {', '.join(map(str, running))} running" if running else "")
                time.sleep(0.05)
    finally:
        for process in running.values():
            process.terminate()
    if failed:
        reasons = [f"seed {seed}: {_last_words(_log(folder, seed))}" for seed in failed]
        raise HeadstartError(f"paper {paper.id} could not be run\n" + "\n".join(reasons))
    return [read_json(_result(folder, seed)) for seed in seeds]


def _result(folder: Path, seed: int) -> Path:
    return folder / f"seed-{seed}.json"


def _log(folder: Path, seed: int) -> Path:
    return folder / f"seed-{seed}.log"


def _start(paper: str, seed: int, quick: bool, digest: str, folder: Path) -> subprocess.Popen:
    size = "quick" if quick else "full"
    arguments = (target_of(paper), str(seed), size, digest, str(_result(folder, seed)))
    # Seeds run mostly the same programs; compiling them anew in each process would take a good part of the time.
    compiled = {
        "JAX_COMPILATION_CACHE_DIR": str(cache_folder() / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5",
    }
    with open(_log(folder, seed), "w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "headstart.papers.worker", *arguments],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env=compiled | os.environ | ONE_THREAD,
        )


def _last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "the process ended without saying why"
