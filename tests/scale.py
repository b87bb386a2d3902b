"""How much memory and time a big data set takes: `python tests/scale.py COUNT` prints them as JSON.

Makes COUNT pictures of noise (48x48) in class folders, prepares them as `train.prepare` does and reads one augmented
epoch, each in a process of its own, so that each peak is its own.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

CLASSES = ("happy", "sad", "angry")
ROOT = Path(__file__).resolve().parents[1]


def make(root: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    for name in CLASSES:
        (root / name).mkdir(parents=True)
    for i in range(count):
        pixels = rng.integers(0, 256, (48, 48), np.uint8)
        cv2.imwrite(str(root / CLASSES[i % len(CLASSES)] / f"{i:06d}.png"), pixels)


def prepare(root: Path) -> None:
    from train import prepare

    prepare.main(["folder", str(root / "faces"), "--out", str(root / "data")])


def read(root: Path) -> None:
    from train.augment import Augment
    from train.data import read_info, training_batches

    augment = Augment(flip=0.5, rotation=10, scale=(0.88, 1.12), shift=0.1)
    info = read_info(root / "data")
    epoch = training_batches(info, "train", batch_size=128, input_size=48, augment=augment, seed=0, epochs=1)
    for _ in epoch:
        pass


def run(step: str, root: Path) -> dict[str, float]:
    """Run a step in a process of its own: its seconds and its peak memory (MiB)."""
    command = [sys.executable, __file__, step, str(root)]
    result = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    return json.loads(result.stdout.splitlines()[-1])


def measure(count: int) -> dict[str, dict[str, float]]:
    """Seconds and peak memory of preparing and of reading `count` pictures."""
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder, "faces"), count)
        return {step: run(step, Path(folder)) for step in ("prepare", "read")}


if __name__ == "__main__":
    if sys.argv[1].isdigit():
        print(json.dumps(measure(int(sys.argv[1]))))
    else:
        start = time.perf_counter()
        {"prepare": prepare, "read": read}[sys.argv[1]](Path(sys.argv[2]))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": round(time.perf_counter() - start, 1), "peak_mib": round(peak)}))
