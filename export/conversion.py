"""A Keras model as a float .tflite file, which every scheme of quantization starts from."""

import keras
import tensorflow as tf

from export.deploy import deployable
from export.serving import serving_module


def float_content(model: keras.Model, dtype: str = "uint8") -> bytes:
    """The float .tflite file of a model as `keras_fer.load` returns it, rewritten for phones."""
    return convert(deployable(model), dtype)


def convert(model: keras.Model, dtype: str = "uint8") -> bytes:
    """A float .tflite file: one picture in, probabilities out, builtin operators.

    Args:
        model: gives logits.
        dtype: of the input.
    """
    module = serving_module(model, 1, dtype)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.classify.get_concrete_function()], module)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter.convert()
