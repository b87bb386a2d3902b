"""The card of a trained model: what it recognises and how to feed it, as a JSON object inside the model's own file.

It holds at least `model`, `classes` (in the order of the outputs) and `input_size`. A `.keras` file is an archive and
keeps it as one more member, which Keras ignores; a `.tflite` file has an archive appended, which LiteRT ignores.
"""

import json
import os
import zipfile

from keras_fer.errors import InputError

MEMBER = "card.json"
REQUIRED = ("model", "classes", "input_size")


def read(path: str | os.PathLike) -> dict:
    """The card inside a `.keras` or `.tflite` file.

    Raises:
        InputError: the file holds no card, or a broken one.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return parse(archive.read(MEMBER), path)
    except (zipfile.BadZipFile, KeyError):
        return parse(None, path)


def parse(text: str | bytes | None, path: str | os.PathLike) -> dict:
    """The card that `text` spells; `path` is the file that it came from, for the message.

    Raises:
        InputError: there is none, it is no JSON object, or it lacks a required entry.
    """
    if text is None:
        raise InputError(f"{path} carries no card: it is damaged or not of this project, and its class order unknown")
    try:
        card = json.loads(text)
    except ValueError as error:
        raise InputError(f"{path} has a broken card: {error}") from error
    if not isinstance(card, dict):
        raise InputError(f"{path} has a broken card: expected a JSON object, got {type(card).__name__}")
    if missing := missing_entries(card):
        raise InputError(f"{path} has a broken card: it lacks {', '.join(missing)}")
    return card


def missing_entries(card: dict) -> list[str]:
    """The required entries that a card lacks."""
    return [key for key in REQUIRED if key not in card]
