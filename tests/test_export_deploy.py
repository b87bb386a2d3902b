"""Rewrites for phones leave every model's function as it is."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

import keras_fer
from export.deploy import deployable
from keras_fer.errors import InputError
from keras_fer.layers import ChannelShuffle, ChannelSplit, MatMul, conv

LARGE = ("btn", "ldg_resnet50", "poster_v2")


def with_any_weights(model: keras.Model, seed: int = 0) -> keras.Model:
    """Statistics, factors and biases that are not what they start as, with negative factors among them."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        match weight.name:
            case "moving_variance":
                weight.assign(rng.uniform(1, 2, weight.shape))
            case "gamma":
                weight.assign(rng.uniform(0.5, 1, weight.shape) * rng.choice([-1, 1], weight.shape))
            case "beta" | "bias" | "moving_mean":
                weight.assign(rng.normal(0, 0.1, weight.shape))
    return model


def assert_same_function(model: keras.Model, rewritten: keras.Model, pictures: np.ndarray) -> None:
    expected, found = (np.asarray(m(pictures.astype("float32"))) for m in (model, rewritten))
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE)) for name in keras_fer.list_models()]
)
def test_every_model_stays_what_it_is(pictures, name):
    model = with_any_weights(keras_fer.create_model(name, input_size=64))
    before = [weight.numpy() for weight in model.weights]
    rewritten = deployable(model)
    assert_same_function(model, rewritten, pictures)
    for weight, value in zip(model.weights, before):
        np.testing.assert_array_equal(weight, value)


def test_a_temperature_goes_into_the_head(pictures):
    model = with_any_weights(keras_fer.create_model("plain_cnn", input_size=64))
    model.card = {"temperature": 0.5}
    doubled = keras.Model(model.input, 2 * model.output)
    assert_same_function(doubled, deployable(model), pictures)
    pooled = keras.Model(model.input, keras.layers.ReLU(name="last")(model.output))
    pooled.card = model.card
    with pytest.raises(InputError, match=r"last \(ReLU\) makes the logits; a temperature takes a linear layer there"):
        deployable(pooled)


def test_what_is_slow_on_phones_is_gone():
    kinds = {
        name: {type(layer).__name__ for layer in deployable(keras_fer.create_model(name, input_size=32)).layers}
        for name in ("efficientface", "mit_fusion")
    }
    assert not kinds["efficientface"] & {"BatchNormalization", "ChannelShuffle", "ChannelSplit"}
    assert not kinds["mit_fusion"] & {"Dropout", "LayerNormalization"}


@pytest.mark.parametrize("name", ["mit_fusion", "poster_v2_mobile"])
def test_scores_of_attention_are_not_multiplied(name):
    rewritten = deployable(keras_fer.create_model(name, input_size=64))
    products = [layer for layer in rewritten.layers if isinstance(layer, MatMul)]
    assert {layer.scale for layer in products} == {1.0}


def test_keys_that_others_read_are_not_scaled():
    """Nor a half of a split whose other half is asked for too."""
    image = keras.Input((8, 8, 4))
    query, key = (conv(image, 4, 1, use_bias=True, name=name) for name in ("query", "key"))
    tokens = [layers.Reshape((64, 4))(x) for x in (query, key)]
    scores = MatMul(transpose_b=True, scale=0.5)(*tokens)
    left, right = ChannelSplit()(conv(image, 8, 1, use_bias=True, name="both"))
    more = MatMul(transpose_b=True, scale=0.25)(layers.Reshape((64, 4))(left), layers.Reshape((64, 4))(left))
    means = [layers.GlobalAveragePooling1D()(x) for x in (scores, more, *tokens, layers.Reshape((64, 4))(right))]
    model = with_any_weights(keras.Model(image, layers.Concatenate()(means)))
    assert_same_function(model, deployable(model), np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 4)))


def test_single_pixels_are_not_pooled():
    """XNNPACK has no such pooling: it would leave POSTER V2 in three partitions."""
    image = keras.Input((8, 8, 4))
    model = keras.Model(image, layers.GlobalAveragePooling2D()(layers.MaxPooling2D(1, 2)(image)))
    rewritten = deployable(model)
    assert not any(isinstance(layer, layers.MaxPooling2D) for layer in rewritten.layers)
    assert_same_function(model, rewritten, np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 4)))


def test_sums_that_others_read_are_not_centred():
    """A norm may ignore its input's mean only where the mean is nobody else's."""
    image = keras.Input((32, 32, 3))
    left, right = (conv(image, 8, 4, 4, padding=0, use_bias=True, name=name) for name in ("left", "right"))
    added = layers.Add()([left, right])
    normed = layers.LayerNormalization(epsilon=1e-6)(added)
    means = layers.GlobalAveragePooling2D()(layers.Concatenate()([added, normed]))
    model = with_any_weights(keras.Model(image, means))
    pictures = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3))
    assert_same_function(model, deployable(model), pictures)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.sampled_from(["unit", "shuffle", "narrow", "pool", "depthwise"]), min_size=1, max_size=6))
def test_shuffles_of_any_network_are_absorbed(steps):
    image = x = keras.Input((8, 8, 4))
    for i, step in enumerate(steps):
        if step == "unit":
            passed, moved = ChannelSplit()(x)
            x = ChannelShuffle()(layers.Concatenate()([passed, conv(moved, moved.shape[-1], 1, name=f"conv{i}")]))
        elif step == "shuffle":
            x = ChannelShuffle()(layers.Concatenate()([x, conv(x, 4, 1, name=f"conv{i}")]))
        elif step == "narrow":
            x = layers.ReLU()(ChannelSplit()(layers.Concatenate()([x, x]))[1])
        elif step == "pool":
            x = layers.MaxPooling2D(3, 1, padding="same")(x)
        else:
            x = layers.DepthwiseConv2D(3, padding="same", name=f"depthwise{i}")(x)
    model = with_any_weights(keras.Model(image, layers.GlobalAveragePooling2D()(ChannelShuffle()(x))))
    rewritten = deployable(model)
    assert not any(isinstance(layer, ChannelShuffle) for layer in rewritten.layers)
    assert_same_function(model, rewritten, np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 4)))
