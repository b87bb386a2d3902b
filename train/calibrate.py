"""Calibrate a trained model by one number: `python -m train.calibrate --weights W --data DIR`.

Temperature scaling (Guo, Pleiss, Sun, Weinberger: "On Calibration of Modern Neural Networks", ICML 2017, section 4.2)
divides the logits by the temperature that gives the labels of the validation split the highest likelihood. No answer
changes, only how sure the model is of it. The temperature becomes part of the weights: whatever opens them, and
whatever is exported from them, gives calibrated probabilities.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar

import keras_fer
from keras_fer.classifier import as_classifier
from keras_fer.command import run
from keras_fer.errors import InputError
from keras_fer.saving import update_card
from train import evaluate, metrics
from train.data import DatasetInfo, read_info

SPAN = (0.05, 20.0)
"""Temperatures that are looked at."""


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature within `SPAN` under which the labels are most likely.

    Args:
        probabilities: `(n, classes)`, of an uncalibrated model.
        labels: `(n,)`, indices of the classes.
    """

    def loss(log_temperature):
        return metrics.negative_log_likelihood(metrics.soften(probabilities, np.exp(log_temperature)), labels)

    # In 1 / temperature the loss is convex, so it has a single minimum.
    return float(np.exp(minimize_scalar(loss, bounds=np.log(SPAN), method="bounded").x))


def calibrate(
    weights: str | Path, info: DatasetInfo, split: str, batch_size: int = 64, limit: int | None = None
) -> dict:
    """Fit the temperature of a run's weights or of a `.keras` file on a split and store it in their card.

    Returns:
        What the card now says: `temperature`, and `calibration` with `data`, `split`, `n`, and `ece` and `nll`, each
        before and after.

    Raises:
        InputError: the weights are of another kind, or do not fit the data.
    """
    if Path(weights).suffix in (".tflite", ".onnx"):
        raise InputError(f"{weights} is exported already; calibrate the weights that it came from and export again")
    model = keras_fer.load(weights)
    model.card.pop("temperature", None)
    raw = evaluate.predict(as_classifier(model), info, split, batch_size, limit)
    temperature = fit_temperature(raw.probabilities, raw.labels)
    both = [raw.probabilities, metrics.soften(raw.probabilities, temperature)]
    made = {
        "data": info.name,
        "split": info.aliases.get(split, split),
        "n": len(raw.labels),
        "ece": [metrics.expected_calibration_error(rows, raw.labels) for rows in both],
        "nll": [metrics.negative_log_likelihood(rows, raw.labels) for rows in both],
    }
    entries = {"temperature": temperature, "calibration": made}
    update_card(weights, entries)
    return entries


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, calibrate and print."""
    parser = argparse.ArgumentParser(
        prog="python -m train.calibrate",
        description="Fit the temperature of a trained model's softmax on validation pictures, and store it in the "
        "weights, in place.",
        epilog="example: python -m train.calibrate --weights runs/first --data data/fer2013",
    )
    parser.add_argument("--weights", required=True, type=Path, metavar="W", help="a run folder or a .keras file")
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="a data set from train.prepare")
    parser.add_argument("--split", default="val", help="not the one to report on (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=64, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N pictures")
    args = parser.parse_args(argv)

    info = read_info(args.data)
    entries = calibrate(args.weights, info, args.split, args.batch_size, args.limit)
    made = entries["calibration"]
    print(f"temperature {entries['temperature']:.3f}, fitted on {made['n']} pictures of {made['data']} {made['split']}")
    print(f"there: ECE {made['ece'][0]:.3f} to {made['ece'][1]:.3f}, NLL {made['nll'][0]:.3f} to {made['nll'][1]:.3f}")
    print(f"stored in {args.weights}")


if __name__ == "__main__":
    run(main)
