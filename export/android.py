"""What the Android app brings along: `python -m export.android --weights W...`.

Into the app's assets go the models with their labels and self-tests, and BlazeFace with its licences:

    models/index.json        {"models": [{"id", "name", "bytes"}]}, the app's default first
    models/ID.tflite         with its card inside
    models/ID.labels.txt     its classes, one a line
    models/ID.selftest       int32 classes, float32 probabilities, then the bytes of a drawn face; little-endian
    detector/...             face_detection_short_range.tflite and LICENSE.txt

The app runs each self-test when it loads a model: a phone, or its GPU, that computes other numbers is found out.
"""

import argparse
import importlib.metadata
import json
import re
import shutil
from pathlib import Path

import numpy as np

from export.card import LABELS
from keras_fer import blazeface, shipped
from keras_fer.classifier import Classifier, open_classifier
from keras_fer.command import run
from keras_fer.errors import InputError
from keras_fer.files import replacing
from train.drawn import draw

ROOT = Path(__file__).resolve().parents[1]
ASSETS = ROOT / "android_demo/app/src/main/assets"
INDEX = "models/index.json"
LICENCE = ROOT / "android_demo/licences/BlazeFace.txt"


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, write the assets and print what is in them."""
    parser = argparse.ArgumentParser(
        prog="python -m export.android",
        description="Put models, face detector, labels and self-tests into the Android app's assets.",
        epilog="example: python -m export.android --weights mit.tflite runs/first --data data/fer2013",
    )
    add = parser.add_argument
    add(
        "--weights",
        nargs="+",
        metavar="W",
        help="a .tflite file, the name of weights that ship, or a run folder or .keras file to export; the first is "
        "the app's default (default: all that ship, the most accurate first)",
    )
    add("--data", type=Path, metavar="DIR", help="faces to calibrate on, from train.prepare: runs become int8 files")
    add("--out", type=Path, default=ASSETS, metavar="DIR", help="the app's assets folder (default: %(default)s)")
    args = parser.parse_args(argv)

    weights = args.weights or shipped.ranked()
    files = [str(shipped.resolve(name, (".tflite",))) if name in shipped.names() else name for name in weights]
    for entry in write_assets(files, args.data, args.out):
        print(f"{entry['id']}: {entry['name']}, {entry['bytes'] / 1e6:.2f} MB")
    print(f"{args.out} is complete; open android_demo in Android Studio and press run")


def write_assets(weights: list[str], data: Path | None, out: Path) -> list[dict]:
    """Write the assets folder anew, verified, or leave it as it was.

    Args:
        weights: .tflite files are taken as they are; runs and .keras files become int8 with `data`, else float16.
        out: an assets folder that this function wrote, an empty one, or none.

    Returns:
        The models of the index.

    Raises:
        InputError: weights are missing, broken, without a card or twice of one name; `out` holds something else.
    """
    if out.exists() and not (out / INDEX).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} holds something else than the app's assets; move it away or choose another --out")
    sources = dict(zip(names(weights, data), weights))
    if len(sources) < len(weights):
        raise InputError("two of the --weights have the same name; rename one, since the app lists them by it")
    with replacing(out) as folder:
        (folder / "models").mkdir(parents=True)
        entries = [write_model(folder / "models" / f"{name}.tflite", w, data) for name, w in sources.items()]
        (folder / INDEX).write_text(json.dumps({"models": entries}, indent=1) + "\n")
        write_detector(folder / "detector")
        verify(folder)
    return entries


def names(weights: list[str], data: Path | None) -> list[str]:
    """What the app calls the models: the file's or run's name, and how a run is quantized.

    Raises:
        InputError: a name that Android's assets cannot have.
    """
    found = []
    for path in map(Path, weights):
        name = path.stem if path.suffix == ".tflite" else f"{path.stem}-{'int8' if data else 'float16'}"
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
            raise InputError(f"{path} has the name {name!r}; the app's files are named by A-Z, a-z, 0-9, _, . and -")
        found.append(name)
    return found


def write_model(path: Path, weights: str, data: Path | None) -> dict:
    """Put a model with its labels and self-test into the assets; returns its entry in the index."""
    if Path(weights).suffix == ".tflite":
        classifier = open_classifier(weights)
        shutil.copyfile(weights, path)
    else:
        export_model(path, weights, data)
        classifier = open_classifier(path)
    path.with_suffix(f".{LABELS}").write_text("".join(f"{name}\n" for name in classifier.classes), encoding="utf-8")
    path.with_suffix(".selftest").write_bytes(self_test(classifier))
    return {"id": path.stem, "name": classifier.name, "bytes": path.stat().st_size}


def export_model(path: Path, weights: str, data: Path | None) -> None:
    """Write a run or a .keras file as a .tflite file."""
    import keras_fer
    from export.tflite import export  # brings TensorFlow along, which .tflite files do not need
    from train.data import read_info

    export(keras_fer.load(weights), "int8" if data else "float16", path, read_info(data) if data else None)
    path.with_suffix(".json").unlink()


def self_test(classifier: Classifier) -> bytes:
    """A drawn face, and what the model says of it on this machine."""
    face = draw(0, "happiness", size=classifier.input_size)
    probabilities = classifier.run(face[None])[0]
    return np.int32(len(probabilities)).astype("<i4").tobytes() + probabilities.astype("<f4").tobytes() + face.tobytes()


def write_detector(folder: Path) -> None:
    """Put BlazeFace there, with the licences of the model and of the package that brings it."""
    source = blazeface.model_path()
    folder.mkdir()
    shutil.copyfile(source, folder / source.name)
    package = importlib.metadata.distribution(blazeface.PACKAGE)
    texts = [LICENCE.read_text(encoding="utf-8"), package.read_text("LICENSE") or ""]
    (folder / "LICENSE.txt").write_text("\n\n".join(texts), encoding="utf-8")


def verify(folder: Path) -> None:
    """Read the assets back as the app will.

    Raises:
        InputError: something is not what it should be.
    """
    blazeface.BlazeFace(folder / "detector" / blazeface.model_path().name)
    for entry in json.loads((folder / INDEX).read_text())["models"]:
        path = folder / "models" / f"{entry['id']}.tflite"
        if path.stat().st_size != entry["bytes"]:
            raise InputError(f"{path} has {path.stat().st_size} bytes, {entry['bytes']} were written")
        if path.with_suffix(".selftest").read_bytes() != self_test(open_classifier(path)):
            raise InputError(f"{path} does not give the same numbers twice")


if __name__ == "__main__":
    run(main)
