"""Batch normalisation by TensorFlow's kernel trains as Keras' own does."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_fer
from train import device
from train.fused import fuse_batch_norm


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    return rng.uniform(0, 255, (8, 32, 32, 3)).astype("float32"), np.eye(7, dtype="float32")[rng.integers(0, 7, 8)]


def network(precision="float32", **options):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        return keras_fer.create_model("plain_cnn", num_classes=7, input_size=32, dropout=0.0, **options)
    finally:
        keras.config.set_dtype_policy(before)


def kernels(model):
    """How often a training step of the model calls the fused kernel."""
    step = tf.function(lambda x: model(x, training=True)).get_concrete_function(tf.TensorSpec((4, 32, 32, 3)))
    return sum(operation.type == "FusedBatchNormV3" for operation in step.graph.get_operations())


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-4), ("mixed_bfloat16", 1e-2)])
def test_steps_equal_keras(batch, precision, tolerance):
    """To rounding: it adds up over the layers, and a ReLU that it turns on or off makes it larger."""
    keras.utils.set_random_seed(0)
    plain, fused = network(precision, width=16), network(precision, width=16)
    fused.set_weights(plain.get_weights())
    fuse_batch_norm(fused)
    assert (kernels(plain), kernels(fused)) == (0, 8)
    losses = []
    for model in (plain, fused):
        # Adam's first steps would turn rounding of gradients near zero into whole steps.
        model.compile(keras.optimizers.SGD(0.01), keras.losses.CategoricalCrossentropy(from_logits=True))
        losses.append([float(model.train_on_batch(*batch)) for _ in range(2)])
    np.testing.assert_allclose(*losses, rtol=tolerance)
    for a, b in zip(plain.weights, fused.weights):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=3 * tolerance, err_msg=a.path)
    logits = [keras.ops.convert_to_numpy(model(batch[0])).astype("float32") for model in (plain, fused)]
    np.testing.assert_allclose(*logits, atol=10 * tolerance)


def test_where_it_does_not_pay_keras_stays(monkeypatch):
    """Frozen layers, and channel counts for which the processor's kernel is slow."""
    monkeypatch.setattr(device, "has_gpu", lambda: False)
    odd = network(width=9)
    fuse_batch_norm(odd)
    frozen = network(width=16)
    frozen.trainable = False
    fuse_batch_norm(frozen)
    # 9, 18, 36, 72: the counts of the last two blocks' four are multiples of four.
    assert (kernels(odd), kernels(frozen)) == (4, 0)


def test_nothing_of_it_is_saved(batch, tmp_path):
    model = network(width=16)
    fuse_batch_norm(model)
    model.save(tmp_path / "fused.keras")
    again = keras.models.load_model(tmp_path / "fused.keras")
    assert kernels(again) == 0
    np.testing.assert_array_equal(again(batch[0]), model(batch[0]))
