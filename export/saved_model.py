"""A trained model as a TensorFlow SavedModel, for servers: `python -m export.saved_model --weights W --out DIR`.

Its signature `serving_default` takes `image`, uint8 RGB in 0..255, `(batch, size, size, 3)`, and gives `probabilities`,
float32, `(batch, classes)`. The card is in `assets.extra`. Before the folder gets its name, a process that knows
nothing of this project has loaded and called it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import keras_fer
from export import card, pictures, verify
from export.serving import serving_module
from keras_fer import card as cards
from keras_fer.classifier import temperature
from keras_fer.command import run
from keras_fer.errors import InputError
from keras_fer.files import replacing
from train.data import read_info

GRAPH = "saved_model.pb"
TOLERANCE = verify.Tolerance(difference=1e-4, agreement=1.0)

CLIENT = """
import sys
import numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
found = model.signatures["serving_default"](image=tf.constant(np.load(sys.argv[2])))
np.save(sys.argv[3], found["probabilities"].numpy())
"""
"""What the fresh process runs."""


def export(model: keras.Model, out: Path, faces: np.ndarray) -> dict:
    """Write the folder, verified, with its card.

    Args:
        model: as `keras_fer.load` returns it.
        out: the folder.
        faces: uint8 pictures (n, size, size, 3) to verify with.

    Returns:
        The card.

    Raises:
        InputError: `out` holds something else than a SavedModel.
        VerificationError: the folder is not what it should be; nothing is kept.
    """
    if out.exists() and not (out / GRAPH).is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"{out} is there and no SavedModel; choose another --out")
    module = serving_module(model, None, temperature=temperature(model.card))
    with replacing(out) as temporary:
        tf.saved_model.save(module, str(temporary), signatures={"serving_default": module.classify})
        report = verify.check_agreement(lambda crops: call(temporary, crops), model, faces, TOLERANCE)
        graph = (temporary / GRAPH).read_bytes()
        made = card.make_card(model, graph, "uint8", {"scheme": "none"}, verification=report)
        for shapes in (made["input"]["shape"], made["output"]["shape"]):
            shapes[0] = "batch"
        extra = temporary / "assets.extra"
        extra.mkdir()
        (extra / cards.MEMBER).write_text(json.dumps(made, indent=1) + "\n")
        (extra / card.LABELS).write_text("".join(f"{name}\n" for name in model.classes))
    return made


def call(folder: Path, crops: np.ndarray) -> np.ndarray:
    """What a SavedModel says of pictures, asked by a process that cannot import this project.

    Raises:
        VerificationError: it cannot be loaded or called.
    """
    with tempfile.TemporaryDirectory() as scratch:
        given, found = Path(scratch, "pictures.npy"), Path(scratch, "probabilities.npy")
        np.save(given, crops)
        command = [sys.executable, "-I", "-c", CLIENT, str(folder.resolve()), str(given), str(found)]
        done = subprocess.run(command, cwd=scratch, env=os.environ, capture_output=True, text=True)
        if done.returncode:
            raise verify.VerificationError(f"the SavedModel cannot be served: {done.stderr.strip().splitlines()[-1]}")
        return np.load(found)


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, export and print."""
    parser = argparse.ArgumentParser(
        prog="python -m export.saved_model",
        description="Write a trained model as a SavedModel that serves uint8 pictures, with its card.",
        epilog="example: python -m export.saved_model --weights runs/first --out served/first/1",
    )
    parser.add_argument("--weights", required=True, metavar="W", help="a run folder or a .keras file")
    parser.add_argument("--data", type=Path, metavar="DIR", help="faces to verify with (default: drawn ones)")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="the folder")
    args = parser.parse_args(argv)

    model = keras_fer.load(args.weights)
    faces = pictures.for_verification(read_info(args.data) if args.data else None, model.classes, model.input_shape[1])
    made = export(model, args.out, faces)
    print(f"{args.out}: {made['model']}, serving_default(image) -> probabilities")
    print(verify.summary(made["verification"]))


if __name__ == "__main__":
    run(main)
