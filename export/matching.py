"""Which tensors of a float .tflite file are which outputs of the model's layers.

They are found by what they hold for a picture: the converter renames and merges as it likes.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from export import flatbuffer
from export.quantize import MULTIPLIERS, float_values
from export.wiring import Wiring, walk
from keras_fer.layers import MatMul

MULTIPLYING = (layers.Conv2D, layers.Dense, layers.DepthwiseConv2D, MatMul)

SAME = 1e-3
"""An output and a tensor are one if they differ by less, relative to the largest value. (LiteRT's GELU is approximate,
and a deep graph adds up such differences; two layers that compute different things differ a thousand times more.)"""


class Matching:
    """The outputs of a model's layers in its float file.

    Args:
        model: as `export.deploy.deployable` returns it.
        content: its float .tflite file.
        picture: (size, size, 3), of the file's input type.
    """

    def __init__(self, model: keras.Model, content: bytes, picture: np.ndarray):
        self.wiring = Wiring(model)
        self.graph = flatbuffer.read(content)
        self.tensors = _find(model, content, picture)

    def whole(self, layer: keras.layers.Layer) -> list[int]:
        """The tensors that hold what the layer computes, or the layer behind it that the file computes with it."""
        while layer is not None and not any(self.tensors[layer]):
            layer = self.wiring.only_user(layer)
        return [index for found in self.tensors[layer] for index in found] if layer is not None else []

    def products(self) -> dict[str, list[int]]:
        """The tensors that each layer's multiplication writes, by the layer's name, in the order of the graph."""
        writer = {tensor: operator.name for operator in self.graph.operators for tensor in operator.outputs}
        found = {
            layer.name: [index for index in self.whole(layer) if writer.get(index) in MULTIPLIERS]
            for layer in self.wiring.of_type(*MULTIPLYING)
        }
        return {name: indices for name, indices in found.items() if indices}


def _find(model, content, picture):
    """For each layer and output the tensors that hold it, those of its own shape and the nearest first."""
    values = float_values(content, picture)
    outputs = {}

    def call(layer, *inputs):
        outputs[layer] = layer(*inputs)
        return outputs[layer]

    walk(model, tf.constant(picture[None], tf.float32), call)

    def search(output):
        output = output.numpy()[0]
        flat = output.ravel()
        limit = SAME * max(np.abs(flat).max(), np.finfo("float32").tiny)
        off = {i: np.abs(v.ravel() - flat).max() for i, v in values.items() if v.size == flat.size}
        found = [i for i, difference in off.items() if difference <= limit]
        return sorted(found, key=lambda i: (values[i].shape[1:] != output.shape, off[i]))

    return {layer: [search(x) for x in keras.tree.flatten(made)] for layer, made in outputs.items()}
