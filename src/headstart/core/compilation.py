"""Compiled programs kept on disk, so that a second process, or a second run, starts within seconds."""

from __future__ import annotations

import jax

from headstart.core.files import cache_folder


def keep_compiled_programs() -> None:
    """Keep what takes long to compile in the cache folder. A kept program computes exactly what a fresh one does.

    Does nothing where the user has set JAX's own ``jax_compilation_cache_dir``.
    """
    if jax.config.values.get("jax_compilation_cache_dir") is None:
        jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "compiled"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
