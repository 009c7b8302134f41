"""What a run on a model's own completions is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from headstart.core.errors import UsageError
from headstart.data.row_conversion import Rule

Pairing = Rule | Literal["best", "rejection", "knockout", "each"]


@dataclass(frozen=True, kw_only=True)
class Online:
    """The plan of an online run: how much is sampled, from whom, and what is made of it."""

    iterations: int = 3
    """Times that the model samples, is judged and learns (three in RLHF Workflow; many small ones make it online)."""
    prompts_per_iteration: int = 256
    """Prompts of an iteration, drawn without repetition until all have been used."""
    completions: int = 8
    """Completions of each prompt by the policy."""
    temperatures: tuple[float, ...] = (1.0,)
    """Temperatures that the completions are shared among."""
    top_k: int | None = None
    """Sample among the k likeliest tokens only."""
    top_p: float | None = None
    """Sample among the likeliest tokens that make up this probability."""
    max_tokens: int = 128
    """Longest completion, in tokens."""
    stop: tuple[str, ...] = ()
    """Strings that end a completion; in bash a newline is written $'\\n'."""
    pairing: Pairing = "best_worst"
    """What is made of a prompt's completions: a pair (best_worst, best_random, best_second, first_two, knockout), every
    pair (all_pairs), pairs of those kept by rejection sampling (rejection), the best alone (best), or one row each with
    an advantage (each)."""
    length_penalty: float = 0.0
    """What each character takes from a completion's score when it is ranked."""
    comparator: Literal["policy", "reference"] = "policy"
    """Who writes the last completion of each prompt: the policy like the others, or the reference (XPO)."""
    calibrate: bool = False
    """Whether the reference also writes one completion of each prompt that is not compared (VPO's calibration)."""
    history: Literal["all", "current"] = "all"
    """Whether an iteration learns from the rows of all iterations so far or of its own."""
    steps_per_iteration: int = 50
    """Optimiser steps an iteration."""
    sampling_beta: float = 0.5
    """Temperature of rejection sampling (RSO); choose it so that 5 to 30 % are accepted."""
    kept: int = 8
    """Completions that rejection sampling keeps."""
    reward_kl: float = 0.0
    """What each nat of log-ratio to the reference takes from the reward (policy gradients)."""
    advantage: Literal["leave_one_out", "group_normalized"] = "leave_one_out"
    """Baseline of policy gradients: the prompt's other completions, or those and their deviation (GRPO)."""
    reset_fraction: float = 0.0
    """Part of prompts whose completions go on from a prefix of a recorded answer (dataset resets, DR-PO)."""
    reset_column: str = "chosen"
    """Column of the prompts that holds recorded answers."""
    min_prefix: int = 0
    """Shortest such prefix, in tokens; 0 lets the policy learn its first token too."""
    prompts_at_once: int = 64
    """Prompts that are sampled, judged and written down together."""
    judge_timeout: float | None = 600.0
    """Seconds that the judge may take over one call, of at most so many prompts with all their completions; then it is
    asked again, and at last those completions are set aside and listed. None waits for ever."""

    def __post_init__(self) -> None:
        for name in (
            "iterations",
            "prompts_per_iteration",
            "completions",
            "max_tokens",
            "steps_per_iteration",
            "prompts_at_once",
            "kept",
        ):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; expected 1 or more")
        if self.judge_timeout is not None and not self.judge_timeout > 0:
            raise UsageError(f"judge_timeout is {self.judge_timeout}; expected seconds above 0, or None")
        if not 0 <= self.reset_fraction <= 1:
            raise UsageError(f"reset_fraction is {self.reset_fraction}; expected a part from 0 to 1")
        if self.pairing not in ("best", "each") and self.per_prompt < 2:
            raise UsageError(
                f"pairs need two completions of each prompt; with completions={self.completions} there is one"
            )
        if self.pairing == "each" and self.completions < 2:
            raise UsageError("the baseline of a policy gradient needs 2 or more completions of each prompt")

    @property
    def per_prompt(self) -> int:
        """Completions of each prompt in all."""
        return self.completions + (self.comparator == "reference")
