"""Do the packed models compute on the APK's runtime what they compute on today's? `python -m export.apk_models`

`make apk` packs TensorFlow Lite 2.16, older than what converted the models. So each of the app's models runs on
TensorFlow 2.16's interpreter, in an environment of its own (1.3 GB, made once), and on LiteRT here, on drawn faces.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from export import flatbuffer, litert, pictures
from export.apk import DEMO
from keras_fer import card as cards
from keras_fer.command import run
from keras_fer.errors import InputError
from keras_fer.tables import table
from train.drawn import draw

TENSORFLOW = "2.16.1"
"""Of the libraries in android_demo/apk/pom.xml."""
PYTHONS = ((3, 11), (3, 12))
"""That this TensorFlow and the project both run on."""
OLD, NEW = "tensorflow.lite.python.interpreter", "ai_edge_litert.interpreter"
GUEST = Path(__file__).with_name("apk_guest.py")
FACES = 2
"""For each class."""
DETECTOR_FACES = 8

DIFFERENCE = 1e-5
"""Of an output, to the largest of the file's outputs: sums round differently from kernel to kernel."""


class Model(NamedTuple):
    """A packed model with inputs (n, ...) as it takes them, without the batch; `allowed` is how far it may be off."""

    file: Path
    inputs: np.ndarray
    allowed: float


class Comparison(NamedTuple):
    """What came out for a model: how far its outputs are off, for each input (n,)."""

    model: Model
    differences: np.ndarray


def compare(models: list[Model], python: Path) -> list[Comparison]:
    """Run models on this Python's LiteRT and on the TensorFlow of another `python`.

    Raises:
        InputError: one does not run, or gives outputs of another shape.
    """
    found = []
    for model, old, new in zip(models, infer(python, OLD, models), infer(Path(sys.executable), NEW, models)):
        shapes = [[output.shape for output in outputs] for outputs in (old, new)]
        if shapes[0] != shapes[1]:
            raise InputError(f"{model.file} gives {shapes[0]} on TensorFlow {TENSORFLOW}, {shapes[1]} on LiteRT")
        found.append(Comparison(model, np.stack([_furthest(o, n) for o, n in zip(old, new)]).max(axis=0)))
    return found


def _furthest(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """For each input the largest difference, as a share of the largest value of all; infinite for what is no number."""
    old, new = (np.float64(output).reshape(len(output), -1) for output in (old, new))
    shares = np.abs(old - new).max(axis=1) / max(1, np.abs(new).max())
    return np.where(np.isnan(shares), np.inf, shares)


def infer(python: Path, module: str, models: list[Model]) -> list[list[np.ndarray]]:
    """The outputs of each model for its inputs, by the interpreter in `module` of a Python's environment.

    Raises:
        InputError: one does not run there.
    """
    with tempfile.TemporaryDirectory() as folder:
        jobs = []
        for i, model in enumerate(models):
            np.save(Path(folder, f"{i}.npy"), model.inputs)
            jobs.append([str(model.file), *(str(Path(folder, f"{i}.{suffix}")) for suffix in ("npy", "npz"))])
        done = subprocess.run([str(python), str(GUEST), module, json.dumps(jobs)], capture_output=True, text=True)
        if done.returncode:
            running = next((job[0] for job in jobs if not Path(job[2]).exists()), module)
            raise InputError(f"{running} does not run on {module}: {' '.join(done.stderr.strip().splitlines()[-1:])}")
        outputs = []
        for *_, path in jobs:
            with np.load(path) as arrays:
                outputs.append(list(arrays.values()))
        return outputs


def environment(folder: Path) -> Path:
    """The Python of an environment with TensorFlow 2.16 in `folder`, which is made where it is missing.

    Raises:
        InputError: it cannot be made.
    """
    python = folder / "bin/python"
    ready = folder / "ready"
    if not ready.is_file():
        if sys.version_info[:2] not in PYTHONS:
            found = ".".join(map(str, sys.version_info[:2]))
            raise InputError(f"TensorFlow {TENSORFLOW} needs Python 3.11 or 3.12, this is {found}")
        small = sys.platform == "linux" and platform.machine() == "x86_64"
        package = f"tensorflow{'-cpu' if small else ''}=={TENSORFLOW}"
        print(f"fetching TensorFlow {TENSORFLOW} into {folder} (1.3 GB, once)", file=sys.stderr)
        for command in (
            [sys.executable, "-m", "venv", "--clear", folder],
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package],
        ):
            done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
            if done.returncode:
                raise InputError(
                    f"TensorFlow {TENSORFLOW} cannot be had: {' '.join(done.stderr.strip().splitlines()[-1:])}"
                )
        ready.touch()
    return python


def packed(assets: Path) -> list[Model]:
    """The models in the app's assets, with drawn faces for each.

    Raises:
        InputError: there is none, or one has no card.
    """
    models = []
    for file in sorted(assets.glob("models/*.tflite")):
        card = cards.read(file)
        graph = flatbuffer.read(file.read_bytes())
        faces = pictures.drawn(tuple(card["classes"]), FACES, card["input_size"])
        exact = card["quantization"]["scheme"] in ("none", "float16")
        dtype = graph.tensors[graph.inputs[0]].type
        models.append(Model(file, faces.astype(dtype), DIFFERENCE if exact else litert.INT8_DIFFERENCE))
    if not models:
        raise InputError(f"no model in {assets}; expected what `python -m export.android` writes there")
    faces = np.stack([draw(seed, "neutral", size=128) for seed in range(DETECTOR_FACES)])
    for file in sorted(assets.glob("detector/*.tflite")):
        models.append(Model(file, np.float32(faces) / 127.5 - 1, DIFFERENCE))
    return models


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, compare and print."""
    parser = argparse.ArgumentParser(
        prog="python -m export.apk_models",
        description="Compare the app's models on TensorFlow 2.16, which `make apk` packs, and on LiteRT.",
        epilog="example: python -m export.apk_models",
    )
    parser.add_argument("--assets", type=Path, default=DEMO / "app/src/main/assets", help="(default: the app's)")
    args = parser.parse_args(argv)

    models = packed(args.assets)
    comparisons = compare(models, environment(DEMO / f"apk/build/tensorflow-{TENSORFLOW}"))
    rows = [
        [
            c.model.file.name,
            str(len(c.differences)),
            f"{np.mean(c.differences <= DIFFERENCE):.0%}",
            f"{c.differences.max():.1e}",
        ]
        for c in comparisons
    ]
    print(f"TensorFlow {TENSORFLOW}'s interpreter and LiteRT on drawn faces")
    print(table(["model", "faces", f"equal to {DIFFERENCE:.0e}", "largest difference"], rows))
    if failed := [c.model.file.name for c in comparisons if c.differences.max() > c.model.allowed]:
        raise InputError(f"{', '.join(failed)}: something else comes out on TensorFlow {TENSORFLOW}")


if __name__ == "__main__":
    run(main)
