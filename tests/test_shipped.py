"""Weights by name: found offline, checked, the best by default; and those that this version ships."""

import json
import shutil
from pathlib import Path

import colour_models
import numpy as np
import pytest

import keras_fer
from keras_fer import InputError, classifier, predict, shipped
from keras_fer import card as cards
from train.drawn import scene


def put(folder: Path, name: str, accuracy: float, *formats: str) -> None:
    """The colour model among the weights of a folder, in some of the formats."""
    for suffix in formats:
        if suffix == ".tflite":
            shutil.copyfile(colour_models.TFLITE, folder / f"{name}.tflite")
        else:
            colour_models.write_keras(folder / f"{name}.keras")
    sums = {suffix: shipped.sha256(folder / f"{name}{suffix}") for suffix in formats}
    card = colour_models.CARD | {"sha256": sums, "metrics": {"file": {"accuracy": accuracy}}}
    (folder / f"{name}.json").write_text(json.dumps(card))


@pytest.fixture
def weights(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    return tmp_path


def test_a_name_is_as_good_as_a_path(weights):
    put(weights, "colour-fer2013", 0.7, ".keras", ".tflite")
    assert shipped.names() == ["colour-fer2013"]
    model = keras_fer.load("colour-fer2013")
    assert model.classes == tuple(colour_models.CARD["classes"])
    crops = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    np.testing.assert_allclose(
        classifier.open_classifier("colour-fer2013").run(crops),
        classifier.open_classifier(weights / "colour-fer2013.keras").run(crops),
        atol=1e-5,
    )
    # The lightest to run that will do.
    assert shipped.resolve("colour-fer2013", classifier.FORMATS).suffix == ".tflite"


def test_the_most_accurate_is_the_default(weights, tmp_path, capsys):
    put(weights, "a-fer2013", 0.6, ".tflite")
    put(weights, "b-fer2013", 0.7, ".tflite")
    put(weights, "c-fer2013", 0.65, ".tflite")
    assert shipped.ranked() == ["b-fer2013", "c-fer2013", "a-fer2013"]
    assert shipped.default() == "b-fer2013"
    portrait, _ = scene(0, size=(200, 200), faces=["happiness"])
    (face,) = keras_fer.Recognizer()((portrait * (1, 0.3, 0.3)).astype(np.uint8)).faces
    assert face.expression == "anger"
    with pytest.raises(SystemExit):
        predict.main(["--help"])
    assert "a-fer2013, b-fer2013, c-fer2013" in " ".join(capsys.readouterr().out.split())


def test_unknown_names_are_told_the_known_ones(weights):
    with pytest.raises(InputError, match="no weights ship with this version"):
        shipped.default()
    with pytest.raises(InputError, match=r"x does not exist.*none in this version"):
        keras_fer.load("x")
    put(weights, "a-fer2013", 0.6, ".tflite")
    put(weights, "b-fer2013", 0.7, ".keras", ".tflite")
    for find in (keras_fer.load, keras_fer.Recognizer, shipped.card):
        with pytest.raises(InputError, match=r"c-fer2013.*a-fer2013, b-fer2013"):
            find("c-fer2013")
    with pytest.raises(InputError, match=r"a-fer2013 ships as \.tflite, not as \.keras"):
        keras_fer.load("a-fer2013")


@pytest.mark.parametrize("fault", ["changed", "cut off", "gone"])
def test_what_ships_is_checked(weights, fault):
    put(weights, "a-fer2013", 0.6, ".tflite")
    path = weights / "a-fer2013.tflite"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content if fault == "changed" else content[:-1])
    if fault == "gone":
        path.unlink()
    with pytest.raises(InputError, match=r"a-fer2013\.tflite is (damaged|missing)"):
        keras_fer.Recognizer("a-fer2013")


@pytest.mark.parametrize(
    "card", ["{", "[]", "{}", json.dumps(colour_models.CARD), json.dumps(colour_models.CARD | {"sha256": {}})]
)
def test_a_broken_card_is_named(weights, card):
    (weights / "a.json").write_text(card)
    with pytest.raises(InputError, match=r"a\.json has a broken card"):
        shipped.resolve("a", classifier.FORMATS)


def test_a_path_comes_before_a_name(weights, monkeypatch):
    put(weights, "a", 0.6, ".tflite")
    monkeypatch.chdir(weights)
    shutil.copyfile(colour_models.TFLITE, weights / "a")
    assert shipped.resolve("a", classifier.FORMATS) == Path("a")


@pytest.mark.parametrize("name", shipped.names())
def test_shipped_weights_are_what_their_card_says(name):
    card = shipped.card(name)
    assert {".keras", ".tflite"} == set(card["sha256"])
    for suffix in card["sha256"]:
        opened = classifier.open_classifier(shipped.resolve(name, (suffix,)))
        assert (opened.classes, opened.input_size) == (tuple(card["classes"]), card["input_size"])
        assert cards.read(shipped.FOLDER / f"{name}{suffix}")["classes"] == card["classes"]
    splits = {card["metrics"]["split"], *(card["evaluation"][kind]["split"] for kind in ("float", "int8"))}
    assert not splits & {"train", card["training"]["val_split"]}
    assert card["training"]["stages"]
    assert card["licence"]
    assert card["name"] == name
    assert card["limits"]
