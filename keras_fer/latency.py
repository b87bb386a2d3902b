"""How long a forward pass takes on this machine, and how much memory a process needs for it.

    python -m keras_fer.latency mit_fusion efficientface --batch 1 32

One process holds every model and runs them in turns, so that a disturbance of the machine meets them all alike. Memory
is the peak of a process of its own for each model and batch. Compare times of one run only.
"""

import argparse
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor

import keras
import numpy as np
from tqdm import tqdm

from keras_fer.command import run
from keras_fer.inspect import create
from keras_fer.registry import list_backbones, list_models
from keras_fer.tables import table

WARM_UP_RUNS = 2


def limit_threads(threads: int) -> None:
    """Have Keras' backends use so many threads in processes that start from now on."""
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    if threads == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def forward(model: keras.Model, batch: int) -> Callable[[], object]:
    """Warm the model up on a batch of noise; each call of the result is one forward pass of that batch."""
    if keras.backend.backend() == "tensorflow":
        # Left alone, Keras chooses XLA, several times slower on a CPU than TensorFlow's own kernels.
        model.jit_compile = False
    pictures = np.random.default_rng(0).uniform(0, 255, (batch, *model.input_shape[1:])).astype("float32")
    for _ in range(WARM_UP_RUNS):
        model.predict_on_batch(pictures)
    return lambda: model.predict_on_batch(pictures)


def measure_times(
    names: Sequence[str], batches: Sequence[int], input_size: int | None, runs: int
) -> list[tuple[list[float], list[float]]]:
    """Wall and CPU seconds of each of `runs` forward passes of every model at every batch size, taken in turns."""
    models = [create(name, input_size) for name in names]
    passes = [forward(model, batch) for model in models for batch in batches]
    seconds = [([], []) for _ in passes]
    for _ in tqdm(range(runs), desc="rounds"):
        for forward_pass, (wall, cpu) in zip(passes, seconds):
            start = time.perf_counter(), time.process_time()
            forward_pass()
            wall.append(time.perf_counter() - start[0])
            cpu.append(time.process_time() - start[1])
    return seconds


def measure_memory(name: str, batch: int, input_size: int | None) -> tuple[int, int]:
    """Peak resident bytes of this process before the model was built and after it ran. Call it in a new process."""
    before = _peak_resident_bytes()
    forward(create(name, input_size), batch)
    return before, _peak_resident_bytes()


def _peak_resident_bytes():
    # macOS counts bytes, the others kibibytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m keras_fer.latency",
        description="Forward latency and peak memory of models with fresh weights.",
        epilog="example: python -m keras_fer.latency mit_fusion efficientface --batch 1 32",
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help="models or backbones (default: all)")
    parser.add_argument("--batch", nargs="+", type=int, default=[1], metavar="N", help="batch sizes (default: 1)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads of the backend (default: 1)")
    parser.add_argument("--runs", type=int, default=15, metavar="N", help="timed runs of each (default: 15)")
    parser.add_argument("--input-size", type=int, metavar="N", help="pixels a side (default: what each is made for)")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    arguments = parser.parse_args(argv)

    limit_threads(arguments.threads)
    names = arguments.models or [*list_models(), *list_backbones()]
    cases = [(name, batch) for name in names for batch in arguments.batch]
    load_before = os.getloadavg()[0]
    # New processes, since a backend takes its number of threads when it starts.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as processes:
        memory = [
            processes.submit(measure_memory, *case, arguments.input_size).result()
            for case in tqdm(cases, desc="memory")
        ]
        seconds = processes.submit(measure_times, names, arguments.batch, arguments.input_size, arguments.runs).result()

    rows = []
    for (name, batch), (wall, cpu), (_, peak) in zip(cases, seconds, memory):
        low, median, high = (f"{1e3 * q:.1f}" for q in statistics.quantiles(wall, n=4))
        cpu_median = f"{1e3 * statistics.median(cpu):.1f}"
        rows.append([name, str(batch), median, f"{low} to {high}", cpu_median, f"{peak / 1e6:.0f}"])
    print(table(["model", "batch", "median ms", "quartiles ms", "CPU ms", "peak MB"], rows, arguments.markdown))
    print(
        f"\n{arguments.runs} forward passes each, taken in turns; {arguments.threads} thread(s) of "
        f"{keras.backend.backend()}. Of the peak memory, {memory[0][0] / 1e6:.0f} MB are Python and Keras."
        f"\nLoad average of the machine {load_before:.1f} before, {os.getloadavg()[0]:.1f} after, "
        f"on {os.cpu_count()} cores: where it is not idle, CPU ms tells more than the time on the clock."
    )


if __name__ == "__main__":
    run(main)
