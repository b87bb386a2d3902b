"""Label distribution learning: a trained network, the label distribution generator, sets the student's targets.

Zhao, Liu, Zhou: "Robust Lightweight Facial Expression Recognition Network with Label Distribution Training", AAAI 2021.
The generator sees the same augmented pictures, in inference mode; the labels themselves are not used.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from train.data import DatasetInfo
from train.teacher import load_teacher


class LabelDistributionLoss(keras.losses.Loss):
    """Equation 5: the mean over batch AND classes of -d log(softmax(logits)), the cross entropy by the class count.

    Takes distributions d and logits, both `(batch, classes)`.
    """

    def call(self, y_true, y_pred):
        return keras.ops.mean(-y_true * keras.ops.log_softmax(y_pred), axis=-1)


def load_generator(weights: str, info: DatasetInfo, split: str, input_size: int, floor: float) -> Callable:
    """The targets that a trained model sets: `pictures (batch, size, size, 3) in 0..255 -> (batch, classes)`.

    Args, errors: as in `train.teacher.load_teacher`.
    """
    teach = load_teacher(weights, info, split, input_size, floor)
    return lambda pictures: tf.nn.softmax(teach(pictures)[0])
