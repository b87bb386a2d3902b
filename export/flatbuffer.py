"""What is inside a .tflite file: its operators and tensors, and the Keras layers that they came from."""

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_OPERATORS = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
_TYPES = {code: name.lower() for name, code in vars(schema.TensorType).items() if isinstance(code, int)}


class Tensor(NamedTuple):
    """A tensor; where a size is open when the file is loaded, `shape` has -1."""

    index: int
    name: str
    shape: tuple[int, ...]
    type: str
    constant: bool


class Operator(NamedTuple):
    """An operator in the order of execution; `custom` is not empty where LiteRT does not bring it along."""

    name: str
    custom: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class Graph(NamedTuple):
    """The main graph of a file: tensors are given by their index."""

    tensors: list[Tensor]
    operators: list[Operator]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    subgraphs: int

    def find_layer(self, operator: Operator, layers: Collection[str]) -> str | None:
        """The Keras layer (out of `layers`) that the operator came from, read off the names of its tensors."""
        for index in (*operator.outputs, *operator.inputs):
            for part in re.split("[/;]", self.tensors[index].name) if index >= 0 else ():
                # Keras numbers a layer's scope when the layer is called again: "fc", "fc_1", "fc_1_2".
                while part and part not in layers:
                    part, _, number = part.rpartition("_")
                    part = part if number.isdigit() else ""
                if part:
                    return part
        return None

    def origin(self, operator: Operator, layers: Collection[str]) -> str:
        """Where the operator came from, for messages: its layer, or else the name that the converter gave it."""
        layer = self.find_layer(operator, layers)
        return f"layer {layer}" if layer else self.tensors[operator.outputs[0]].name


def read(content: bytes) -> Graph:
    """Parse a .tflite file (an archive behind it does no harm)."""
    model = _parse(content)
    graph = model.subgraphs[0]
    return Graph(
        [_tensor(i, t, model.buffers[t.buffer].data) for i, t in enumerate(graph.tensors)],
        [_operator(o, model.operatorCodes[o.opcodeIndex]) for o in graph.operators],
        tuple(map(int, graph.inputs)),
        tuple(map(int, graph.outputs)),
        len(model.subgraphs),
    )


def cut(content: bytes, operators: Sequence[int], inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
    """A .tflite file that computes a part of another.

    Args:
        content: the whole file.
        operators: the places of those that stay.
        inputs, outputs: tensors of the whole file that the part takes and gives, in this order.
    """
    model = _parse(content)
    graph = model.subgraphs[0]
    graph.operators = [graph.operators[i] for i in operators]
    graph.inputs, graph.outputs = list(inputs), list(outputs)
    model.signatureDefs = []  # they name the old inputs and outputs
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _parse(content):
    """The file's objects, with all constants in them: writers may put them behind the flatbuffer."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    for buffer in model.buffers:
        if buffer.size:
            buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return model


def _tensor(index, tensor, data):
    shape = tensor.shape if tensor.shapeSignature is None else tensor.shapeSignature
    shape = () if shape is None else tuple(map(int, shape))
    return Tensor(index, tensor.name.decode(), shape, _TYPES[tensor.type], data is not None and len(data) > 0)


def _operator(operator, code):
    # Codes below 128 stand in a field of one byte, which old readers know; later ones have the wide field alone.
    name = _OPERATORS[max(code.builtinCode, code.deprecatedBuiltinCode)]
    custom = (code.customCode or b"").decode()
    return Operator(name, custom, tuple(map(int, operator.inputs)), tuple(map(int, operator.outputs)))
