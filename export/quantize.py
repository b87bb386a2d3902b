"""Int8 for a float .tflite file, after training.

What multiplies (convolutions, dense layers, the products of attention) computes in int8, and so does what only moves or
adds numbers between them. The rest stays float: layer norms and what feeds them, softmax, means. XNNPACK runs all of it
in one partition.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable

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

Ranges = dict[str, tuple[float, float]]


def calibrate(content: bytes, pictures: Iterable[np.ndarray]) -> Ranges:
    """The smallest and largest value of each float tensor of a .tflite file over all the pictures, by its name.

    Args:
        content: the file, whose input is one picture.
        pictures: of the input's shape without the batch axis, and of its type.
    """
    graph = flatbuffer.read(content)
    interpreter = Interpreter(model_content=content, num_threads=1, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    tensors = [tensor for tensor in graph.tensors if tensor.type == "float32" and not tensor.constant]
    ranges = {tensor.name: (0.0, 0.0) for tensor in tensors}
    for picture in tqdm(pictures, desc="calibrating", unit="face", leave=False, disable=None):
        interpreter.set_tensor(graph.inputs[0], picture[None])
        interpreter.invoke()
        for tensor in tensors:
            values = interpreter.get_tensor(tensor.index)
            low, high = ranges[tensor.name]
            ranges[tensor.name] = min(low, float(values.min())), max(high, float(values.max()))
    return ranges


def to_int8(content: bytes, ranges: Ranges, keep_float: Collection[str] = (), layers: Collection[str] = ()) -> bytes:
    """Quantize a float .tflite file.

    Args:
        content: the float file.
        ranges: of its float tensors, from `calibrate` or from training.
        keep_float: layers whose multiplications stay float.
        layers: names of all layers, to find those in the file.
    """
    graph = flatbuffer.read(content)
    groups = _scale_groups(graph)
    job = quantizer.Quantizer(bytearray(content))
    for operator in _choose(graph, groups, lambda o: graph.find_layer(o, layers) in keep_float):
        scope = "".join(f"{graph.tensors[t].name};" for t in operator.outputs)
        job.add_static_config(f"^{re.escape(scope)}$", qtyping.TFLOperationName[operator.name], 8, 8)
    return _run(job, _statistics(graph, _shared_ranges(graph, groups, ranges)))


def _choose(graph, groups, kept):
    """The operators that are to be int8."""
    multiplying = [o for o in graph.operators if o.name in MULTIPLIERS and not kept(o)]
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
    """The range of each tensor: that of its whole group, and symmetric where XNNPACK asks for a zero point of 0."""
    members = defaultdict(list)
    for tensor, group in groups.items():
        members[group].append(ranges[graph.tensors[tensor].name])
    symmetric = {groups[o.inputs[1]] for o in graph.operators if o.name == "BATCH_MATMUL" and o.inputs[1] in groups}
    shared = {}
    for group, bounds in members.items():
        low, high = min(low for low, _ in bounds), max(high for _, high in bounds)
        step = max(-low, high) / 127
        shared[group] = (-128 * step, 127 * step) if group in symmetric else (low, high)
    return {tensor: shared[group] for tensor, group in groups.items()}


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
