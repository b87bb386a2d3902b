"""What an export must pass before it is kept.

The file holds only operators that LiteRT brings along, none of them a variable, all of them of fixed shape; it says of
real faces what the Keras model says; and its card says what the model's does. Whatever fails is named, with the layer
that it came from.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from export import flatbuffer
from keras_fer import card as cards
from keras_fer.errors import InputError

VARIABLES = frozenset({"ASSIGN_VARIABLE", "READ_VARIABLE", "VAR_HANDLE"})
"""XNNPACK reads them as NaN without a word."""


class VerificationError(InputError):
    """An exported file is not what it should be; the message says where."""


class Tolerance(NamedTuple):
    """How far a file may be from the Keras model: `difference` in any probability, `agreement` of the first class."""

    difference: float
    agreement: float


def check_operators(graph: flatbuffer.Graph, layers: list[str]) -> None:
    """Only builtin operators, no variables, one graph.

    Raises:
        VerificationError: naming the operator, and its layer out of `layers`.
    """
    for operator in graph.operators:
        if operator.custom or operator.name in VARIABLES:
            kind = "a variable operator" if operator.name in VARIABLES else "no builtin operator of LiteRT"
            name = operator.custom or operator.name
            raise VerificationError(f"{name} is {kind}; it came from {graph.origin(operator, layers)}")
    if graph.subgraphs != 1:
        raise VerificationError(f"the file holds {graph.subgraphs} graphs, expected one")


def check_shapes(graph: flatbuffer.Graph, image: tuple[int, ...], dtype: str, classes: int, layers: list[str]) -> None:
    """Every size is fixed; one picture in, float32 probabilities out.

    Raises:
        VerificationError: naming the operator whose output is open, and its layer; or the wrong input or output.
    """
    for operator in graph.operators:
        for tensor in operator.outputs:
            shape = graph.tensors[tensor].shape
            if min(shape, default=1) < 1:
                origin = graph.origin(operator, layers)
                raise VerificationError(f"{operator.name} has the open shape {shape}; it came from {origin}")
    found = [(graph.tensors[t].shape, graph.tensors[t].type) for t in (*graph.inputs, *graph.outputs)]
    expected = [((1, *image), dtype), ((1, classes), "float32")]
    if found != expected:
        raise VerificationError(f"the file's input and output are {found}, expected {expected}")


def check_agreement(
    run: Callable[[np.ndarray], np.ndarray], model: keras.Model, pictures: np.ndarray, tolerance: Tolerance
) -> dict:
    """The file says of every picture what the model says.

    Two classes whose probabilities by the model are closer than `tolerance.difference` count as one for the agreement.

    Args:
        run: uint8 pictures (n, size, size, 3) to probabilities (n, classes), by the file.
        model: to logits.

    Returns:
        `faces`, `agreement` (share of the pictures with the same first class) and `largest_difference`.

    Raises:
        VerificationError: numbers that are not finite, or too far off.
    """
    found, expected = run(pictures), probabilities(model, pictures)
    if not np.isfinite(found).all():
        raise VerificationError("the file's output is not finite")
    if found.shape != expected.shape:
        raise VerificationError(f"the file gives {found.shape[1]} probabilities, the model {expected.shape[1]}")
    difference = np.abs(found - expected).max(axis=1)
    chosen = np.take_along_axis(expected, found.argmax(axis=1)[:, None], axis=1)[:, 0]
    agreement = float(np.mean(expected.max(axis=1) - chosen <= tolerance.difference))
    if difference.max() > tolerance.difference or agreement < tolerance.agreement:
        raise VerificationError(
            f"the file and the model differ by up to {difference.max():.3g} (picture {difference.argmax()}; at most "
            f"{tolerance.difference}) and agree on {agreement:.0%} of {len(pictures)} faces (at least "
            f"{tolerance.agreement:.0%})"
        )
    same = found.argmax(axis=1) == expected.argmax(axis=1)
    return {
        "faces": len(pictures),
        "agreement": round(float(same.mean()), 4),
        "largest_difference": float(f"{difference.max():.3g}"),
    }


def summary(report: dict) -> str:
    """What `check_agreement` found, for the screen."""
    return (
        f"the same first class as Keras on {report['agreement']:.1%} of {report['faces']} faces, probabilities differ "
        f"by up to {report['largest_difference']}"
    )


def check_card(path: Path, model: keras.Model) -> None:
    """The card inside the file names the model's classes in the order of its logits.

    Raises:
        InputError: a missing or broken card.
        VerificationError: other classes or another order.
    """
    found, expected = cards.read(path)["classes"], list(model.classes)
    if found != expected:
        raise VerificationError(f"the card's classes are {', '.join(found)}; the model's are {', '.join(expected)}")


def probabilities(model: keras.Model, pictures: np.ndarray) -> np.ndarray:
    """What the Keras model says of uint8 or float pictures in 0..255: (n, classes) float64."""
    model.jit_compile = False  # XLA would compile for minutes what runs once
    logits = np.concatenate([np.float64(model.predict_on_batch(np.float32(p[None]))) for p in pictures])
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)
