"""`export.onnx`, `export.saved_model` and `export.benchmark`."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import keras_fer
from export import benchmark
from keras_fer import InputError
from keras_fer.classifier import open_classifier

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("formats")
    command = [sys.executable, "-m", "tests.exports", "formats", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def test_onnx_takes_any_number_of_pictures(files):
    session = onnxruntime.InferenceSession(files / "tiny.onnx", providers=["CPUExecutionProvider"])
    faces, expected = np.load(files / "faces.npy"), np.load(files / "probabilities.npy")
    for n in (1, 3, 8):
        (found,) = session.run(["probabilities"], {"image": faces[:n]})
        np.testing.assert_allclose(found, expected[:n], atol=1e-5)


def test_onnx_is_plain_and_says_what_it_is(files):
    model = onnx.load(files / "tiny.onnx")
    assert [(opset.domain, opset.version) for opset in model.opset_import if opset.domain == ""] == [("", 17)]
    assert {node.domain for node in model.graph.node} == {""}
    classifier = open_classifier(files / "tiny.onnx")
    assert classifier.classes == keras_fer.EXPRESSIONS[:7]
    card = json.loads((files / "tiny.json").read_text())
    assert card["input"]["shape"] == ["batch", 32, 32, 3]
    assert card["verification"]["agreement"] == 1


def test_saved_model_says_what_it_is(files):
    card = json.loads((files / "served/assets.extra/card.json").read_text())
    assert card["classes"] == (files / "served/assets.extra/labels.txt").read_text().split()
    assert card["verification"] == {"faces": 56, "agreement": 1.0} | {"largest_difference": pytest.approx(0, abs=1e-5)}


def test_saved_model_is_served_to_a_stranger(files, tmp_path):
    """Copied elsewhere, loaded by a process that has none of our code."""
    shutil.copytree(files / "served", tmp_path / "1")
    shutil.copy(files / "faces.npy", tmp_path)
    client = (
        "import numpy as np, tensorflow as tf\n"
        "served = tf.saved_model.load('1').signatures['serving_default']\n"
        "faces = np.load('faces.npy')\n"
        "found = [served(image=tf.constant(faces[i : i + 2]))['probabilities'] for i in range(0, 8, 2)]\n"
        "np.save('found.npy', np.concatenate(found))\n"
    )
    subprocess.run([sys.executable, "-I", "-c", client], cwd=tmp_path, check=True, capture_output=True)
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), np.load(files / "probabilities.npy"), atol=1e-5)


def test_benchmark_runs_files_in_turns(files, tmp_path, capsys):
    out = tmp_path / "times.json"
    benchmark.main([str(files / "tiny.onnx"), str(ROOT / "tests/colour.tflite"), "--runs", "5", "--json", str(out)])
    assert "ratio" in capsys.readouterr().out
    first, second = json.loads(out.read_text())["files"]
    assert (first["ratio"], first["partitions"]) == (1, None)
    assert second["ratio"] == pytest.approx(second["median_ms"] / first["median_ms"])
    low, high = first["quartiles_ms"]
    assert 0 < low <= first["median_ms"] <= high
    assert second["memory_bytes"] >= 0


def test_benchmark_names_what_it_cannot_time(tmp_path):
    for name, content, message in [
        ("missing.tflite", None, "there is no"),
        ("model.txt", b"", "expected a file that ends in .tflite or .onnx"),
        ("broken.tflite", b"no flatbuffer", "cannot be read"),
    ]:
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=message):
            benchmark.inference(tmp_path / name, 1)
