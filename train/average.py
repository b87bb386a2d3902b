"""Make one model of several: `python -m train.average --weights RUN RUN [RUN ...] --data DIR --out DIR`.

Models that started from the same weights and trained on in different ways mostly stay in one basin of the loss. The
mean of their weights then does about what the mean of their answers does, for the price of one model: Wortsman et al.,
"Model soups", ICML 2022, https://arxiv.org/abs/2203.05482, section 2, the uniform soup.
"""

import argparse
import sys
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

import keras_fer
from keras_fer.command import run
from keras_fer.errors import InputError
from keras_fer.saving import BEST
from train import evaluate
from train.data import DatasetInfo, evaluation_batches, read_info
from train.run import fingerprint, weights_hash, write_json

RECORD = "average.json"
"""What an averaged model was made of; its folder holds this and the weights, as a run folder does."""

SAME = ("model", "classes", "input_size", "mean", "std", "val_split", "data_fingerprint")
"""Entries of their cards in which models must agree to be averaged."""

OWN = ("model", "classes", "input_size", "mean", "std", "recipe", "settings", "data", "data_fingerprint", "val_split")
"""Entries that the mean takes from the first card: what all share, and how to train on."""


def average(
    weights: list[str], info: DatasetInfo, out: Path, batch_size: int = 128, limit: int | None = 10_000
) -> dict:
    """Write the uniform mean of the models into the folder `out`, which is used as a run folder is.

    The statistics of batch normalisation belong to none of the means, so they are taken anew from pictures of `train`
    (Izmailov et al., "Averaging Weights Leads to Wider Optima", UAI 2018, section 3.2).

    Args:
        weights: two or more run folders or `.keras` files.
        info: what the models were trained on.
        limit: how many pictures the statistics take, in training mode (the dropout's masks are the same each time).

    Returns:
        The card of the mean; `average` names what it is made of, `val_accuracy` was measured.

    Raises:
        InputError: fewer than two models, models that differ in more than their weights, other data than theirs, or
            `out` holds a model already.
    """
    if len(set(weights)) < 2:
        raise InputError(f"{len(set(weights))} model to be averaged; expected at least two")
    if (out / BEST).exists():
        raise InputError(f"{out} already holds a model; choose another --out")
    models = [keras_fer.load(one) for one in weights]
    model, *others = models
    trained_on = model.card.get("data_fingerprint")
    if trained_on and trained_on != fingerprint(info):
        raise InputError(f"{weights[0]} was not trained on {info.path}, or it has been prepared anew since")
    for name, other in zip(weights[1:], others):
        _check_alike(weights[0], model, name, other)
    model.set_weights([np.mean(arrays, axis=0) for arrays in zip(*(one.get_weights() for one in models))])
    _measure_statistics(model, info, batch_size, limit)
    split = model.card.get("val_split", "val")
    model.card.pop("temperature", None)
    accuracy = evaluate.measure(model, info, split, batch_size)["accuracy"]
    made_of = {one: weights_hash(one) for one in weights}
    card = {key: model.card[key] for key in OWN if key in model.card}
    card |= {"val_accuracy": accuracy, "average": [f"{Path(one).name}, {known}" for one, known in made_of.items()]}
    out.mkdir(parents=True, exist_ok=True)
    keras_fer.save(model, out / BEST, card)
    write_json(out / RECORD, {"weights": made_of, "val_accuracy": accuracy, "command": " ".join(sys.argv)})
    return card


def _check_alike(first_name, first, name, other):
    for key in SAME:
        if first.card.get(key) != other.card.get(key):
            raise InputError(
                f"{key} of {name} is {other.card.get(key)}; expected {first.card.get(key)}, {first_name}'s"
            )
    shapes = [[weight.shape for weight in model.weights] for model in (first, other)]
    if shapes[0] != shapes[1]:
        raise InputError(f"{name} has weights of other shapes than {first_name}; both must be the same network")


def _measure_statistics(model, info, batch_size, limit):
    """Set the moving statistics of batch normalisation to the mean over the batches of training pictures."""
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    if not layers:
        return
    keras.utils.set_random_seed(0)
    momenta = [layer.momentum for layer in layers]
    size = model.card["input_size"]
    batches = evaluation_batches(info, "train", batch_size=batch_size, input_size=size, limit=limit)
    for i, (pictures, _) in enumerate(tqdm(batches, desc="statistics", unit="batch", leave=False, disable=None)):
        for layer in layers:
            layer.momentum = i / (i + 1)
        model(pictures, training=True)
    for layer, momentum in zip(layers, momenta):
        layer.momentum = momentum


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, average and print."""
    parser = argparse.ArgumentParser(
        prog="python -m train.average",
        description="Make one model of several that started from the same weights: the mean of their weights.",
        epilog="example: python -m train.average --weights runs/a runs/b --data data/fer2013 --out runs/both",
    )
    parser.add_argument("--weights", required=True, nargs="+", metavar="W", help="run folders or .keras files")
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="what they were trained on")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="a new folder")
    parser.add_argument("--batch-size", type=int, default=128, metavar="N", help="(default: %(default)s)")
    parser.add_argument(
        "--limit", type=int, default=10_000, metavar="N", help="pictures for the statistics (default: %(default)s)"
    )
    args = parser.parse_args(argv)
    info = read_info(args.data)
    card = average(args.weights, info, args.out, args.batch_size, args.limit)
    of = " and ".join(entry.split(",")[0] for entry in card["average"])
    print(f"the mean of {of}: {100 * card['val_accuracy']:.2f} % on {card.get('val_split', 'val')}, in {args.out}")


if __name__ == "__main__":
    run(main)
