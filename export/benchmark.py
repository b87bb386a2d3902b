"""How long exported files take on this machine: `python -m export.benchmark FILE...`

All files are open in one process and run in turns, so that a disturbance of the machine meets them all alike; memory
is what a process of its own takes for each. Compare times of one run only: machines differ, and x86 times say little
about phones (`export.phone_cost` does).

Any .tflite or .onnx file will do, with a card or without; and where PyTorch is installed, a program that
`torch.export.save` wrote (.pt2, with the example inputs inside): it runs operator by operator, as eager PyTorch does.
"""

import argparse
import importlib
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from tqdm import tqdm

from export.litert import partitions
from keras_fer.command import run
from keras_fer.errors import InputError
from keras_fer.files import replacing
from keras_fer.optional import need
from keras_fer.tables import table

WARM_UP_RUNS = 5
RUNS = 100


def inference(file: Path, threads: int) -> Callable[[], object]:
    """Open a .tflite, .onnx or .pt2 file; each call of the result is one inference of one picture of noise.

    Raises:
        InputError: a file that is missing, damaged, or of another kind.
    """
    if not file.is_file():
        raise InputError(f"there is no {file}")
    if file.suffix not in RUNTIMES:
        raise InputError(f"{file} cannot be timed: expected a file that ends in {' or '.join(RUNTIMES)}")
    module, opener = RUNTIMES[file.suffix]
    need(module, module)
    try:
        return opener(file, threads)
    except InputError:
        raise
    except Exception as error:  # the runtimes' exceptions share no other base
        raise InputError(f"{file} cannot be read: {str(error).splitlines()[0]}") from error


def _tflite_inference(file, threads):
    interpreter = Interpreter(str(file), num_threads=threads)
    interpreter.allocate_tensors()
    image = interpreter.get_input_details()[0]
    interpreter.set_tensor(image["index"], _noise(image["shape"]).astype(image["dtype"]))
    return interpreter.invoke


def _onnx_inference(file, threads):
    import onnxruntime as runtime

    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    session = runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    image = session.get_inputs()[0]
    noise = _noise((1, *image.shape[1:])).astype(np.uint8 if image.type == "tensor(uint8)" else np.float32)
    return lambda: session.run(None, {image.name: noise})


def _torch_inference(file, threads):
    import torch

    torch.set_num_threads(threads)
    program = torch.export.load(file)
    if program.example_inputs is None:
        raise InputError(f"{file} holds no example inputs: give them to torch.export.export")
    module, (arguments, options) = program.module(), program.example_inputs

    def infer():
        with torch.inference_mode():
            return module(*arguments, **options)

    return infer


RUNTIMES = {
    ".tflite": ("ai_edge_litert", _tflite_inference),
    ".onnx": ("onnxruntime", _onnx_inference),
    ".pt2": ("torch", _torch_inference),
}
"""By suffix: the package that runs the file, and what opens it."""


def _noise(shape):
    return np.random.default_rng(0).integers(0, 256, shape)


def measure_times(files: list[Path], threads: int, runs: int = RUNS) -> list[tuple[list[float], list[float]]]:
    """For every file, the seconds on the clock and those of the processor of each of `runs` inferences, in turns."""
    inferences = [inference(file, threads) for file in files]
    for infer in inferences:
        for _ in range(WARM_UP_RUNS):
            infer()
    seconds = [([], []) for _ in files]
    for _ in tqdm(range(runs), desc="timing", unit="round", leave=False, disable=None):
        for infer, (clock, processor) in zip(inferences, seconds):
            start = time.perf_counter(), time.process_time()
            infer()
            clock.append(time.perf_counter() - start[0])
            processor.append(time.process_time() - start[1])
    return seconds


def measure_memory(file: Path, threads: int) -> int:
    """By how many bytes the peak memory of a new process grows when the file is opened and run.

    Raises:
        InputError: it does not run there.
    """
    command = [sys.executable, "-c", "from export import benchmark; benchmark.print_memory()", str(file), str(threads)]
    root = str(Path(__file__).parents[1])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"{file} does not run: {' '.join(done.stderr.strip().splitlines()[-1:])}")
    return int(done.stdout.split()[-1])


def print_memory() -> None:
    """`measure_memory` in the new process, for the file and the threads of its command line."""
    file, threads = Path(sys.argv[1]), int(sys.argv[2])
    importlib.import_module(RUNTIMES[file.suffix][0])  # its own memory is no file's
    before = _peak_bytes(anew=True)
    inference(file, threads)()
    print(_peak_bytes() - before)


def _peak_bytes(anew: bool = False) -> int:
    """The most memory that this process has held; with `anew`, what it holds now, from which the peak then counts."""
    clear, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    if not clear.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    # Not ru_maxrss: on Linux it starts at what the process that started this one held.
    if anew:
        clear.write_text("5")
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1])


def benchmark(files: list[Path], threads: int = 1, runs: int = RUNS) -> list[dict]:
    """For each file: milliseconds (median and quartiles; of the processor), their ratio to the first file's, XNNPACK's
    partitions, memory and size.

    Raises:
        InputError: a file that cannot be run.
    """
    for file in files:
        inference(file, threads)  # says what is wrong before anything is measured
    memory = [measure_memory(file, threads) for file in tqdm(files, desc="memory", leave=False, disable=None)]
    rows = []
    for file, (clock, processor), peak in zip(files, measure_times(files, threads, runs), memory):
        low, median, high = (1e3 * quartile for quartile in statistics.quantiles(clock, n=4))
        cpu = 1e3 * statistics.median(processor)
        rows.append(
            {
                "file": str(file),
                "median_ms": median,
                "quartiles_ms": [low, high],
                "ratio": median / (rows[0]["median_ms"] if rows else median),
                "cpu_ms": cpu,
                "cpu_ratio": cpu / (rows[0]["cpu_ms"] if rows else cpu),
                "partitions": partitions(file).count if file.suffix == ".tflite" else None,
                "memory_bytes": peak,
                "size_bytes": file.stat().st_size,
            }
        )
    return rows


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m export.benchmark",
        description="Time .tflite, .onnx and .pt2 files against each other on this machine, one picture at a time.",
        epilog="example: python -m export.benchmark float.tflite int8.tflite float.onnx --threads 2",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a .tflite, .onnx or .pt2 file")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="(default: 1)")
    parser.add_argument("--runs", type=int, default=RUNS, metavar="N", help="of each file (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures to this file")
    args = parser.parse_args(argv)

    load = os.getloadavg()[0]
    rows = benchmark(args.files, args.threads, args.runs)
    header = ["file", "median ms", "quartiles ms", "ratio", "CPU ms", "ratio", "partitions", "memory MB", "size MB"]
    cells = [
        [
            Path(row["file"]).name,
            f"{row['median_ms']:.2f}",
            "{:.2f} to {:.2f}".format(*row["quartiles_ms"]),
            f"{row['ratio']:.2f}",
            f"{row['cpu_ms']:.2f}",
            f"{row['cpu_ratio']:.2f}",
            str(row["partitions"] or ""),
            f"{row['memory_bytes'] / 1e6:.1f}",
            f"{row['size_bytes'] / 1e6:.2f}",
        ]
        for row in rows
    ]
    print(table(header, cells))
    print(
        f"{args.runs} inferences each, taken in turns; {args.threads} thread(s); load average {load:.1f} on "
        f"{os.cpu_count()} cores: where they are not idle, the processor's time tells more than the clock's"
    )
    if args.json:
        with replacing(args.json) as temporary:
            temporary.write_text(json.dumps({"threads": args.threads, "files": rows}, indent=1) + "\n")


if __name__ == "__main__":
    run(main)
