"""Pictures of a run: learning curves, confusion matrix, reliability diagram, features in the plane."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from keras_fer.files import replacing
from train import metrics

TRAIN, VALIDATION, MUTED = "#8aa4c8", "#c8553d", "#666666"

STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
}


def curves(history: list[dict], path: Path) -> None:
    """Draw loss, accuracy and learning rate over the epochs, the best epoch marked.

    Args:
        history: one dict an epoch with `epoch`, `loss`, `accuracy`, `val_loss`, `val_accuracy`, `learning_rate`.
        path: where to write the PNG.
    """
    epochs = [row["epoch"] for row in history]
    best = max(history, key=lambda row: row["val_accuracy"])
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11, 3.4), layout="constrained")
        loss, accuracy, rate = figure.subplots(1, 3, width_ratios=(4, 4, 2))
        marker = "o" if len(epochs) == 1 else None
        for axes, key, scale in ((loss, "loss", 1), (accuracy, "accuracy", 100)):
            axes.plot(epochs, [scale * row[key] for row in history], color=TRAIN, marker=marker, label="train")
            validation = [scale * row[f"val_{key}"] for row in history]
            axes.plot(epochs, validation, color=VALIDATION, lw=2, marker=marker, label="validation")
            axes.plot(best["epoch"], scale * best[f"val_{key}"], "o", color=VALIDATION)
            axes.grid(axis="y", color="#e6e6e6")
        loss.set_title("Loss")
        loss.legend()
        # A validation loss may leap for one epoch; it must not flatten all the others.
        losses = [row["loss"] for row in history]
        validation = [row["val_loss"] for row in history]
        loss.set_ylim(0.9 * min(losses + validation), 1.1 * max([*losses, np.percentile(validation, 80)]))
        accuracy.set_title("Accuracy, %")
        note = f"{100 * best['val_accuracy']:.1f} in epoch {best['epoch']}"
        accuracy.set_title(note, loc="right", color=VALIDATION, weight="normal", size="medium")
        rate.plot(epochs, [row["learning_rate"] for row in history], color=MUTED, marker=marker)
        rate.set_title("Learning rate")
        rate.yaxis.set_major_formatter("{x:g}")
        for axes in (loss, accuracy, rate):
            axes.set_xlabel("epoch", color=MUTED)
            axes.xaxis.get_major_locator().set_params(integer=True)
        write(figure, path)


def confusion(result: dict, path: Path) -> None:
    """Draw the confusion matrix of a report (`train.metrics.report`): rates by row, with their counts.

    Args:
        result: the report.
        path: where to write the PNG.
    """
    counts = np.array(result["confusion"])
    rates = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    classes = result["classes"]
    with matplotlib.rc_context({**STYLE, "axes.spines.left": False, "axes.spines.bottom": False}):
        figure = Figure(figsize=(1.6 + 0.85 * len(classes), 1.3 + 0.75 * len(classes)), layout="constrained")
        axes = figure.subplots()
        axes.imshow(rates, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for row, column in np.argwhere(counts):
            rate = rates[row, column]
            color = "white" if rate > 0.5 else "#333333"
            axes.text(column, row - 0.12, f"{100 * rate:.0f} %", ha="center", va="center", color=color)
            axes.text(column, row + 0.24, counts[row, column], ha="center", va="center", color=color, fontsize=7)
        axes.set_xticks(range(len(classes)), classes, rotation=30, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(classes)), classes)
        axes.tick_params(length=0)
        axes.set_xlabel("predicted", color=MUTED)
        axes.set_ylabel("truth", color=MUTED)
        axes.set_title(f"Accuracy {100 * result['accuracy']:.1f} % of {result['n']} pictures")
        write(figure, path)


def reliability(probabilities: np.ndarray, labels: np.ndarray, temperature: float, path: Path) -> None:
    """Draw the reliability diagram (Guo et al. 2017, figure 1): accuracy against confidence, and how many are how sure.

    Args:
        probabilities: `(n, classes)`.
        labels: `(n,)`, indices of the classes.
        temperature: that is in the probabilities; unless it is 1, the model without it is drawn too.
        path: where to write the PNG.
    """
    cases = [("calibrated" if temperature != 1 else "", probabilities, VALIDATION, 2)]
    if temperature != 1:
        cases.insert(0, ("before", metrics.soften(probabilities, 1 / temperature), TRAIN, 1.5))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 5.8), layout="constrained")
        top, bottom = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
        top.plot([0, 100], [0, 100], color=MUTED, lw=1, ls=(0, (4, 3)))
        for name, rows, color, width in cases:
            count, confidence, correct = metrics.reliability(rows, labels)
            filled = count > 0
            x, y = 100 * confidence[filled] / count[filled], 100 * correct[filled] / count[filled]
            error = metrics.expected_calibration_error(rows, labels)
            label = f"{name}  ECE {100 * error:.1f} %".strip()
            top.plot(x, y, "o-", color=color, lw=width, ms=4, label=label)
            edges = np.linspace(0, 100, len(count) + 1)
            bottom.stairs(100 * count / count.sum(), edges, color=color, lw=width)
        top.set(xlim=(0, 100), ylim=(0, 100))
        top.set_title("Accuracy, %")
        top.set_title(f"{len(labels)} pictures", loc="right", color=MUTED, weight="normal", size="medium")
        top.grid(color="#e6e6e6")
        top.legend(loc="upper left")
        bottom.set_title("Share of the pictures, %")
        bottom.set_xlabel("confidence, %", color=MUTED)
        write(figure, path)


def features(points: np.ndarray, labels: np.ndarray, classes: Sequence[str], path: Path) -> None:
    """Draw pictures as points of the colour of their class.

    Args:
        points: `(n, 2)`.
        labels: `(n,)`, indices into `classes`.
        path: where to write the PNG.
    """
    with matplotlib.rc_context({**STYLE, "axes.spines.left": False, "axes.spines.bottom": False}):
        figure = Figure(figsize=(7.2, 5.6), layout="constrained")
        axes = figure.subplots()
        for i, name in enumerate(classes):
            x, y = points[labels == i].T
            axes.scatter(x, y, s=14, alpha=0.75, lw=0, label=f"{name}, {len(x)}")
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"Last features of {len(labels)} pictures, t-SNE")
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=1.8)
        write(figure, path)


def write(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=130)
