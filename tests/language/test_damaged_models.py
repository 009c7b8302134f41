"""Model folders that are not whole are refused in words that say which file, and what to do."""

import shutil

import pytest
import safetensors.torch

from headstart.core.causal_models import load_model
from headstart.core.errors import UsageError


@pytest.fixture
def folder(key_words, tmp_path):
    return shutil.copytree(key_words[1], tmp_path / "model")


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_pointer_of_git_lfs(name, folder):
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 100\n")
    with pytest.raises(UsageError, match=rf"{name} is only a git-lfs pointer.*git lfs pull"):
        load_model(folder)


def test_weights_cut_in_half(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UsageError, match=r"model.safetensors is damaged or was cut short, at [\d,]+ bytes.*again"):
        load_model(folder)


def test_weights_of_other_sizes_than_the_configuration(folder):
    path = str(folder / "model.safetensors")
    weights = safetensors.torch.load_file(path)
    name = "model.layers.0.mlp.up_proj.weight"
    weights[name] = weights[name][:5].contiguous()
    safetensors.torch.save_file(weights, path, {"format": "pt"})
    with pytest.raises(UsageError, match=rf"{name} has shape \[5, 32\] and the LlamaForCausalLM .* expects \[96, 32\]"):
        load_model(folder)
