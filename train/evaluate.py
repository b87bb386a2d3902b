"""Evaluate a trained model on a prepared data set: `python -m train.evaluate --weights W --data DIR`."""

import argparse
from pathlib import Path

import keras
import numpy as np
from scipy.special import softmax
from tqdm import tqdm

import keras_fer
from keras_fer.command import run
from keras_fer.errors import InputError
from train import device, metrics, plots
from train.data import DatasetInfo, evaluation_batches, read_info
from train.run import write_json

METRICS, CONFUSION = "metrics.json", "confusion.png"


def measure(
    model: keras.Model,
    info: DatasetInfo,
    split: str,
    batch_size: int = 64,
    limit: int | None = None,
    flip: bool = False,
) -> dict:
    """Classify a split and report on it.

    Args:
        model: as `keras_fer.load` returns it, with `classes`. Its classes are matched with the data's by name; those
            that the data does not know are left out of the softmax.
        info: the prepared data set.
        split: name of a split.
        limit: only so many pictures.
        flip: average the probabilities of every picture and its mirror image.

    Returns:
        `train.metrics.report`, with `data`, `split`, `flip` and, where there are any, `classes_left_out`.

    Raises:
        InputError: the model lacks a class of the data, or there is no such split.
    """
    info.require(split)
    split = info.aliases.get(split, split)
    missing = [name for name in info.classes if name not in model.classes]
    if missing:
        raise InputError(
            f"{info.path} has the classes {', '.join(missing)}, which the model does not know; "
            f"its own are {', '.join(model.classes)}"
        )
    columns = [model.classes.index(name) for name in info.classes]
    model.jit_compile = device.jit_compile()

    probabilities, labels = [], []
    batches = evaluation_batches(info, split, batch_size=batch_size, input_size=model.input_shape[1], limit=limit)
    for pictures, targets in tqdm(batches, desc=f"{info.name} {split}", unit="batch", leave=False, disable=None):
        pictures = pictures.numpy()
        views = [pictures, pictures[:, :, ::-1]] if flip else [pictures]
        rows = [softmax(model.predict_on_batch(view)[:, columns].astype(np.float64), axis=1) for view in views]
        probabilities.append(np.mean(rows, axis=0))
        labels.append(targets.numpy().argmax(axis=1))

    result = metrics.report(np.concatenate(probabilities), np.concatenate(labels), info.classes)
    result |= {"data": info.name, "split": split, "flip": flip}
    left_out = [name for name in model.classes if name not in info.classes]
    return result | ({"classes_left_out": left_out} if left_out else {})


def write(result: dict, folder: Path) -> None:
    """Write metrics.json and confusion.png."""
    write_json(folder / METRICS, result)
    plots.confusion(result, folder / CONFUSION)


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, measure, print and write."""
    parser = argparse.ArgumentParser(
        prog="python -m train.evaluate",
        description="Accuracy, mean class accuracy, macro F1, confusion and calibration of a trained model.",
        epilog="example: python -m train.evaluate --weights runs/first --data data/fer2013 --out runs/first/public",
    )
    parser.add_argument("--weights", required=True, metavar="W", help="a run folder or a .keras file")
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="a data set from train.prepare")
    parser.add_argument("--split", default="test", help="which split (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write metrics.json and confusion.png there")
    parser.add_argument("--flip", action="store_true", help="average every picture with its mirror image")
    parser.add_argument("--batch-size", type=int, default=64, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N pictures")
    args = parser.parse_args(argv)

    info = read_info(args.data)
    model = keras_fer.load(args.weights)
    result = measure(model, info, args.split, args.batch_size, args.limit, args.flip)
    result["weights"] = str(args.weights)
    print(f"{args.weights} on {info.name} {result['split']}")
    print(metrics.table(result))
    if "classes_left_out" in result:
        print(f"not in this data, so left out: {', '.join(result['classes_left_out'])}")
    if args.out:
        write(result, args.out)


if __name__ == "__main__":
    run(main)
