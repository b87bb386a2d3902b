"""How good a classifier is: counts, rates, and how far its probabilities can be trusted."""

from collections.abc import Sequence

import numpy as np
from sklearn import metrics

CALIBRATION_BINS = 15


def report(probabilities: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> dict:
    """Everything that `metrics.json` says about predictions, as plain data.

    Args:
        probabilities: `(n, classes)`, rows sum to 1.
        labels: `(n,)`, indices into `classes`.
        classes: names in the order of the columns.

    Returns:
        `n`, `accuracy`, `mean_class_accuracy` (mean recall of the classes that occur), `macro_f1` (over the same
        classes), `per_class` (precision, recall, f1, n of each), `confusion` (row: truth, column: prediction), `ece`,
        `nll` (nats a picture), `classes`. Rates are in 0..1.
    """
    indices = np.arange(len(classes))
    predicted = probabilities.argmax(axis=1)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        labels, predicted, labels=indices, zero_division=0
    )
    present = support > 0
    return {
        "n": len(labels),
        "accuracy": float(metrics.accuracy_score(labels, predicted)),
        "mean_class_accuracy": float(recall[present].mean()),
        "macro_f1": float(f1[present].mean()),
        "per_class": {
            name: {"precision": float(p), "recall": float(r), "f1": float(f), "n": int(n)}
            for name, p, r, f, n in zip(classes, precision, recall, f1, support)
        },
        "confusion": metrics.confusion_matrix(labels, predicted, labels=indices).tolist(),
        "ece": expected_calibration_error(probabilities, labels),
        "nll": negative_log_likelihood(probabilities, labels),
        "classes": list(classes),
    }


def negative_log_likelihood(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Of the labels, in nats a picture; a probability of 0 counts as the smallest number above it."""
    return float(metrics.log_loss(labels, probabilities, labels=np.arange(probabilities.shape[1])))


def soften(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """What the softmax would have given if the logits had been divided by the temperature; 1 / temperature undoes it.

    Args:
        probabilities: `(n, classes)`; 0 counts as the smallest number above it.
    """
    logarithms = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny)) / temperature
    odds = np.exp(logarithms - logarithms.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = CALIBRATION_BINS) -> np.ndarray:
    """Count, summed confidence and summed correctness of each of the equal-width bins of confidence: (3, bins)."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    return np.stack(
        [np.bincount(bin_of, weights=w, minlength=bins) for w in (np.ones(len(labels)), confidence, correct)]
    )


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = CALIBRATION_BINS) -> float:
    """Mean gap between confidence and accuracy over equal-width bins of confidence, weighted by their size.

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equation 3.
    """
    _, confidence, correct = reliability(probabilities, labels, bins)
    return float(np.abs(correct - confidence).sum() / len(labels))


def table(result: dict) -> str:
    """The report for reading: one line a class, then the totals."""
    width = max(map(len, result["classes"]))
    lines = [f"{'':{width}}  recall  precision     f1      n"]
    for name, row in result["per_class"].items():
        recall, precision, f1 = (100 * row[key] for key in ("recall", "precision", "f1"))
        lines.append(f"{name:{width}}  {recall:6.1f}  {precision:9.1f}  {f1:5.1f}  {row['n']:5}")
    lines.append(
        f"accuracy {100 * result['accuracy']:.2f} %, mean class accuracy {100 * result['mean_class_accuracy']:.2f} %, "
        f"macro F1 {100 * result['macro_f1']:.2f} %, ECE {result['ece']:.3f}, NLL {result['nll']:.3f}, "
        f"{result['n']} pictures"
    )
    return "\n".join(lines)
