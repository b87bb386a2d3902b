"""Explanations: heat lies where a made-up model's evidence is, and the maps are what their papers say."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

import keras_fer
from keras_fer import InputError, explain, explanation
from keras_fer.layers import Normalize
from train.drawn import scene

ROOT = Path(__file__).resolve().parents[1]
SIZE = 32
CLASSES = ("anger", "disgust", "sadness")
GAIN = 30
"""Large enough that logits tell colours far apart, which is what Score-CAM weighs by."""


@pytest.fixture(scope="module")
def colours() -> keras.Model:
    """Its logits are how much red, green and blue there is, in cells of 4 pixels: the evidence is in plain sight."""
    image = keras.Input((SIZE, SIZE, 3))
    x = Normalize((0.5, 0.25, 0.125), (0.25, 0.25, 0.25), name="normalize")(image)
    x = keras.layers.AveragePooling2D(4, name="cells")(x)
    x = keras.layers.ReLU(name="map")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    head = keras.layers.Dense(3, use_bias=False)
    model = keras.Model(image, head(x), name="colours")
    head.set_weights([GAIN * np.eye(3)])
    model.classes, model.card = CLASSES, {"model": "colours", "classes": CLASSES, "input_size": SIZE}
    return model


@pytest.fixture
def patches() -> np.ndarray:
    """Red in the upper left, blue in the lower right."""
    picture = np.zeros((SIZE, SIZE, 3), np.uint8)
    picture[4:12, 4:12, 0] = 255
    picture[20:28, 20:28, 2] = 255
    return picture


@pytest.mark.parametrize("method", ["grad-cam", "score-cam"])
@pytest.mark.parametrize(("target", "rows"), [(0, slice(4, 12)), (2, slice(20, 28))])
def test_heat_lies_where_the_evidence_is(colours, patches, method, target, rows):
    (found,) = explanation.explain(colours, patches, target, [method])
    assert found.title == f"{method} map"
    assert found.values.shape == (SIZE, SIZE)
    assert (found.values.min(), found.values.max()) == (0, 1)
    inside = found.values[rows, rows]
    assert inside.min() > 0.3
    assert inside.sum() > 0.6 * found.values.sum()
    assert found.values[rows, rows][2:6, 2:6].min() > 0.9


def test_grad_cam_follows_equations_1_and_2(colours, patches):
    """The gradient of a class's logit is its weight over the number of places."""
    cells = patches.reshape(8, 4, 8, 4, 3).mean(axis=(1, 3)) / 255
    activations = np.maximum((cells - (0.5, 0.25, 0.125)) / 0.25, 0)
    expected = activations[..., 0] * GAIN / 64
    found = explanation.grad_cam(colours, patches, 0, "map")
    # Where a pixel is the middle of a cell or between equals, the enlargement leaves values as they are.
    np.testing.assert_allclose(found[6, 6], 1, atol=1e-6)
    np.testing.assert_allclose(found[30, 30], expected[7, 7] / expected.max(), atol=1e-6)


def test_score_cam_equals_a_plain_reading_of_algorithm_1(colours):
    """Channel by channel, in numpy, on a picture of noise."""
    picture = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)
    mean = 255 * np.array([0.5, 0.25, 0.125])

    def logits(pixels):
        cells = pixels.reshape(8, 4, 8, 4, 3).mean(axis=(1, 3)) / 255
        return GAIN * np.maximum((cells - mean / 255) / 0.25, 0).mean(axis=(0, 1))

    cells = picture.reshape(8, 4, 8, 4, 3).mean(axis=(1, 3)) / 255
    activations = np.maximum((cells - mean / 255) / 0.25, 0)
    baseline = logits(np.tile(mean, (SIZE, SIZE, 1)))[1]
    scores = []
    for channel in range(3):
        mask = enlarged(activations[..., channel])
        mask = (mask - mask.min()) / (mask.max() - mask.min())
        scores.append(logits(mean + (picture - mean) * mask[..., None])[1] - baseline)
    weights = np.exp(scores) / np.exp(scores).sum()
    expected = enlarged(np.maximum(activations @ weights, 0))
    expected = (expected - expected.min()) / (expected.max() - expected.min())
    for batch_size in (1, 2, 32):
        found = explanation.score_cam(colours, picture, 1, "map", batch_size)
        np.testing.assert_allclose(found, expected, atol=1e-4)


def enlarged(grid):
    """Bilinear, from the middles of the cells, in numpy."""
    places = (np.arange(SIZE) + 0.5) * len(grid) / SIZE - 0.5
    rows = [np.interp(places, np.arange(len(grid)), row) for row in grid]
    return np.stack([np.interp(places, np.arange(len(grid)), column) for column in np.transpose(rows)], axis=1)


@pytest.mark.parametrize(("windows", "side"), [(1, 7), (2, 3), (3, 2)])
def test_attention_goes_to_its_place(windows, side):
    """All queries of all heads look at one key; that is where the map is 1."""
    for window, key in ((0, 0), (windows**2 - 1, side**2 - 1), (windows - 1, side)):
        weights = np.zeros((windows**2, 2, side**2, side**2), np.float32)
        weights[window, :, :, key] = 1
        row, column = divmod(window, windows)
        row, column = row * side + key // side, column * side + key % side
        cells = windows * side
        found = explanation.attention_map(weights, 4 * cells)
        assert found[4 * row + 1 : 4 * row + 3, 4 * column + 1 : 4 * column + 3].min() > 0.7
        assert found.argmax() == found.reshape(-1).tolist().index(found.max())
        assert found.sum() < 40


@settings(max_examples=40)
@given(
    arrays.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 4)), elements=st.floats(-1e3, 1e3, width=32))
)
def test_maps_are_in_0_to_1_for_all_grids(grid):
    found = explanation._as_map(grid, 12)
    assert found.shape == (12, 12)
    assert found.dtype == np.float32
    assert 0 <= found.min() <= found.max() <= 1 + 1e-6


@pytest.mark.parametrize("name", keras_fer.list_models())
def test_every_model_can_be_explained(name, pictures):
    size = pictures.shape[1]
    keras.utils.set_random_seed(0)
    model = keras_fer.create_model(name, input_size=size)
    maps = explanation.explain(model, pictures[0], 3)
    expected = {"poster_v2": 3, "btn": 3, "poster_v2_mobile": 3, "mit_fusion": 2}
    assert len(maps) == expected.get(name, 1)
    maps += explanation.explain(model, pictures[0], 3, ["grad-cam"], explanation.cam_layers(model)[-1:])
    for one in maps:
        assert one.values.shape == (size, size)
        assert np.isfinite(one.values).all()
        assert 0 <= one.values.min() <= one.values.max() <= 1


def test_what_passes_a_layer_by_does_not_hinder_grad_cam(patches):
    """The logit is twice what the cells say, once past the middle one: the gradient is that of the other way alone."""
    image = keras.Input((SIZE, SIZE, 3))
    cells = keras.layers.AveragePooling2D(4, name="cells")(image)
    middle = keras.layers.ReLU(name="middle")(cells)
    both = keras.layers.GlobalAveragePooling2D()(keras.layers.Add()([cells, middle]))
    model = keras.Model(image, both, name="jump")
    for layer in ("cells", "middle"):
        found = explanation.grad_cam(model, patches, 2, layer)
        assert found[24, 24] > 0.9
        assert found[8, 8] < 0.1


def test_other_backends(colours, patches, weights, tmp_path, monkeypatch):
    """JAX gives the same maps; what has no gradients says so."""
    np.save(tmp_path / "patches.npy", patches)
    program = (
        "import numpy as np, keras_fer, sys\n"
        "from keras_fer.explanation import explain\n"
        f"maps = explain(keras_fer.load({weights!r}), np.load('patches.npy'), 2, ['grad-cam', 'score-cam'])\n"
        "np.save('maps.npy', [one.values for one in maps])\n"
        "assert 'tensorflow' not in sys.modules"
    )
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    expected = [one.values for one in explanation.explain(colours, patches, 2, ["grad-cam", "score-cam"])]
    np.testing.assert_allclose(np.load(tmp_path / "maps.npy"), expected, atol=1e-4)
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    with pytest.raises(InputError, match="needs gradients: KERAS_BACKEND is numpy, expected tensorflow or jax"):
        explanation.grad_cam(colours, patches, 2, "map")


def test_layers_that_are_not_there_are_named(colours, patches):
    with pytest.raises(InputError, match=r"has no map named nowhere; its last ones are .*map"):
        explanation.grad_cam(colours, patches, 0, "nowhere")
    with pytest.raises(InputError, match=r"has no attention to show; those that have are poster_v2"):
        explanation.explain(colours, patches, 0, ["attention"])
    flat = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    with pytest.raises(InputError, match="averages no map before its classifier"):
        explanation.cam_layers(flat)


# The command


@pytest.fixture(scope="module")
def weights(tmp_path_factory, colours) -> str:
    path = tmp_path_factory.mktemp("weights") / "colours.keras"
    keras_fer.save(colours, path, colours.card)
    return str(path)


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("pair") / "pair.png"
    portrait, _ = scene(0, size=(200, 200), faces=["happiness"])
    red, blue = ((portrait * tint).astype(np.uint8) for tint in ((1, 0.3, 0.3), (0.3, 0.3, 1)))
    Image.fromarray(np.concatenate([red, blue], axis=1)).save(path)
    return str(path)


def test_command(weights, pair, tmp_path, capsys):
    out = tmp_path / "out.png"
    explain.main([pair, "--weights", weights, "--method", "grad-cam", "score-cam", "--out", str(out)])
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said[:2]] == ["anger", "sadness"] or [line.split()[0] for line in said[:2]] == [
        "sadness",
        "anger",
    ]
    assert "grad-cam map, score-cam map" in said[0]
    drawing = np.asarray(Image.open(out))
    assert drawing.shape[1] > 600  # a card and two maps
    explain.main([pair, "--weights", weights, "--class", "disgust", "--cropped", "--out", str(out)])
    assert np.asarray(Image.open(out)).shape != drawing.shape


@pytest.mark.parametrize(
    ("words", "message"),
    {
        "{pair} --weights {weights} --class joy": "knows no class 'joy'; it knows anger, disgust, sadness",
        "{wall} --weights {weights}": r"no face found in .*--cropped",
        "{pair} --weights {weights} --layer fc": "has no map named fc",
        "{pair} --weights model.tflite": "does not show its layers",
        "{tmp}/none.png --weights {weights}": "does not exist",
    }.items(),
)
def test_bad_input(words, message, weights, pair, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (50, 40)).save(tmp_path / "wall.png")
    with pytest.raises(InputError, match=message):
        explain.main(words.format(weights=weights, pair=pair, wall=tmp_path / "wall.png", tmp=tmp_path).split())
    assert [path.name for path in tmp_path.iterdir()] == ["wall.png"]
