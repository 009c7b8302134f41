"""From one method's state to another's: what carries over, what starts afresh, what is dropped, what cannot be."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from headstart.control.method import Method, State
from headstart.control.networks import MLP, DeterministicActor, GaussianActor, Linear, TanhGaussianActor
from headstart.core.errors import UsageError
from headstart.core.specs import Spec

DETERMINISTIC_LOG_STD = float(np.log(0.1))
"""Log standard deviation given to a policy that had none: that of the noise which TD3 explores with."""


def hand_over(state: State, source: Method, target: Method, spec: Spec, key: PRNGKeyArray) -> tuple[State, list[str]]:
    """The state with which ``target`` goes on from what ``source`` has learned.

    By name, for every network of ``target``:

    - one of the same structure and shapes is carried over, and so are its target network and the state of its
      optimiser where these match too (step sizes are the new method's own, and a schedule of them begins again);
    - a deterministic or Gaussian policy becomes a tanh-Gaussian one with the same greedy actions: the mean is carried
      over, and the log standard deviation no longer depends on the observation. It begins at what the Gaussian had
      learned, before the squashing, or at ``DETERMINISTIC_LOG_STD``. Its optimiser starts afresh;
    - one that ``source`` lacks is initialised, as ``target.init`` would.

    Networks that ``target`` lacks (a state-value function, a Lagrange multiplier) are dropped. Updates go on counting.

    Args:
        state: what ``source`` has learned.
        source: the method that learned it.
        target: the method to go on with.
        spec: the world's.
        key: for what must be initialised.

    Returns:
        The new state, and one line on each network.

    Raises:
        UsageError: a network of both has another size, ensemble or normalisation in each; all differences are named.
    """
    fresh = target.init(key, spec)
    nets, targets, optimizers, lines = {}, {}, {}, []
    for name, new in fresh.nets.items():
        old = state.nets.get(name)
        optimizer, from_optimizer = fresh.optimizers.get(name), state.optimizers.get(name)
        if old is None:
            nets[name] = new
            lines.append(f"{name}: initialised, for {source.name} has none")
        elif _alike(old, new):
            nets[name] = old
            carried = optimizer is not None and _alike(from_optimizer, optimizer)
            optimizer = _with_schedules_restarted(from_optimizer) if carried else optimizer
            lines.append(f"{name}: carried over, {'with its' if carried else 'without'} optimiser state")
        elif isinstance(new, TanhGaussianActor) and isinstance(old, DeterministicActor | GaussianActor):
            nets[name] = _squash(old, new, name, source, target)
            lines.append(f"{name}: greedy actions carried over from {type(old).__name__}, its spread set afresh")
        else:
            raise _mismatch(old, new, name, source, target)
        if optimizer is not None:
            optimizers[name] = optimizer
        if name in fresh.targets:
            kept = state.targets.get(name)
            targets[name] = kept if _alike(kept, nets[name]) else jax.tree.map(jnp.copy, nets[name])
    optimizers = {name: optimizers.get(name, optimizer) for name, optimizer in fresh.optimizers.items()}
    lines += [f"{name}: dropped, for {target.name} has none" for name in state.nets if name not in fresh.nets]
    if source.discount != target.discount:
        lines.append(f"values were learned with discount {source.discount} and go on with {target.discount}")
    return State(nets, targets, optimizers, state.updates), lines


def _with_schedules_restarted(optimizer: Any) -> Any:
    def restart(part: Any) -> Any:
        return part._replace(count=jnp.zeros_like(part.count)) if isinstance(part, optax.ScaleByScheduleState) else part

    return jax.tree.map(restart, optimizer, is_leaf=lambda part: isinstance(part, optax.ScaleByScheduleState))


def _alike(a: Any, b: Any) -> bool:
    if jax.tree.structure(a) != jax.tree.structure(b):
        return False
    return all(x.shape == y.shape and x.dtype == y.dtype for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)))


def _squash(
    old: DeterministicActor | GaussianActor, new: TanhGaussianActor, name: str, source: Method, target: Method
) -> TanhGaussianActor:
    if not (_alike(old.trunk.layers[:-1], new.trunk.layers[:-1]) and _alike(old.trunk.norms, new.trunk.norms)):
        raise _mismatch(old, new, name, source, target)
    last = old.trunk.layers[-1]
    log_std: Float[Array, " action"] = jnp.full_like(last.bias, DETERMINISTIC_LOG_STD)
    if isinstance(old, GaussianActor):
        log_std = jnp.clip(old.log_std, old.log_std_min, old.log_std_max)
    if new.log_std is not None:
        return jax.tree.unflatten(jax.tree.structure(new), [*jax.tree.leaves(old.trunk), log_std])
    both = Linear(jnp.concatenate([last.weight, jnp.zeros_like(last.weight)], 1), jnp.concatenate([last.bias, log_std]))
    leaves = [*jax.tree.leaves(old.trunk.layers[:-1]), *jax.tree.leaves(both), *jax.tree.leaves(old.trunk.norms)]
    return jax.tree.unflatten(jax.tree.structure(new), leaves)


def _traits(net: Any) -> dict[str, Any]:
    trunk = getattr(net, "trunk", None)
    if not isinstance(trunk, MLP):
        return {"kind": type(net).__name__, "shapes": [leaf.shape for leaf in jax.tree.leaves(net)]}
    shapes = [layer.weight.shape for layer in trunk.layers]
    return {
        "kind": type(net).__name__,
        "ensemble size": shapes[0][0] if len(shapes[0]) == 3 else None,
        "hidden layers": tuple(shape[-1] for shape in shapes[:-1]),
        "layer normalisation": bool(trunk.norms),
        "activation": trunk.activation,
        "inputs": shapes[0][-2],
        "outputs": shapes[-1][-1],
        "state-dependent spread": getattr(net, "log_std", None) is None,
    }


def _mismatch(old: Any, new: Any, name: str, source: Method, target: Method) -> UsageError:
    has, wants = _traits(old), _traits(new)
    shared = [trait for trait in has if trait in wants and has[trait] != wants[trait]]
    differences = "; ".join(f"{trait} is {has[trait]}, not {wants[trait]}" for trait in shared)
    return UsageError(
        f"the {name} of {source.name} does not fit {target.name}: {differences or 'their structures differ'}. "
        f"Train {source.name} with the same fields as {target.name}, or change those of {target.name}"
    )
