"""Int8 for a float .tflite file, after training.

What multiplies (convolutions, dense layers, the products of attention) computes in int8, and so does what only moves or
adds numbers between them. The rest stays float: layer norms and what feeds them, softmax, means. XNNPACK runs all of it
in one partition.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import NamedTuple

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import qtyping, quantizer
from tqdm import tqdm

from export import flatbuffer

MULTIPLIERS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL"})
MOVERS = frozenset({"CONCATENATION", "MAX_POOL_2D", "PAD", "RESHAPE", "SLICE", "SPLIT", "STRIDED_SLICE", "TRANSPOSE"})
"""Operators whose inputs and outputs must share one scale, since they only move numbers."""

JOINERS = frozenset({"ADD", "MUL"})
TABLES = frozenset({"GELU", "LOGISTIC", "TANH"})
"""Operators that are int8, or as good as it, where all that they read and all that reads them is: sums and products of
two maps; and functions of one number, which stay float in the file and which XNNPACK turns into a table of 256."""

SATURATION = {"LOGISTIC": (-8.0, 8.0), "GELU": (-4.0, np.inf)}
"""Beyond these inputs a function's value moves by less than an int8 step of its output; steps spent there are lost."""

CALIBRATION_FACES = 32
"""How many pictures of each class the ranges are measured on."""

Ranges = dict[str, tuple[float, float]]


class Int8(NamedTuple):
    """How a tensor of a float file is rounded once the file is int8.

    Attributes:
        group: index of one of the tensors that it shares its scale with, the same for all of them.
        symmetric: its zero point is 0.
        made: an int8 operator writes it. Else a float one does, and what stays float reads it unrounded.
    """

    group: int
    symmetric: bool
    made: bool


def int8_tensors(content: bytes, keep_float: Collection[int] = ()) -> dict[int, Int8]:
    """The tensors, by index, that `to_int8` with the same arguments will round."""
    graph = flatbuffer.read(content)
    groups = _scale_groups(graph)
    int8 = _choose(graph, groups, keep_float)
    made = {tensor for operator in int8 for tensor in operator.outputs}
    symmetric = _symmetric(graph, groups)
    return {
        tensor: Int8(groups[tensor], groups[tensor] in symmetric, tensor in made)
        for operator in int8
        for tensor in (*operator.inputs, *operator.outputs)
        if tensor in groups
    }


def calibrate(content: bytes, pictures: Iterable[np.ndarray]) -> Ranges:
    """The smallest and largest value of each float tensor of a .tflite file over all the pictures, by its name.

    What only a function of `SATURATION` reads is cut to where that function still moves.

    Args:
        content: the file, whose input is one picture.
        pictures: of the input's shape without the batch axis, and of its type.
    """
    values = _reader(content)
    names = [tensor.name for tensor in flatbuffer.read(content).tensors]
    ranges = {}
    for picture in tqdm(pictures, desc="calibrating", unit="face", leave=False, disable=None):
        for index, tensor in values(picture):
            low, high = ranges.get(names[index], (0.0, 0.0))
            ranges[names[index]] = min(low, float(tensor.min())), max(high, float(tensor.max()))
    for index, (lowest, highest) in _saturating(flatbuffer.read(content)).items():
        low, high = ranges[names[index]]
        ranges[names[index]] = max(low, lowest), min(high, highest)
    return ranges


def _saturating(graph):
    """The range that matters of each tensor that one function of `SATURATION` alone reads."""
    readers = defaultdict(list)
    for operator in graph.operators:
        for tensor in operator.inputs:
            readers[tensor].append(operator.name)
    return {
        tensor: SATURATION[names[0]] for tensor, names in readers.items() if len(names) == 1 and names[0] in SATURATION
    }


def float_values(content: bytes, picture: np.ndarray) -> dict[int, np.ndarray]:
    """What the float tensors of a .tflite file hold for one picture, by their index."""
    return {index: tensor.copy() for index, tensor in _reader(content)(picture)}


def int8_values(content: bytes, picture: np.ndarray) -> dict[str, np.ndarray]:
    """What the int8 tensors of a .tflite file stand for, for one picture, by their name."""
    scales = {t["name"]: t["quantization"] for t in Interpreter(model_content=content).get_tensor_details()}
    names = [tensor.name for tensor in flatbuffer.read(content).tensors]
    found = {}
    for index, tensor in _reader(content, "int8")(picture):
        scale, zero = scales[names[index]]
        found[names[index]] = np.float32(scale) * (tensor.astype("float32") - zero)
    return found


def _reader(content, kind="float32"):
    """A function from a picture to pairs of index and content of all tensors of one type."""
    graph = flatbuffer.read(content)
    interpreter = Interpreter(model_content=content, num_threads=1, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    indices = [tensor.index for tensor in graph.tensors if tensor.type == kind and not tensor.constant]

    def values(picture):
        interpreter.set_tensor(graph.inputs[0], picture[None])
        interpreter.invoke()
        return ((index, interpreter.get_tensor(index)) for index in indices)

    return values


def to_int8(content: bytes, ranges: Ranges, keep_float: Collection[int] = ()) -> bytes:
    """Quantize a float .tflite file.

    Args:
        content: the float file.
        ranges: of its float tensors, from `calibrate`; or from training, of `int8_tensors` alone.
        keep_float: tensors whose multiplications stay float, by index.
    """
    graph = flatbuffer.read(content)
    groups = _scale_groups(graph)
    job = quantizer.Quantizer(bytearray(content))
    for operator in _choose(graph, groups, keep_float):
        scope = "".join(f"{graph.tensors[t].name};" for t in operator.outputs)
        job.add_static_config(f"^{re.escape(scope)}$", qtyping.TFLOperationName[operator.name], 8, 8)
    return _run(job, _statistics(graph, _shared_ranges(graph, groups, ranges)))


def _choose(graph, groups, keep_float):
    """The operators that are to be int8."""
    multiplying = [o for o in graph.operators if o.name in MULTIPLIERS and o.outputs[0] not in keep_float]
    int8_groups = {groups[t] for operator in multiplying for t in (*operator.inputs, *operator.outputs) if t in groups}
    moving = [o for o in graph.operators if o.name in MOVERS and groups.get(o.outputs[0]) in int8_groups]
    between = {o for o in graph.operators if o.name in JOINERS | TABLES}
    while True:
        int8 = {*multiplying, *moving, *between}
        made = {tensor for operator in int8 for tensor in operator.outputs}
        lost = {tensor for o in graph.operators if o not in int8 for tensor in o.inputs} | set(graph.outputs)
        stray = {o for o in between if not made.issuperset(o.inputs) or lost.intersection(o.outputs)}
        if not stray:
            return [o for o in graph.operators if o in int8 and o.name not in TABLES]
        between -= stray


def _scale_groups(graph):
    """For each float tensor one of those that it shares its scale with, the same for all of them."""
    parent = {t.index: t.index for t in graph.tensors if t.type == "float32" and not t.constant}

    def find(tensor):
        while parent[tensor] != tensor:
            tensor = parent[tensor]
        return tensor

    for operator in graph.operators:
        if operator.name in MOVERS:
            moved = [t for t in (*operator.inputs, *operator.outputs) if t in parent]
            for tensor in moved[1:]:
                parent[find(tensor)] = find(moved[0])
    return {tensor: find(tensor) for tensor in parent}


def _shared_ranges(graph, groups, ranges):
    """The range of each tensor: that of its whole group."""
    members = defaultdict(list)
    for tensor, group in groups.items():
        if bounds := ranges.get(graph.tensors[tensor].name):
            members[group].append(bounds)
    symmetric = _symmetric(graph, groups)
    shared = {}
    for group, bounds in members.items():
        low, high = min(low for low, _ in bounds), max(high for _, high in bounds)
        step = max(-low, high) / 127
        shared[group] = (-128 * step, 127 * step) if group in symmetric else (low, high)
    return {tensor: shared[group] for tensor, group in groups.items() if group in shared}


def _symmetric(graph, groups):
    """The groups whose zero point XNNPACK wants to be 0."""
    return {groups[o.inputs[1]] for o in graph.operators if o.name == "BATCH_MATMUL" and o.inputs[1] in groups}


def _statistics(graph, bounds):
    """The ranges as the quantizer takes them: by name, with as many axes as the tensor."""
    statistics = {}
    for tensor, (low, high) in bounds.items():
        _, name, shape, *_ = graph.tensors[tensor]
        ones = np.ones((1,) * len(shape), "float32")
        statistics[name] = {"min": low * ones, "max": high * ones}
    return statistics


# --- Without calibration ---


def to_float16(content: bytes) -> bytes:
    """Weights in half precision; LiteRT widens them once, when the file is loaded."""
    job = quantizer.Quantizer(bytearray(content))
    config = qtyping.OpQuantizationConfig(
        weight_tensor_config=qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT),
        compute_precision=qtyping.ComputePrecision.FLOAT,
        explicit_dequantize=True,
    )
    job.update_quantization_recipe(
        ".*", qtyping.TFLOperationName.ALL_SUPPORTED, config, quantizer.AlgorithmName.FLOAT_CASTING
    )
    return _run(job)


def to_dynamic(content: bytes) -> bytes:
    """Weights in int8; dense layers and convolutions turn their inputs to int8 by the range that each picture has.

    XNNPACK has no such depthwise convolution, so the weights of those are widened when the file is loaded.
    """
    job = quantizer.Quantizer(bytearray(content))
    for name in ("CONV_2D", "FULLY_CONNECTED"):
        job.add_dynamic_config(".*", qtyping.TFLOperationName[name], 8)
    job.add_weight_only_config(".*", qtyping.TFLOperationName.DEPTHWISE_CONV_2D, 8)
    return _run(job)


SCHEMES = {"float16": to_float16, "dynamic": to_dynamic}


def _run(job, statistics=None):
    return bytes(job.quantize(statistics, enable_progress_bar=False, enable_progress_report=False).quantized_model)
