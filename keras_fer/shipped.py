"""Trained weights that come with the package, by name: `keras_fer.load("plain_cnn-fer2013")`, offline.

A name stands for files in `keras_fer/weights/`: NAME.keras, the model in int8 as NAME.tflite, and NAME.json, the
card of both, which `export.ship` writes. The card holds, besides what `keras_fer.card` requires, the SHA-256 of each
file, what the model was trained on, its licence, and its accuracy in float and in int8.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from keras_fer import card as cards
from keras_fer.errors import InputError

FOLDER = Path(__file__).parent / "weights"


def names() -> list[str]:
    """The names of the weights that ship, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def card(name: str) -> dict:
    """What is known of the weights of that name.

    Raises:
        InputError: none of that name ship, or their card is broken.
    """
    if name not in names():
        raise InputError(f"no weights named {name} ship with keras_fer; {_known()}")
    path = FOLDER / f"{name}.json"
    found = cards.parse(path.read_bytes(), path)
    try:
        float(found["metrics"]["file"]["accuracy"]), dict(found["sha256"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} has a broken card: {type(error).__name__} {error}") from error
    return found


def ranked() -> list[str]:
    """The names of the weights that ship, the most accurate in int8 first, as their cards say.

    Raises:
        InputError: none ship.
    """
    if not names():
        raise InputError("no weights ship with this version of keras_fer: name a run folder or a trained model's file")
    return sorted(names(), key=lambda name: -card(name)["metrics"]["file"]["accuracy"])


def default() -> str:
    """The name of the weights to use when none are asked for: the first of `ranked`."""
    return ranked()[0]


def resolve(weights: str | os.PathLike, formats: Sequence[str]) -> Path:
    """The file or folder that is meant: `weights` itself where it exists, else the shipped file of that name.

    Args:
        formats: suffixes that will do, the best first.

    Raises:
        InputError: there is neither, or what ships has been damaged since.
    """
    path = Path(weights)
    if path.exists():
        return path
    name = str(weights)
    if name not in names():
        raise InputError(f"{weights} does not exist, and no weights of that name ship with keras_fer; {_known()}")
    sums = card(name)["sha256"]
    for suffix in formats:
        if suffix in sums:
            return _intact(FOLDER / f"{name}{suffix}", sums[suffix])
    raise InputError(f"{name} ships as {', '.join(sums)}, not as {' or '.join(formats)}")


def sha256(path: Path) -> str:
    """The checksum of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _intact(path: Path, expected: str) -> Path:
    if not path.is_file() or sha256(path) != expected:
        state = "is damaged" if path.is_file() else "is missing"
        raise InputError(f"{path} {state}: it is not what its card was made for; install keras-fer again")
    return path


def _known() -> str:
    return f"those that do: {', '.join(names()) or 'none in this version'}"
