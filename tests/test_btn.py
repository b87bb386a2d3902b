"""BTN: its batch parts against numbers computed from the paper, and that they leave no trace in what is deployed."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import keras_fer
from keras_fer.models import btn

READINGS = {
    "cp_channel": {"positions": "channel"},
    "cp_position": {"positions": "position"},
    "none": {"positions": None},
    "none_scaled": {"positions": None, "scaled": True},
}


@pytest.fixture(scope="module")
def golden(shared):
    return np.load(shared / "reference" / "btn" / "golden.npz")


def batch_transformer(embedded, predictions, positions, scaled=False):
    if positions is not None:
        embedded = btn.SinusoidalPositions(positions)(embedded)
    mixed = btn.ClassBatchAttention(scaled)([embedded, predictions])
    return mixed, mixed + predictions


@pytest.mark.parametrize("reading", READINGS)
def test_outputs_losses_and_gradients(golden, reading):
    embedded, logits = tf.Variable(golden["E"]), tf.Variable(golden["P_vit"])
    with tf.GradientTape() as tape:
        mixed, fused = batch_transformer(embedded, logits, **READINGS[reading])
        losses = {
            name: tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(golden["labels"], output, True))
            for name, output in (("vit", logits), ("bt", fused), ("cba", mixed))
        }
        total = sum(btn.LOSS_WEIGHTS[name] * loss for name, loss in losses.items())
    by_logits, by_embedding = tape.gradient(total, [logits, embedded])

    close = {"rtol": 1e-5, "atol": 1e-5}
    np.testing.assert_allclose(mixed, golden[f"{reading}.P_cba"], **close)
    np.testing.assert_allclose(fused, golden[f"{reading}.P_bt"], **close)
    np.testing.assert_allclose([*losses.values(), total], golden[f"{reading}.losses_vit_bt_cba_total"], **close)
    np.testing.assert_allclose(by_logits, golden[f"{reading}.grad_P_vit"], **close)
    np.testing.assert_allclose(by_embedding, golden[f"{reading}.grad_E"], **close)


def test_embedding(golden):
    features = golden["embed_F_mla"].transpose(0, 2, 3, 1)
    inputs = keras.Input(features.shape[1:])
    model = keras.Model(inputs, btn.embed(inputs, num_classes=7))
    model.set_weights([golden["embed_weight"].transpose(2, 3, 1, 0), golden["embed_bias"]])
    np.testing.assert_allclose(model(features), golden["embed_E"], rtol=1e-5, atol=1e-5)


@given(st.permutations(range(6)), st.integers(0, 1000), st.sampled_from(sorted(READINGS)))
@settings(max_examples=20)
def test_order_of_the_batch_does_not_matter(order, seed, reading):
    embedded, logits = random_batch(seed, 6)
    mixed, _ = batch_transformer(embedded, logits, **READINGS[reading])
    permuted, _ = batch_transformer(embedded[order], logits[order], **READINGS[reading])
    np.testing.assert_allclose(permuted, np.asarray(mixed)[order], rtol=1e-5, atol=1e-5)


@given(st.integers(0, 1000), st.sampled_from(sorted(READINGS)))
@settings(max_examples=20)
def test_a_picture_alone_keeps_its_prediction(seed, reading):
    embedded, logits = random_batch(seed, 1)
    mixed, _ = batch_transformer(embedded, logits, **READINGS[reading])
    np.testing.assert_array_equal(mixed, logits)


def test_detached_values_still_teach_the_embedding():
    embedded, logits = map(tf.Variable, random_batch(0, 4))
    with tf.GradientTape() as tape:
        mixed = btn.ClassBatchAttention(detached=True)([embedded, logits])
    by_embedding, by_logits = tape.gradient(mixed, [embedded, logits])
    assert by_logits is None
    assert np.abs(by_embedding).max() > 0


def random_batch(seed, size):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(size, 7, 9)).astype("float32"), rng.normal(size=(size, 7)).astype("float32")


def small_model():
    """Three maps named as POSTER V2's, cheap to compute, and logits from the last."""
    inputs = x = keras.Input((32, 32, 3))
    for i, dim in enumerate((64, 128, 256), start=1):
        x = keras.layers.Conv2D(dim, 3, 4 if i == 1 else 2, "same", activation="tanh", name=f"ffn{i}")(x)
    logits = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, logits, name="small")


@pytest.mark.parametrize(
    "reading", [{}, {"positions": None, "scaled": True, "probabilities": True, "detached": True, "embedding_size": 3}]
)
def test_training_trains_the_deployed_model(reading):
    keras.utils.set_random_seed(0)
    model = small_model()
    layers, before = list(model.layers), [w.numpy() for w in model.weights]
    training = btn.training_model(model, **reading)
    assert model.layers == layers

    pictures = np.random.default_rng(0).normal(size=(12, 32, 32, 3)).astype("float32")
    targets = np.eye(3, dtype="float32")[np.arange(12) % 3]
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    losses = dict.fromkeys(btn.LOSS_WEIGHTS, loss)
    training.compile(keras.optimizers.Adam(1e-3), losses, btn.LOSS_WEIGHTS, run_eagerly=True)
    history = training.fit(pictures, dict.fromkeys(btn.LOSS_WEIGHTS, targets), batch_size=12, epochs=5, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert all(np.any(w.numpy() != old) for w, old in zip(model.weights, before))
    outputs = training(pictures)
    np.testing.assert_array_equal(outputs["vit"], model(pictures))


def test_training_model_survives_saving(tmp_path):
    training = btn.training_model(small_model())
    training.save(tmp_path / "training.keras")
    again = keras.saving.load_model(tmp_path / "training.keras")
    pictures = np.random.default_rng(1).normal(size=(3, 32, 32, 3)).astype("float32")
    for name, output in training(pictures).items():
        np.testing.assert_allclose(again(pictures)[name], output, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_deployed_graph_is_poster_v2():
    deployed = keras_fer.create_model("btn", input_size=64)
    training = btn.training_model(deployed)
    poster = keras_fer.create_model("poster_v2", input_size=64)
    assert {w.path for w in deployed.weights} == {w.path for w in poster.weights}
    extra = {w.path for w in training.weights} - {w.path for w in deployed.weights}
    assert extra
    assert all(path.startswith(("mla.", "bt.")) for path in extra)
    picture = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3)).astype("uint8")
    outputs = training(picture)
    np.testing.assert_allclose(outputs["cba"], deployed(picture), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(outputs["bt"], 2 * outputs["vit"], rtol=1e-5, atol=1e-6)
