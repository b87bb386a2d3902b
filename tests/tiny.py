"""A model and a data set that train in a second, for the tests of the training commands.

As a program it is a training command with the model "tiny" in the registry: `python tests/tiny.py fit --model tiny ...`
"""

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_fer import EXPRESSIONS
from keras_fer.layers import batch_norm, conv
from train.prepared import DatasetInfo, Split, encode_example, write_info

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


if __name__ == "__main__":
    from keras_fer.command import run
    from keras_fer.registry import register_model
    from train import distill, fit

    register_model(tiny)
    command = {"fit": fit, "distill": distill}[sys.argv[1]]
    run(lambda: command.main(sys.argv[2:]))
