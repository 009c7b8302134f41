"""A policy as an ONNX file: observations in, greedy actions out, both in the world's own units."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from headstart.control.networks import (
    MLP,
    CategoricalActor,
    DeterministicActor,
    GaussianActor,
    TanhGaussianActor,
)
from headstart.control.policy import Policy
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


def export_onnx(policy: Policy, path: Path | str) -> None:
    """Write the greedy policy; input ``observations`` [batch, …] float32, output ``actions`` in the world's units.

    Args:
        policy: a policy whose method has an actor network.
        path: the file to write.

    Raises:
        UsageError: the ``onnx`` package is not installed, or the policy is not one network from observation to action.
    """
    try:
        import onnx
        import onnx.numpy_helper
    except ImportError as error:
        raise UsageError("writing ONNX files needs the onnx package; pip install 'headstart[export]'") from error
    actor, spec = policy.state.nets.get("actor"), policy.spec
    known = (TanhGaussianActor, GaussianActor, DeterministicActor, CategoricalActor)
    if not isinstance(actor, known):
        raise UsageError(f"{policy.method.name} has no actor network to write; methods with a policy network do")
    graph = _Graph(onnx, "observations")
    graph.apply("Reshape", graph.constant([-1, spec.observation_size], np.int64))
    graph.apply("Sub", graph.constant(policy.preprocessor.mean))
    graph.apply("Div", graph.constant(policy.preprocessor.scale))
    graph.perceptron(actor.trunk)
    box = spec.action
    if isinstance(box, Box):
        if isinstance(actor, TanhGaussianActor) and actor.log_std is None:
            bounds = [graph.constant(value, np.int64) for value in ([0], [box.size], [1])]
            graph.apply("Slice", *bounds)
        graph.apply("Tanh")
        low, high = np.asarray(box.low, np.float32), np.asarray(box.high, np.float32)
        graph.apply("Mul", graph.constant((high - low) / 2))
        graph.apply("Add", graph.constant((high + low) / 2))
        graph.apply("Reshape", graph.constant([-1, *box.shape], np.int64))
        shape, kind = ["batch", *box.shape], onnx.TensorProto.FLOAT
    else:
        graph.apply("ArgMax", axis=-1, keepdims=0)
        shape, kind = ["batch"], onnx.TensorProto.INT64
    inputs = onnx.helper.make_tensor_value_info(
        "observations", onnx.TensorProto.FLOAT, ["batch", *spec.observation.shape]
    )
    graph.nodes[-1].output[0] = "actions"
    outputs = onnx.helper.make_tensor_value_info("actions", kind, shape)
    made = onnx.helper.make_graph(graph.nodes, "policy", [inputs], [outputs], graph.constants)
    model = onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=10)
    onnx.checker.check_model(model)
    write_atomically(path, model.SerializeToString())
