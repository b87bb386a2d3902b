"""`export.ship`: what it writes is found by its name, measured, and never on pictures that made the weights."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tiny

import keras_fer
from export import ship
from keras_fer import InputError, shipped
from keras_fer.classifier import open_classifier
from keras_fer.layers import Normalize
from train import evaluate, recipes
from train.prepared import read_info, write_info
from train.run import Config, create, write_history

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Noisy colours under a name whose licence is known."""
    folder = tmp_path_factory.mktemp("data") / "colours"
    info = tiny.write_data(folder, train=60, val=9, public=30)
    write_info(dataclasses.replace(info, name="drawn", aliases={"test": "public"}))
    return folder


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> Path:
    """A run that went on from another; its weights tell the colours apart, as far as the noise lets anyone."""
    folder = tmp_path_factory.mktemp("run")
    image = keras.Input((tiny.SIZE, tiny.SIZE, 3))
    x = Normalize((0.45, 0.45, 0.45), (0.2, 0.2, 0.2), name="normalize")(image)
    convolution = keras.layers.Conv2D(3, 1, name="conv")
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(convolution(x)))
    head = keras.layers.Dense(3, name="fc")
    model = keras.Model(image, head(x), name="tiny")
    convolution.set_weights([np.eye(3)[None, None], np.full(3, 2.0)])
    head.set_weights([10 * np.eye(3), np.zeros(3)])
    card = {"model": "tiny", "classes": tiny.CLASSES, "input_size": tiny.SIZE, "val_split": "val", "data": "drawn"}
    keras_fer.save(model, folder / "best.keras", card)
    data = read_info(data)
    config = Config(model="tiny", recipe_name="plain_cnn", recipe=recipes.load("plain_cnn"), data=str(data.path))
    create(folder, config, data)
    create(folder / "next", dataclasses.replace(config, init=str(folder)), data)
    for run_folder in (folder, folder / "next"):
        write_history(
            run_folder, [{"epoch": 1, "seconds": 1800, "learning_rate": 0.1, **dict.fromkeys(ship.CURVE, 0.5)}] * 2
        )
    shutil.move(folder / "best.keras", folder / "next")
    return folder / "next"


def test_ships_what_it_measured(data, run, tmp_path, monkeypatch):
    """In a process of its own: conversion leaks memory."""
    command = (
        "-m",
        "export.ship",
        "--weights",
        run,
        "--data",
        data,
        "--out",
        tmp_path,
        "--name",
        "tiny-drawn",
        "--no-phone-cost",
    )
    done = subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"tiny-drawn.{s}" for s in ("json", "keras", "tflite")]
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    card = shipped.card("tiny-drawn")
    assert [stage["hours"] for stage in card["training"]["stages"]] == [1.0, 1.0]
    assert card["training"]["stages"][0]["curve"]["val_accuracy"] == [0.5, 0.5]
    assert card["quantization"]["calibration"]["split"] == "train"
    assert all(card[key] for key in ("limits", "licence", "crop"))
    info = read_info(data)
    for kind, suffix in (("float", ".keras"), ("int8", ".tflite")):
        path = shipped.resolve("tiny-drawn", (suffix,))
        assert card["bytes"][suffix] == path.stat().st_size
        measured = evaluate.measure(open_classifier(path), info, "public")
        assert card["evaluation"][kind]["accuracy"] == measured["accuracy"] > 0.9
        assert (card["evaluation"][kind]["n"], card["evaluation"][kind]["split"]) == (30, "public")
    assert card["metrics"]["file"]["accuracy"] == round(card["evaluation"]["int8"]["accuracy"], 5)
    assert keras_fer.load("tiny-drawn").classes == tiny.CLASSES
    assert f"tiny-drawn.tflite: {card['bytes']['.tflite'] / 1e6:.2f} MB" in done.stdout


def test_an_average_has_the_stages_of_all_its_models(data, run, tmp_path):
    """Each once: both went on from the same run."""
    other = tmp_path / "other"
    shutil.copytree(run, other)
    record = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(record | {"seed": 1}))
    (tmp_path / "average.json").write_text(json.dumps({"weights": {str(run): "", str(other): ""}}))
    found = [(stage["run"], stage["seed"]) for stage in ship.stages(tmp_path)]
    assert found == [(run.parent.name, 0), ("next", 0), ("other", 1)]


@pytest.mark.parametrize("split", ["train", "val"])
def test_pictures_that_made_the_weights_do_not_measure_them(data, run, tmp_path, split):
    with pytest.raises(InputError, match=rf"{split} of drawn trained .* or chose its epoch"):
        ship.ship(str(run), read_info(data), split, folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_licence_must_be_known(data, run, tmp_path):
    info = dataclasses.replace(read_info(data), name="colours")
    with pytest.raises(InputError, match="no licence is known for colours; known are those of fer2013"):
        ship.ship(str(run), info, "public", folder=tmp_path)


@pytest.mark.parametrize("name", shipped.names())
def test_names_say_model_and_data(name):
    card = json.loads((shipped.FOLDER / f"{name}.json").read_text())
    assert name == f"{card['model']}-{card['training']['data']}"
