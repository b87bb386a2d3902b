"""Which layers lose when they compute in int8: `python -m export.sensitivity --weights W --data DIR --out FOLDER`.

Each layer that multiplies is quantized alone, all others stay float, and the file runs on validation faces: how far its
probabilities move (KL divergence from the float file's, in nats a face), how often its first class stays, and its
accuracy. And each is kept float alone, all others int8: what int8 gains back by it. FOLDER gets `sensitivity.json` and
`sensitivity.png`.

Layers are then kept float, those that gain most first, as long as the budget lasts: a share of the model's
multiply-accumulates. `export.tflite --quantize int8 --keep-float-from FOLDER/sensitivity.json` uses that list.
"""

import argparse
import json
from pathlib import Path

import keras
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from scipy.special import rel_entr
from tqdm import tqdm

import keras_fer
from export import litert, pictures, quantize
from export.conversion import convert
from export.deploy import deployable
from export.matching import Matching
from keras_fer.command import run
from keras_fer.errors import InputError
from keras_fer.inspect import count_macs, trace
from keras_fer.tables import table
from train import plots
from train.data import DatasetInfo, read_info
from train.run import fingerprint, write_json

JSON, PICTURE = "sensitivity.json", "sensitivity.png"

BUDGET = 0.02
"""Of all multiply-accumulates may stay float."""


def measure(model: keras.Model, info: DatasetInfo, split: str, per_class: int, budget: float = BUDGET) -> dict:
    """The effect of each layer's rounding, alone and left out.

    Args:
        model: as `keras_fer.load` returns it.
        info: prepared data; its `train` calibrates.
        split: whose faces are measured on; not one that a figure is reported on.
        per_class: faces of each class.
        budget: share of the multiply-accumulates that may stay float.

    Returns:
        `faces`, `float`, `int8` and, with the layers in `keep_float` left float, `kept`: `kl`, `agreement` and
        `accuracy` of each; and `layers`, the one that gains most first: `name`, `macs` (share), `alone` and
        `left_out` with the same three figures, and `gain` (nats a face that `left_out` is below `int8`).

    Raises:
        InputError: no such split, or classes that are not the model's.
    """
    if tuple(model.classes) != tuple(info.classes):
        raise InputError(f"{info.path} has the classes {', '.join(info.classes)}, the model {', '.join(model.classes)}")
    size = model.input_shape[1]
    deployed = deployable(model)
    content = convert(deployed)
    calibration = pictures.stratified(info, "train", quantize.CALIBRATION_FACES, size)
    ranges = quantize.calibrate(content, calibration)
    faces, labels = pictures.stratified_with_labels(info, split, per_class, size)
    exact = litert.content_runner(content)(faces)
    products = Matching(deployed, content, calibration[0]).products()

    def figures(keep_float):
        kept = [index for name in keep_float for index in products[name]]
        return _compare(litert.content_runner(quantize.to_int8(content, ranges, kept))(faces), exact, labels)

    macs = _macs(model)
    total = sum(macs.values())
    int8 = figures([])
    rows = []
    for name in tqdm(products, desc="sensitivity", unit="layer", disable=None):
        alone, left_out = figures([other for other in products if other != name]), figures([name])
        row = {"name": name, "macs": macs.get(name, 0) / total, "gain": int8["kl"] - left_out["kl"]}
        rows.append(row | {"alone": alone, "left_out": left_out})
    rows.sort(key=lambda row: -row["gain"])
    keep_float = choose(rows, budget)
    return {
        "model": model.name,
        "data": info.name,
        "fingerprint": fingerprint(info),
        "split": split,
        "faces": len(faces),
        "budget": budget,
        "float": _compare(exact, exact, labels),
        "int8": int8,
        "keep_float": keep_float,
        "kept": figures(keep_float) if keep_float else int8,
        "layers": rows,
    }


def choose(rows: list[dict], budget: float) -> list[str]:
    """The layers to keep float: those that gain most and fit, as long as one gains and the budget lasts."""
    chosen = []
    for row in sorted(rows, key=lambda row: -row["gain"]):
        if row["gain"] > 0 and row["macs"] <= budget:
            chosen.append(row["name"])
            budget -= row["macs"]
    return chosen


def read_choice(path: Path, model: keras.Model) -> list[str]:
    """The layers that a `sensitivity.json` says to keep float.

    Raises:
        InputError: there is no such file, it is none of ours, or it is of another model.
    """
    try:
        record = json.loads(path.read_text())
        of, chosen = record["model"], list(record["keep_float"])
    except FileNotFoundError:
        raise InputError(f"there is no {path}") from None
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path} is no list of export.sensitivity") from None
    if of != model.name:
        raise InputError(f"{path} was measured on {of}, not on {model.name}")
    return chosen


def draw(report: dict, path: Path, most: int = 30) -> None:
    """A bar for each of the layers that matter most, and what keeping the chosen ones float is worth."""
    rows = sorted(report["layers"], key=lambda row: -row["alone"]["kl"])[:most][::-1]
    with matplotlib.rc_context(plots.STYLE):
        figure = Figure(figsize=(9, 1.2 + 0.24 * len(rows)), layout="constrained")
        axes = figure.subplots()
        colours = [plots.VALIDATION if row["name"] in report["keep_float"] else plots.TRAIN for row in rows]
        axes.barh([row["name"] for row in rows], [1000 * row["alone"]["kl"] for row in rows], color=colours)
        axes.set_xlabel("KL divergence from float with this layer alone in int8, thousandths of a nat a face")
        axes.set_title(f"{report['model']}: which layers rounding hurts")
        axes.grid(axis="x", color="#e6e6e6")
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", labelsize=8, length=0)
        note = f"all int8 {1000 * report['int8']['kl']:.2f}"
        if report["keep_float"]:
            note += f", the red ones float {1000 * report['kept']['kl']:.2f}"
        axes.set_title(note, loc="right", weight="normal", size="medium")
        plots.write(figure, path)


def _compare(found, exact, labels):
    return {
        "kl": float(rel_entr(exact, np.maximum(found, 1e-12)).sum(axis=1).mean()),
        "agreement": float(np.mean(found.argmax(axis=1) == exact.argmax(axis=1))),
        "accuracy": float(np.mean(found.argmax(axis=1) == labels)),
    }


def _macs(model):
    """Multiply-accumulates of each layer."""
    macs = {}
    for call in trace(model)[0]:
        macs[call.layer.name] = macs.get(call.layer.name, 0) + sum(count_macs([call]).values())
    return macs


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, measure, print and write."""
    parser = argparse.ArgumentParser(
        prog="python -m export.sensitivity",
        description="Measure which layers lose when they compute in int8, and choose those that stay float.",
        epilog="example: python -m export.sensitivity --weights runs/mit --data data/fer2013 --out runs/mit/int8",
    )
    add = parser.add_argument
    add("--weights", required=True, metavar="W", help="a run folder or a .keras file")
    add("--data", required=True, type=Path, metavar="DIR", help="from train.prepare")
    add("--split", default="val", help="whose faces are measured on (default: %(default)s)")
    add("--faces", type=int, default=30, metavar="N", help="of each class (default: %(default)s)")
    add(
        "--budget",
        type=float,
        default=BUDGET,
        metavar="X",
        help="share of all MACs that may stay float (default: 0.02)",
    )
    add("--out", required=True, type=Path, metavar="FOLDER", help=f"for {JSON} and {PICTURE}")
    args = parser.parse_args(argv)
    if args.faces < 1 or not 0 <= args.budget <= 1:
        raise InputError("--faces must be at least 1 and --budget between 0 and 1")

    report = measure(keras_fer.load(args.weights), read_info(args.data), args.split, args.faces, args.budget)
    args.out.mkdir(parents=True, exist_ok=True)
    write_json(args.out / JSON, report)
    draw(report, args.out / PICTURE)

    def numbers(figures):
        return [f"{1000 * figures['kl']:.3f}", f"{figures['agreement']:.3f}", f"{figures['accuracy']:.3f}"]

    print(f"{report['faces']} faces of {report['data']} {report['split']}; KL in thousandths of a nat")
    rows = [
        [row["name"], f"{row['macs']:.1%}", *numbers(row["alone"]), *numbers(row["left_out"])]
        for row in report["layers"]
    ]
    print(table(["layer", "MACs", "alone: KL", "agree", "right", "left out: KL", "agree", "right"], rows))
    print(table(["", "KL", "agree", "right"], [[name, *numbers(report[name])] for name in ("float", "int8", "kept")]))
    print(f"kept: {', '.join(report['keep_float']) or 'no layer gains within the budget'}")


if __name__ == "__main__":
    run(main)
