"""Evaluate trained models on a prepared data set: `python -m train.evaluate --weights W --data DIR`."""

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from tqdm import tqdm

from keras_fer.classifier import Classifier, as_classifier, open_classifier
from keras_fer.command import run
from keras_fer.errors import InputError
from train import comparison, distribution, features, leaks, metrics, plots
from train.data import DatasetInfo, evaluation_batches, read_info
from train.run import write_json
from train.subset import Subset, read_subset

METRICS, CONFUSION, RELIABILITY, FEATURES = "metrics.json", "confusion.png", "reliability.png", "features.png"
COMPARISON = "comparison"

EXAMPLES = """examples:
  python -m train.evaluate --weights runs/first --data data/fer2013 --out runs/first/public
  python -m train.evaluate --weights runs/first runs/second first_int8.tflite --data data/fer2013 --out compared
  python -m train.evaluate --weights runs/first --data data/raf-db --list rafdb_occlusion_list.txt
"""


class Predictions(NamedTuple):
    """What a model says of the pictures of a split."""

    probabilities: np.ndarray
    """`(n, classes)` float64, in the data's order of the classes."""
    labels: np.ndarray
    """`(n,)`, indices into the data's classes."""
    pictures_per_second: float
    """Read, decoded, resized and classified, without the first batch, in which everything is set up."""


def predict(
    model: Classifier | keras.Model,
    info: DatasetInfo,
    split: str,
    batch_size: int = 64,
    limit: int | None = None,
    flip: bool = False,
    subset: Subset | None = None,
) -> Predictions:
    """Classify a split, a batch at a time: only probabilities and labels are kept, so memory does not grow with it.

    Args:
        model: a classifier, or a Keras model as `keras_fer.load` returns it. Its classes are matched with the data's by
            name; the probabilities of those that the data does not know are shared out among the others.
        info: the prepared data set.
        split: name of a split.
        limit: only so many pictures.
        flip: average the probabilities of every picture and its mirror image.
        subset: only these pictures of the split.

    Raises:
        InputError: the model lacks a class of the data, or there is no such split.
    """
    if isinstance(model, keras.Model):
        model = as_classifier(model)
    info.require(split)
    split = info.aliases.get(split, split)
    missing = [name for name in info.classes if name not in model.classes]
    if missing:
        raise InputError(
            f"{info.path} has the classes {', '.join(missing)}, which the model does not know; "
            f"its own are {', '.join(model.classes)}"
        )
    columns = [model.classes.index(name) for name in info.classes]
    batches = evaluation_batches(
        info,
        split,
        batch_size=batch_size,
        input_size=model.input_size,
        limit=limit,
        chosen=subset.chosen if subset else None,
    )

    probabilities, labels, times = [], [], [time.perf_counter()]
    for pictures, targets in tqdm(batches, desc=f"{info.name} {split}", unit="batch", leave=False, disable=None):
        pictures = pictures.numpy()
        views = [pictures, pictures[:, :, ::-1]] if flip else [pictures]
        rows = [model.run(view)[:, columns].astype(np.float64) for view in views]
        # Where rounding left nothing for the classes of the data, they are equally likely.
        rows = [(row + np.finfo(np.float32).tiny) for row in rows]
        probabilities.append(np.mean([row / row.sum(axis=1, keepdims=True) for row in rows], axis=0))
        labels.append(targets.numpy().argmax(axis=1))
        times.append(time.perf_counter())
    first = len(labels[0]) if len(labels) > 1 else 0
    seconds = times[-1] - times[1 if first else 0]
    probabilities, labels = np.concatenate(probabilities), np.concatenate(labels)
    return Predictions(probabilities, labels, (len(labels) - first) / seconds)


def measure(
    model: Classifier | keras.Model,
    info: DatasetInfo,
    split: str,
    batch_size: int = 64,
    limit: int | None = None,
    flip: bool = False,
    subset: Subset | None = None,
) -> dict:
    """Classify a split (the arguments and errors are those of `predict`) and report on it (`report`)."""
    model = as_classifier(model) if isinstance(model, keras.Model) else model
    return report(predict(model, info, split, batch_size, limit, flip, subset), model, info, split, flip, subset)


def report(
    predictions: Predictions,
    model: Classifier,
    info: DatasetInfo,
    split: str,
    flip: bool = False,
    subset: Subset | None = None,
) -> dict:
    """What metrics.json holds: `train.metrics.report`, and

    `data`, `split`, `flip`, `pictures_per_second`; for a calibrated model its `temperature` and, but for flipped
    pictures, `ece_before` and `nll_before`, without it; where there are any, `classes_left_out`; with a subset, `list`
    with its `file` and how many pictures it `names`; where pictures of the split are in train too, `without_leaks` with
    some of the figures of all others.
    """
    result = metrics.report(predictions.probabilities, predictions.labels, info.classes)
    result |= {
        "data": info.name,
        "split": info.aliases.get(split, split),
        "flip": flip,
        "pictures_per_second": round(predictions.pictures_per_second, 1),
    }
    if model.temperature != 1:
        result["temperature"] = model.temperature
    if model.temperature != 1 and not flip:  # which averages what one temperature each has softened
        before = metrics.soften(predictions.probabilities, 1 / model.temperature)
        result["ece_before"] = metrics.expected_calibration_error(before, predictions.labels)
        result["nll_before"] = metrics.negative_log_likelihood(before, predictions.labels)
    if subset:
        result["list"] = {"file": subset.file, "names": subset.names}
    elif leaks.known(info, split):
        unseen = ~leaks.trained_on(info, split)[: len(predictions.labels)]
        part = metrics.report(predictions.probabilities[unseen], predictions.labels[unseen], info.classes)
        result["without_leaks"] = {key: part[key] for key in ("n", "accuracy", "mean_class_accuracy", "ece")}
    left_out = [name for name in model.classes if name not in info.classes]
    return result | ({"classes_left_out": left_out} if left_out else {})


def write(result: dict, folder: Path) -> None:
    """Write metrics.json and confusion.png."""
    write_json(folder / METRICS, result)
    plots.confusion(result, folder / CONFUSION)


def summary(result: dict) -> str:
    """The report for reading."""
    lines = [metrics.table(result)]
    if "temperature" in result:
        lines.append(f"calibrated with temperature {result['temperature']:.3f}")
    if "ece_before" in result:
        lines[-1] += f"; without it: ECE {result['ece_before']:.3f}, NLL {result['nll_before']:.3f}"
    if "without_leaks" in result:
        others = result["without_leaks"]
        lines.append(
            f"without the {result['n'] - others['n']} pictures that are in train too: accuracy "
            f"{100 * others['accuracy']:.2f} %, mean class accuracy {100 * others['mean_class_accuracy']:.2f} %"
        )
    if "list" in result:
        lines.append(f"{result['n']} of the {result['list']['names']} pictures that {result['list']['file']} names")
    if "classes_left_out" in result:
        lines.append(f"not in this data, so left out: {', '.join(result['classes_left_out'])}")
    return "\n".join([*lines, f"{result['pictures_per_second']:.0f} pictures a second"])


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m train.evaluate",
        description="Accuracy, mean class accuracy, macro F1, confusion and calibration of trained models. Several are "
        "compared with the first, picture by picture.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--weights", required=True, nargs="+", metavar="W", help="run folders, .keras, .tflite or .onnx files")
    add("--data", required=True, type=Path, metavar="DIR", help="a data set from train.prepare")
    add("--split", default="test", help="which split (default: %(default)s)")
    add("--list", type=Path, metavar="FILE", help="only the pictures that this text file names, one a line")
    add("--out", type=Path, metavar="DIR", help="write metrics.json and pictures there (of several, in a folder each)")
    add("--tsne", type=int, metavar="N", help="draw the last features of N pictures, by t-SNE, into --out")
    add("--flip", action="store_true", help="average every picture with its mirror image")
    add("--batch-size", type=int, default=64, metavar="N", help="(default: %(default)s)")
    add("--limit", type=int, metavar="N", help="only the first N pictures")
    add("--strategy", choices=distribution.STRATEGIES, default="none", help="mirrored: on all devices of this machine")
    args = parser.parse_args(argv)
    if args.tsne and not args.out:
        raise InputError("--tsne draws into --out, which is missing")
    for option in ("batch_size", "limit", "tsne"):
        if (value := getattr(args, option)) is not None and value < 1:
            raise InputError(f"--{option.replace('_', '-')} is {value}; expected 1 or more")
    return args


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, measure, print and write."""
    args = parse(argv)
    info = read_info(args.data)
    subset = read_subset(args.list, info, args.split, args.limit) if args.list else None
    strategy = distribution.strategy(args.strategy)
    folders = _folders(args.weights, args.out)
    measured = []
    for weights, folder in zip(args.weights, folders):
        model = distribution.open_replicated(weights, strategy) if strategy else open_classifier(weights)
        predictions = predict(model, info, args.split, args.batch_size, args.limit, args.flip, subset)
        result = report(predictions, model, info, args.split, args.flip, subset) | {"weights": str(weights)}
        print(f"{weights} on {info.name} {result['split']}\n{summary(result)}")
        if folder:
            write(result, folder)
            temperature = 1 if args.flip else model.temperature
            plots.reliability(predictions.probabilities, predictions.labels, temperature, folder / RELIABILITY)
        if args.tsne:
            points, labels = features.embed(weights, info, args.split, args.tsne, args.batch_size, subset)
            plots.features(points, labels, info.classes, folder / FEATURES)
        measured.append((result, predictions))
    if len(measured) > 1:
        compared = comparison.compare([p.probabilities for _, p in measured], measured[0][1].labels, len(info.classes))
        rows = [result | {"differences": differences} for (result, _), differences in zip(measured, compared)]
        print(comparison.table(rows))
        if args.out:
            comparison.write(rows, args.out / COMPARISON)


def _folders(weights: list[str], out: Path | None) -> list[Path | None]:
    """Where each model's results go: `out` itself for a single one, else a folder in it by its name."""
    if not out or len(weights) == 1:
        return [out] * len(weights)
    names = [Path(w).name for w in weights]
    return [out / (name if names.count(name) == 1 else f"{i + 1}-{name}") for i, name in enumerate(names)]


if __name__ == "__main__":
    run(main)
