"""The page of `export.report`: MODEL.md, with its picture MODEL.png."""

import math
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from export import accuracy, phone_cost
from export.card import PHONE_COST
from keras_fer.files import replacing
from keras_fer.tables import table
from train.plots import MUTED, STYLE, TRAIN, VALIDATION

KIND_COLOURS = {
    "dot": "#c8553d",
    "fma": "#e3a35b",
    "vector": "#8aa4c8",
    "scalar": "#c9c9c9",
    "loads": "#7a9e87",
    "stores": "#b9d3c2",
}
KIND_NAMES = {"dot": "int8 dot", "fma": "float multiply-add"}

PAGE = """\
# {model} on {data} {split}

{pixels} x {pixels} pixels, {classes} classes. {trained}Weights {weights}. {date}.

![Accuracy, size, time and instructions of every variant; recall by class]({model}.png)

## Accuracy

{n} pictures; the standard error of an accuracy is {error:.1f} points. Keras: the model before export, {accuracy:.2f} %.
"Agreement" is the share of the pictures with the same first class as Keras, "difference" the largest of a probability.
Files see pictures rounded to whole numbers, Keras does not: that is what float32 differs by.

{accuracy_table}

Recall by class, %:

{class_table}

## Cost

{cost_table}

Milliseconds: one picture, one thread, {machine}; median (and quartiles) of runs that take turns in one process, and the
processor's time, which tells more where the machine is busy. Memory is what a process of its own takes for the file.
{phone}
{failures}Made by `python -m export.report --weights W --data DIR --split {split}`.
"""

PHONE = """
## Where a phone's instructions go

Millions for one picture in LiteRT's ARM64 kernels, one thread, {cpu} (`export.phone_cost`).

{kind_table}
"""


def write(result: dict, folder: Path) -> None:
    """Write MODEL.md and MODEL.png into the folder, for what `export.report.make` found."""
    _draw(result, folder / f"{result['model']}.png")
    keras_accuracy = _keras(result)["accuracy"]
    trained = result["trained"]
    phone = PHONE.format(cpu=result["cpu"], kind_table=_kind_table(result, True)) if _counted(result) else ""
    failures = "".join(f"No {name}: {reason}.\n" for name, reason in result["failures"].items())
    text = PAGE.format(
        **{key: result[key] for key in ("model", "data", "split", "weights", "date", "machine", "n")},
        pixels=result["input_size"],
        classes=len(result["classes"]),
        trained=f"Recipe {trained['recipe']}, epoch {trained['epoch']}, chosen on {trained['val_split']}. "
        if {"recipe", "epoch", "val_split"} <= set(trained)
        else "",
        error=100 * _standard_error(keras_accuracy, result["n"]),
        accuracy=100 * keras_accuracy,
        accuracy_table=_accuracy_table(result, True),
        class_table=_class_table(result, True),
        cost_table=_cost_table(result, True),
        phone=phone,
        failures=failures + "\n" if failures else "",
    )
    with replacing(folder / f"{result['model']}.md") as temporary:
        temporary.write_text(text)


def tables(result: dict, markdown: bool) -> str:
    """All the tables of the page, one after another."""
    parts = [_accuracy_table, _class_table, _cost_table] + [_kind_table] * _counted(result)
    return "\n\n".join(part(result, markdown) for part in parts) + "\n"


def _keras(result):
    return result["variants"][0]["metrics"]["float"]


def _standard_error(rate, n):
    return math.sqrt(rate * (1 - rate) / n)


def _counted(result):
    return any(row[PHONE_COST] for row in result["variants"])


# --- Tables ---


def _accuracy_table(result, markdown):
    header = ["variant", "accuracy", "to Keras", "class mean", "to Keras", "worst class", "agreement", "difference"]
    before = _keras(result)
    rows = []
    for row in result["variants"]:
        measured, file = row["metrics"], row["metrics"]["file"]
        name, drop = accuracy.worst_drop(measured)
        cells = [
            cell
            for key in ("accuracy", "mean_class_accuracy")
            for cell in (f"{100 * file[key]:.2f} %", _points(file[key] - before[key]))
        ]
        worst = f"{name} {_points(-drop)}" if drop > 0 else "none"
        rows.append(
            [row["variant"], *cells, worst, f"{measured['agreement']:.2%}", f"{measured['largest_difference']:.2g}"]
        )
    return table(header, rows, markdown)


def _points(difference, digits=2):
    """A difference of rates in points, with its sign; 0 has none."""
    points = round(100 * difference, digits)
    return f"{points:+.{digits}f}" if points else "0"


def _class_table(result, markdown):
    classes = result["classes"]

    def cells(recall):
        return [f"{100 * recall[name]:.1f}" for name in classes]

    rows = [
        ["pictures", *(str(result["counts"][name]) for name in classes)],
        ["Keras", *cells(_keras(result)["recall"])],
    ]
    rows += [[row["variant"], *cells(row["metrics"]["file"]["recall"])] for row in result["variants"]]
    return table(["", *classes], rows, markdown)


def _cost_table(result, markdown):
    header = ["variant", "MB", "ratio", "ms", "ratio", "processor ms", "ratio", "memory MB", "partitions"]
    header += ["million instructions", "ratio"] * _counted(result)
    first = result["variants"][0]
    rows = []
    for row in result["variants"]:
        time = row["time"]
        cells = [
            row["variant"],
            f"{row['size_bytes'] / 1e6:.2f}",
            f"{row['size_bytes'] / first['size_bytes']:.2f}",
            "{:.2f} ({:.2f} to {:.2f})".format(time["median_ms"], *time["quartiles_ms"]),
            f"{time['ratio']:.2f}",
            f"{time['cpu_ms']:.2f}",
            f"{time['cpu_ratio']:.2f}",
            f"{time['memory_bytes'] / 1e6:.1f}",
            str(row["partitions"] or ""),
        ]
        if _counted(result):
            cost = row[PHONE_COST]
            cells += [f"{cost['total']:.2f}", f"{cost['total'] / first[PHONE_COST]['total']:.3f}"] if cost else ["", ""]
        rows.append(cells)
    return table(header, rows, markdown)


def _kind_table(result, markdown):
    columns = ["total", *phone_cost.KINDS, "load_MB"]
    rows = [
        [row["variant"], *(f"{row[PHONE_COST][column]:.2f}" for column in columns)]
        for row in result["variants"]
        if row[PHONE_COST]
    ]
    names = [KIND_NAMES.get(column, column) for column in columns[:-1]]
    return table(["variant", *names, "MB loaded"], rows, markdown)


# --- Picture ---


def _draw(result, path):
    """Bars for what a variant keeps and costs; below, what each class loses."""
    variants = result["variants"]
    names = [row["variant"] for row in variants]
    places = np.arange(len(names))
    counted = _counted(result)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(13, 2.6 + 0.62 * len(names)), layout="constrained")
        above, below = figure.subfigures(2, 1, height_ratios=(1.15, 1))
        panels = above.subplots(1, 3 + counted, sharey=True)
        _draw_accuracy(panels[0], result, places)
        first = variants[0]
        _draw_bars(panels[1], "Size, MB", [row["size_bytes"] / 1e6 for row in variants], places)
        _draw_bars(panels[2], "Processor time here, ms", [row["time"]["cpu_ms"] for row in variants], places)
        if counted:
            _draw_kinds(panels[3], variants, first, places, result["cpu"])
        panels[0].set_yticks(places, names)
        panels[0].set_ylim(len(names) - 0.4, -0.6)
        for panel in panels:
            panel.tick_params(axis="y", length=0, labelcolor="black")
        above.suptitle(
            f"{result['model']}, {result['input_size']} px, on {result['n']:,} pictures of {result['data']} "
            f"{result['split']}",
            x=0.005,
            ha="left",
            weight="bold",
            size="large",
        )
        _draw_classes(below.subplots(), result)
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=110)


def _draw_accuracy(axes, result, places):
    before = 100 * _keras(result)["accuracy"]
    error = 100 * _standard_error(before / 100, result["n"])
    found = [100 * row["metrics"]["file"]["accuracy"] for row in result["variants"]]
    axes.axvspan(before - error, before + error, color="#f0f0f0", lw=0)
    axes.axvline(before, color=MUTED, lw=1)
    axes.plot(found, places, "o", color=VALIDATION, ms=7)
    reach = max(1.6 * error, 1.25 * max(abs(value - before) for value in found))
    axes.set_xlim(before - reach, before + reach)
    for value, place in zip(found, places):
        axes.annotate(f"{value:.2f}", (value, place), (0, 7), textcoords="offset points", ha="center", size="small")
    axes.set_title("Accuracy, %")
    axes.set_xlabel(f"line and band: Keras {before:.2f}, ± its standard error", color=MUTED, size="small")


def _draw_bars(axes, title, values, places):
    axes.barh(places, values, height=0.6, color=TRAIN)
    _label_bars(axes, values, places)
    axes.set_title(title)


def _label_bars(axes, values, places):
    for value, place in zip(values, places):
        if not math.isnan(value):
            axes.text(value, place, f" {value:.2f}  (× {value / values[0]:.2f})", va="center", size="small")
    axes.set_xlim(0, 1.55 * np.nanmax(values))


def _draw_kinds(axes, variants, first, places, cpu):
    costs = [row[PHONE_COST] for row in variants]
    left = np.zeros(len(costs))
    for kind, colour in KIND_COLOURS.items():
        widths = np.array([cost[kind] if cost else 0 for cost in costs])
        axes.barh(places, widths, left=left, height=0.6, color=colour, label=KIND_NAMES.get(kind, kind))
        left += widths
    _label_bars(axes, [cost["total"] if cost else math.nan for cost in costs], places)
    axes.set_title(f"{cpu}, million instructions")
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.1)}
    axes.legend(**below, ncols=3, fontsize="x-small", handlelength=1, columnspacing=1)


def _draw_classes(axes, result):
    classes, before = result["classes"], _keras(result)["recall"]
    found = np.array([[row["metrics"]["file"]["recall"][name] for name in classes] for row in result["variants"]])
    change = found - [before[name] for name in classes]
    reach = 1.4 * max(0.02, np.abs(change).max())
    axes.imshow(change, cmap="RdBu", vmin=-reach, vmax=reach, aspect="auto")
    for (i, j), value in np.ndenumerate(change):
        text = f"{100 * found[i, j]:.1f}  ({_points(value, 1)})"
        axes.text(j, i, text, ha="center", va="center", size="small")
    labels = [f"{name}\nKeras {100 * before[name]:.1f}, n {result['counts'][name]}" for name in classes]
    axes.set_xticks(range(len(classes)), labels)
    axes.set_yticks(range(len(result["variants"])), [row["variant"] for row in result["variants"]], color="black")
    axes.tick_params(length=0, labelsize="small")
    axes.spines[:].set_visible(False)
    axes.set_title("Recall by class, %, and points from Keras")
