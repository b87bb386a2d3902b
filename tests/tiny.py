"""A model, a data set and a command line that train in a second, for the tests of the training commands.

As a program it is a training command with the model "tiny" in the registry: `python tests/tiny.py fit --model tiny ...`
"""

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import keras_fer
from keras_fer import EXPRESSIONS
from keras_fer.layers import batch_norm, conv
from train.prepared import DatasetInfo, Split, encode_example, write_info

ROOT = Path(__file__).resolve().parents[1]
CLASSES = EXPRESSIONS[:3]
SIZE = 32


def tiny(x, num_classes, dropout=0.5, norm=1.0):
    """Two convolutions, with the layers that hold state of their own: batch normalisation and dropout."""
    x = conv(x, 8, 3, 4, use_bias=not norm, name="conv1")
    x = keras.layers.ReLU()(batch_norm(x, name="bn1") if norm else x)
    x = keras.layers.ReLU()(conv(x, 8, 3, 2, use_bias=True, name="conv2"))
    x = keras.layers.Dropout(dropout)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.layers.Dense(num_classes, name="fc")(x)


def write_data(folder: Path, classes=CLASSES, seed: int = 0, votes=None, **splits: int) -> DatasetInfo:
    """A prepared set of noisy pictures whose colour tells the class, with the given number of pictures a split.

    `votes` has the label distribution of each class, if there are any.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir()
    written = {}
    for name, n in splits.items():
        labels = rng.permutation(np.arange(n) % len(classes))
        file = f"{name}-00000-of-00001.tfrecord"
        size = 0
        with tf.io.TFRecordWriter(str(folder / file)) as writer:
            for i, label in enumerate(labels):
                colour = 90 + 60 * np.eye(3)[label % 3]
                picture = np.clip(rng.normal(colour, 80, (SIZE, SIZE, 3)), 0, 255).astype(np.uint8)
                encoded = tf.io.encode_png(picture).numpy()
                size += len(encoded)
                distribution = None if votes is None else tuple(votes[label])
                writer.write(encode_example(encoded, int(label), f"{name}/{i}", distribution))
        counts = {expression: int((labels == i).sum()) for i, expression in enumerate(classes)}
        written[name] = Split(n, counts, size, {file: n})
    info = DatasetInfo(folder, "colours", tuple(classes), written, {}, votes is not None, seed, [], [], {})
    write_info(info)
    return info


def arguments(data: Path, out: Path, *more: str, **settings) -> list[str]:
    """The command line of a small run; `settings` replace the recipe's, and those that make it small."""
    small = {"input_size": SIZE, "batch_size": 16, "learning_rate": 0.02, "warmup": 0, "ema": 0.8}
    words = [word for key, value in {**small, **settings}.items() for word in ("--set", f"{key}={value}")]
    return ["--model", "tiny", "--recipe", "drawn", "--data", str(data), "--out", str(out), *words, *more]


def log(run: Path) -> list[dict[str, float]]:
    """The rows of log.csv without the times."""
    with (run / "log.csv").open() as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    return [{k: v for k, v in row.items() if k not in ("seconds", "pictures_per_second")} for row in rows]


def kill_after(epoch: int, command: str, words: list[str]) -> None:
    """Run a training command in a process of its own, which is killed (-9) when it has said that the epoch is done."""
    process = subprocess.Popen(
        [sys.executable, __file__, command, *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if line.startswith(f"epoch {epoch:3}/"):
            break
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()


def assert_same_run(one: Path, other: Path) -> None:
    """Both have the same history and the same weights."""
    histories = [[list(row.values()) for row in log(run)] for run in (one, other)]
    np.testing.assert_allclose(*histories, rtol=0, atol=1e-6)
    for a, b in zip(*(keras_fer.load(run).get_weights() for run in (one, other)), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


if __name__ == "__main__":
    from keras_fer.command import run
    from keras_fer.registry import register_model
    from train import distill, fit

    register_model(tiny)
    command = {"fit": fit, "distill": distill}[sys.argv[1]]
    run(lambda: command.main(sys.argv[2:]))
