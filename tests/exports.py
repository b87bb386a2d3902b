"""Exports for the tests, made in a process of its own: TensorFlow's converter leaks, and warns as it likes.

`python -m tests.exports JOB FOLDER` writes files into FOLDER and prints one JSON object.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import keras_fer
from export import card, onnx, pictures, saved_model, tflite, verify
from export.deploy import deployable
from keras_fer.registry import register_model
from tests import tiny
from train.data import read_info
from train.drawn import draw

register_model(tiny.tiny)


def trained(name: str, size: int, seed: int = 0) -> keras.Model:
    """A model that tells faces apart, though it never learned: its batch norms know drawn faces, its head is large."""
    keras.utils.set_random_seed(seed)
    classes = keras_fer.EXPRESSIONS[:7]
    model = keras_fer.create_model(name, len(classes), input_size=size)
    faces = np.stack([draw(i, expression, size=size) for i, expression in enumerate(classes)]).astype("float32")
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable]
    for norm in norms:
        norm.momentum = 0.5
    for _ in range(6 if norms else 0):
        model(faces, training=True)
    model.classes = classes
    model.card = {"model": name, "classes": list(classes), "input_size": size, "recipe": "none"}
    return model


def tiny_files(folder: Path, *more: str) -> dict:
    """The tiny model by every scheme, from a `.keras` file, through the command; with more words to it."""
    model = trained("tiny", 32)
    keras_fer.save(model, folder / "tiny.keras", model.card)
    tiny.write_data(folder / "data", keras_fer.EXPRESSIONS[:7], train=70, val=35)
    for scheme in tflite.TOLERANCES:
        words = ["--weights", str(folder / "tiny.keras"), "--quantize", scheme, "--data", str(folder / "data")]
        tflite.main([*words, *more, "--out", str(folder / f"{scheme}.tflite")])
    tflite.main(["--weights", str(folder / "tiny.keras"), "--input", "float32", "--out", str(folder / "float.tflite")])
    faces = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
    np.save(folder / "faces.npy", faces)
    np.save(folder / "probabilities.npy", verify.probabilities(model, faces))
    return {"layers": [layer.name for layer in model.layers]}


def other_formats(folder: Path) -> dict:
    """The tiny model as ONNX and as a SavedModel, through the commands."""
    model = trained("tiny", 32)
    keras_fer.save(model, folder / "tiny.keras", model.card)
    onnx.main(["--weights", str(folder / "tiny.keras"), "--out", str(folder / "tiny.onnx")])
    saved_model.main(["--weights", str(folder / "tiny.keras"), "--out", str(folder / "served")])
    faces = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
    np.save(folder / "faces.npy", faces)
    np.save(folder / "probabilities.npy", verify.probabilities(model, faces))
    return {}


def registry_files(folder: Path, name: str) -> dict:
    """A model of the registry, float and int8."""
    model = trained(name, 64)
    (folder / "data").exists() or tiny.write_data(folder / "data", keras_fer.EXPRESSIONS[:7], train=70, val=35)
    info = read_info(folder / "data")
    return {
        scheme: tflite.export(model, scheme, folder / f"{name}-{scheme}.tflite", info) for scheme in ("none", "int8")
    }


# --- Broken on purpose ---


class Odd(keras.layers.Layer):
    """A function that LiteRT does not bring along."""

    def call(self, x):
        square = tf.linalg.inv(tf.reshape(x[:, :4], (-1, 2, 2)))
        return tf.concat([tf.reshape(square, (-1, 4)), x[:, 4:]], axis=1)


def broken(folder: Path) -> dict:
    """For each way to break an export, what the verification says."""
    model = trained("tiny", 32)
    other = trained("tiny", 32)
    other.get_layer("normalize").mean = (0.5, 0.5, 0.5)
    odd = keras.Model(model.input, Odd(name="odd")(model.output))
    image = keras.Input((32, 32, 3))
    swapped = keras.Model(image, model(image[..., ::-1]))
    permuted = keras.Model(image, model(image)[..., ::-1])
    faces = pictures.for_verification(None, model.classes, 32)
    says = {}

    def attempt(what, content, names=None):
        path = folder / "broken.tflite"
        path.write_bytes(content)
        try:
            tflite.check(path, model, faces, tflite.TOLERANCES["none"], "uint8")
            card.append(path, card.make_card(model, content, "uint8", {}) | {"classes": names or list(model.classes)})
            verify.check_card(path, model)
            says[what] = ""
        except verify.VerificationError as error:
            says[what] = str(error)

    attempt("nothing", tflite.convert(deployable(model)))
    attempt("a Flex operator", convert(odd, tf.lite.OpsSet.SELECT_TF_OPS))
    attempt("a variable", convert(model, freeze=False))
    attempt("an open batch", convert(model, batch=None))
    attempt("a wrong mean", tflite.convert(deployable(other)))
    attempt("swapped channels", tflite.convert(swapped))
    attempt("permuted outputs", tflite.convert(permuted))
    attempt("shuffled labels", tflite.convert(deployable(model)), list(reversed(model.classes)))
    attempt("a float input", tflite.convert(deployable(model), "float32"))
    return says


def convert(model, *more_operators, batch=1, freeze=True):
    """A conversion as one might write it who does not know the traps."""
    module = tf.Module()
    module.weights = [weight.value for weight in model.weights]

    @tf.function(input_signature=[tf.TensorSpec((batch, 32, 32, 3), tf.uint8, name="image")])
    def classify(image):
        return tf.nn.softmax(model(tf.cast(image, tf.float32), training=False))

    module.classify = classify
    owner = module if freeze else model  # a Keras model shows the converter none of its variables
    converter = tf.lite.TFLiteConverter.from_concrete_functions([classify.get_concrete_function()], owner)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, *more_operators]
    return converter.convert()


if __name__ == "__main__":
    job, folder, *words = sys.argv[1:]
    jobs = {"tiny": tiny_files, "formats": other_formats, "registry": registry_files, "broken": broken}
    print(json.dumps(jobs[job](Path(folder), *words)))
