"""What is exported of a model: one function from pictures as they are to probabilities."""

import keras
import tensorflow as tf


def serving_module(model: keras.Model, batch: int | None, dtype: str = "uint8", temperature: float = 1.0) -> tf.Module:
    """A module with the function `classify(image) -> {"probabilities"}` and all that it needs.

    Args:
        model: from pictures (batch, size, size, 3) in 0..255 to logits (batch, classes).
        batch: number of pictures, None for any.
        dtype: of the pictures.
        temperature: that the logits are divided by (`train.calibrate`).
    """

    @tf.function(input_signature=[tf.TensorSpec((batch, *model.input_shape[1:]), dtype, name="image")])
    def classify(image):
        logits = model(tf.cast(image, tf.float32), training=False)
        return {"probabilities": tf.nn.softmax(logits if temperature == 1 else logits / temperature)}

    module = tf.Module()
    # Converters freeze and save what hangs from the module; of a Keras model they see no variable.
    module.weights = [weight.value for weight in model.weights]
    module.classify = classify
    return module
