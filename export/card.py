"""The card of an exported file: what it recognises, how to feed it, where it comes from, how good it is.

It lies inside the .tflite file, in an archive appended to it (`unzip -p FILE card.json`) together with labels.txt, and
beside it as JSON. `keras_fer.card.read` reads it, without TensorFlow.
"""

import hashlib
import json
import zipfile
from pathlib import Path

import keras

from keras_fer.card import MEMBER
from keras_fer.classifier import temperature
from keras_fer.crop import EYE_HEIGHT, MARGIN
from keras_fer.errors import InputError
from keras_fer.files import replacing

LABELS = "labels.txt"
PHONE_COST = "phone_cost"
"""The entry with `export.phone_cost`'s figures, by CPU."""

LIMITS = (
    "An expression is not an emotion: the model tells what a face shows, not what a person feels. It was trained on "
    "posed and found pictures with annotators' labels, whose share of wrong ones is large, and it is less sure for "
    "faces unlike those in them. Not for decisions about people."
)


def make_card(model: keras.Model, content: bytes, dtype: str, quantization: dict, **more) -> dict:
    """Everything that one must know to use the file.

    Args:
        model: as `keras_fer.load` returns it; its own card says how it was trained.
        content: the file without its card, for the checksum.
        dtype: of the input.
        quantization: `scheme` and how it was calibrated or trained.
        more: further entries, such as `verification` and `metrics`.
    """
    own = dict(model.card)
    _, height, width, _ = model.input_shape
    card = {key: own.pop(key) for key in ("model", "classes", "input_size")}
    return {
        "name": own.pop("name", card["model"]),
        "version": own.pop("version", "1"),
        **card,
        "input": {
            "name": "image",
            "shape": [1, height, width, 3],
            "dtype": dtype,
            "colour": "RGB",
            "range": [0, 255],
            "normalisation": "inside",
        },
        "output": {
            "name": "probabilities",
            "shape": [1, len(model.classes)],
            "dtype": "float32",
            "what": "probabilities",
        },
        "temperature": own.pop("temperature", 1.0),
        "crop": own.pop("crop", {"margin": MARGIN, "eye_height": EYE_HEIGHT}),
        "licence": own.pop("licence", "unknown: the terms of the training data apply"),
        "limits": own.pop("limits", LIMITS),
        "quantization": quantization,
        "weights": fingerprint(model),
        "sha256": hashlib.sha256(content).hexdigest(),
        **more,
        "training": own,
    }


def fingerprint(model: keras.Model) -> str:
    """Tells one set of weights from another: a hash of them all, and of the temperature."""
    digest = hashlib.sha256(str(temperature(model.card)).encode())
    for weight in model.weights:
        digest.update(keras.ops.convert_to_numpy(weight).tobytes())
    return digest.hexdigest()[:16]


def append(path: Path, card: dict) -> None:
    """Put the card and the labels into the .tflite file at `path`, behind its model."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(LABELS, "".join(f"{name}\n" for name in card["classes"]))
        archive.writestr(MEMBER, json.dumps(card, indent=1))


def require_suffix(path: Path, suffix: str) -> None:
    """Make sure that a file is not named so that its card beside it, or a program that reads it, takes it for another.

    Raises:
        InputError: it does not end in `suffix`.
    """
    if path.suffix != suffix:
        raise InputError(f"cannot write {path}: expected a name that ends in {suffix}")


def write_beside(path: Path, card: dict) -> Path:
    """Write the card as JSON beside the file at `path`: FILE.tflite and FILE.json."""
    with replacing(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(card, indent=1) + "\n")
    return path.with_suffix(".json")
