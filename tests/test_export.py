"""Exported files say what the model says, and carry what one must know. Conversion leaks memory: it has a process."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from authors_weights import draw_weights
from keras import ops

import keras_fer
from keras_fer.classifier import open_classifier
from keras_fer.convert import load_state_dict
from train.drawn import draw

ROOT = Path(__file__).resolve().parents[1]
SIZE = 64
CLASSES = keras_fer.EXPRESSIONS[:7]
LARGE = ("btn", "ldg_resnet50", "poster_v2")


def write_model(name, path):
    """A model with weights drawn by the rule, saved; returns it."""
    model = keras_fer.create_model(name, input_size=SIZE)
    load_state_dict(model, draw_weights(model))
    keras_fer.save(model, path, {"model": name, "classes": CLASSES, "input_size": SIZE})
    return model


def command(*words):
    return subprocess.run([sys.executable, "-m", *map(str, words)], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in LARGE else ()) for n in keras_fer.list_models()]
)
def test_float_file_equals_the_model(name, tmp_path):
    model = write_model(name, tmp_path / "model.keras")
    out = tmp_path / "model.tflite"
    done = command("export.tflite", "--weights", tmp_path / "model.keras", "--out", out)
    assert done.returncode == 0, done.stderr[-2000:]

    classifier = open_classifier(out)
    assert (classifier.name, classifier.classes, classifier.input_size) == (name, CLASSES, SIZE)
    faces = np.stack([draw(seed, expression, size=SIZE) for seed, expression in enumerate(CLASSES)])
    np.testing.assert_allclose(classifier.run(faces), ops.softmax(model(faces)), atol=1e-4)

    with zipfile.ZipFile(out) as archive:
        assert archive.read("labels.txt").decode().split() == list(CLASSES)
        card = json.loads(archive.read("card.json"))
    assert card == json.loads((tmp_path / "model.json").read_text())


def test_int8_file_is_smaller_and_close(tmp_path):
    model = write_model("efficientface", tmp_path / "model.keras")
    done = command("train.prepare", "drawn", "--out", tmp_path / "data", "--count", 140, "--size", SIZE)
    assert done.returncode == 0, done.stderr[-2000:]
    for scheme in ("none", "int8"):
        done = command(
            "export.tflite",
            *("--weights", tmp_path / "model.keras", "--data", tmp_path / "data"),
            *("--quantize", scheme, "--out", tmp_path / f"{scheme}.tflite"),
        )
        assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "int8.tflite").stat().st_size < 0.4 * (tmp_path / "none.tflite").stat().st_size
    faces = np.stack([draw(seed, expression, size=SIZE) for seed, expression in enumerate(CLASSES)])
    np.testing.assert_allclose(
        open_classifier(tmp_path / "int8.tflite").run(faces), ops.softmax(model(faces)), atol=0.1
    )


def test_int8_without_faces_is_refused(tmp_path):
    write_model("efficientface", tmp_path / "model.keras")
    out = tmp_path / "int8.tflite"
    done = command("export.tflite", "--weights", tmp_path / "model.keras", "--quantize", "int8", "--out", out)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: int8 needs --data")
    assert not out.exists()
