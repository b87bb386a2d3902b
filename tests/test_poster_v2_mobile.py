"""The mobile student of POSTER V2: its budget, its maps, its streams, and that it is built to be quantized."""

import keras
import numpy as np
import pytest

import keras_fer
from keras_fer import inspect

LEVELS = (1, 2, 3)
DIMS = (64, 128, 256)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return keras_fer.create_model("poster_v2_mobile")


@pytest.fixture(scope="module")
def small():
    keras.utils.set_random_seed(0)
    return keras_fer.create_model("poster_v2_mobile", input_size=64)


def test_budget(model):
    calls, _ = inspect.trace(model)
    assert inspect.count_parameters(model.weights) <= 4_000_000
    assert sum(inspect.count_macs(calls).values()) <= 400_000_000


@pytest.mark.parametrize("name", ["image", "landmark", "fusion"])
def test_maps_have_the_shapes_of_the_teachers(model, small, name):
    for level, dim, side, small_side in zip(LEVELS, DIMS, (28, 14, 7), (8, 4, 2)):
        assert model.get_layer(f"{name}{level}").output.shape == (None, side, side, dim)
        assert small.get_layer(f"{name}{level}").output.shape == (None, small_side, small_side, dim)


def test_few_keys_a_query(model, small):
    def keys(model):
        return [model.get_layer(f"fusion{level}.attn.weights").output.shape[-1] for level in LEVELS]

    assert keys(model) == [7 * 7] * 3
    assert keys(small) == [8 * 8, 4 * 4, 2 * 2]


@pytest.mark.parametrize("size", [32, 96, 352])
def test_weights_fit_every_size(small, size):
    other = keras_fer.create_model("poster_v2_mobile", input_size=size)
    other.set_weights(small.get_weights())
    assert np.isfinite(other(np.zeros((1, size, size, 3), "uint8"))).all()


def test_the_landmark_stream_decides_where_the_picture_is_looked_at(small, pictures):
    names = [name for level in LEVELS for name in (f"image{level}", f"fusion{level}.attn.weights")]
    inner = keras.Model(small.input, {name: small.get_layer(name).output for name in names})
    before = inner(pictures)
    stem = small.get_layer("landmark.stem.conv")
    kernel = stem.get_weights()
    stem.set_weights([-kernel[0]])
    after = inner(pictures)
    stem.set_weights(kernel)
    for level in LEVELS:
        weights = f"fusion{level}.attn.weights"
        np.testing.assert_array_equal(before[f"image{level}"], after[f"image{level}"])
        assert np.abs(before[weights] - after[weights]).max() > 1e-3


@pytest.mark.parametrize("stream", ["image", "landmark"])
def test_ablation_builds_one_stream_only(small, pictures, stream):
    alone = keras_fer.create_model("poster_v2_mobile", input_size=64, streams=stream)
    assert alone(pictures).shape == (2, 7)
    other = {"image": "landmark", "landmark": "image"}[stream]
    expected = {w.path: w.shape for w in small.weights if not w.path.startswith(f"{other}.")}
    assert {w.path: w.shape for w in alone.weights} == expected


@pytest.mark.parametrize("streams", ["audio", ("image", "landmark"), ()])
def test_streams_that_cannot_be(streams):
    with pytest.raises(keras_fer.InputError, match="expected one of both, image, landmark"):
        keras_fer.create_model("poster_v2_mobile", streams=streams)


def test_every_norm_folds_into_a_convolution(model):
    """No layer norm, and each batch norm is all that reads the convolution before it."""
    folded = 0
    for layer in model.layers:
        assert not isinstance(layer, keras.layers.LayerNormalization), layer.name
        if isinstance(layer, keras.layers.BatchNormalization):
            before = layer.input._keras_history.operation
            assert isinstance(before, keras.layers.Conv2D | keras.layers.DepthwiseConv2D), layer.name
            assert len(before._outbound_nodes) == 1, layer.name
            folded += 1
    assert folded > 0
