"""Training by stretches: up to some step, then later, or elsewhere, or with other hyper-parameters, on from there."""

from __future__ import annotations

from collections.abc import Callable

from headstart.control.trainer import Parts, Trainer
from headstart.core.compilation import keep_compiled_programs
from headstart.runs.folder import SeedFolder
from headstart.tune.space import Configuration


class _EndError(Exception):
    """The stretch is over."""


def train_until(
    folder: SeedFolder, parts: Parts, steps: int, configuration: Configuration, watch: Callable[[int], None]
) -> None:
    """Train one seed from its latest checkpoint until its plan has come ``steps`` far, and checkpoint it there.

    Where nothing changes between stretches, the outcome is the very one of training without a pause.

    Args:
        folder: the seed's.
        parts: what to train from. Its method may differ from that of an earlier stretch in anything but shapes.
        steps: steps over all phases of the plan; a place where the plan evaluates.
        configuration: what is searched, for the run's notes.
        watch: told the progress.
    """
    keep_compiled_programs()
    with folder.record() as recorder:

        def look(done: int) -> None:
            watch(done)
            if done >= steps and done < sum(phase.steps for phase in parts.plan):
                if recorder.checkpoints.latest_progress() != done:
                    trainer.save()
                recorder.stop()
                raise _EndError

        trainer = Trainer(parts, folder.seed, recorder, look)
        checkpoint = recorder.checkpoints.latest()
        if checkpoint is not None:
            trainer.restore(checkpoint)
        else:
            recorder.metrics.truncate_after(0)
        values = ", ".join(f"{name} {value}" for name, value in configuration.items())
        recorder.note([f"from step {trainer.progress}: {values or 'defaults'}"])
        try:
            trainer.run()
        except _EndError:
            return
