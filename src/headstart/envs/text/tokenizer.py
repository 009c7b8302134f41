"""A real fast tokenizer for worlds whose text is words from a short list, one token a word."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

from headstart.core.errors import UsageError

PADDING, END = "<pad>", "<eos>"


def word_tokenizer(vocabulary: Sequence[str]) -> PreTrainedTokenizerFast:
    """A tokenizer with one id a word: ``<pad>`` is 0, ``<eos>`` is 1, the words follow in order.

    Text is words joined by single spaces, and decoding gives it back.

    Raises:
        UsageError: a word twice, with white space in it, or named like a special token; words outside the list are
            refused when text is encoded (by the tokenizers library).
    """
    words = [PADDING, END, *vocabulary]
    bad = [word for word in vocabulary if word in (PADDING, END) or word.split() != [word]]
    if bad or len(set(words)) != len(words):
        raise UsageError(
            f"a vocabulary needs distinct words without white space, other than {PADDING} and {END}: {bad}"
        )
    model = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unknown>"))
    model.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=model, pad_token=PADDING, eos_token=END, clean_up_tokenization_spaces=False
    )
