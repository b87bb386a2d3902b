"""How much of a model's accuracy is left in an exported file: both classify the same pictures of a split."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np

from keras_fer.classifier import as_classifier
from train import evaluate, metrics
from train.data import DatasetInfo
from train.run import fingerprint

BATCH = 32


class Reference(NamedTuple):
    """What the Keras model says of `split`, a name of its own and no alias."""

    info: DatasetInfo
    split: str
    probabilities: np.ndarray
    """`(n, classes)`, in the data's order of the classes."""
    labels: np.ndarray


def default_split(info: DatasetInfo) -> str | None:
    """The data's `test`, where it has one."""
    return "test" if "test" in {**info.splits, **info.aliases} else None


def reference(model: keras.Model, info: DatasetInfo, split: str) -> Reference:
    """Classify a split with a model, as `keras_fer.load` returns it.

    Raises:
        InputError: no such split, or classes that the model does not know.
    """
    probabilities, labels, _ = evaluate.predict(as_classifier(model), info, split, BATCH)
    return Reference(info, info.aliases.get(split, split), probabilities, labels)


def measure(run: Callable[[np.ndarray], np.ndarray], model: keras.Model, expected: Reference) -> dict:
    """What a file that was made of `model` says of the split beside what the model says, for its card.

    Args:
        run: pictures (n, size, size, 3) in 0..255 to probabilities (n, classes), by the file.

    Returns:
        `data`, `fingerprint`, `split` and `n`; for the model (`float`) and for the file (`file`) `accuracy`,
        `mean_class_accuracy`, `macro_f1` and `recall` by class; `agreement`, the share of the pictures with the same
        first class; `largest_difference` of any probability.
    """
    info, split, theirs, labels = expected
    ours = evaluate.predict(dataclasses.replace(as_classifier(model), run=run), info, split, BATCH).probabilities
    return {
        "data": info.name,
        "fingerprint": fingerprint(info),
        "split": split,
        "n": len(labels),
        "float": _rates(theirs, labels, info.classes),
        "file": _rates(ours, labels, info.classes),
        "agreement": round(float(np.mean(theirs.argmax(axis=1) == ours.argmax(axis=1))), 5),
        "largest_difference": float(f"{np.abs(theirs - ours).max():.3g}"),
    }


def _rates(probabilities, labels, classes):
    report = metrics.report(probabilities, labels, classes)
    rates = {key: round(report[key], 5) for key in ("accuracy", "mean_class_accuracy", "macro_f1")}
    return rates | {"recall": {name: round(row["recall"], 5) for name, row in report["per_class"].items()}}


def worst_drop(measured: dict) -> tuple[str, float]:
    """The class that loses most from the model to the file, out of `measure`'s result, and its loss of recall."""
    drops = {name: measured["float"]["recall"][name] - recall for name, recall in measured["file"]["recall"].items()}
    worst = max(drops, key=drops.get)
    return worst, drops[worst]


def summary(measured: dict) -> str:
    """`measure`'s result for the screen."""
    before, after = (100 * measured[which]["accuracy"] for which in ("float", "file"))
    name, drop = worst_drop(measured)
    return (
        f"{measured['data']} {measured['split']}: accuracy {after:.2f} %, Keras {before:.2f} %; worst class {name}, "
        f"{0 - 100 * drop:+.1f} points; the same first class on {measured['agreement']:.2%} of {measured['n']} pictures"
    )
