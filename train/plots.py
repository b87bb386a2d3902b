"""Pictures of a run: learning curves and confusion matrix."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from keras_fer.files import replacing

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
        _write(figure, path)


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
        _write(figure, path)


def _write(figure, path):
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=130)
