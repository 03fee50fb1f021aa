"""ONNX files built operator by operator, labelled, and loaded into onnxruntime.

onnx and its runtime load only here. The module knows operators and constants, no network.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray
from numpy.typing import ArrayLike

from jaxcorr.deploy.parameters import Facts
from jaxcorr.units import SIGN

OPSET = 18  # has LayerNormalization; runtimes from 2023 on read it
IR_VERSION = 9  # as old as the operators allow, for older runtimes

Shapes = dict[str, list[str | int]]


class Graph:
    """Operators and constants, collected in order; tensors go by name."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: dict[str, ndarray] = {}

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Appends an operator with one result; returns its name."""
        return self.add_several(
            operator, *inputs, names=(name or self._free(operator),), **attributes
        )[0]

    def add_several(
        self, operator: str, *inputs: str, names: tuple[str, ...], **attributes: Any
    ) -> tuple[str, ...]:
        """Appends an operator whose results get these names; an empty one is not computed."""
        from onnx import helper

        label = self._free(operator)
        node = helper.make_node(
            operator, list(inputs), list(names), label, None, None, **attributes
        )
        self._nodes.append(node)
        return names

    def constant(self, values: ArrayLike) -> str:
        """Appends a float32 constant; returns its name."""
        return self._keep(np.asarray(values, np.float32))

    def integers(self, *values: int) -> str:
        """Appends a list of integers, such as axes."""
        return self._keep(np.array(values, np.int64))

    def cut(self, values: str, begin: int, end: int, axis: int) -> str:
        """Values from begin up to end along an axis."""
        return self.add("Slice", values, *(self.integers(n) for n in (begin, end, axis)))

    def save(self, path: Path, inputs: Shapes, outputs: Shapes, facts: Facts, **notes: str) -> None:
        """Writes the model, float32 in and out, with what its tensors mean in the metadata."""
        import onnx
        from onnx import TensorProto, helper, numpy_helper

        first, last = (
            [helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in side]
            for side in (inputs.items(), outputs.items())
        )
        constants = [
            numpy_helper.from_array(values, key) for key, values in self._constants.items()
        ]
        proto = helper.make_model(
            helper.make_graph(self._nodes, f"jaxcorr_{path.stem}", first, last, constants),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="jaxcorr",
        )
        helper.set_model_props(proto, _labels(facts) | notes)
        onnx.checker.check_model(proto, full_check=True)
        path.write_bytes(proto.SerializeToString())

    def _free(self, operator: str) -> str:
        return f"{operator.lower()}_{len(self._nodes)}"

    def _keep(self, values: ndarray) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants[name] = values
        return name


def load(path: Path) -> Any:
    """An onnxruntime session on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _labels(facts: Facts) -> dict[str, str]:
    return {
        "run": facts.run,
        "features": ", ".join(facts.features),
        "feature_units": ", ".join(facts.feature_units),
        "targets": ", ".join(facts.targets),
        "target_units": ", ".join(facts.target_units),
        "sign": SIGN,
        "horizon_samples": str(facts.horizon),
        "sample_rate_hz": f"{facts.sample_rate_hz:g}",
    }
