"""Trained models on disk: a `.keras` file that also says what it recognises (`keras_fer.card`)."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import keras

import keras_fer.models  # noqa: F401  (Keras finds our layers by their registered names)
from keras_fer import card as cards
from keras_fer import shipped
from keras_fer.errors import InputError
from keras_fer.files import replacing

BEST = "best.keras"


def save(model: keras.Model, path: str | os.PathLike, card: dict) -> None:
    """Write `model` with its card to `path` (`.keras`), replacing what was there only when all is written.

    Raises:
        ValueError: the card lacks a required entry, or its classes do not fit the model's output.
    """
    if missing := cards.missing_entries(card):
        raise ValueError(f"the card lacks {', '.join(missing)}")
    # A backbone has maps instead of logits.
    logits = model.output_shape[-1] if isinstance(model.output_shape, tuple) else 0
    if len(card["classes"]) != logits:
        raise ValueError(f"the card has {len(card['classes'])} classes, the model {logits} logits")
    with replacing(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(cards.MEMBER, json.dumps(card, indent=1))


def update_card(path: str | os.PathLike, changes: dict) -> None:
    """Set entries of the card inside a `.keras` file; the file is replaced as a whole, and the model in it stays.

    Raises:
        InputError: there is no such file, or it holds no card.
    """
    path = find(path)
    card = {**cards.read(path), **changes}
    with replacing(path) as temporary, zipfile.ZipFile(path) as old, zipfile.ZipFile(temporary, "w") as new:
        for member in old.infolist():
            if member.filename != cards.MEMBER:
                with old.open(member) as source, new.open(member, "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target)
        new.writestr(cards.MEMBER, json.dumps(card, indent=1))


def load(path: str | os.PathLike) -> keras.Model:
    """Read a trained model from a run folder or a `.keras` file, or one that ships with the package by its name.

    Returns:
        The model, with two more attributes: `classes`, the names of its logits in order (tuple), and `card` (dict).

    Raises:
        InputError: there is no such file, it is no model of this project, or it is damaged.
    """
    path = find(path)
    card = cards.read(path)
    try:
        model = keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} cannot be read as a Keras model: {str(error).splitlines()[0]}") from error
    model.classes, model.card = tuple(card["classes"]), card
    return model


def find(path: str | os.PathLike) -> Path:
    """The `.keras` file that `path` means: itself, the best weights of a run folder, or the shipped file of that name.

    Raises:
        InputError: neither is there.
    """
    path = shipped.resolve(path, (".keras",))
    if path.is_dir():
        if not (path / BEST).is_file():
            raise InputError(f"{path} is no run folder: it holds no {BEST}")
        return path / BEST
    return path
