"""The contract of language methods: frozen constants, and a loss that is a pure function of log-probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from headstart.core.encoding import Encoded


@dataclass(frozen=True)
class Scored:
    """Log-probabilities of a batch of completions, per token, under the policy and, where asked for, the reference.

    Positions are those of the completions alone: column 0 is the first token of each completion, and the
    end-of-sequence token counts as one of them.

    Attributes:
        policy: log-probability of each token under the policy (carries the gradient); 0 beyond a completion's end.
        mask: whether a position holds a token that counts.
        reference: the same under the frozen reference, without gradient; None if the method has none.
        reference_sum: its sum per row, when only that was kept.
    """

    policy: Float[Tensor, "row token"]
    mask: Bool[Tensor, "row token"]
    reference: Float[Tensor, "row token"] | None = None
    reference_sum: Float[Tensor, " row"] | None = None

    def log_probability(self) -> Float[Tensor, " row"]:
        """Log-probability of each whole completion: the sum over its tokens."""
        return (self.policy * self.mask).sum(-1)

    def reference_log_probability(self) -> Float[Tensor, " row"]:
        """The same under the reference; zero where the method has none."""
        if self.reference is not None:
            return (self.reference * self.mask).sum(-1)
        if self.reference_sum is not None:
            return self.reference_sum
        return torch.zeros_like(self.policy[:, 0])

    def log_ratio(self) -> Float[Tensor, " row"]:
        """Log-probability of each completion under the policy, less that under the reference."""
        return self.log_probability() - self.reference_log_probability()

    def length(self) -> Int[Tensor, " row"]:
        """Tokens of each completion, the end-of-sequence token included."""
        return self.mask.sum(-1)


@dataclass(frozen=True)
class LossBatch:
    """What a loss sees of a batch of rows.

    Attributes:
        sides: log-probabilities by name: ``chosen`` and ``rejected`` for pairs, ``completion`` for the other kinds.
        fields: numbers of each row by column name (``margin``, ``reward``, ``label``, ``weight``, …), float32 or bool.
        logits: of the completions' positions, for the few losses that need whole distributions; by side.
    """

    sides: Mapping[str, Scored]
    fields: Mapping[str, Tensor] = field(default_factory=dict)
    logits: Mapping[str, Float[Tensor, "row token word"]] = field(default_factory=dict)

    @property
    def chosen(self) -> Scored:
        """The preferred completions."""
        return self.sides["chosen"]

    @property
    def rejected(self) -> Scored:
        """The completions preferred less."""
        return self.sides["rejected"]

    @property
    def completion(self) -> Scored:
        """The completions of rows that are not pairs."""
        return self.sides["completion"]


RowKind = Literal["pair", "completion", "label", "scored"]
Loss = tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]


@dataclass(frozen=True, kw_only=True)
class LanguageMethod:
    """What every language method says of itself; a subclass adds its constants as fields and its ``loss``."""

    name: ClassVar[str] = ""
    rows: ClassVar[RowKind] = "pair"
    """The rows it learns from: ``pair`` (prompt, chosen, rejected), ``completion`` (prompt, completion), ``label``
    (prompt, completion, label) or ``scored`` (prompt, completions, rewards)."""
    reference: ClassVar[Literal["none", "sequence", "token"]] = "sequence"
    """Whether it needs log-probabilities of the frozen reference: of whole completions, of each token, or not."""
    fields: ClassVar[tuple[str, ...]] = ()
    """Columns of numbers that its loss reads."""
    optional_fields: ClassVar[tuple[str, ...]] = ()
    """Columns of numbers that its loss reads where the rows have them."""

    learning_rate: ClassVar[float] = 5e-7
    """Peak learning rate when every weight of a large model is trained, where the settings give none."""

    def further_sides(self, rows: Sequence[Encoded]) -> dict[str, list[Encoded]]:
        """Completions to be scored besides a batch's own, without gradient, by side; mostly none.

        Args:
            rows: the batch's prompts and completions.
        """
        return {}

    def loss(self, batch: LossBatch) -> Loss:
        """The loss to minimise, a mean over rows, and metrics without gradient."""
        raise NotImplementedError
