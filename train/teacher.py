"""Trained models that teach: checked before they are used, and shown the student's own pictures."""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

import keras_fer
from keras_fer.errors import InputError
from train import evaluate
from train.data import DatasetInfo

Teacher = Callable[[tf.Tensor], tuple[tf.Tensor, list[tf.Tensor]]]
"""Pictures `(batch, size, size, 3)` in 0..255 to logits `(batch, classes)` and maps, in inference mode."""


def load_teacher(
    weights: str, info: DatasetInfo, split: str, input_size: int, floor: float, layers: Sequence[str] = ()
) -> Teacher:
    """A trained model as a function of the student's augmented pictures, which it sees at its own size.

    Args:
        weights: a run folder or a .keras file.
        info: what the student learns; the logits are in the order of its classes.
        split: where the teacher is measured if its card has no validation accuracy, or one of another size.
        input_size: of the student's pictures.
        floor: validation accuracy that the teacher must reach, 0..1.
        layers: whose outputs are the maps.

    Raises:
        InputError: the teacher knows other classes, is worse than `floor`, or lacks a layer.
    """
    model = keras_fer.load(weights)
    if set(model.classes) != set(info.classes):
        raise InputError(
            f"{weights} knows the classes {', '.join(model.classes)}; "
            f"the labels of {info.path} are {', '.join(info.classes)}"
        )
    columns = [model.classes.index(name) for name in info.classes]
    own_size = model.input_shape[1]
    accuracy = model.card.get("val_accuracy")
    if own_size != input_size:
        print(f"{weights} was trained at {own_size} pixels and sees the student's {input_size}, resized")
        accuracy = None
    if accuracy is None:
        accuracy = evaluate.measure(_at(model, input_size), info, split)["accuracy"]
    if accuracy < floor:
        raise InputError(
            f"the validation accuracy of {weights} is {accuracy:.3f}, less than teacher_floor={floor:g}: "
            "it would teach its mistakes"
        )
    outputs = {name: find_layer(model, name, weights).output for name in layers}
    looking = keras.Model(model.input, {"logits": model.output, "maps": outputs})
    fitted = resizer(input_size, own_size)

    def teach(pictures):
        outputs = looking(fitted(tf.cast(pictures, tf.float32)), training=False)
        logits = tf.gather(tf.cast(outputs["logits"], tf.float32), columns, axis=-1)
        return logits, [outputs["maps"][name] for name in layers]

    return teach


def find_layer(model: keras.Model, name: str, what: str) -> keras.layers.Layer:
    """The layer of that name.

    Raises:
        InputError: `what`, which the model is, has none.
    """
    try:
        return model.get_layer(name)
    except ValueError:
        raise InputError(
            f"{what} has no layer {name!r}, which feature_maps names; feature_weight=0 compares no maps"
        ) from None


def resizer(before: int, after: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """Square maps `(batch, before, before, channels)` to the side `after`, as `train.augment.resize` makes them.

    Resizing is linear along each axis, so it is two products with small matrices, which XLA compiles everywhere.
    """
    if before == after:
        return lambda maps: maps
    matrix = tf.image.resize(tf.eye(before)[..., None], (after, before), antialias=True)[..., 0]
    return lambda maps: tf.einsum("ih,bhwc,jw->bijc", tf.cast(matrix, maps.dtype), maps, tf.cast(matrix, maps.dtype))


def _at(model, size):
    """The model behind pictures of another size."""
    if size == model.input_shape[1]:
        return model
    pictures = keras.Input((size, size, 3))
    resize = keras.layers.Lambda(resizer(size, model.input_shape[1]), output_shape=model.input_shape[1:])
    resized = keras.Model(pictures, model(resize(pictures)))
    resized.classes, resized.card = model.classes, model.card | {"input_size": size}
    return resized
