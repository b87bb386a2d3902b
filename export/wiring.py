"""A functional model as a graph of layers that can be read and rebuilt."""

from collections import defaultdict
from collections.abc import Callable

import keras

from keras_fer.inspect import trace


class Wiring:
    """Which layers feed which: `sources[layer]` and `users[layer]`, with None for the model's output as a user.

    `outputs[layer]` says which output of each source it is, where a source has several.
    """

    def __init__(self, model: keras.Model):
        calls, outputs = trace(model)
        self.layers = [call.layer for call in calls]
        writer = {tensor: (call.layer, i) for call in calls for i, tensor in enumerate(call.outputs)}
        read = {call.layer: [writer.get(tensor, (None, 0)) for tensor in call.inputs] for call in calls}
        self.sources = {layer: [source for source, _ in tensors] for layer, tensors in read.items()}
        self.outputs = {layer: [output for _, output in tensors] for layer, tensors in read.items()}
        self.users = defaultdict(list)
        for layer, sources in self.sources.items():
            for source in sources:
                self.users[source].append(layer)
        for tensor in outputs:
            self.users[writer[tensor][0]].append(None)

    def only_user(self, layer):
        """The one layer that reads what `layer` writes, else None."""
        users = self.users[layer]
        return users[0] if len(users) == 1 else None

    def of_type(self, *types):
        return [layer for layer in self.layers if isinstance(layer, types)]


def rebuild(model: keras.Model, call: Callable, finish: Callable = lambda x: x) -> keras.Model:
    """Walk the graph of `model` on fresh inputs, with `call(layer, *inputs)` in the place of each layer.

    Args:
        finish: makes the output a tensor again, where `call` hands on something else.
    """
    image = keras.Input(model.input_shape[1:], dtype=model.input.dtype, name=model.input.name)
    return keras.Model(image, finish(walk(model, image, call)), name=model.name)


def walk(model: keras.Model, image, call: Callable):
    """What comes out of the graph of `model` when `image` goes in, with `call(layer, *inputs)` for each layer."""

    def operation(layer):
        if isinstance(layer, keras.Model):
            return lambda x, **_: layer._run_through_graph(x, operation)
        return lambda *tensors, **_: call(layer, *tensors)

    # Private, but Keras' one way to walk a graph call by call.
    return model._run_through_graph(image, operation)


def like(layer, weights, *tensors, **config):
    """The output of a new layer that is `layer` but for its weights and some of its config."""
    return with_weights(type(layer).from_config(layer.get_config() | config), weights, *tensors)


def with_weights(layer, weights, *tensors):
    """The output of a layer that is given its weights as soon as it is built."""
    output = layer(*tensors)
    layer.set_weights(weights)
    return output
