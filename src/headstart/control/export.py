"""A policy as an ONNX file: observations in, greedy actions out, both in the world's own units."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from headstart.control.action_value import ActionValueMethod
from headstart.control.bcq import BCQ
from headstart.control.networks import (
    MLP,
    CategoricalActor,
    DeterministicActor,
    DiscreteCritic,
    GaussianActor,
    MultiHeadCritic,
    TanhGaussianActor,
)
from headstart.control.policy import Policy
from headstart.control.ppo import LIMIT, PPO, UnboundedGaussianActor
from headstart.core.errors import UsageError
from headstart.core.files import write_atomically
from headstart.core.specs import Box

OPSET = 20
_ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh", "selu": "Selu", "elu": "Elu", "gelu": "Gelu"}


class _Graph:
    """Nodes and constants of an ONNX graph, each node applied to the output of the last."""

    def __init__(self, onnx: Any, start: str):
        self.onnx, self.last = onnx, start
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, array: Any, kind: type = np.float32) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(self.onnx.numpy_helper.from_array(np.asarray(array, kind), name))
        return name

    def apply(self, operation: str, *constants: str, **attributes: Any) -> None:
        output = f"value_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(operation, [self.last, *constants], [output], **attributes))
        self.last = output

    def perceptron(self, network: MLP) -> None:
        for index, layer in enumerate(network.layers):
            self.apply("MatMul", self.constant(layer.weight))
            self.apply("Add", self.constant(layer.bias))
            if index == len(network.layers) - 1:
                return
            if network.norms:
                norm = network.norms[index]
                self.apply("LayerNormalization", self.constant(norm.scale), self.constant(norm.offset), epsilon=1e-6)
            attributes = {"approximate": "tanh"} if network.activation == "gelu" else {}
            self.apply(_ACTIVATIONS[network.activation], **attributes)

    def chosen_action(self, policy: Policy) -> None:
        """From standardised observations to actions in [-1, 1], or to the value of every choice."""
        nets, method = policy.state.nets, policy.method
        actor, critic = nets.get("actor"), nets.get("critic")
        if isinstance(method, PPO) and method.running_observation_scale:
            seen = nets["observations"]
            self.apply("Sub", self.constant(seen.mean))
            self.apply("Mul", self.constant(1 / np.sqrt(np.asarray(seen.variance) + 1e-8)))
            self.apply("Clip", self.constant(-LIMIT), self.constant(LIMIT))
        if isinstance(actor, TanhGaussianActor | GaussianActor | DeterministicActor):
            self.perceptron(actor.trunk)
            if isinstance(actor, TanhGaussianActor) and actor.log_std is None:
                self.apply("Slice", *(self.constant([n], np.int64) for n in (0, policy.spec.action_size, 1)))
            self.apply("Tanh")
        elif isinstance(actor, UnboundedGaussianActor):
            self.perceptron(actor.trunk)
            self.apply("Clip", self.constant(-1.0), self.constant(1.0))
        elif isinstance(actor, CategoricalActor):
            self.perceptron(actor.trunk)
        elif isinstance(method, ActionValueMethod) and isinstance(critic, DiscreteCritic | MultiHeadCritic):
            self.choice_values(method, critic, nets.get("behavior"))
        else:
            raise UsageError(f"policies of {method.name} cannot be written as ONNX: no network says what it does")

    def choice_values(self, method: ActionValueMethod, critic: DiscreteCritic | MultiHeadCritic, behavior: Any) -> None:
        seen = self.last
        self.perceptron(critic.trunk)
        if isinstance(critic, MultiHeadCritic):
            self.apply("Reshape", self.constant([0, critic.heads, -1], np.int64))
            self.apply("ReduceMean", self.constant([1], np.int64), keepdims=0)
        if isinstance(method, BCQ):
            values, self.last = self.last, seen
            self.perceptron(behavior.trunk)
            logits = self.last
            self.apply("ReduceMax", self.constant([1], np.int64), keepdims=1)
            largest, self.last = self.last, logits
            self.apply("Sub", largest)
            self.apply("GreaterOrEqual", self.constant(np.log(max(method.threshold, 1e-30))))
            self.apply("Where", values, self.constant(-1e30))


def export_onnx(policy: Policy, path: Path | str) -> None:
    """Write the greedy policy; input ``observations`` [batch, …] float32, output ``actions`` in the world's units.

    Args:
        policy: a trained policy.
        path: the file to write.

    Raises:
        UsageError: the ``onnx`` package is not installed, or a method of the user's own acts in a way not known here.
    """
    try:
        import onnx
        import onnx.numpy_helper
    except ImportError as error:
        raise UsageError("writing ONNX files needs the onnx package; pip install 'headstart[export]'") from error
    spec, box = policy.spec, policy.spec.action
    graph = _Graph(onnx, "observations")
    graph.apply("Reshape", graph.constant([-1, spec.observation_size], np.int64))
    graph.apply("Sub", graph.constant(policy.preprocessor.mean))
    graph.apply("Div", graph.constant(policy.preprocessor.scale))
    graph.chosen_action(policy)
    if isinstance(box, Box):
        low, high = np.asarray(box.low, np.float32), np.asarray(box.high, np.float32)
        graph.apply("Mul", graph.constant((high - low) / 2))
        graph.apply("Add", graph.constant((high + low) / 2))
        graph.apply("Reshape", graph.constant([-1, *box.shape], np.int64))
        shape, kind = ["batch", *box.shape], onnx.TensorProto.FLOAT
    else:
        graph.apply("ArgMax", axis=-1, keepdims=0)
        shape, kind = ["batch"], onnx.TensorProto.INT64
    graph.nodes[-1].output[0] = "actions"
    inputs = onnx.helper.make_tensor_value_info(
        "observations", onnx.TensorProto.FLOAT, ["batch", *spec.observation.shape]
    )
    outputs = onnx.helper.make_tensor_value_info("actions", kind, shape)
    made = onnx.helper.make_graph(graph.nodes, "policy", [inputs], [outputs], graph.constants)
    model = onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=10)
    onnx.checker.check_model(model)
    write_atomically(path, model.SerializeToString())
