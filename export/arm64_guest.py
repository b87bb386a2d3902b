"""What runs inside the ARM64 emulation (`export.arm64`): inferences, and two between marks that the tracer sees.

It knows only LiteRT and numpy, so it imports nothing of the project.
"""

import contextlib
import os
import pathlib
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter

FORCE_FP16 = 4  # among the flags of LiteRT's XNNPACK delegate


def print_addresses():
    """Where LiteRT's library begins, and the bounds of its code."""
    maps = pathlib.Path("/proc/self/maps").read_text().splitlines()
    lines = [line.split() for line in maps if "libpywrap_litert_common" in line]
    code = next(bounds for bounds, access, *_ in lines if access == "r-xp")
    print(lines[0][0].split("-")[0], *code.split("-"))


def infer(file, given, found):
    model = Interpreter(file, num_threads=1)
    model.allocate_tensors()
    inputs, outputs = ([d["index"] for d in ds] for ds in (model.get_input_details(), model.get_output_details()))
    with np.load(given) as arrays:
        columns = list(arrays.values())
    rows = []
    for values in zip(*columns):
        for tensor, value in zip(inputs, values):
            model.set_tensor(tensor, value)
        model.invoke()
        rows.append([model.get_tensor(tensor) for tensor in outputs])
    np.savez(found, *map(np.stack, zip(*rows)))


def infer_half(file, given, found):
    # Only this interface passes flags on.
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.options import CpuOptions, Options

    options = Options(cpu_options=CpuOptions(num_threads=1, xnnpack_flags=FORCE_FP16))
    model = CompiledModel.from_file(file, options=options)
    (image,), (output,) = model.create_input_buffers(0), model.create_output_buffers(0)
    (details,) = model.get_output_tensor_details(next(iter(model.get_signature_list()))).values()
    with np.load(given) as arrays:
        (pictures,) = arrays.values()
    rows = []
    for picture in pictures:
        image.write(picture)
        model.run_by_index(0, [image], [output])
        rows.append(output.read(int(details["shape"][-1]), np.float32).copy()[None])
    np.savez(found, np.stack(rows))


def infer_twice(file, mark):
    model = Interpreter(file, num_threads=1)
    model.allocate_tensors()
    image = model.get_input_details()[0]
    noise = np.random.RandomState(0).randint(0, 256, image["shape"])
    model.set_tensor(image["index"], noise.astype(image["dtype"]))
    for _ in range(2):
        _mark(int(mark))
        model.invoke()
    _mark(int(mark))


def _mark(number):
    with contextlib.suppress(ProcessLookupError):
        os.getpgid(number)


if __name__ == "__main__":
    tasks = {"map": print_addresses, "run": infer, "half": infer_half, "twice": infer_twice}
    tasks[sys.argv[1]](*sys.argv[2:])
