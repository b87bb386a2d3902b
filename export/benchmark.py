"""How long exported files take on this machine: `python -m export.benchmark FILE...`

All files are open in one process and run in turns, so that a disturbance of the machine meets them all alike; memory
is what a process of its own takes for each. Compare times of one run only: machines differ, and x86 times say little
about phones (`export.phone_cost` does).
"""

import argparse
import json
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
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
    """Open a .tflite or .onnx file; each call of the result is one inference of one picture of noise.

    Raises:
        InputError: a file that is missing, damaged, or of another kind.
    """
    if not file.is_file():
        raise InputError(f"there is no {file}")
    openers = {".tflite": _tflite_inference, ".onnx": _onnx_inference}
    if file.suffix not in openers:
        raise InputError(f"{file} cannot be timed: expected a file that ends in {' or '.join(openers)}")
    try:
        return openers[file.suffix](file, threads)
    except (ValueError, RuntimeError) as error:
        raise InputError(f"{file} cannot be read: {str(error).splitlines()[0]}") from error


def _tflite_inference(file, threads):
    interpreter = Interpreter(str(file), num_threads=threads)
    interpreter.allocate_tensors()
    image = interpreter.get_input_details()[0]
    interpreter.set_tensor(image["index"], _noise(image["shape"]).astype(image["dtype"]))
    return interpreter.invoke


def _onnx_inference(file, threads):
    runtime = need("onnxruntime", "onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    session = runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    image = session.get_inputs()[0]
    noise = _noise((1, *image.shape[1:])).astype(np.uint8 if image.type == "tensor(uint8)" else np.float32)
    return lambda: session.run(None, {image.name: noise})


def _noise(shape):
    return np.random.default_rng(0).integers(0, 256, shape)


def measure_times(files: list[Path], threads: int, runs: int = RUNS) -> list[list[float]]:
    """Seconds of each of `runs` inferences of every file, taken in turns."""
    inferences = [inference(file, threads) for file in files]
    for infer in inferences:
        for _ in range(WARM_UP_RUNS):
            infer()
    seconds = [[] for _ in files]
    for _ in tqdm(range(runs), desc="timing", unit="round", leave=False, disable=None):
        for infer, taken in zip(inferences, seconds):
            start = time.perf_counter()
            infer()
            taken.append(time.perf_counter() - start)
    return seconds


def measure_memory(file: Path, threads: int) -> int:
    """By how many bytes the peak memory of this process grows when the file is opened and run. For a new process."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    inference(file, threads)()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024


def benchmark(files: list[Path], threads: int = 1, runs: int = RUNS) -> list[dict]:
    """For each file: milliseconds (median and quartiles), ratio to the first, memory, size and XNNPACK's partitions.

    Raises:
        InputError: a file that cannot be run.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as processes:
        memory = [processes.submit(measure_memory, file, threads).result() for file in files]
    rows = []
    for file, seconds, peak in zip(files, measure_times(files, threads, runs), memory):
        low, median, high = (1e3 * quartile for quartile in statistics.quantiles(seconds, n=4))
        rows.append(
            {
                "file": str(file),
                "median_ms": median,
                "quartiles_ms": [low, high],
                "ratio": median / (rows[0]["median_ms"] if rows else median),
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
        description="Time .tflite and .onnx files against each other on this machine, one picture at a time.",
        epilog="example: python -m export.benchmark float.tflite int8.tflite float.onnx --threads 2",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a .tflite or .onnx file")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="(default: 1)")
    parser.add_argument("--runs", type=int, default=RUNS, metavar="N", help="of each file (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures to this file")
    args = parser.parse_args(argv)

    rows = benchmark(args.files, args.threads, args.runs)
    header = ["file", "median ms", "quartiles ms", "ratio", "partitions", "memory MB", "size MB"]
    cells = [
        [
            Path(row["file"]).name,
            f"{row['median_ms']:.2f}",
            "{:.2f} to {:.2f}".format(*row["quartiles_ms"]),
            f"{row['ratio']:.2f}",
            str(row["partitions"] or ""),
            f"{row['memory_bytes'] / 1e6:.1f}",
            f"{row['size_bytes'] / 1e6:.2f}",
        ]
        for row in rows
    ]
    print(table(header, cells))
    print(f"{args.runs} inferences each, taken in turns; {args.threads} thread(s)")
    if args.json:
        with replacing(args.json) as temporary:
            temporary.write_text(json.dumps({"threads": args.threads, "files": rows}, indent=1) + "\n")


if __name__ == "__main__":
    run(main)
