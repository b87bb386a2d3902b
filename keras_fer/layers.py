"""The layers that Keras lacks, and the ones that must match the authors' code, built in one place.

Models are functional graphs of leaf layers, so that every exporter sees plain operators. Layers with weights are named
by their path in the authors' state_dict (`stage2.0.branch1.0`), which makes the conversion of weights a rule instead of
a table (`keras_fer.convert`).
"""

import math

import keras
import numpy as np
from keras import ops

BATCH_NORM_EPSILON = 1e-5
"""PyTorch's default. Keras' own is 1e-3, which moves logits by a percent."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

HE_FAN_OUT = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
TRUNCATED_NORMAL = keras.initializers.TruncatedNormal(stddev=0.02)

register = keras.saving.register_keras_serializable("keras_fer")


@register
def gelu(x):
    """The exact GELU, written with erf: it exports as one fused operator (TFLite) or as `Erf` (ONNX).

    `keras.ops.gelu` defaults to the tanh approximation, and its exact form becomes an invalid `Erfc` in ONNX.
    """
    return 0.5 * x * (1.0 + ops.erf(x * math.sqrt(0.5)))


@register
class Normalize(keras.layers.Layer):
    """Turns RGB in 0..255 into `(x / 255 - mean) / std`, so that a model needs no preprocessing outside of its graph.

    Args:
        mean, std: three numbers each, for RGB in 0..1.
    """

    def __init__(self, mean, std, **kwargs):
        super().__init__(**kwargs)
        self.mean = tuple(float(v) for v in mean)
        self.std = tuple(float(v) for v in std)

    def call(self, x):
        scale = [1.0 / (255.0 * s) for s in self.std]
        offset = [-m / s for m, s in zip(self.mean, self.std)]
        return x * ops.convert_to_tensor(scale, x.dtype) + ops.convert_to_tensor(offset, x.dtype)

    def get_config(self):
        return {**super().get_config(), "mean": self.mean, "std": self.std}


@register
class MatMul(keras.layers.Layer):
    """`scale * a @ b`, or `scale * a @ transpose(b)`, over the last two axes: the two products of attention."""

    def __init__(self, transpose_b=False, scale=1.0, **kwargs):
        super().__init__(**kwargs)
        self.transpose_b = transpose_b
        self.scale = scale

    def call(self, a, b):
        if self.transpose_b:
            b = ops.swapaxes(b, -1, -2)
        product = ops.matmul(a, b)
        return product if self.scale == 1.0 else product * self.scale

    def get_config(self):
        return {**super().get_config(), "transpose_b": self.transpose_b, "scale": self.scale}


@register
class ChannelSplit(keras.layers.Layer):
    """Cuts the last axis into equal parts; returns them as a list."""

    def __init__(self, parts=2, **kwargs):
        super().__init__(**kwargs)
        self.parts = parts

    def call(self, x):
        return ops.split(x, self.parts, axis=-1)

    def get_config(self):
        return {**super().get_config(), "parts": self.parts}


@register
class WindowPartition(keras.layers.Layer):
    """Cuts a map into square windows, which join the batch axis row by row.

    `(batch, height, width, channels)` becomes `(batch * windows, size, size, channels)`, through tensors of four axes.
    """

    def __init__(self, size, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def call(self, x):
        _, _, width, channels = x.shape
        x = ops.reshape(x, (-1, self.size, width // self.size, self.size * channels))
        x = ops.transpose(x, (0, 2, 1, 3))
        return ops.reshape(x, (-1, self.size, self.size, channels))

    def get_config(self):
        return {**super().get_config(), "size": self.size}


@register
class WindowMerge(keras.layers.Layer):
    """Undoes `WindowPartition` for a map of the given height and width."""

    def __init__(self, height, width, **kwargs):
        super().__init__(**kwargs)
        self.height = height
        self.width = width

    def call(self, x):
        _, size, _, channels = x.shape
        x = ops.reshape(x, (-1, self.width // size, size, size * channels))
        x = ops.transpose(x, (0, 2, 1, 3))
        return ops.reshape(x, (-1, self.height, self.width, channels))

    def get_config(self):
        return {**super().get_config(), "height": self.height, "width": self.width}


@register
class ClassToken(keras.layers.Layer):
    """Puts one learned token in front of `(batch, length, dim)`."""

    def build(self, shape):
        self.token = self.add_weight(name="token", shape=(1, 1, shape[-1]), initializer=TRUNCATED_NORMAL.clone())

    def call(self, x):
        token = ops.broadcast_to(ops.cast(self.token, x.dtype), (ops.shape(x)[0], 1, x.shape[-1]))
        return ops.concatenate([token, x], axis=1)


@register
class PositionEmbedding(keras.layers.Layer):
    """Adds a learned vector to every place of `(batch, length, dim)`."""

    def build(self, shape):
        self.embedding = self.add_weight(name="embedding", shape=(1, *shape[1:]), initializer=TRUNCATED_NORMAL.clone())

    def call(self, x):
        return x + ops.cast(self.embedding, x.dtype)


@register
class RelativePositionBias(keras.layers.Layer):
    """Adds a learned bias to attention scores inside a square window, by the offset from key to query.

    Swin Transformer (https://arxiv.org/abs/2103.14030), equation 4. Scores are `(batch, heads, tokens, tokens)`, tokens
    in row order; the table is `((2 * window - 1) ** 2, heads)`.
    """

    def build(self, shape):
        _, heads, tokens, _ = shape
        window = math.isqrt(tokens)
        y, x = np.divmod(np.arange(tokens), window)
        dy, dx = y[:, None] - y + window - 1, x[:, None] - x + window - 1
        self.index = (dy * (2 * window - 1) + dx).ravel().astype("int32")
        self.table = self.add_weight(
            name="table", shape=((2 * window - 1) ** 2, heads), initializer=TRUNCATED_NORMAL.clone()
        )

    def call(self, scores):
        _, heads, tokens, _ = scores.shape
        bias = ops.take(ops.cast(self.table, scores.dtype), self.index, axis=0)
        bias = ops.transpose(ops.reshape(bias, (1, tokens, tokens, heads)), (0, 3, 1, 2))
        return scores + bias


@register
class LayerScale(keras.layers.Layer):
    """Multiplies every channel by a learned factor, which starts at `initial` (https://arxiv.org/abs/2103.17239)."""

    def __init__(self, initial, **kwargs):
        super().__init__(**kwargs)
        self.initial = initial

    def build(self, shape):
        initializer = keras.initializers.Constant(self.initial)
        self.gamma = self.add_weight(name="gamma", shape=(shape[-1],), initializer=initializer)

    def call(self, x):
        return x * ops.cast(self.gamma, x.dtype)

    def get_config(self):
        return {**super().get_config(), "initial": self.initial}


@register
class ChannelShuffle(keras.layers.Layer):
    """Reads channels laid out as `(groups, channels / groups)` and writes them as `(channels / groups, groups)`.

    ShuffleNet (https://arxiv.org/abs/1707.01083), section 3.1. Works on `(batch, height, width, channels)`, through
    tensors of four axes, since mobile runtimes handle five poorly.
    """

    def __init__(self, groups=2, **kwargs):
        super().__init__(**kwargs)
        self.groups = groups

    def call(self, x):
        _, height, width, channels = x.shape
        x = ops.reshape(x, (-1, height * width, self.groups, channels // self.groups))
        x = ops.transpose(x, (0, 1, 3, 2))
        return ops.reshape(x, (-1, height, width, channels))

    def get_config(self):
        return {**super().get_config(), "groups": self.groups}


@register
class DepthwiseNormal(keras.initializers.Initializer):
    """Zero-mean normal values with variance `scale / (kernel height * kernel width)`, for depthwise kernels.

    Keras' variance scaling counts all input channels of a depthwise kernel as its fan and so starts it far too small.
    """

    def __init__(self, scale=2.0):
        self.scale = scale

    def __call__(self, shape, dtype=None):
        deviation = math.sqrt(self.scale / (shape[0] * shape[1]))
        return keras.random.normal(shape, stddev=deviation, dtype=dtype)

    def get_config(self):
        return {"scale": self.scale}


def conv(x, filters, size, strides=1, padding=None, dilation=1, use_bias=False, name=None, trainable=True):
    """Convolution padded as PyTorch pads: `padding` zeros on every side, by default what keeps the map at stride 1.

    Keras' "same" pads a stride-2 convolution on even maps at the end only, which shifts the map by a pixel.
    """
    x, mode = _pad(x, size, strides, padding, dilation)
    return keras.layers.Conv2D(
        filters,
        size,
        strides,
        mode,
        dilation_rate=dilation,
        use_bias=use_bias,
        kernel_initializer=HE_FAN_OUT.clone(),
        name=name,
        trainable=trainable,
    )(x)


def depthwise_conv(x, size, strides=1, padding=None, multiplier=1, use_bias=False, name=None, trainable=True):
    """Depthwise convolution padded as PyTorch pads; output channel `o` reads input channel `o // multiplier`."""
    x, mode = _pad(x, size, strides, padding, 1)
    return keras.layers.DepthwiseConv2D(
        size,
        strides,
        mode,
        multiplier,
        use_bias=use_bias,
        depthwise_initializer=DepthwiseNormal(),
        name=name,
        trainable=trainable,
    )(x)


def _pad(x, size, strides, padding, dilation):
    if padding is None:
        padding = dilation * (size - 1) // 2
        if strides == 1:
            return x, "same"
    if padding:
        x = keras.layers.ZeroPadding2D(padding)(x)
    return x, "valid"


def dense(x, units, name, kernel_initializer=TRUNCATED_NORMAL):
    """Linear map of the last axis, started as transformers are."""
    return keras.layers.Dense(units, kernel_initializer=kernel_initializer.clone(), name=name)(x)


def batch_norm(x, name, epsilon=BATCH_NORM_EPSILON, trainable=True):
    """Batch normalisation with PyTorch's numbers (its momentum 0.1 is Keras' 0.9).

    Where it is not trainable, Keras runs it as at inference also while training, so its statistics stay as they are.
    """
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=epsilon, name=name, trainable=trainable)(x)


def prelu(x, name, trainable=True):
    """ReLU with a learned slope per channel for negative values."""
    slope = keras.initializers.Constant(0.25)
    return keras.layers.PReLU(slope, shared_axes=(1, 2), name=name, trainable=trainable)(x)


def layer_norm(x, epsilon, name):
    """Layer normalisation over the last axis. The epsilon differs from model to model, so there is no default."""
    return keras.layers.LayerNormalization(epsilon=epsilon, name=name)(x)


def attention(query, key, value, heads, name, bias=None):
    """Multi-head attention `softmax(query @ key^T / sqrt(dim / heads)) @ value`, in the shape of `query`.

    Args:
        query, key, value: maps `(batch, height, width, dim)` or tokens `(batch, length, dim)`.
        heads: parts that `dim` is cut into.
        name: `<name>.weights` is the softmax's output, `(batch, heads, query length, key length)`.
        bias: a layer that changes the scores before the softmax.
    """
    shape = query.shape[1:]
    query, key, value = (_split_heads(t, heads) for t in (query, key, value))
    scores = MatMul(transpose_b=True, scale=(shape[-1] // heads) ** -0.5)(query, key)
    if bias is not None:
        scores = bias(scores)
    weights = keras.layers.Softmax(name=f"{name}.weights")(scores)
    x = keras.layers.Permute((2, 1, 3))(MatMul()(weights, value))
    return keras.layers.Reshape(shape)(x)


def _split_heads(x, heads):
    """`(batch, ..., dim)` to `(batch, heads, length, dim / heads)`."""
    *places, dim = x.shape[1:]
    x = keras.layers.Reshape((math.prod(places), heads, dim // heads))(x)
    return keras.layers.Permute((2, 1, 3))(x)


def drop_path(x, rate):
    """Stochastic depth (https://arxiv.org/abs/1603.09382): drops the branch for whole pictures while training."""
    if not rate:
        return x
    return keras.layers.Dropout(rate, noise_shape=(None,) + (1,) * (len(x.shape) - 1))(x)
