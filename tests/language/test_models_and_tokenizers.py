"""Models and tokenizers that do not belong together, or are not whole, are refused by name."""

import json

import pytest
import torch
from safetensors.torch import save_file

from headstart.core.causal_models import check_tokens_fit, load_model, save_model
from headstart.core.encoding import Encoder
from headstart.core.errors import CheckpointError, UsageError
from headstart.envs.text.tokenizer import word_tokenizer
from tests.language.small_models import llama

TOKENIZER = word_tokenizer([f"w{i}" for i in range(38)])


@pytest.fixture
def saved(tmp_path):
    save_model(llama(), TOKENIZER, tmp_path / "model")
    return tmp_path / "model"


def test_a_model_comes_back_as_it_was_saved(saved):
    model, tokenizer = load_model(saved, device="cpu")
    assert all(
        torch.equal(a, b) for a, b in zip(model.state_dict().values(), llama().state_dict().values(), strict=True)
    )
    assert tokenizer("w3 w4").input_ids == TOKENIZER("w3 w4").input_ids


def test_weights_of_another_architecture_are_refused(saved):
    save_file({"somewhere.else": torch.zeros(2)}, saved / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"weights of a LlamaForCausalLM: .* another architecture"):
        load_model(saved)


def test_a_folder_of_an_unknown_architecture_is_refused(saved):
    config = json.loads((saved / "config.json").read_text()) | {"model_type": "abacus", "architectures": ["Abacus"]}
    (saved / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match="cannot load the model"):
        load_model(saved)


def test_a_tokenizer_larger_than_the_model_is_refused():
    with pytest.raises(UsageError, match="do not belong together"):
        check_tokens_fit(llama(words=20), TOKENIZER)


def test_a_tokenizer_without_an_end_is_refused_and_one_without_padding_is_filled_up():
    tokenizer = word_tokenizer(["a", "b"])
    tokenizer.pad_token = None
    assert isinstance(Encoder(tokenizer).padding, int)
    tokenizer.eos_token = None
    with pytest.raises(UsageError, match="end"):
        Encoder(tokenizer)
