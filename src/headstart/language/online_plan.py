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
    comparator: Literal["policy", "reference", "mixture"] = "policy"
    """Who writes the last completion of each prompt: the policy like the others, the reference (XPO), or any of the
    policies that iterations began with so far, the reference first among them, as chance has it (mixture)."""
    ties: Literal["leave_out", "coin"] = "leave_out"
    """Two completions with one score: they are left out, or a fair coin says which was preferred (first_two)."""
    calibrate: bool = False
    """Whether the reference also writes one completion of each prompt that is not compared (VPO's calibration)."""
    history: Literal["all", "current"] = "all"
    """Whether an iteration learns from the rows of all iterations so far or of its own."""
    steps_per_iteration: int = 50
    """Optimiser steps an iteration."""
    restart: bool = False
    """Learn from the initial weights on in every iteration, with a schedule of the learning rate of its own, instead of
    from where the one before ended. Completions are drawn from the latest policy all the same."""
    sampling_beta: float = 0.5
    """Temperature of rejection sampling (RSO); choose it so that 5 to 30 % are accepted."""
    kept: int = 8
    """Completions that rejection sampling keeps."""
    reward_kl: float = 0.0
    """What each nat of log-ratio to the reference takes from the reward (policy gradients)."""
    advantage: Literal["leave_one_out", "group_normalized", "critic"] = "leave_one_out"
    """Baseline of policy gradients: the prompt's other completions, those and their deviation (GRPO), or a critic that
    learns beside the policy, with generalised advantages (PPO)."""
    critic: str = "policy"
    """What the critic begins as: the policy's own layers with a new head (policy), or the folder of a reward model."""
    discount: float = 1.0
    """What a token later counts less by, to the critic."""
    gae_lambda: float = 0.95
    """How far generalised advantages look ahead: 1 sums all later rewards, 0 asks the critic after each token."""
    whiten_rewards: bool = False
    """Divide the rewards of tokens by their deviation before the critic sees them."""
    missing_end_penalty: float = 0.0
    """What is taken from the score of a completion that was cut before its end."""
    missing_end_score: float | None = None
    """Score of such a completion in place of the judge's (-1 in DR-PO, -10 in Tülu 3)."""
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
        if self.ties == "coin" and self.pairing != "first_two":
            raise UsageError(f"a coin decides ties between the first two completions; given pairing {self.pairing}")
        if self.pairing == "knockout" and (self.missing_end_penalty or self.missing_end_score is not None):
            raise UsageError("a knockout has no scores that missing_end_penalty or missing_end_score could change")
        if not (0 <= self.discount <= 1 and 0 <= self.gae_lambda <= 1):
            raise UsageError(
                f"discount is {self.discount} and gae_lambda {self.gae_lambda}; expected numbers from 0 to 1"
            )
        if self.missing_end_penalty < 0:
            raise UsageError(f"missing_end_penalty is {self.missing_end_penalty}; expected 0 or more: it is taken off")
        if self.pairing == "each" and self.completions < 2 and not self.by_critic:
            raise UsageError("the baseline of a policy gradient needs 2 or more completions of each prompt")

    @property
    def by_critic(self) -> bool:
        """Whether a critic gives the advantages."""
        return self.pairing == "each" and self.advantage == "critic"

    @property
    def per_prompt(self) -> int:
        """Completions of each prompt in all."""
        return self.completions + (self.comparator != "policy")
