"""`train.calibrate`: the temperature, and that it becomes part of the weights."""

import json
import zipfile

import keras
import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

import keras_fer
from keras_fer import InputError, registry
from keras_fer.classifier import open_classifier
from keras_fer.saving import update_card
from train import calibrate, metrics


@pytest.fixture
def weights(tmp_path, tiny_model):
    keras.utils.set_random_seed(0)
    card = {"model": "tiny", "classes": list(tiny.CLASSES), "input_size": 32, "epoch": 3}
    keras_fer.save(registry.create_model("tiny", 3, 32), tmp_path / "best.keras", card)
    return tmp_path / "best.keras"


@settings(max_examples=10)
@given(st.floats(0.3, 4), st.integers(0, 2**32 - 1))
def test_finds_the_minimum(true, seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (400, 4))
    odds = softmax(logits / true, axis=1)
    labels = (odds.cumsum(axis=1) > rng.random((400, 1))).argmax(axis=1)
    probabilities = softmax(logits, axis=1)
    found = calibrate.fit_temperature(probabilities, labels)
    loss = [
        metrics.negative_log_likelihood(metrics.soften(probabilities, t), labels) for t in np.geomspace(0.05, 20, 60)
    ]
    best = metrics.negative_log_likelihood(metrics.soften(probabilities, found), labels)
    assert best <= min(loss) + 1e-6
    assert found == pytest.approx(true, rel=0.5)


def test_command(weights, tmp_path, capsys):
    info = tiny.write_data(tmp_path / "data", val=60, test=6)
    model = keras_fer.load(weights)
    crops = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype("float32")
    logits = model.predict_on_batch(crops)
    for _ in range(2):  # fitted anew, not on top of the first
        calibrate.main(["--weights", str(tmp_path), "--data", str(info.path), "--batch-size", "16"])
    card = keras_fer.load(weights).card
    temperature = card["temperature"]
    assert (card["calibration"]["split"], card["calibration"]["n"], card["epoch"]) == ("val", 60, 3)
    assert card["calibration"]["nll"][1] <= card["calibration"]["nll"][0]
    out = capsys.readouterr().out
    assert f"temperature {temperature:.3f}, fitted on 60 pictures of colours val" in out
    classifier = open_classifier(weights)
    assert classifier.temperature == temperature
    np.testing.assert_allclose(classifier.run(crops), softmax(logits / temperature, axis=1), rtol=1e-4)
    np.testing.assert_array_equal(keras_fer.load(weights).predict_on_batch(crops), logits)


def test_nothing_else_in_the_file_changes(weights):
    with zipfile.ZipFile(weights) as before:
        old = {name: before.read(name) for name in before.namelist()}
    update_card(weights, {"temperature": 2.5})
    with zipfile.ZipFile(weights) as after:
        new = {name: after.read(name) for name in after.namelist()}
    assert len(new) == len(old)
    assert json.loads(new.pop("card.json")) == json.loads(old.pop("card.json")) | {"temperature": 2.5}
    assert new == old


def test_a_full_disk_leaves_the_weights_as_they_were(weights, monkeypatch):
    before = weights.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("keras_fer.saving.shutil.copyfileobj", full)
    with pytest.raises(OSError, match="No space left"):
        update_card(weights, {"temperature": 2.5})
    assert [path.name for path in weights.parent.iterdir()] == ["best.keras"]
    assert weights.read_bytes() == before


@pytest.mark.parametrize("temperature", [0, -1, "warm", float("inf")])
def test_an_impossible_temperature_is_a_broken_card(weights, temperature):
    update_card(weights, {"temperature": temperature})
    with pytest.raises(InputError, match="has a broken card"):
        open_classifier(weights)


def test_exported_files_are_refused(tmp_path):
    info = tiny.write_data(tmp_path / "data", val=6)
    with pytest.raises(InputError, match="is exported already; calibrate the weights that it came from"):
        calibrate.main(["--weights", "model.tflite", "--data", str(info.path)])
