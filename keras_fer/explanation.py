"""Which parts of a face a model's answer rests on: Grad-CAM, Score-CAM and the attention that a model computes itself.

Every map is float32 `(size, size)` in 0..1, as large as the picture. It shows where, not what, and it is as coarse as
the layer that it comes from. Score-CAM and attention run on every Keras backend, Grad-CAM on TensorFlow and JAX.
"""

import math
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from keras_fer.errors import InputError
from keras_fer.layers import Normalize
from keras_fer.optional import need

ATTENTION = {
    "poster_v2": r"attn\d",
    "btn": r"attn\d",
    "poster_v2_mobile": r"fusion\d\.attn",
    "mit_fusion": r"backbone\.block4\.\d\.attn",
}
"""The attention layers that are worth a look, by model: POSTER V2's cross-fusion at three levels, MiT's last stage."""

CAM_LAYERS = {
    "poster_v2": ("ffn1", "ffn2", "ffn3"),
    "btn": ("ffn1", "ffn2", "ffn3"),
    "poster_v2_mobile": ("fusion1", "fusion2", "fusion3"),
}
"""The maps that class activation maps weigh, where those are not what the classifier averages: the semantic levels that
the BTN paper looks at (section 4.5)."""


class Map(NamedTuple):
    """One look at a face: `values` float32 (size, size) in 0..1, and whether they are about the class explained."""

    title: str
    values: np.ndarray
    of_class: bool


def explain(
    model: keras.Model, picture: np.ndarray, target: int, methods: Sequence[str] = (), layers: Sequence[str] = ()
) -> list[Map]:
    """All maps of one picture.

    Args:
        model: from `keras_fer.load`.
        picture: uint8 (size, size, 3), RGB, of the model's input size.
        target: index of the class to explain.
        methods: out of `METHODS`; without any, attention where the model has some, else Grad-CAM.
        layers: for class activation maps, in place of the model's own choice.

    Raises:
        InputError: the model has no such layer or no attention, or the backend has no gradients.
    """
    maps = []
    for method in methods or [("attention" if model.name in ATTENTION else "grad-cam")]:
        if method == "attention":
            maps += attention_maps(model, picture)
            continue
        for layer in layers or cam_layers(model):
            maps.append(Map(f"{method} {layer}", CAMS[method](model, picture, target, layer), True))
    return maps


def cam_layers(model: keras.Model) -> tuple[str, ...]:
    """Names of the layers whose maps are weighed: by default the one that the classifier averages.

    Raises:
        InputError: the model averages no map.
    """
    if model.name in CAM_LAYERS:
        return CAM_LAYERS[model.name]
    pooled = [layer for layer in model.layers if isinstance(layer, keras.layers.GlobalAveragePooling2D)]
    if not pooled:
        raise InputError(f"{model.name} averages no map before its classifier; name one of its layers")
    return (pooled[-1].input._keras_history.operation.name,)


def grad_cam(model: keras.Model, picture: np.ndarray, target: int, layer: str) -> np.ndarray:
    """The layer's channels, weighed by the mean gradient of the class's logit, and what is positive of their sum.

    Selvaraju et al.: "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", ICCV 2017,
    equations 1 and 2.
    """
    activations = keras.Model(model.input, _map_of(model, layer))(_batch(picture), training=False)

    def logit(shift):
        """What the class's logit becomes when the layer's output is shifted; other layers may pass it by."""

        def operation(one):
            return (lambda *inputs, **options: one(*inputs, **options) + shift) if one.name == layer else one

        # Private, but Keras' one way to walk a graph call by call (as in keras_fer.inspect).
        return model._run_through_graph(_batch(picture), operation_fn=operation)[0, target]

    gradients = _gradient(logit, ops.zeros_like(activations))
    weights = np.mean(gradients, axis=(0, 1, 2))
    return _as_map(np.maximum(ops.convert_to_numpy(activations)[0] @ weights, 0), picture.shape[0])


def score_cam(model: keras.Model, picture: np.ndarray, target: int, layer: str, batch_size: int = 32) -> np.ndarray:
    """The layer's channels, weighed by the class's score when only what they show of the picture is left.

    Wang et al.: "Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks", CVPR Workshops 2020,
    algorithm 1, as the BTN paper uses it. What is masked becomes the mean colour, 0 after the model's normalisation.
    It takes a forward pass for every channel.
    """
    activations = keras.Model(model.input, _map_of(model, layer))(_batch(picture), training=False)
    activations = ops.convert_to_numpy(activations)[0]
    masks = ops.convert_to_numpy(ops.image.resize(activations.transpose(2, 0, 1)[..., None], picture.shape[:2]))
    low, high = masks.min(axis=(1, 2, 3), keepdims=True), masks.max(axis=(1, 2, 3), keepdims=True)
    masks = (masks - low) / np.where(high > low, high - low, 1)
    mean = _mean_colour(model)
    shown = _batch(picture) - mean
    parts = need("tqdm").tqdm(range(0, len(masks), batch_size), f"score-cam {layer}", leave=False, disable=None)
    logits = [ops.convert_to_numpy(model(mean + shown * masks[i : i + batch_size], training=False)) for i in parts]
    scores = np.concatenate(logits)[:, target]
    # Algorithm 1 subtracts the score of an empty picture, which the softmax over the channels undoes.
    weights = np.exp(scores - scores.max())
    return _as_map(np.maximum(activations @ (weights / weights.sum()), 0), picture.shape[0])


def attention_maps(model: keras.Model, picture: np.ndarray) -> list[Map]:
    """How much each place is looked at: attention weights, mean over heads and queries, one map for each layer.

    Raises:
        InputError: the model has no attention, or none that is known here.
    """
    if model.name not in ATTENTION:
        raise InputError(f"{model.name} has no attention to show; those that have are {', '.join(ATTENTION)}")
    names = [layer.name for layer in model.layers if re.fullmatch(ATTENTION[model.name] + r"\.weights", layer.name)]
    weights = keras.Model(model.input, [model.get_layer(name).output for name in names])(_batch(picture))
    titles = [f"attention {name.removesuffix('.weights').removesuffix('.attn')}" for name in names]
    maps = [attention_map(ops.convert_to_numpy(of_layer), picture.shape[0]) for of_layer in weights]
    return [Map(title.replace("backbone.", ""), values, False) for title, values in zip(titles, maps)]


def attention_map(weights: np.ndarray, size: int) -> np.ndarray:
    """One map of attention weights `(windows, heads, queries, keys)` of one picture.

    The keys of a window are a square, and so are the windows, row by row.
    """
    looked_at = weights.mean(axis=(1, 2))
    windows, keys = math.isqrt(len(looked_at)), math.isqrt(looked_at.shape[1])
    grid = looked_at.reshape(windows, windows, keys, keys).transpose(0, 2, 1, 3)
    return _as_map(grid.reshape(windows * keys, windows * keys), size)


CAMS = {"grad-cam": grad_cam, "score-cam": score_cam}
METHODS = (*CAMS, "attention")


def _batch(picture: np.ndarray) -> np.ndarray:
    return picture[None].astype("float32")


def _map_of(model: keras.Model, layer: str):
    """The output of a layer that gives a map, as a symbolic tensor."""
    known = [one.name for one in model.layers if len(getattr(one.output, "shape", ())) == 4]
    if layer not in known:
        raise InputError(f"{model.name} has no map named {layer}; its last ones are {', '.join(known[-8:])}")
    return model.get_layer(layer).output


def _gradient(function: Callable, x) -> np.ndarray:
    """Of a scalar function at `x`, on the backends that can."""
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            with tf.GradientTape() as tape:
                tape.watch(x)
                value = function(x)
            return tape.gradient(value, x).numpy()
        case "jax":
            import jax

            return np.asarray(jax.grad(function)(x))
        case other:
            raise InputError(f"Grad-CAM needs gradients: KERAS_BACKEND is {other}, expected tensorflow or jax")


def _mean_colour(model: keras.Model) -> np.ndarray:
    """RGB in 0..255 that the model's own normalisation turns into 0; black where it has none."""
    for layer in model.layers:
        if isinstance(layer, Normalize):
            return 255 * np.float32(layer.mean)
    return np.zeros(3, "float32")


def _as_map(grid: np.ndarray, size: int) -> np.ndarray:
    """A small grid of values as a map of the picture's size, its least value 0 and its largest 1; a flat one is 0."""
    values = ops.convert_to_numpy(ops.image.resize(np.float32(grid)[..., None], (size, size)))[..., 0]
    span = values.max() - values.min()
    return (values - values.min()) / span if span > 1e-12 else np.zeros_like(values)
