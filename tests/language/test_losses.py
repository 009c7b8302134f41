"""Losses against float64 references written from their papers' formulas, one pair or completion at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from headstart.core.encoding import Encoded, Encoder
from headstart.core.errors import DataError, UsageError
from headstart.language.encoded_rows import encode_rows
from headstart.language.inpo import INPO
from headstart.language.kto import KTO
from headstart.language.method import LanguageMethod, LossBatch, Scored
from headstart.language.registry import METHODS, make_method

ROWS, TOKENS = 4, 5


def scored(seed: int) -> Scored:
    """Random log-probabilities of completions of unequal lengths, the policy's with gradient."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, TOKENS + 1, (ROWS,), generator=generator)
    lengths[0] = TOKENS
    mask = torch.arange(TOKENS)[None] < lengths[:, None]
    values = [-2 * torch.rand((ROWS, TOKENS), generator=generator, dtype=torch.float64) - 0.05 for _ in range(2)]
    policy, reference = (torch.where(mask, value, 0.0) for value in values)
    return Scored(policy.requires_grad_(), mask, reference)


CHOSEN_WAS_COMPARATORS = torch.tensor([True, False, False, True])
FIELDS = {
    "chosen_from_comparator": CHOSEN_WAS_COMPARATORS,
    "advantage": torch.tensor([0.7, -0.4, 0.2, 1.3], dtype=torch.float64),
    "reward": torch.tensor([0.7, 0.1, 0.2, 0.9], dtype=torch.float64),
    "weight": torch.tensor([0.0, 1.0, 0.5, 2.0], dtype=torch.float64),
    "chosen_reward": torch.tensor([0.3, 1.0, 0.5, 2.0], dtype=torch.float64),
    "rejected_reward": torch.tensor([0.1, 2.0, 0.4, -2.0], dtype=torch.float64),
    "label": torch.tensor([True, False, False, True]),
}
SIDES = ("chosen", "rejected", "completion", "mismatched", "calibration", "online")


def batch(**fields: Tensor) -> LossBatch:
    sides = {name: scored(seed) for seed, name in enumerate(SIDES)}
    return LossBatch(sides, FIELDS | fields)


Row = dict[str, Any]


def rows(given: LossBatch) -> list[Row]:
    """The batch as tensors of single rows: per side `t`, `r` (tokens under policy and reference), and the fields."""
    found = []
    for i in range(ROWS):
        row: Row = {name: value[i] for name, value in given.fields.items()}
        for name, side in given.sides.items():
            assert side.reference is not None
            row[name] = side.policy[i][side.mask[i]]
            row[f"ref_{name}"] = side.reference[i][side.mask[i]]
        found.append(row)
    return found


def gap(row: Row) -> Tensor:
    return (row["chosen"] - row["ref_chosen"]).sum() - (row["rejected"] - row["ref_rejected"]).sum()


def minus_log_sigmoid(value: Tensor) -> Tensor:
    return torch.log(1 + torch.exp(-value))


def comparator(row: Row) -> Tensor:
    return (row["chosen"] if row["chosen_from_comparator"] else row["rejected"]).sum()


def capped(log_ratio: Tensor, clip: float = 0.9) -> Tensor:
    return log_ratio.detach().exp().clamp(1 - clip, 1 + clip)


def ratio(row: Row) -> Tensor:
    return row["completion"] - row["ref_completion"]


def centered(given: list[Row], size: int) -> list[float]:
    """Log-ratios of own completions less the mean of the group's others."""
    values = [float((row["online"] - row["ref_online"]).detach().sum()) for row in given]
    groups = [values[i : i + size] for i in range(0, len(values), size)]
    return [value - (sum(group) - value) / (size - 1) for group in groups for value in group]


def mean(given: list[Row], of: Callable[[Row], Tensor]) -> Tensor:
    return torch.stack([of(row) for row in given]).mean()


CASES: list[tuple[str, dict[str, Any], Callable[[list[Row]], Tensor]]] = [
    ("sft", {"normalization": "sum"}, lambda r: mean(r, lambda x: -x["completion"].sum())),
    ("sft", {"normalization": "example"}, lambda r: mean(r, lambda x: -x["completion"].mean())),
    ("sft", {}, lambda r: -torch.cat([x["completion"] for x in r]).mean()),
    ("weighted-bc", {}, lambda r: mean(r, lambda x: -x["weight"] * x["completion"].sum())),
    ("bo2", {}, lambda r: mean(r, lambda x: -x["chosen"].sum())),
    ("ipo", {"tau": 0.4}, lambda r: mean(r, lambda x: (gap(x) - 1.25) ** 2)),
    ("sigmoid-norm", {}, lambda r: mean(r, lambda x: minus_log_sigmoid(0.05 * gap(x)))),
    (
        "slic",
        {"gamma": 0.8},
        lambda r: mean(r, lambda x: (1 - 0.8 * (x["chosen"].sum() - x["rejected"].sum())).clamp(min=0)),
    ),
    ("inpo", {"eta": 0.5, "tau": 0.5}, lambda r: mean(r, lambda x: (gap(x) - 1) ** 2)),
    (
        "xpo",
        {"alpha": 0.3, "beta": 0.5},
        lambda r: mean(r, lambda x: minus_log_sigmoid(0.5 * gap(x)) + 0.3 * comparator(x)),
    ),
    (
        "xpo",
        {"alpha": 0.3, "beta": 0.5, "loss_type": "ipo"},
        lambda r: mean(r, lambda x: (gap(x) - 1) ** 2 + 0.3 * comparator(x)),
    ),
    (
        "vpo",
        {"mode": "online", "alpha": 0.3, "beta": 0.5, "calibration": "calibration"},
        lambda r: mean(
            r, lambda x: minus_log_sigmoid(0.5 * gap(x)) + 0.15 * (x["calibration"] - x["ref_calibration"]).sum()
        ),
    ),
    (
        "vpo",
        {"mode": "offline", "alpha": 0.3, "beta": 0.5},
        lambda r: mean(r, lambda x: minus_log_sigmoid(0.5 * gap(x)) - 0.15 * (x["chosen"] - x["ref_chosen"]).sum()),
    ),
    (
        "vpo",
        {"mode": "offline", "alpha": 30.0, "beta": 0.5, "normalization": "sum", "pairs": 100},
        lambda r: mean(r, lambda x: minus_log_sigmoid(0.5 * gap(x)) - 0.15 * (x["chosen"] - x["ref_chosen"]).sum()),
    ),
    (
        "hypo",
        {"beta": 0.5, "kl_coef": 0.2},
        lambda r: (
            mean(r, lambda x: minus_log_sigmoid(0.5 * gap(x)))
            + 0.2 * sum(c * x["online"].sum() for c, x in zip(centered(r, 2), r)) / ROWS
        ),
    ),
    (
        "sharpening",
        {"beta": 0.5},
        lambda r: mean(r, lambda x: (0.5 * gap(x) - (x["ref_chosen"].sum() - x["ref_rejected"].sum())) ** 2),
    ),
    (
        "sharpening",
        {"beta": 0.5, "reward": "mean_loglik"},
        lambda r: mean(r, lambda x: (0.5 * gap(x) - (x["ref_chosen"].mean() - x["ref_rejected"].mean())) ** 2),
    ),
    (
        "sharpening",
        {"beta": 0.5, "reward": "column", "alpha": 0.1},
        lambda r: mean(
            r, lambda x: (0.5 * gap(x) - x["chosen_reward"] + x["rejected_reward"]) ** 2 + 0.1 * comparator(x)
        ),
    ),
    (
        "alol",
        {},
        lambda r: mean(r, lambda x: -x["advantage"].clamp(min=0) * capped(ratio(x).sum()) * x["completion"].sum()),
    ),
    (
        "alol",
        {"variant": "seq"},
        lambda r: mean(r, lambda x: -x["advantage"].clamp(min=0) * (capped(ratio(x)) * x["completion"]).sum()),
    ),
    (
        "alol",
        {"variant": "ref_free"},
        lambda r: mean(r, lambda x: -x["advantage"].clamp(min=0) * x["completion"].sum()),
    ),
    (
        "alol",
        {"variant": "kl", "kl_coef": 0.3},
        lambda r: mean(r, lambda x: -x["advantage"].clamp(min=0) * x["completion"].sum() + 0.3 * ratio(x).sum()),
    ),
    (
        "r-lol",
        {"ratio_clip": 0.2},
        lambda r: mean(r, lambda x: -x["reward"] * capped(ratio(x).sum(), 0.2) * x["completion"].sum()),
    ),
    (
        "r-gold",
        {},
        lambda r: mean(
            r,
            lambda x: -x["reward"] * (x["completion"].detach().exp().clamp(min=0.1) * x["completion"]).sum(),
        ),
    ),
    ("rloo", {}, lambda r: mean(r, lambda x: -x["advantage"] * x["completion"].sum())),
]


@pytest.mark.parametrize(
    ("name", "fields", "reference"), CASES, ids=[f"{name}-{i}" for i, (name, *_) in enumerate(CASES)]
)
def test_loss_and_gradient_are_those_of_the_formula(
    name: str, fields: dict[str, Any], reference: Callable[[list[Row]], Tensor]
) -> None:
    given = batch()
    policies = [side.policy for side in given.sides.values()]
    loss, metrics = make_method(name, **fields).loss(given)
    expected = reference(rows(given))
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=1e-12)
    ours = torch.autograd.grad(loss, policies, allow_unused=True, materialize_grads=True)
    theirs = torch.autograd.grad(expected, policies, allow_unused=True, materialize_grads=True)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
    assert all(value.isfinite() and not value.requires_grad for value in metrics.values())


def loss_of(method: LanguageMethod, **fields: Tensor) -> Tensor:
    return method.loss(batch(**fields))[0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("xpo", {"alpha": 0.0}), ("dpo", {})),
        (("vpo", {"alpha": 0.0, "mode": "online"}), ("dpo", {})),
        (("sigmoid-norm", {"gamma": 0.3}), ("dpo", {"beta": 0.3})),
        (("inpo", {"eta": 0.3, "tau": 0.3}), ("ipo", {"tau": 0.3})),
        (("alol", {"variant": "ref_free"}), ("alol", {"ratio_clip": 0.0})),
    ],
)
def test_special_cases_coincide(one: tuple[str, dict[str, Any]], other: tuple[str, dict[str, Any]]) -> None:
    first, second = make_method(one[0], **one[1]), make_method(other[0], **other[1])
    torch.testing.assert_close(loss_of(first), loss_of(second), rtol=1e-12, atol=0)


def test_alol_with_kl_is_reference_free_with_a_lower_advantage() -> None:
    given = batch()
    gradient = torch.autograd.grad(
        make_method("alol", variant="kl", kl_coef=0.3).loss(given)[0], given.completion.policy
    )
    lowered = LossBatch(given.sides, {"reward": FIELDS["advantage"].clamp(min=0) - 0.3})
    expected = torch.autograd.grad(make_method("r-lol", ratio_clip=0.0).loss(lowered)[0], given.completion.policy)
    torch.testing.assert_close(gradient, expected)


def test_length_normalized_dpo_on_equal_lengths_is_dpo_with_a_smaller_beta() -> None:
    sides = {
        name: Scored(-torch.rand(ROWS, 4), torch.ones(ROWS, 4, dtype=torch.bool), -torch.rand(ROWS, 4))
        for name in SIDES
    }
    given = LossBatch(sides)
    torch.testing.assert_close(
        make_method("ln-dpo", beta=2.0).loss(given)[0], make_method("dpo", beta=0.5).loss(given)[0]
    )


def test_soft_labels_of_inpo_have_their_minimum_where_the_paper_says() -> None:
    """A single pair's minimiser is h = (2p - 1) / (2 eta)."""
    mask, zero = torch.ones(1, 1, dtype=torch.bool), torch.zeros(1, 1, dtype=torch.float64)
    policy = torch.full((1, 1), (2 * 0.8 - 1) / (2 * 0.25), dtype=torch.float64, requires_grad=True)
    sides = {"chosen": Scored(policy, mask, zero), "rejected": Scored(zero, mask, zero)}
    loss, _ = make_method("inpo", eta=0.25).loss(LossBatch(sides, {"preference_prob": torch.tensor([0.8])}))
    (slope,) = torch.autograd.grad(loss, policy)
    assert abs(float(slope)) < 1e-6
    assert float(loss) > 0


def test_anchor_of_inpo_mixes_its_two_policies() -> None:
    method = INPO(eta=0.4, tau=0.1)
    mixed = method.anchor(torch.tensor([-4.0]), torch.tensor([-8.0]))
    assert float(mixed) == pytest.approx(-7.0)
    assert INPO().share == pytest.approx(1 / 3)


def test_identical_completions_keep_the_bonus_of_xpo_and_nothing_else() -> None:
    method = make_method("xpo", alpha=0.5)
    given = batch(identical=torch.ones(ROWS, dtype=torch.bool))
    expected = 0.5 * mean(rows(given), comparator)
    torch.testing.assert_close(method.loss(given)[0], expected)


def test_hypo_without_own_completions_or_coefficient_is_dpo() -> None:
    given = batch()
    dpo = make_method("dpo", beta=0.05).loss(given)[0]
    pairs = LossBatch({name: given.sides[name] for name in ("chosen", "rejected")})
    torch.testing.assert_close(make_method("hypo", kl_coef=1.0).loss(pairs)[0], dpo)
    torch.testing.assert_close(make_method("hypo", kl_coef=0.0).loss(given)[0], dpo)


def test_mismatched_rows_join_each_prompt_with_another_completion() -> None:
    found = KTO().further_sides([Encoded([1], [2, 3]), Encoded([4, 5], [6]), Encoded([7], [8], True)])
    assert found["mismatched"] == [Encoded([1], [8], True), Encoded([4, 5], [2, 3]), Encoded([7], [6])]
    assert KTO(estimate_kl=False).further_sides([Encoded([1], [2])]) == {}


REFUSED = [
    ("dpo", {"beta": 0.0}, "beta"),
    ("dpo", {"label_smoothing": 0.5}, r"\[0, 0.5\)"),
    ("dpo", {"robust": True}, "label_smoothing"),
    ("sft", {"normalisation": "sum"}, "did you mean normalization"),
    ("vpo", {}, "needs mode"),
    ("vpo", {"mode": "both"}, "'online'"),
    ("vpo", {"mode": "online", "alpha": -1.0}, "mode gives the sign"),
    ("vpo", {"mode": "online", "normalization": "sum"}, "number of pairs"),
    ("xpo", {"alpha": -1e-5}, "imitate"),
    ("xpo", {"loss_type": "hinge"}, "'ipo'"),
    ("inpo", {"eta": 0.1, "tau": 0.2}, r"\[0, eta\]"),
    ("inpo", {"eta": 0.0}, "above 0"),
    ("hypo", {"kl_coef": -1.0}, "kl_coef"),
    ("hypo", {"loss_type": "dpo"}, "'hinge'"),
    ("sharpening", {"beta": 0.0}, "above 0"),
    ("sharpening", {"reward": "length"}, "'loglik'"),
    ("alol", {"kl_coef": 0.1}, "variant 'kl' alone"),
    ("alol", {"variant": "kl", "kl_coef": 0.1, "ratio_clip": 0.9}, "leave ratio_clip out"),
    ("alol", {"variant": "kl"}, "kl_coef above 0"),
    ("alol", {"variant": "token"}, "'ref_free'"),
    ("dop", {}, "did you mean dpo"),
]


@pytest.mark.parametrize(
    ("name", "fields", "said"), REFUSED, ids=[f"{name}-{i}" for i, (name, *_) in enumerate(REFUSED)]
)
def test_constants_that_cannot_work_are_refused(name: str, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make_method(name, **fields)


@pytest.mark.parametrize(
    ("name", "fields", "missing", "said"),
    [
        ("xpo", {}, "chosen_from_comparator", "which side the comparator wrote"),
        ("vpo", {"mode": "online", "calibration": "calibration"}, "calibration", "side 'calibration'"),
        ("kto", {}, "mismatched", "'mismatched'"),
        ("sharpening", {"reward": "column"}, "chosen_reward", "chosen_reward and rejected_reward"),
    ],
)
def test_batches_that_lack_something_are_refused(name: str, fields: dict[str, Any], missing: str, said: str) -> None:
    given = batch()
    sides = {key: value for key, value in given.sides.items() if key != missing}
    numbers = {key: value for key, value in given.fields.items() if key != missing}
    with pytest.raises(UsageError, match=said):
        make_method(name, **fields).loss(LossBatch(sides, numbers))


def test_every_registered_method_says_its_own_name() -> None:
    needed = {"vpo": {"mode": "online"}}
    for entry in METHODS:
        assert make_method(entry.name, **needed.get(entry.name, {})).name == entry.name


def test_capped_ratio_does_not_overflow() -> None:
    from headstart.language.alol import capped_ratio

    found = capped_ratio(torch.tensor([-1e4, 0.0, 1e4]), 0.9)
    torch.testing.assert_close(found, torch.tensor([0.1, 1.0, 1.9]))
    assert float(capped_ratio(torch.tensor(-1e4), 1.0)) == pytest.approx(math.exp(-1e4))


def test_optional_columns_are_read_where_rows_have_them() -> None:
    encoder = Encoder(wave_tokenizer())
    rows = [{"prompt": "w3 w4", "chosen": "w5", "rejected": "w6", "preference_prob": 0.75}]
    assert encode_rows(rows, INPO(), encoder)[0].fields == {"preference_prob": 0.75}
    assert encode_rows([rows[0] | {"preference_prob": None}], INPO(), encoder)[0].fields == {}
    with pytest.raises(DataError, match="row 1 has no preference_prob"):
        encode_rows([rows[0], rows[0] | {"preference_prob": None}], INPO(), encoder)


def wave_tokenizer() -> PreTrainedTokenizerFast:
    words = {"<pad>": 0, "</s>": 1} | {f"w{i}": i for i in range(2, 23)}
    inner = Tokenizer(WordLevel(words, unk_token="<pad>"))
    inner.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="</s>")
