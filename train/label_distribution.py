"""Label distribution learning: a trained network, the label distribution generator, sets the student's targets.

Zhao, Liu, Zhou: "Robust Lightweight Facial Expression Recognition Network with Label Distribution Training", AAAI 2021.
The generator sees the same augmented pictures, in inference mode; the labels themselves are not used.
"""

from collections.abc import Callable

import keras

import keras_fer
from keras_fer.errors import InputError
from train import evaluate
from train.data import DatasetInfo


class LabelDistributionLoss(keras.losses.Loss):
    """Equation 5: the mean over batch AND classes of -d log(softmax(logits)), the cross entropy by the class count.

    Takes distributions d and logits, both `(batch, classes)`.
    """

    def call(self, y_true, y_pred):
        return keras.ops.mean(-y_true * keras.ops.log_softmax(y_pred), axis=-1)


def load_generator(weights: str, info: DatasetInfo, split: str, input_size: int, floor: float) -> Callable:
    """The targets that a trained model sets: `pictures (batch, size, size, 3) in 0..255 -> (batch, classes)`.

    Args:
        weights: a run folder or a .keras file.
        info: what the student learns; the targets are in the order of its classes.
        split: where the generator is measured if its card has no validation accuracy.
        input_size: of the student's pictures.
        floor: validation accuracy that the generator must reach, 0..1.

    Raises:
        InputError: the generator knows other classes or sizes of pictures, or is worse than `floor`.
    """
    generator = keras_fer.load(weights)
    if set(generator.classes) != set(info.classes):
        raise InputError(
            f"{weights} knows the classes {', '.join(generator.classes)}; "
            f"the labels of {info.path} are {', '.join(info.classes)}"
        )
    if generator.input_shape[1] != input_size:
        raise InputError(
            f"{weights} looks at {generator.input_shape[1]} pixels; the recipe's input_size is {input_size}"
        )
    accuracy = generator.card.get("val_accuracy")
    if accuracy is None:
        accuracy = evaluate.measure(generator, info, split)["accuracy"]
    if accuracy < floor:
        raise InputError(
            f"the validation accuracy of {weights} is {accuracy:.3f}, less than teacher_floor={floor:g}: "
            "its distributions would teach its mistakes"
        )
    columns = [generator.classes.index(name) for name in info.classes]

    def distributions(pictures):
        logits = keras.ops.take(generator(pictures, training=False), columns, axis=-1)
        return keras.ops.stop_gradient(keras.ops.softmax(logits))

    return distributions
