"""How LiteRT runs a .tflite file on this machine."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from export import flatbuffer


class Partitions(NamedTuple):
    """How XNNPACK runs a file: in how many pieces, and which operators it leaves to LiteRT's own kernels."""

    count: int
    outside: list[flatbuffer.Operator]


def runner(path: Path, threads: int = 1) -> Callable[[np.ndarray], np.ndarray]:
    """The file as a function from pictures (n, size, size, 3) in 0..255 to probabilities (n, classes)."""
    interpreter = Interpreter(str(path), num_threads=threads)
    interpreter.allocate_tensors()
    (image,), (output,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(pictures):
        rows = []
        for picture in pictures:
            interpreter.set_tensor(image["index"], picture[None].astype(image["dtype"]))
            interpreter.invoke()
            rows.append(interpreter.get_tensor(output["index"])[0])
        return np.stack(rows)

    return run


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
