"""``train``: from a method, a model and rows (or prompts and a judge) to a trained model and a recorded run."""

from __future__ import annotations

import copy
import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from headstart.core.causal_models import load_model
from headstart.core.errors import UsageError
from headstart.core.interruption import interruptions_put_off
from headstart.core.progress import progress
from headstart.core.registry import unknown
from headstart.data.rows import check_rows, load_rows
from headstart.judges.judge import Judge, PairJudge
from headstart.language.actor_critic import ActorCritic
from headstart.language.adapters import check_adapter
from headstart.language.comparators import with_comparator
from headstart.language.evaluation import Evaluation
from headstart.language.hypo import HyPO
from headstart.language.inpo import INPO
from headstart.language.judged_groups import check_columns
from headstart.language.learner import Learner
from headstart.language.method import LanguageMethod
from headstart.language.online import Collected, Online, SelfJudge
from headstart.language.pairings import check_judge, check_pairing
from headstart.language.policy_gradient import PPO
from headstart.language.processes import processes
from headstart.language.recipes import plan_of
from headstart.language.recorded import Recorded
from headstart.language.registry import make_method
from headstart.language.sampler import Sampling
from headstart.language.settings import Training
from headstart.language.trainer import Trainer
from headstart.language.truncation import rows_cut
from headstart.runs.folder import RunFolder, SeedFolder
from headstart.runs.naming import fresh_folder

Rows = str | Path | Sequence[Mapping[str, Any]]
"""A file or name that ``load_rows`` reads, a ``datasets.Dataset``, or plain rows."""

IN_MEMORY = "rows in memory"
"""What a record calls rows that were no file."""

SELF_JUDGES = {"loglik": False, "mean_loglik": True}
"""Judges that are the model's own likelihood, and whether its mean over tokens is meant."""


@dataclass(frozen=True)
class LanguageRun:
    """A recorded run.

    Attributes:
        folder: its record on disk; the trained model of each seed is in ``seed-<k>/model``.
        model: the trained model of the last seed.
        tokenizer: its tokenizer.
    """

    folder: RunFolder
    model: Any
    tokenizer: Any

    @property
    def path(self) -> Path:
        """Where the record is."""
        return self.folder.path

    def model_path(self, seed: int | None = None) -> Path:
        """The folder of a seed's trained model, the last seed's by default; ``load_model`` reads it."""
        return self.folder.seed(self.folder.seeds[-1] if seed is None else seed).path / "model"


def train(
    method: LanguageMethod | str,
    model: Any,
    data: Rows | None = None,
    *,
    tokenizer: Any = None,
    prompts: Rows | None = None,
    judge: Judge | PairJudge | Callable[..., Any] | str | None = None,
    plan: Online | None = None,
    training: Training | None = None,
    held_out: Rows | None = None,
    seeds: Sequence[int] = (0,),
    folder: Path | str | None = None,
    resume: bool = False,
    show_progress: bool = True,
) -> LanguageRun:
    """Post-train a causal language model; in several processes, if so many were launched.

    Give ``data`` to learn from recorded rows, ``prompts`` and a ``judge`` to learn from the model's own completions, or
    all of them to learn from both. Beside ``data``, HyPO completes ``prompts`` without a judge.

    Args:
        method: a method, or its name (`headstart lm` lists them).
        model: a model object, a folder, or a name; an object is copied for every seed and left as it is.
        data: rows of the kind that the method learns from.
        tokenizer: of a model object.
        prompts: rows with a ``prompt``, and whatever the judge reads.
        judge: scores completions, or compares them; a function that scores (see ``FunctionJudge``); or its text (see
            ``make_judge``), or "loglik", "mean_loglik".
        plan: how much is sampled, and what is made of it; the method's usual one by default.
        training: optimiser, batches, adapter, limits.
        held_out: rows with a ``prompt``; after every iteration the policy's completions to them are judged.
        seeds: one training each.
        folder: of the record; under ``runs/`` by default.
        resume: go on with the record in ``folder`` from its latest checkpoints.
        show_progress: show a progress bar.

    Raises:
        UsageError: neither data nor prompts, an unknown name, or settings that cannot work.
        DataError: rows that are not of the method's kind; the first bad one is named.
    """
    together = processes()
    method = make_method(method) if isinstance(method, str) else method
    training, plan = training or Training(), plan or plan_of(method.name)
    online = learns_online(method, data, prompts)
    _check_inputs(data, prompts, judge, online)
    if online:
        _check_plan(method, plan)
    notes: list[str] = []
    rows = None if data is None else _read(data, method.rows, "data", notes)
    rows = None if rows is None else with_comparator(rows, method)
    asked = None if prompts is None else _read(prompts, "prompt", "prompts", notes)
    if online and plan.reset_fraction and asked is not None:
        _check_resets(asked, plan.reset_column, notes)
    held = None if held_out is None else _read(held_out, "prompt", "held-out prompts", notes)
    judge_name = judge if judge is None or isinstance(judge, str) else getattr(judge, "__name__", type(judge).__name__)
    judged_by = _judge(judge)
    if online:
        check_judge(judged_by, plan, bool(rows))
        check_columns(judged_by, asked or (), "prompts")
    if isinstance(judged_by, Judge):
        check_columns(judged_by, held or (), "held-out prompts")
    loadable = isinstance(model, str | Path)
    if loadable:
        name, (model, tokenizer) = str(model), load_model(model)
    else:
        name = str(getattr(model, "name_or_path", "") or type(model).__name__)
    if tokenizer is None:
        raise UsageError("a model object comes with its tokenizer: pass tokenizer=…")
    check_adapter(model, training)
    config = {
        "wing": "language",
        "method": {"name": method.name, **dataclasses.asdict(method)},
        "model": {
            "name": name,
            "parameters": sum(weight.numel() for weight in model.parameters()),
            "loadable": loadable,
        },
        "data": {
            "name": _name(data if prompts is None else prompts),
            "rows": len(rows or () if asked is None else asked),
        },
        "recorded": None if prompts is None else _name(data),
        "prompts": _name(prompts),
        "held_out": _name(held_out),
        "judge": judge_name,
        "judge_in_memory": judge is not None and not isinstance(judge, str),
        "training": dataclasses.asdict(training),
        "plan": dataclasses.asdict(plan) if online or held is not None or isinstance(method, HyPO) else None,
    }
    run = together.told(partial(_open, folder, config, seeds, resume))
    trained = model
    for seed in run.seeds:
        trained = copy.deepcopy(model)
        torch.manual_seed(seed)
        source: Recorded | Collected
        if not online:
            assert rows is not None
            steps = training.total_steps(len(rows))
            source = Recorded(rows, steps, seed, plan.max_tokens, held is not None, asked or (), plan.stop)
        else:
            assert asked is not None
            assert judged_by is not None
            source = Collected(asked, judged_by, plan, seed, recorded=rows or ())
        learner = _learner(trained, tokenizer, method, training, source)
        evaluation = (
            None
            if held is None
            else Evaluation(
                held, judged_by, Sampling(max_tokens=plan.max_tokens, stop=plan.stop), seed, plan.judge_timeout
            )
        )
        _train_seed(run.seed(seed), learner, source, seed, evaluation, notes, show_progress)
        trained = learner.model
    return LanguageRun(run, trained, tokenizer)


def resume(folder: Path | str, show_progress: bool = True) -> LanguageRun:
    """Go on with a recorded run from its record alone; finished seeds are left alone.

    Raises:
        UsageError: it learned from a model, rows or a judge in memory, which its record can only name.
    """
    recorded = RunFolder.open(folder)
    given = arguments(recorded.config, folder)
    return train(**given, seeds=recorded.seeds, folder=folder, resume=True, show_progress=show_progress)


def arguments(config: dict[str, Any], path: Path | str) -> dict[str, Any]:
    """What ``train`` is called with to do again, or go on with, what a run's configuration says.

    Raises:
        UsageError: it learned from something in the memory of a program, which its record can only name.
    """
    rows, recorded, held_out, plan = config["data"]["name"], config.get("recorded"), config["held_out"], config["plan"]
    if IN_MEMORY in (rows, held_out, recorded) or not config["model"]["loadable"] or config["judge_in_memory"]:
        raise UsageError(
            f"{path} learned from something in the memory of a program, which its record can only name; call"
            " train(…, folder=…, resume=True) there to go on, or train(…) to do it again"
        )
    fields = {name: value for name, value in config["method"].items() if name != "name"}
    given: dict[str, Any] = {
        "method": make_method(config["method"]["name"], **fields),
        "model": config["model"]["name"],
        "judge": config["judge"],
        "training": Training(**config["training"]),
        "held_out": held_out,
    }
    prompts = config.get("prompts", None if plan is None else rows)
    given |= {"data": rows} if prompts is None else {"prompts": prompts, "data": recorded}
    if plan is None:
        return given
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in plan.items()}
    return given | {"plan": Online(**values)}


def _train_seed(
    folder: SeedFolder,
    learner: Learner,
    source: Recorded | Collected,
    seed: int,
    evaluation: Callable[[Learner], dict[str, float]] | None,
    notes: Sequence[str],
    show_progress: bool,
) -> None:
    together = learner.processes
    done = together.told(lambda: folder.checkpoints.latest() if folder.status().state == "finished" else None)
    if done is not None:
        learner.load(done.folder)
        return
    total = source.iterations * source.steps

    def look(steps: int) -> None:
        bar.update(steps)
        if together.told(asked) and steps < total:
            trainer._save()
            raise KeyboardInterrupt

    with (
        interruptions_put_off() as asked,
        folder.record() if together.first else nullcontext() as recorder,
        progress(f"{learner.method.name}, seed {seed}", total, show_progress and together.first) as bar,
    ):
        if recorder is not None:

            def note(lines: Sequence[str]) -> None:
                recorder.note([line for line in lines if line not in folder.notes()])

            note(notes)
            if isinstance(source, Collected):
                source.note = note
        trainer = Trainer(learner, source, seed, recorder, folder.path, evaluation, look)
        trainer.run()
        cut = learner.encoder.truncations
        if recorder is not None and (cut.prompts or cut.completions):
            for line in _cut_lines(learner, source):
                print(line, file=sys.stderr)
                recorder.note([line])
        learner.export(folder.path / "model")
    together.told(bool)  # the others wait for the model


def _cut_lines(learner: Learner, source: Recorded | Collected) -> list[str]:
    """What the limits cut of the rows and of the prompts that were learned from."""
    recorded = source.data if isinstance(source, Recorded) else source.recorded
    asked = source.completions.prompts if isinstance(source, Recorded) else source.prompts
    told = [rows_cut(recorded, learner.method.rows, learner.encoder), rows_cut(asked, "prompt", learner.encoder)]
    return [f"tokens: {line}" for line in told if line]


def _compares(source: Recorded | Collected) -> bool:
    """Whether a reference is needed whatever the method."""
    if isinstance(source, Recorded):
        return False
    plan = source.plan
    judges_itself = isinstance(source.judge, SelfJudge) and plan.iterations > 1
    return plan.comparator != "policy" or plan.calibrate or plan.reward_kl > 0 or judges_itself


def learns_online(method: LanguageMethod, data: Any, prompts: Any) -> bool:
    """Whether a method learns from judged completions of its own to prompts; HyPO only completes them, beside data."""
    return prompts is not None and not (isinstance(method, HyPO) and data is not None)


def _learner(
    model: Any, tokenizer: Any, method: LanguageMethod, training: Training, source: Recorded | Collected
) -> Learner:
    steps = source.steps if source.restart else source.iterations * source.steps
    if isinstance(source, Recorded) or not source.plan.by_critic:
        return Learner(model, tokenizer, method, training, steps, _compares(source))
    return ActorCritic(model, tokenizer, method, training, steps, _compares(source), source.plan.critic)


def _check_inputs(data: Any, prompts: Any, judge: Any, online: bool) -> None:
    if data is None and prompts is None:
        raise UsageError("give either data (recorded rows) or prompts with a judge (own completions)")
    if online and judge is None:
        raise UsageError("prompts alone teach nothing: give a judge of the completions, such as exact:answer")


def _check_plan(method: LanguageMethod, plan: Online) -> None:
    """Refuse plans whose rows a method cannot learn from, before anything is sampled."""
    if "chosen_from_comparator" in method.fields and (plan.pairing != "first_two" or plan.per_prompt != 2):
        raise UsageError(
            f"{method.name} learns from pairs with one completion of the comparator: pairing first_two, and completions"
            f" 1 beside a comparator or 2 of the policy; given pairing {plan.pairing}, comparator {plan.comparator},"
            f" completions {plan.completions}"
        )
    if isinstance(method, INPO) and plan.history == "all" and plan.iterations > 1:
        raise UsageError(
            "inpo steps from the policy before each iteration, so rows of earlier ones are anchored in the wrong one:"
            " give history current"
        )
    check_pairing(method, plan)
    if plan.by_critic and not isinstance(method, PPO):
        raise UsageError(f"a critic teaches ppo; {method.name} takes advantage leave_one_out or group_normalized")


def _check_resets(prompts: Sequence[Mapping[str, Any]], column: str, notes: list[str]) -> None:
    """Refuse resets to answers that no prompt has; note how many prompts have none."""
    without = sum(not row.get(column) for row in prompts)
    if without == len(prompts):
        raise unknown("reset_column of the prompts", column, sorted(set(prompts[0]) - {"prompt", "row_id"}))
    if without:
        notes.append(f"prompts: {without} of {len(prompts)} have no {column}, so their completions begin at the prompt")


def _judge(judge: Any) -> Judge | PairJudge | SelfJudge | None:
    if judge is None or isinstance(judge, SelfJudge):
        return judge
    if not isinstance(judge, str):
        from headstart.judges.functions import as_judge

        return as_judge(judge)
    if judge in SELF_JUDGES:
        return SelfJudge(SELF_JUDGES[judge])
    from headstart.judges.registry import make_judge

    return make_judge(judge)


def _read(rows: Rows, kind: Any, name: str, notes: list[str]) -> list[dict[str, Any]]:
    """Rows that can be learned from; which were left out, or may teach nothing, is said and added to ``notes``."""
    from datasets import Dataset

    if isinstance(rows, str | Path):
        dataset = load_rows(rows)
    else:
        dataset = rows if isinstance(rows, Dataset) else Dataset.from_list([dict(row) for row in rows])
    checked = check_rows(dataset, kind)
    if (checked.dropped or checked.noted) and processes().first:
        print(f"{name}: {checked}", file=sys.stderr)
    for word, reasons in (("left out", checked.dropped), ("kept", checked.noted)):
        for reason, row_ids in reasons.items():
            notes.append(f"{name}: {len(row_ids)} rows {word}: {reason}; row_id {', '.join(map(str, row_ids))}")
    return [dict(row) for row in checked.dataset]


def _name(rows: Rows | None) -> str | None:
    if rows is None:
        return None
    return str(rows) if isinstance(rows, str | Path) else IN_MEMORY


def _open(folder: Path | str | None, config: dict[str, Any], seeds: Sequence[int], resume: bool) -> RunFolder:
    if folder is None:
        folder = fresh_folder("runs", config["method"]["name"], Path(config["model"]["name"]).name)
    if not resume:
        return RunFolder.create(folder, config, seeds)
    run = RunFolder.open(folder)
    changed = [name for name, value in config.items() if run.config.get(name) != _plain(value)]
    if changed:
        raise UsageError(f"{folder} was begun with another {', '.join(changed)}; resume it as it was, or begin anew")
    return run


def _plain(value: Any) -> Any:
    """As JSON gives it back."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value
