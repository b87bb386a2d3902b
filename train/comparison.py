"""Models against each other on the same pictures: differences with paired bootstrap confidence intervals.

Efron, Tibshirani: "An Introduction to the Bootstrap", 1993, chapter 13 (percentile intervals). A picture is drawn with
what every model says of it, so that pictures that are hard for all do not blur the difference between two.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_fer import tables
from keras_fer.files import replacing
from train.run import write_json

RATES = ("accuracy", "mean_class_accuracy", "macro_f1")
RESAMPLES = 10_000
LEVEL = 0.95
CELLS_AT_ONCE = 4_000_000


def compare(
    probabilities: Sequence[np.ndarray], labels: np.ndarray, classes: int, resamples: int = RESAMPLES, seed: int = 0
) -> list[dict[str, dict[str, float]]]:
    """Each model's rates minus those of the first.

    Args:
        probabilities: of each model, `(n, classes)` for the same pictures.
        labels: `(n,)`, indices of the classes.

    Returns:
        For each model, by the names of `RATES`: `difference`, and `low` and `high`, between which 95 % of the
        differences in `resamples` bootstrap samples lie. Those of the first are 0.
    """
    predicted = [rows.argmax(axis=1) for rows in probabilities]
    return [_difference(predicted[0], other, labels, classes, resamples, seed) for other in predicted]


def _difference(first, other, labels, classes, resamples, seed):
    # All rates are functions of how many pictures have which label and which two predictions, and a bootstrap sample's
    # counts of these are multinomial: no sample of pictures need be drawn.
    kinds, counts = np.unique(np.ravel_multi_index((labels, first, other), 3 * (classes,)), return_counts=True)
    label, *pair = np.unravel_index(kinds, 3 * (classes,))
    rng = np.random.default_rng(seed)
    differences = []
    for start in range(0, resamples, step := max(1, CELLS_AT_ONCE // len(kinds))):
        drawn = rng.multinomial(len(labels), counts / len(labels), size=min(step, resamples - start))
        differences.append(_rates(drawn, label, pair[1], classes) - _rates(drawn, label, pair[0], classes))
    low, high = np.quantile(np.concatenate(differences, axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
    seen = _rates(counts[None], label, pair[1], classes) - _rates(counts[None], label, pair[0], classes)
    return {
        name: {"difference": float(d), "low": float(lower), "high": float(upper)}
        for name, d, lower, upper in zip(RATES, seen[:, 0], low, high)
    }


def _rates(counts, label, predicted, classes):
    """`RATES` of each sample, `(3, samples)`, over the classes that occur in it as `train.metrics` has them.

    Args:
        counts: `(samples, kinds)`; pictures of kind k have the label `label[k]` and are predicted as `predicted[k]`.
    """
    one_hot = np.eye(classes)
    true = counts @ one_hot[label]
    guessed = counts @ one_hot[predicted]
    right = counts @ (one_hot[label] * (label == predicted)[:, None])
    present = true > 0
    recall = np.divide(right, true, out=np.zeros_like(right), where=present)
    f1 = np.divide(2 * right, true + guessed, out=np.zeros_like(right), where=present)
    occurring = present.sum(axis=1)
    return np.stack(
        [right.sum(axis=1) / counts.sum(axis=1), recall.sum(axis=1) / occurring, f1.sum(axis=1) / occurring]
    )


def table(rows: Sequence[dict], markdown: bool = False) -> str:
    """The comparison for reading.

    Args:
        rows: reports (`train.evaluate.report`) with `weights` and `differences` (`compare`).
    """
    header = ["weights", "accuracy %", "mean class %", "macro F1 %", "ECE", "NLL", "pictures/s"]
    header += ["accuracy, points", "mean class, points"]
    cells = []
    for i, row in enumerate(rows):
        rates = [f"{100 * row[name]:.2f}" for name in RATES]
        others = [f"{row['ece']:.3f}", f"{row['nll']:.3f}", f"{row['pictures_per_second']:.0f}"]
        differences = [_points(row["differences"][name]) if i else "" for name in RATES[:2]]
        cells.append([row["weights"], *rates, *others, *differences])
    return "\n".join(
        [
            tables.table(header, cells, markdown),
            "",
            f"{rows[0]['data']} {rows[0]['split']}, {rows[0]['n']} pictures. Points: difference to the first, in "
            f"brackets its 95 % interval ({RESAMPLES} paired bootstrap samples, seed 0).",
        ]
    )


def _points(difference):
    value, low, high = (100 * difference[key] for key in ("difference", "low", "high"))
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"


def write(rows: Sequence[dict], path: Path) -> None:
    """Write the comparison beside each other as `path`.json and `path`.md."""
    write_json(path.with_suffix(".json"), {"compared_with": rows[0]["weights"], "models": list(rows)})
    with replacing(path.with_suffix(".md")) as temporary:
        temporary.write_text(table(rows, markdown=True) + "\n")
