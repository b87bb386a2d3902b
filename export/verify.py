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

from export import flatbuffer, litert
from keras_fer import card as cards
from keras_fer.classifier import softmax, temperature
from keras_fer.errors import InputError

MOST_PARTITIONS = 1
"""Of XNNPACK. Between two, numbers are handed over and LiteRT's slow kernels run."""

BATCH = 32
OPERATORS_NAMED = 5
"""In one message."""

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


def check_partitions(
    found: litert.Partitions, most: int, graph: flatbuffer.Graph, layers: list[str]
) -> dict[str, int | list[str]]:
    """XNNPACK runs the file in `most` partitions at most.

    Returns:
        `xnnpack_partitions`, and the operators `outside_xnnpack`.

    Raises:
        VerificationError: naming the operators that XNNPACK leaves out, and their layers.
    """
    if found.count > most:
        outside = "; ".join(f"{o.name} of {graph.origin(o, layers)}" for o in found.outside[:OPERATORS_NAMED])
        more = len(found.outside) - OPERATORS_NAMED
        raise VerificationError(
            f"XNNPACK runs the file in {found.count} partitions, expected at most {most}; it leaves out {outside}"
            + (f" and {more} more" if more > 0 else "")
        )
    return {"xnnpack_partitions": found.count, "outside_xnnpack": [operator.name for operator in found.outside]}


def check_finite(path: Path, pictures: np.ndarray, graph: flatbuffer.Graph, layers: list[str]) -> None:
    """The .tflite file gives numbers.

    Raises:
        VerificationError: naming the first operator that gives NaN or infinity, and its layer.
    """
    if np.isfinite(litert.runner(path)(pictures)).all():
        return
    operator = litert.first_not_finite(path, pictures)
    where = f"{operator.name} of {graph.origin(operator, layers)} gives the first" if operator else "only in XNNPACK"
    raise VerificationError(f"the file gives NaN or infinity: {where}")


def check_agreement(
    run: Callable[[np.ndarray], np.ndarray],
    model: keras.Model,
    pictures: np.ndarray,
    tolerance: Tolerance,
    softened: float | None = None,
) -> dict:
    """The file says of every picture what the model says.

    Two classes whose probabilities by the model are closer than `tolerance.difference` count as one for the agreement.

    Args:
        run: uint8 pictures (n, size, size, 3) to probabilities (n, classes), by the file.
        model, softened: for `probabilities`.

    Returns:
        `faces`, `agreement` (share of the pictures with the same first class) and `largest_difference`.

    Raises:
        VerificationError: numbers that are not finite, or too far off.
    """
    found, expected = run(pictures), probabilities(model, pictures, softened)
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


def check_steps(steps: dict[str, float], most: float) -> float:
    """The layers of the trained graph write what the file writes.

    Args:
        steps: how far each is from the file, in int8 steps.

    Returns:
        The largest.

    Raises:
        VerificationError: naming the layer that is further off than `most`.
    """
    worst = max(steps, key=steps.get)
    if not round(steps[worst]) <= most:
        raise VerificationError(
            f"layer {worst} is {steps[worst]:.0f} int8 steps from what was trained (at most {most})"
        )
    return float(round(steps[worst]))


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


def probabilities(model: keras.Model, pictures: np.ndarray, softened: float | None = None) -> np.ndarray:
    """What a Keras or tf_keras model that gives logits says of pictures in 0..255: (n, classes) float32.

    Args:
        softened: the temperature of the softmax; by default that of the model's card, and 1 where it has none.
    """
    if softened is None:
        softened = temperature(getattr(model, "card", {}))
    if getattr(model, "jit_compile", False):
        model.jit_compile = False  # XLA would compile for minutes what runs once
    batches = np.split(pictures, range(BATCH, len(pictures), BATCH))
    return np.concatenate([softmax(model.predict_on_batch(np.float32(batch)), softened) for batch in batches])
