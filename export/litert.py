"""How LiteRT runs a .tflite file on this machine."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from export import flatbuffer

INT8_DIFFERENCE = 0.05
"""Of a probability, between the kernels of two processors or versions, where int8 tensors are made from float ones:
sums round differently, and one on the border of two steps falls to the other side. Faces were up to 0.022 apart; a
wrong mean is 0.1 off. (The app's self-test allows the same: `Models.kt`.)"""


class Partitions(NamedTuple):
    """How XNNPACK runs a file: in how many pieces, and which operators it leaves to LiteRT's own kernels."""

    count: int
    outside: list[flatbuffer.Operator]


def runner(path: Path, threads: int = 1) -> Callable[[np.ndarray], np.ndarray]:
    """The file as a function from pictures (n, size, size, 3) in 0..255 to probabilities (n, classes).

    Pictures may be float; what takes bytes only rounds them.
    """
    return content_runner(Path(path).read_bytes(), threads)


def content_runner(content: bytes, threads: int = 1) -> Callable[[np.ndarray], np.ndarray]:
    """The same of a file in memory."""
    interpreter = Interpreter(model_content=content, num_threads=threads)
    interpreter.allocate_tensors()
    (image,), (output,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(pictures):
        rows = []
        pictures = np.rint(pictures) if image["dtype"] is np.uint8 else pictures
        for picture in pictures.astype(image["dtype"]):
            interpreter.set_tensor(image["index"], picture[None])
            interpreter.invoke()
            rows.append(interpreter.get_tensor(output["index"])[0])
        return np.stack(rows)

    return run


def run_tensors(content: bytes, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What a .tflite file with any number of inputs and outputs gives.

    Args:
        content: the file.
        inputs: for each of its inputs, n values one after another: (n, *shape).

    Returns:
        For each output its n values.
    """
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    into, out = interpreter.get_input_details(), interpreter.get_output_details()
    rows = []
    for values in zip(*inputs, strict=True):
        for details, value in zip(into, values, strict=True):
            interpreter.set_tensor(details["index"], value)
        interpreter.invoke()
        rows.append([interpreter.get_tensor(details["index"]) for details in out])
    return [np.stack(column) for column in zip(*rows)]


def first_not_finite(path: Path, pictures: np.ndarray) -> flatbuffer.Operator | None:
    """The first operator that gives NaN or infinity for any of the pictures (n, size, size, 3)."""
    graph = flatbuffer.read(path.read_bytes())
    interpreter = Interpreter(str(path), num_threads=1, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    image = interpreter.get_input_details()[0]
    for picture in pictures:
        interpreter.set_tensor(image["index"], picture[None].astype(image["dtype"]))
        interpreter.invoke()
        for operator in graph.operators:
            floats = [t for t in operator.outputs if graph.tensors[t].type == "float32"]
            if not all(np.isfinite(interpreter.get_tensor(t)).all() for t in floats):
                return operator
    return None


def partitions(path: Path) -> Partitions:
    """How XNNPACK takes the file apart."""
    graph = flatbuffer.read(Path(path).read_bytes())
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    delegates = [op for op in interpreter._get_ops_details() if op["op_name"] == "DELEGATE"]
    writer = {tensor: operator for operator in graph.operators for tensor in operator.outputs}
    inside = set()
    for delegate in delegates:
        # Everything between what a partition writes and what it reads is in it.
        todo, read = list(delegate["outputs"]), set(delegate["inputs"])
        while todo:
            tensor = todo.pop()
            if tensor in writer and tensor not in read and writer[tensor] not in inside:
                inside.add(writer[tensor])
                todo += writer[tensor].inputs
    return Partitions(len(delegates), [operator for operator in graph.operators if operator not in inside])
