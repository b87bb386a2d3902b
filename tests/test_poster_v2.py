"""POSTER V2 where the goldens do not look: windows, other sizes, the frozen landmark stream, epsilons."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import keras_fer
from keras_fer.layers import WindowMerge, WindowPartition
from keras_fer.models import poster_v2 as module

LANDMARK_STREAM = "face_landback."


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return keras_fer.create_model("poster_v2")


def parameters(weights):
    return sum(int(np.prod(w.shape)) for w in weights)


def test_trained_parameters(model):
    # The reference's 57,309,346 less the 14,466,637 that its forward pass never uses.
    assert parameters(model.trainable_weights) == 57_309_346 - 14_466_637


def test_epsilons(model):
    """Too small to move the logits, so the goldens cannot tell them apart."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.LayerNormalization):
            assert layer.epsilon == (1e-6 if layer.name.startswith("VIT.") else 1e-5), layer.name
        if isinstance(layer, keras.layers.BatchNormalization):
            assert layer.epsilon == 1e-5, layer.name


def check_landmark_stream_is_frozen(model, size):
    assert not any(w.path.startswith(LANDMARK_STREAM) for w in model.trainable_weights)
    before = {w.path: w.numpy() for w in model.non_trainable_weights if "moving" in w.path}
    model(np.random.default_rng(0).integers(0, 256, (1, size, size, 3)).astype("uint8"), training=True)
    moved = {w.path for w in model.non_trainable_weights if w.path in before and np.any(w.numpy() != before[w.path])}
    assert moved == {path for path in before if not path.startswith(LANDMARK_STREAM)}


def test_landmark_stream_keeps_weights_and_statistics(model):
    check_landmark_stream_is_frozen(model, 224)


@pytest.mark.slow
def test_landmark_stream_is_frozen_after_loading(tmp_path):
    keras_fer.create_model("poster_v2", input_size=64).save(tmp_path / "poster.keras")
    check_landmark_stream_is_frozen(keras.saving.load_model(tmp_path / "poster.keras"), 64)


@pytest.mark.slow
def test_landmark_stream_can_train():
    model = keras_fer.create_model("poster_v2", input_size=64, frozen_landmarks=False)
    assert any(w.path.startswith(LANDMARK_STREAM) for w in model.trainable_weights)
    assert all("moving" in w.path for w in model.non_trainable_weights if "seed" not in w.path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "windows"), [(112, (14, 7, 4)), (160, (20, 10, 5)), (320, (20, 10, 5)), (448, (28, 14, 7))]
)
def test_windows_follow_the_maps(size, windows):
    model = keras_fer.create_model("poster_v2", num_classes=3, input_size=size)
    tables = [model.get_layer(f"attn{i}.relative_position_bias_table").table for i in (1, 2, 3)]
    assert [t.shape[0] for t in tables] == [(2 * w - 1) ** 2 for w in windows]
    logits = model(np.zeros((1, size, size, 3), "uint8"))
    assert logits.shape == (1, 3)
    assert np.isfinite(logits).all()


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
@settings(max_examples=20)
def test_partition_cuts_row_by_row_and_merge_undoes_it(size, rows, columns, batch):
    height, width = size * rows, size * columns
    x = np.arange(batch * height * width * 2, dtype="float32").reshape(batch, height, width, 2)
    windows = WindowPartition(size)(x)
    expected = [
        x[b, r * size : (r + 1) * size, c * size : (c + 1) * size]
        for b in range(batch)
        for r in range(rows)
        for c in range(columns)
    ]
    np.testing.assert_array_equal(windows, expected)
    np.testing.assert_array_equal(WindowMerge(height, width)(windows), x)


def crossing(side, window):
    """Cross attention between two maps `(side, side, 8)`."""
    query, x = keras.Input((side, side, 8)), keras.Input((side, side, 8))
    return keras.Model([query, x], module.cross_attention(query, x, heads=2, window=window, name="attn"))


def test_maps_that_cannot_be_cut_evenly():
    with pytest.raises(keras_fer.InputError, match="9x9"):
        crossing(9, window=7)
    with pytest.raises(keras_fer.InputError, match="multiple of 16"):
        keras_fer.create_model("poster_v2", input_size=100)


def test_windowed_attention_is_full_attention_inside_each_window():
    rng = np.random.default_rng(0)
    query, x = rng.normal(size=(2, 2, 8, 8, 8)).astype("float32")
    windowed, full = crossing(8, window=4), crossing(4, window=4)
    weights = [rng.normal(size=w.shape) for w in full.weights]
    windowed.set_weights(weights), full.set_weights(weights)
    result = np.asarray(windowed([query, x]))
    for rows in (slice(0, 4), slice(4, 8)):
        for columns in (slice(0, 4), slice(4, 8)):
            quarter = full([query[:, rows, columns], x[:, rows, columns]])
            np.testing.assert_allclose(result[:, rows, columns], quarter, rtol=1e-4, atol=1e-5)
