"""A Keras 3 model as a tf_keras model, on which TensorFlow's Model Optimization Toolkit works.

Keras' own layers become those of tf_keras; the project's keep their code, which runs on tf_keras' tensors as it is.
"""

import importlib
import inspect
from collections.abc import Callable

import keras
import tf_keras

from export.wiring import walk


@tf_keras.utils.register_keras_serializable("keras_fer")
class Ported(tf_keras.layers.Layer):
    """A Keras 3 layer in a tf_keras graph: its function, and its weights as tf_keras' own.

    Args:
        kind: module and name of the layer's class.
        config: the layer's config.
    """

    def __init__(self, kind, config, **kwargs):
        super().__init__(**kwargs)
        self.kind, self.config = tuple(kind), config
        module, name = kind
        self.origin = getattr(importlib.import_module(module), name).from_config(config)

    def build(self, shapes):
        self.origin.build([tuple(s) for s in shapes] if isinstance(shapes, list) else tuple(shapes))
        self.variables_of_origin = [weight.value for weight in self.origin.weights]
        super().build(shapes)

    def call(self, inputs):
        return self.origin.call(*inputs) if isinstance(inputs, list) else self.origin.call(inputs)

    def get_config(self):
        return {**super().get_config(), "kind": self.kind, "config": self.config}


def port(layer: keras.layers.Layer) -> tf_keras.layers.Layer:
    """A tf_keras layer, without weights yet, that does what `layer` does."""
    kind = type(layer)
    native = getattr(tf_keras.layers, kind.__name__, None)
    config = layer.get_config()
    if native is None or not kind.__module__.startswith("keras.") or isinstance(config.get("activation"), dict):
        return Ported((kind.__module__, kind.__name__), config, name=layer.name)
    # How a layer starts and which policy it has are written differently; weights are set, and all is float32.
    strangers = ("initializer", "regularizer", "constraint", "dtype")
    known = [key for key in inspect.signature(native).parameters if not key.endswith(strangers)]
    return native(name=layer.name, **{key: config[key] for key in known if key in config and key != "name"})


def rebuild(model: keras.Model, call: Callable | None = None, finish: Callable = lambda x: x) -> tf_keras.Model:
    """An equal tf_keras model with the same layer names, which shares no weights with `model`.

    Args:
        call: called in the place of each layer with it, its tf_keras port and the inputs; by default it calls the port.
        finish: makes the output a tensor again, where `call` hands on something else.
    """
    image = tf_keras.Input(model.input_shape[1:], name=model.input.name)
    ports = []

    def operation(layer, *tensors):
        made = port(layer)
        ports.append((layer, made))
        return call(layer, made, *tensors) if call else made(as_argument(tensors))

    rebuilt = tf_keras.Model(image, finish(walk(model, image, operation)), name=model.name)
    for layer, made in ports:
        made.set_weights(layer.get_weights())
        made.trainable = layer.trainable
    return rebuilt


def as_argument(tensors):
    """What a Keras 3 layer was called on, as the one argument that tf_keras' layers take."""
    return tensors[0] if len(tensors) == 1 else list(tensors)
