"""Models and backbones by name."""

import difflib
import functools
import importlib
import inspect
from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras

from keras_fer.errors import InputError
from keras_fer.layers import IMAGENET_MEAN, IMAGENET_STD, Normalize


class Family(NamedTuple):
    """What builds a graph, and which pictures it takes: height and width are multiples of `size_step`."""

    build: Callable
    size_step: int


class Method(NamedTuple):
    """What a family trains in place of its network: `build(network)` is a model around it with a dict of outputs.

    `loss_weights` has the weight of each output's loss; its first name is the network's own output.
    """

    build: Callable
    loss_weights: dict[str, float]


_MODELS: dict[str, Family] = {}
_BACKBONES: dict[str, Family] = {}
_METHODS: dict[str, Method] = {}


def register_model(function: Callable | None = None, *, size_step: int = 32) -> Callable:
    """Enter `function(x, num_classes, **options) -> logits` under its own name; `x` is the normalised picture."""
    return _register(function, size_step, _MODELS)


def register_backbone(function: Callable | None = None, *, size_step: int = 32) -> Callable:
    """Enter `function(x, **options) -> [feature maps]` under its own name; `x` is the normalised picture."""
    return _register(function, size_step, _BACKBONES)


def _register(function, size_step, table):
    if function is None:
        return functools.partial(_register, size_step=size_step, table=table)
    table[function.__name__] = Family(function, size_step)
    return function


def register_method(model: str, loss_weights: dict[str, float]) -> Callable:
    """Enter `function(network) -> model with a dict of outputs` as what trains the networks of the family `model`."""

    def register(function):
        _METHODS[model] = Method(function, loss_weights)
        return function

    return register


def training_method(model: str) -> Method | None:
    """How the networks of a family are trained; None where it is simply as they are."""
    return _METHODS.get(model)


def list_models() -> list[str]:
    """The names that `create_model` knows, sorted."""
    return sorted(_families(_MODELS))


def list_backbones() -> list[str]:
    """The names that `create_backbone` knows, sorted."""
    return sorted(_families(_BACKBONES))


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
        input_size: height and width of the input in pixels, a multiple of 32 (of 16 where the model can).
        mean, std: of the training set's RGB in 0..1; ImageNet's by default. They are applied inside the graph.
        options: what the family's function takes besides (see its docstring).

    Returns:
        A functional model from `(batch, input_size, input_size, 3)`, RGB in 0..255 (float32 or uint8), to logits
        `(batch, num_classes)`.

    Raises:
        InputError: unknown name or option, a word for a number, or a size or class count that cannot be.
    """
    if num_classes < 2:
        raise InputError(f"num_classes is {num_classes}; a classifier needs at least 2")
    family = _find(name, _MODELS, "model")
    known = dict(list(inspect.signature(family.build).parameters.items())[2:])
    if unknown := [option for option in options if option not in known]:
        raise InputError(f"{name} does not take {', '.join(unknown)}; its options are {', '.join(known) or 'none'}")
    for option, value in options.items():
        if isinstance(value, str) and not isinstance(known[option].default, str):
            raise InputError(f"{option} of {name} is {value!r}; expected a number")
    picture, x = _normalised_input(family, input_size, mean, std)
    return keras.Model(picture, family.build(x, num_classes, **options), name=name)


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
    family = _find(name, _BACKBONES, "backbone")
    picture, x = _normalised_input(family, input_size, mean, std)
    return keras.Model(picture, family.build(x, **options), name=name)


def _normalised_input(family, input_size, mean, std):
    step = family.size_step
    if input_size < step or input_size % step:
        raise InputError(f"input_size is {input_size}; expected a multiple of {step}")
    picture = keras.Input((input_size, input_size, 3), name="image")
    return picture, Normalize(mean, std, name="normalize")(picture)


def _families(table: dict[str, Family]) -> dict[str, Family]:
    """The table, once all families have entered themselves."""
    importlib.import_module("keras_fer.models")
    return table


def _find(name: str, table: dict[str, Family], what: str) -> Family:
    table = _families(table)
    if name not in table:
        close = difflib.get_close_matches(name, table, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise InputError(f"unknown {what} {name!r}; known are {', '.join(sorted(table))}{hint}")
    return table[name]
