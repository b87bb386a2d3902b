"""BTN: POSTER V2 that learns from the other pictures of the batch, and forgets about them at inference.

Her, Jeong, Song, Han: "Batch Transformer: Look for Attention in Batch", 2024. We found no published code; where the
paper leaves a choice, it is an argument whose default is our reading.
"""

import keras
import numpy as np
from keras import ops

from keras_fer.layers import conv, register
from keras_fer.models.poster_v2 import DIMS, HEADS, WINDOWS, cross_attention, poster_v2
from keras_fer.registry import register_method, register_model

LOSS_WEIGHTS = {"vit": 2.0, "bt": 1.0, "cba": 1.0}
"""Equation 9 with lambda 2 (Table 6): the weight of the cross entropy of each training output."""


@register_model(size_step=16)
def btn(x, num_classes, frozen_landmarks=True):
    """What runs at inference, which is POSTER V2: the paper predicts from P_vit alone. See `training_model`.

    Args:
        x, num_classes, frozen_landmarks: as in `poster_v2`.
    """
    return poster_v2(x, num_classes, frozen_landmarks)


@register_method("btn", LOSS_WEIGHTS)
def training_model(
    model: keras.Model,
    positions: str | None = "channel",
    scaled: bool = False,
    probabilities: bool = False,
    detached: bool = False,
    embedding_size: int = 1,
) -> keras.Model:
    """Multi-level attention and the batch transformer (sections 3.1, 3.2), put around `model` for training.

    The result shares the layers of `model`, so training it trains `model`, which stays free of the batch parts. The
    loss is cross entropy of every output with the same target, weighted by `LOSS_WEIGHTS`. Pictures of one batch see
    each other, but not those of another replica under a distribution strategy.

    Args:
        model: from `create_model("btn")`, or loaded.
        positions: what the positional encoding counts: "channel" gives each of the embedding's channels its sinusoid
            over the places, "position" each place its sinusoid over the channels, None adds nothing.
        scaled: whether scores are divided by the root of the number of places. Equation 4 does not.
        probabilities: whether the batch transformer mixes and adds softmax(P_vit). By default it mixes the logits.
        detached: whether class batch attention lets no gradient through its values. By default gradients flow to all.
        embedding_size: kernel size of the convolution that embeds the multi-level features.

    Returns:
        A model with the input of `model` and the outputs "vit" (the logits of `model`), "bt" and "cba", each
        `(batch, num_classes)`.
    """
    # --- Multi-level attention: equations 1 and 2, with POSTER V2's cross attention ---
    x, *upper = (model.get_layer(name).output for name in ("ffn1", "ffn2", "ffn3"))
    for i, query in enumerate(upper, start=1):
        x = conv(x, DIMS[i], 3, 2, use_bias=True, name=f"mla.conv{i}")
        x = cross_attention(query, x, HEADS[i], WINDOWS[i], name=f"mla.attn{i}")

    # --- Batch transformer: equations 6 to 8 ---
    logits = model.output
    num_classes = logits.shape[-1]
    embedded = embed(x, num_classes, embedding_size)
    if positions is not None:
        embedded = SinusoidalPositions(positions, name="bt.positions")(embedded)
    predictions = keras.layers.Softmax()(logits) if probabilities else logits
    mixed = ClassBatchAttention(scaled, detached, name="bt.cba")([embedded, predictions])
    fused = keras.layers.Add(name="bt")([mixed, predictions])
    return keras.Model(model.input, {"vit": logits, "bt": fused, "cba": mixed}, name=f"{model.name}_training")


def embed(x, num_classes, size=1):
    """Multi-level features `(batch, height, width, dim)` to one small map a class, `(batch, num_classes, places)`."""
    x = conv(x, num_classes, size, use_bias=True, name="bt.embedding")
    return keras.layers.Permute((2, 1))(keras.layers.Reshape((-1, num_classes))(x))


@register
class SinusoidalPositions(keras.layers.Layer):
    """Adds the Transformer's sines and cosines to `(batch, channels, places)`, the same to every picture.

    Args:
        counted: "channel" takes the channel's index as the position and the places as the dimensions of its code;
            "position" the other way round.
    """

    def __init__(self, counted, **kwargs):
        super().__init__(**kwargs)
        if counted not in ("channel", "position"):
            raise ValueError(f"counted is {counted!r}; expected 'channel' or 'position'")
        self.counted = counted

    def build(self, shape):
        _, channels, places = shape
        if self.counted == "channel":
            self.code = sinusoids(channels, places)
        else:
            self.code = sinusoids(places, channels).T

    def call(self, x):
        return x + ops.cast(self.code, x.dtype)

    def get_config(self):
        return {**super().get_config(), "counted": self.counted}


def sinusoids(length: int, dim: int) -> np.ndarray:
    """Sines in even, cosines in odd columns of `(length, dim)` (https://arxiv.org/abs/1706.03762, section 3.5)."""
    column = np.arange(dim)
    angle = np.arange(length)[:, None] / 10000 ** (2 * (column // 2) / dim)
    return np.where(column % 2 == 0, np.sin(angle), np.cos(angle)).astype("float32")


@register
class ClassBatchAttention(keras.layers.Layer):
    """Mixes the predictions of a batch, class by class, by how alike the pictures' embeddings are (equations 3 to 5).

    Takes `[embedded (batch, classes, places), predictions (batch, classes)]`, returns `(batch, classes)`. A picture
    alone in its batch gets its own prediction back.
    """

    def __init__(self, scaled=False, detached=False, **kwargs):
        super().__init__(**kwargs)
        self.scaled = scaled
        self.detached = detached

    def call(self, inputs):
        embedded, predictions = inputs
        features = ops.transpose(embedded, (1, 0, 2))
        scores = ops.matmul(features, ops.transpose(features, (0, 2, 1)))
        if self.scaled:
            scores = scores * embedded.shape[-1] ** -0.5
        if self.detached:
            predictions = ops.stop_gradient(predictions)
        values = ops.expand_dims(ops.transpose(predictions), -1)
        # Not ops.softmax, which warns about an axis of length 1: a batch may hold one picture.
        weights = ops.exp(scores - ops.logsumexp(scores, axis=-1, keepdims=True))
        mixed = ops.matmul(weights, values)
        return ops.transpose(ops.squeeze(mixed, -1))

    def get_config(self):
        return {**super().get_config(), "scaled": self.scaled, "detached": self.detached}
