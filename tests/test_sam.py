"""Sharpness-aware minimisation against the authors' steps, a numpy reference, and what can go wrong around it."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tiny

from keras_fer import registry
from train.method import TrainingModel
from train.optim import make_optimizer
from train.recipes import Recipe

ROOT = Path(__file__).resolve().parents[1]
RHO = 0.05


def softmax_regression(x, kernel, bias):
    """A dense layer with these weights, and what trains it."""
    inputs = keras.Input(x.shape[1:])
    network = keras.Model(inputs, keras.layers.Dense(kernel.shape[1], name="fc")(inputs))
    network.set_weights([kernel, bias])
    return network, TrainingModel(network, "fc", sam_rho=RHO)


def compiled(model, optimizer):
    model.compile(optimizer, keras.losses.CategoricalCrossentropy(from_logits=True), jit_compile=False)


def cross_entropy(x, targets, kernel, bias):
    """Mean loss, and its gradients by kernel and bias."""
    logits = x @ kernel + bias
    log = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    error = (np.exp(log) - targets) / len(x)
    return -(targets * log).sum(1).mean(), [x.T @ error, error.sum(0)]


def climbed(weights, gradients):
    norm = np.sqrt(sum((g**2).sum() for g in gradients))
    return [w + RHO * g / norm for w, g in zip(weights, gradients)]


@pytest.mark.parametrize(
    ("name", "optimizer"), [("sam_adam", {"optimizer": "adam"}), ("sam_sgd", {"optimizer": "sgd", "momentum": 0.0})]
)
def test_four_steps_equal_the_authors(shared, name, optimizer):
    golden = np.load(shared / "reference" / "train_math" / "golden.npz")
    x, targets = golden["sam.X"], np.eye(3)[golden["sam.y"]]
    recipe = Recipe(
        learning_rate=float(golden[f"{name}.lr"]), schedule="step", decay_factor=0.98, decay_epochs=1, **optimizer
    )
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")  # which outlives its floatx
    try:
        network, model = softmax_regression(x, golden["sam.W0"].T, golden["sam.b0"])
        compiled(model, make_optimizer(recipe, model, steps_per_epoch=2))
        for step in range(1, 5):
            loss = model.train_on_batch(x, targets)
            kernel, bias = network.get_weights()
            np.testing.assert_allclose(loss, golden[f"{name}.losses"][step - 1, 0], rtol=1e-5)
            np.testing.assert_allclose(kernel.T, golden[f"{name}.W{step}"], rtol=1e-5, atol=5e-6)
            np.testing.assert_allclose(bias, golden[f"{name}.b{step}"], rtol=1e-5, atol=5e-6)
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("clip_norm", [0.0, 0.1])
def test_steps_equal_a_numpy_reference(clip_norm):
    """Also with clipping, which acts on the gradient of the second pass."""
    rng = np.random.default_rng(0)
    x, targets = rng.normal(size=(8, 4)), np.eye(3)[rng.integers(0, 3, 8)]
    weights = [rng.normal(size=(4, 3)), np.zeros(3)]
    recipe = Recipe(optimizer="sgd", momentum=0.0, learning_rate=0.3, schedule="constant", clip_norm=clip_norm)
    network, model = softmax_regression(x, *weights)
    compiled(model, make_optimizer(recipe, model, steps_per_epoch=1))
    for _ in range(3):
        loss, gradients = cross_entropy(x, targets, *weights)
        _, gradients = cross_entropy(x, targets, *climbed(weights, gradients))
        norm = np.sqrt(sum((g**2).sum() for g in gradients))
        factor = min(1, clip_norm / norm) if clip_norm else 1
        weights = [w - 0.3 * factor * g for w, g in zip(weights, gradients)]
        assert model.train_on_batch(x, targets) == pytest.approx(loss, rel=1e-5)
        for given, expected in zip(network.get_weights(), weights):
            np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    return rng.uniform(0, 255, (4, 32, 32, 3)).astype("float32"), np.eye(3, dtype="float32")[rng.integers(0, 3, 4)]


def picture_model(monkeypatch, policy="float32"):
    monkeypatch.setattr(registry, "_MODELS", {"tiny": registry.Family(tiny.tiny, 32)})
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(policy)
    try:
        network = registry.create_model("tiny", 3, 32, dropout=0)
    finally:
        keras.config.set_dtype_policy("float32")
    return network, TrainingModel(network, "tiny", sam_rho=RHO)


def test_mixed_precision(monkeypatch, batch):
    start, _ = picture_model(monkeypatch)
    stepped = []
    for policy in ("float32", "mixed_float16"):
        network, model = picture_model(monkeypatch, policy)
        network.set_weights(start.get_weights())
        compiled(model, keras.optimizers.SGD(0.1))
        model.train_on_batch(*batch)
        stepped.append(network.get_weights())
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    for half, single in zip(*reversed(stepped)):
        np.testing.assert_allclose(half, single, rtol=0.02, atol=2e-3)


def test_overflow_in_half_precision_costs_one_step_only(monkeypatch, batch):
    network, model = picture_model(monkeypatch, "mixed_float16")
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=2.0**60)
    compiled(model, optimizer)
    before = [keras.ops.convert_to_numpy(v) for v in network.trainable_variables]
    model.train_on_batch(*batch)
    for old, new in zip(before, network.trainable_variables):
        np.testing.assert_array_equal(old, new)
    assert all(np.isfinite(w).all() for w in network.get_weights())
    assert float(optimizer.dynamic_scale) == 2.0**59


def test_both_passes_update_batch_statistics(monkeypatch, batch):
    network, model = picture_model(monkeypatch)
    compiled(model, keras.optimizers.SGD(0.0))
    start = network.get_weights()
    mean = network.get_layer("bn1").moving_mean
    model.train_on_batch(*batch)
    after_sam = np.array(mean)
    plain, _ = picture_model(monkeypatch)
    plain.set_weights(start)
    plain(batch[0], training=True)
    once = np.array(plain.get_layer("bn1").moving_mean)
    # 0.9 (0.1 m) + 0.1 m', with m' the mean at the climbed weights, which are close.
    np.testing.assert_allclose(after_sam, 1.9 * once, rtol=0.1, atol=1e-3)


@pytest.mark.slow
def test_two_replicas_climb_by_the_whole_batch():
    """Under MirroredStrategy the steps are those of one device; in a process of its own, for the logical devices."""
    output = subprocess.run([sys.executable, "-c", MIRRORED], check=True, capture_output=True, text=True, cwd=ROOT)
    one, two = json.loads(output.stdout.splitlines()[-1])
    np.testing.assert_allclose(two, one, rtol=1e-5)


MIRRORED = """
import json, sys
sys.path[:0] = [".", "tests"]
import keras, numpy as np, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
import test_sam
rng = np.random.default_rng(0)
x, targets = rng.normal(size=(8, 4)).astype("float32"), np.eye(3, dtype="float32")[rng.integers(0, 3, 8)]
kernel, bias = rng.normal(size=(4, 3)), np.zeros(3)
results = []
for strategy in (tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
    with strategy.scope():
        network, model = test_sam.softmax_regression(x, kernel, bias)
        test_sam.compiled(model, keras.optimizers.SGD(0.3))
    data = tf.data.Dataset.from_tensor_slices((x, targets)).batch(8)
    losses = model.fit(data, epochs=3, verbose=0).history["loss"]
    results.append(losses + [float(v) for w in network.get_weights() for v in w.ravel()])
print(json.dumps(results))
"""
