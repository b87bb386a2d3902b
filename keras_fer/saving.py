"""Trained models on disk: a `.keras` file that also says what it recognises.

The card is a JSON object inside the archive, beside Keras' own members (Keras ignores it). It holds at least `model`,
`classes` (in the order of the logits) and `input_size`.
"""

import json
import os
import zipfile
from pathlib import Path

import keras

from keras_fer.errors import InputError
from keras_fer.files import replacing

CARD = "card.json"
REQUIRED = ("model", "classes", "input_size")
BEST = "best.keras"


def save(model: keras.Model, path: str | os.PathLike, card: dict) -> None:
    """Write `model` with its card to `path` (`.keras`), replacing what was there only when all is written.

    Raises:
        ValueError: the card lacks a required entry, or its classes do not fit the model's output.
    """
    missing = [key for key in REQUIRED if key not in card]
    if missing:
        raise ValueError(f"the card lacks {', '.join(missing)}")
    # A backbone has maps instead of logits.
    logits = model.output_shape[-1] if isinstance(model.output_shape, tuple) else 0
    if len(card["classes"]) != logits:
        raise ValueError(f"the card has {len(card['classes'])} classes, the model {logits} logits")
    with replacing(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(CARD, json.dumps(card, indent=1))


def load(path: str | os.PathLike) -> keras.Model:
    """Read a trained model from a run folder or a `.keras` file.

    Returns:
        The model, with two more attributes: `classes`, the names of its logits in order (tuple), and `card` (dict).

    Raises:
        InputError: there is no such file, it is no model of this project, or it is damaged.
    """
    path = find(path)
    card = read_card(path)
    try:
        model = keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} cannot be read as a Keras model: {str(error).splitlines()[0]}") from error
    model.classes, model.card = tuple(card["classes"]), card
    return model


def find(path: str | os.PathLike) -> Path:
    """The `.keras` file that `path` means: itself, or the best weights of a run folder.

    Raises:
        InputError: neither is there.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / BEST).is_file():
            raise InputError(f"{path} is no run folder: it holds no {BEST}")
        return path / BEST
    if not path.is_file():
        raise InputError(f"{path} does not exist; expected a run folder or a .keras file")
    return path


def read_card(path: str | os.PathLike) -> dict:
    """The card inside a `.keras` file.

    Raises:
        InputError: the file is no archive, or holds no card.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read(CARD))
    except zipfile.BadZipFile as error:
        raise InputError(f"{path} is damaged or no .keras file") from error
    except KeyError as error:
        raise InputError(
            f"{path} holds no {CARD}: it was not saved by keras_fer, so its class order is unknown"
        ) from error
