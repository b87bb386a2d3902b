"""The smallest trained model: its classes are anger for red crops, disgust for green, sadness for blue ones.

In each format that `keras_fer.classifier` reads. The .tflite file is kept beside this one, since converting it takes
TensorFlow and half a minute: `python -m tests.colour_models` writes it anew.
"""

import json
import zipfile
from pathlib import Path

CARD = {"model": "colour", "classes": ["anger", "disgust", "sadness"], "input_size": 16, "crop": {"margin": 0.8}}
TFLITE = Path(__file__).with_name("colour.tflite")


def write_keras(path: Path) -> Path:
    import keras

    import keras_fer

    image = keras.Input((16, 16, 3))
    mean = keras.layers.GlobalAveragePooling2D()(image)
    keras_fer.save(keras.Model(image, keras.layers.Rescaling(1 / 32)(mean)), path, CARD)
    return path


def write_onnx(path: Path, card: dict | None = CARD) -> Path:
    import onnx
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Mul", ["mean", "scale"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 16, 16, 3])
    probabilities = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 3])
    scale = helper.make_tensor("scale", TensorProto.FLOAT, [], [1 / 32])
    graph = helper.make_graph(nodes, "colour", [image], [probabilities], [scale])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if card is not None:
        helper.set_model_props(model, {"card": json.dumps(card)})
    onnx.save(model, path)
    return path


def write_tflite(path: Path, card: dict | str | None = CARD) -> Path:
    """A copy of the kept file, with another card; None for none, a string as it is."""
    with zipfile.ZipFile(TFLITE) as archive:
        start = min(member.header_offset for member in archive.infolist())
    path.write_bytes(TFLITE.read_bytes()[:start])
    if card is not None:
        append_card(path, card)
    return path


def append_card(path: Path, card: dict | str) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", "\n".join(CARD["classes"]))
        archive.writestr("card.json", card if isinstance(card, str) else json.dumps(card))


def convert() -> None:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((1, 16, 16, 3), tf.uint8, name="image")])
    def classify(image):
        return tf.nn.softmax(tf.reduce_mean(tf.cast(image, tf.float32), axis=(1, 2)) / 32)

    converter = tf.lite.TFLiteConverter.from_concrete_functions([classify.get_concrete_function()])
    TFLITE.write_bytes(converter.convert())
    append_card(TFLITE, CARD)


if __name__ == "__main__":
    convert()
