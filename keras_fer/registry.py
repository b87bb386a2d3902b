"""Models and backbones by name."""

import difflib
from collections.abc import Callable, Sequence

import keras

from keras_fer.errors import InputError
from keras_fer.layers import IMAGENET_MEAN, IMAGENET_STD, Normalize

_MODELS: dict[str, Callable] = {}
_BACKBONES: dict[str, Callable] = {}


def register_model(function: Callable) -> Callable:
    """Enter `function(x, num_classes, **options) -> logits` under its own name; `x` is the normalised picture."""
    _MODELS[function.__name__] = function
    return function


def register_backbone(function: Callable) -> Callable:
    """Enter `function(x, **options) -> [feature maps]` under its own name; `x` is the normalised picture."""
    _BACKBONES[function.__name__] = function
    return function


def list_models() -> list[str]:
    """The names that `create_model` knows, sorted."""
    return sorted(_MODELS)


def list_backbones() -> list[str]:
    """The names that `create_backbone` knows, sorted."""
    return sorted(_BACKBONES)


def create_model(
    name: str,
    num_classes: int = 7,
    input_size: int = 224,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    **options,
) -> keras.Model:
    """Build a classifier with fresh weights.

    Args:
        name: one of `list_models()`.
        num_classes: length of the output.
        input_size: height and width of the input in pixels, a multiple of 32.
        mean, std: of the training set's RGB in 0..1; ImageNet's by default. They are applied inside the graph.
        options: what the family's function takes besides (see its docstring).

    Returns:
        A functional model from `(batch, input_size, input_size, 3)`, RGB in 0..255 (float32 or uint8), to logits
        `(batch, num_classes)`.

    Raises:
        InputError: unknown name, or a size or class count that cannot be.
    """
    if num_classes < 2:
        raise InputError(f"num_classes is {num_classes}; a classifier needs at least 2")
    picture, x = _normalised_input(input_size, mean, std)
    logits = _find(name, _MODELS, "model")(x, num_classes, **options)
    return keras.Model(picture, logits, name=name)


def create_backbone(
    name: str,
    input_size: int = 224,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    **options,
) -> keras.Model:
    """Build a feature extractor: same input as `create_model`, output a list of maps NHWC, low level first.

    Raises:
        InputError: unknown name or a size that cannot be.
    """
    picture, x = _normalised_input(input_size, mean, std)
    return keras.Model(picture, _find(name, _BACKBONES, "backbone")(x, **options), name=name)


def _normalised_input(input_size, mean, std):
    if input_size < 32 or input_size % 32:
        raise InputError(f"input_size is {input_size}; expected a multiple of 32")
    picture = keras.Input((input_size, input_size, 3), name="image")
    return picture, Normalize(mean, std, name="normalize")(picture)


def _find(name: str, table: dict[str, Callable], what: str) -> Callable:
    if name not in table:
        close = difflib.get_close_matches(name, table, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise InputError(f"unknown {what} {name!r}; known are {', '.join(sorted(table))}{hint}")
    return table[name]
