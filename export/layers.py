"""Layers of deployed graphs: what `export.deploy` puts in the place of layers that phones run slowly."""

import keras
import numpy as np
from keras import ops


class Normalize(keras.layers.Layer):
    """`keras_fer.layers.Normalize` over whole rows: `(batch, height, width, 3)` in and out.

    A factor for each of only three channels would be a call of the kernel for each pixel.
    """

    def __init__(self, scale, offset, **kwargs):
        super().__init__(**kwargs)
        self.scale, self.offset = tuple(scale), tuple(offset)

    def call(self, x):
        _, height, width, channels = x.shape
        scale, offset = (np.tile(v, width).astype("float32") for v in (self.scale, self.offset))
        rows = ops.reshape(x, (-1, height, width * channels)) * scale + offset
        return ops.reshape(rows, (-1, height, width, channels))

    def get_config(self):
        return {**super().get_config(), "scale": self.scale, "offset": self.offset}


class Affine(keras.layers.Layer):
    """`x * gamma + beta` for each channel: what remains of a layer norm where the next layer cannot take it over."""

    def build(self, shape):
        self.gamma = self.add_weight(name="gamma", shape=shape[-1:], initializer="ones")
        self.beta = self.add_weight(name="beta", shape=shape[-1:], initializer="zeros")

    def call(self, x):
        return x * self.gamma + self.beta


class Centre(keras.layers.Layer):
    """Takes the mean over the channels away."""

    def call(self, x):
        return x - ops.mean(x, axis=-1, keepdims=True)


class Scale(keras.layers.Layer):
    """Divides by the root mean square over the channels: a layer norm of what has mean zero.

    XNNPACK computes the mean of squares in one pass, so this takes two where a layer norm takes seven.
    """

    def __init__(self, epsilon, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def call(self, x):
        return x * ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + self.epsilon)

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}


class Channels(keras.layers.Layer):
    """The channels `start` to `stop`."""

    def __init__(self, start, stop, **kwargs):
        super().__init__(**kwargs)
        self.start, self.stop = start, stop

    def call(self, x):
        return x[..., self.start : self.stop]

    def get_config(self):
        return {**super().get_config(), "start": self.start, "stop": self.stop}


class PadRows(keras.layers.Layer):
    """Zeros `((above, below), (left, right))` of a map: a ZeroPadding2D that moves whole rows, not single pixels."""

    def __init__(self, padding, **kwargs):
        super().__init__(**kwargs)
        self.padding = padding

    def call(self, x):
        _, height, width, channels = x.shape
        (top, bottom), (left, right) = self.padding
        rows = ops.reshape(x, (-1, height, width * channels))
        rows = ops.pad(rows, ((0, 0), (top, bottom), (left * channels, right * channels)))
        return ops.reshape(rows, (-1, top + height + bottom, left + width + right, channels))

    def get_config(self):
        return {**super().get_config(), "padding": self.padding}
