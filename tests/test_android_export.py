"""What `export.android` puts into the app, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from export import android, card
from keras_fer import blazeface, shipped
from keras_fer.classifier import open_classifier
from keras_fer.errors import InputError
from train.drawn import draw

CLASSES = ("anger", "happiness", "neutral")


def write_tflite(path, size=32, seed=0):
    """A file of export.tflite's kind with one dense layer: it converts in a second."""
    kernel = np.random.default_rng(seed).normal(0, 0.01, (3 * size * size, len(CLASSES))).astype(np.float32)

    @tf.function(input_signature=[tf.TensorSpec((1, size, size, 3), tf.uint8)])
    def classify(image):
        return tf.nn.softmax(tf.reshape(tf.cast(image, tf.float32) / 255 - 0.5, (1, -1)) @ kernel)

    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([classify.get_concrete_function()]).convert())
    card.append(path, {"model": "dense", "classes": CLASSES, "input_size": size})
    return path


@pytest.mark.skipif(not shipped.names(), reason="no weights ship")
def test_without_weights_all_that_ship_are_packed(tmp_path):
    android.main(["--out", str(tmp_path / "assets")])
    index = json.loads((tmp_path / "assets/models/index.json").read_text())["models"]
    assert [entry["id"] for entry in index] == shipped.ranked()
    for entry in index:
        assert (tmp_path / f"assets/models/{entry['id']}.tflite").read_bytes() == shipped.resolve(
            entry["id"], (".tflite",)
        ).read_bytes()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tflite(tmp_path_factory.mktemp("model") / "dense.tflite")


def test_assets_are_complete(model, tmp_path):
    out = tmp_path / "assets"
    other = write_tflite(tmp_path / "other.tflite", size=48, seed=1)
    android.main(["--weights", str(model), str(other), "--out", str(out)])

    index = json.loads((out / "models/index.json").read_text())["models"]
    assert [(entry["id"], entry["name"]) for entry in index] == [("dense", "dense"), ("other", "dense")]
    for entry, source, size in zip(index, (model, other), (32, 48)):
        path = out / f"models/{entry['id']}.tflite"
        assert path.read_bytes() == source.read_bytes()
        assert path.stat().st_size == entry["bytes"]
        assert path.with_suffix(".labels.txt").read_text().split() == list(CLASSES)
        content = path.with_suffix(".selftest").read_bytes()
        face = np.frombuffer(content[16:], np.uint8).reshape(size, size, 3)
        np.testing.assert_array_equal(face, draw(0, "happiness", size=size))
        assert np.frombuffer(content[:4], "<i4") == 3
        np.testing.assert_array_equal(np.frombuffer(content[4:16], "<f4"), open_classifier(path).run(face[None])[0])
    detector = out / "detector" / blazeface.model_path().name
    assert detector.read_bytes() == blazeface.model_path().read_bytes()
    licence = (out / "detector/LICENSE.txt").read_text()
    assert "Apache License" in licence
    assert "MIT License" in licence


def test_assets_are_replaced_whole_or_not_at_all(model, tmp_path):
    out = tmp_path / "assets"
    android.write_assets([str(model)], None, out)
    stale = out / "models/stale.tflite"
    stale.touch()
    before = sorted(out.rglob("*"))
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(model.read_bytes()[:100])
    with pytest.raises(InputError, match="carries no card"):
        android.write_assets([str(model), str(broken)], None, out)
    assert sorted(out.rglob("*")) == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    android.write_assets([str(model)], None, out)
    assert not stale.exists()


def test_a_file_that_is_damaged_on_the_way_is_found(model, tmp_path, monkeypatch):
    def cut_the_model(source, target):
        content = Path(source).read_bytes()
        target.write_bytes(content[:-9] if target.name == model.name else content)

    monkeypatch.setattr(android.shutil, "copyfile", cut_the_model)
    with pytest.raises(InputError, match=r"dense\.tflite"):
        android.write_assets([str(model)], None, tmp_path / "assets")
    assert not (tmp_path / "assets").exists()


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        (["nowhere.tflite"], "nowhere.tflite does not exist"),
        (["nowhere"], "nowhere"),
        (["{model}", "{model}"], "the same name"),
        (["my model.tflite"], "'my model'"),
    ],
)
def test_bad_weights_are_told(weights, told, model, tmp_path):
    with pytest.raises(InputError, match=told):
        android.write_assets([name.format(model=model) for name in weights], None, tmp_path / "assets")
    assert not (tmp_path / "assets").exists()


def test_a_folder_that_is_not_the_assets_stays(model, tmp_path):
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(InputError, match="something else"):
        android.write_assets([str(model)], None, tmp_path)
    with pytest.raises(InputError, match="something else"):
        android.write_assets([str(model)], None, tmp_path / "photo.jpg")
    assert (tmp_path / "photo.jpg").exists()
