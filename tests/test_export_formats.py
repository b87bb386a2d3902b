"""`export.onnx`, `export.saved_model`, `export.report` and `export.benchmark`."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import ROOT

import keras_fer
from export import benchmark, report, saved_model, tflite
from export import onnx as onnx_export
from keras_fer import InputError
from keras_fer.classifier import open_classifier
from train.data import read_info


@pytest.fixture(scope="module")
def files(exported) -> Path:
    return exported[0]


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
    assert classifier.temperature == card["temperature"] == 0.6  # and it is in the probabilities, as above
    assert "temperature" not in card["training"]


def test_saved_model_says_what_it_is(files):
    card = json.loads((files / "served/assets.extra/card.json").read_text())
    assert card["classes"] == (files / "served/assets.extra/labels.txt").read_text().split()
    assert card["verification"] == {"faces": 56, "agreement": 1.0} | {"largest_difference": pytest.approx(0, abs=1e-5)}


def test_saved_model_is_served_to_a_stranger(files, tmp_path):
    """Copied elsewhere, loaded by a process that has none of our code."""
    shutil.copytree(files / "served", tmp_path / "1")
    found = saved_model.call(tmp_path / "1", np.load(files / "faces.npy")[:3])
    np.testing.assert_allclose(found, np.load(files / "probabilities.npy")[:3], atol=1e-5)


def test_nothing_else_is_overwritten(files, tmp_path):
    """A folder that holds other things, and names that would hide what a file is."""
    model = keras_fer.load(files / "tiny.keras")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is there and no SavedModel"):
        saved_model.export(model, tmp_path, np.load(files / "faces.npy"))
    with pytest.raises(InputError, match=r"expected a name that ends in \.tflite"):
        tflite.export(model, "none", tmp_path / "notes.txt")
    with pytest.raises(InputError, match=r"expected a name that ends in \.onnx"):
        onnx_export.export(model, tmp_path / "notes.txt", np.load(files / "faces.npy"))
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_report_compares_every_variant(files):
    result = json.loads((files / "report/tiny.json").read_text())
    names = [row["variant"] for row in result["variants"]]
    assert names == ["float32", "float16", "dynamic", "int8", "onnx", "float"]
    assert not result["failures"]
    page = (files / "report/tiny.md").read_text()
    assert "(tiny.png)" in page
    for row in result["variants"]:
        metrics = row["metrics"]
        assert (metrics["data"], metrics["split"], metrics["n"]) == ("drawn", "test", 14)
        assert f"| {row['variant']} " in page
    assert (files / "report/tiny.png").read_bytes().startswith(b"\x89PNG")


def test_report_keeps_what_an_earlier_one_made(exported):
    _, found = exported
    made = {name for name, time in found["second"].items() if found["first"].get(name) != time}
    assert {name for name in made if not name.startswith("times-")} == {"tiny.json", "tiny.md", "tiny.png"}
    assert {"tiny-int8.tflite", "tiny-float32.tflite", "tiny-onnx.onnx"} <= set(found["second"])


def test_report_refuses_what_does_not_belong(files, tmp_path):
    model, info = keras_fer.load(files / "tiny.keras"), read_info(files / "data")
    cut = tmp_path / "cut.tflite"
    cut.write_bytes((files / "int8.tflite").read_bytes()[:-40])
    for file, split, message in [
        (cut, "test", "carries no card"),
        (tmp_path / "missing.tflite", "test", "there is no"),
        (tmp_path / "missing.onnx", "test", "there is no"),
        (ROOT / "tests/colour.tflite", "test", "tells anger, disgust, sadness apart"),
        (files / "int8.tflite", "val", "was not measured on drawn val"),
        (files / "int8.tflite", "public", "has no split 'public'"),
    ]:
        with pytest.raises(InputError, match=message):
            report.make(model, info, split, tmp_path / "out", [file])
    assert not (tmp_path / "out").exists()


def test_benchmark_runs_files_in_turns(files, tmp_path, capsys):
    out = tmp_path / "times.json"
    benchmark.main([str(files / "tiny.onnx"), str(ROOT / "tests/colour.tflite"), "--runs", "5", "--json", str(out)])
    assert "ratio" in capsys.readouterr().out
    first, second = json.loads(out.read_text())["files"]
    assert (first["ratio"], first["partitions"]) == (1, None)
    assert second["ratio"] == pytest.approx(second["median_ms"] / first["median_ms"])
    assert second["cpu_ratio"] == pytest.approx(second["cpu_ms"] / first["cpu_ms"])
    low, high = first["quartiles_ms"]
    assert 0 < low <= first["median_ms"] <= high
    assert second["memory_bytes"] > 0


def test_benchmark_names_what_it_cannot_time(tmp_path):
    for name, content, message in [
        ("missing.tflite", None, "there is no"),
        ("model.txt", b"", "expected a file that ends in .tflite or .onnx or .pt2"),
        ("broken.tflite", b"no flatbuffer", "cannot be read"),
    ]:
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=message):
            benchmark.inference(tmp_path / name, 1)
