"""What losses over pairs share: the gap between chosen and rejected, and what is reported of it."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from headstart.core.errors import UsageError
from headstart.language.method import LossBatch


def require_positive(method: object, *names: str) -> None:
    """Refuse constants that must be above zero and are not.

    Raises:
        UsageError: naming the first such field.
    """
    for name in names:
        value = getattr(method, name)
        if not value > 0:
            raise UsageError(f"{name} of {type(method).__name__} is {value}; it must be above 0")


def log_ratio_gap(batch: LossBatch, length_normalized: bool = False) -> Float[Tensor, " row"]:
    """h = log-ratio of the chosen less that of the rejected, policy to reference, sums over tokens.

    Args:
        batch: pairs.
        length_normalized: divide each side's log-ratio by its number of tokens first.
    """
    chosen, rejected = batch.chosen.log_ratio(), batch.rejected.log_ratio()
    if length_normalized:
        chosen, rejected = chosen / batch.chosen.length(), rejected / batch.rejected.length()
    return chosen - rejected


def pair_metrics(batch: LossBatch, beta: float = 1.0) -> dict[str, Float[Tensor, ""]]:
    """Means of implicit rewards beta·log-ratio and of their margin, share of pairs in order, log-probabilities."""
    chosen, rejected = beta * batch.chosen.log_ratio().detach(), beta * batch.rejected.log_ratio().detach()
    return {
        "reward/chosen": chosen.mean(),
        "reward/rejected": rejected.mean(),
        "reward/margin": (chosen - rejected).mean(),
        "reward/accuracy": (chosen > rejected).float().mean(),
        "log_probability/chosen": batch.chosen.log_probability().detach().mean(),
        "log_probability/rejected": batch.rejected.log_probability().detach().mean(),
    }


def comparator_log_probability(batch: LossBatch) -> Float[Tensor, " row"]:
    """Log-probability under the policy of the completion that the comparator wrote.

    The field ``chosen_from_comparator`` (bool) says of each pair whether that was the chosen one; otherwise it was
    the rejected one.

    Raises:
        UsageError: the field is missing.
    """
    if "chosen_from_comparator" not in batch.fields:
        raise UsageError(
            "the pairs do not say which side the comparator wrote; add a column chosen_from_comparator (bool)"
        )
    of_chosen: Bool[Tensor, " row"] = batch.fields["chosen_from_comparator"].bool()
    return batch.chosen.log_probability().where(of_chosen, batch.rejected.log_probability())
