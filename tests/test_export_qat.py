"""Quantization-aware training: the file computes what was trained. TensorFlow's toolkit has its own process."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_export_deploy import LARGE, with_any_weights

import keras_fer
from export import flatbuffer
from export.quantize import MULTIPLIERS
from keras_fer import card as cards

ROOT = Path(__file__).resolve().parents[1]


def run(*words) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *map(str, words)], cwd=ROOT, capture_output=True, text=True)


def make(job, folder, *words) -> dict:
    done = run("-m", "tests.exports", job, folder, *words)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE)) for name in keras_fer.list_models()]
)
def test_every_model_is_the_same_in_tf_keras(pictures, name):
    from export.deploy import deployable
    from export.tf_keras_rebuild import rebuild

    model = with_any_weights(keras_fer.create_model(name, input_size=64))
    for version in (model, deployable(model)):
        rebuilt = rebuild(version)
        expected, found = (np.asarray(m(pictures.astype("float32"))) for m in (version, rebuilt))
        assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
        assert len(rebuilt.trainable_weights) == len(version.trainable_weights)


# --- End to end, on the tiny model ---


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> dict:
    """A run killed in its second epoch, which the export goes on with; one that was never interrupted; and a file."""
    folder = tmp_path_factory.mktemp("qat")
    killed = run("-m", "tests.exports", "qat_killed", folder)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    history = (folder / "killed/log.csv").read_text().splitlines()
    assert len(history) == 2  # its header and the first epoch
    return {"folder": folder, **make("qat", folder)}


def test_file_computes_what_was_trained(trained):
    # A tie that tips the other way changes a probability by some 1e-4; rounding at all changes it far more.
    assert trained["file_and_graph"] < 2e-3
    assert trained["rounding"] > 3 * trained["file_and_graph"]


def test_training_moved_weights_and_limits(trained):
    moved = trained["moved"]
    # A limit has a gradient only where a number lies beyond it, so on few pictures not each kind need move.
    limits = max(moved["output_low"], moved["output_high"])
    assert min(moved["kernel"], moved["bias"], limits) > 1e-4


def test_run_goes_on_after_a_kill_as_if_unbroken(trained):
    rows = [
        [line.split(",")[:5] for line in (trained["folder"] / name / "log.csv").read_text().splitlines()]
        for name in ("killed", "unbroken")
    ]
    assert len(rows[0]) == 3
    assert rows[0] == rows[1]
    with np.load(trained["folder"] / "killed/last.npz") as one, np.load(trained["folder"] / "unbroken/last.npz") as two:
        for name in set(one.files) - {"progress"}:
            np.testing.assert_array_equal(one[name], two[name])


def test_card_says_how_it_was_trained(trained):
    quantization = cards.read(trained["folder"] / "qat.tflite")["quantization"]
    assert quantization["scheme"] == "qat"
    assert quantization["training"]["recipe"] == "qat"
    assert quantization["training"]["epoch"] in (0, 1, 2)
    verification = cards.read(trained["folder"] / "qat.tflite")["verification"]
    assert verification["xnnpack_partitions"] == 1
    assert verification["steps_off_trained_graph"] <= 1


def test_file_is_int8(trained):
    graph = flatbuffer.read((trained["folder"] / "qat.tflite").read_bytes())
    multiplying = [operator for operator in graph.operators if operator.name in MULTIPLIERS]
    assert multiplying
    for operator in multiplying:
        assert {graph.tensors[t].type for t in (operator.inputs[0], *operator.outputs)} == {"int8"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["efficientface", "mit_fusion", "poster_v2_mobile"])
def test_file_of_a_large_model_computes_the_graph(tmp_path, name):
    steps = make("qat_steps", tmp_path, name)
    assert len(steps) > 50
    assert max(steps.values()) < 2.01


REFUSALS = {
    "no data": "qat needs --data",
    "another model's run": "started from",
    "no run": "is no run folder",
    "a run of train.fit": "is a run of train.fit",
    "a run that is there": "already holds a run",
    "no weights": "--weights, --out missing",
    "other classes": "has the classes",
}


@pytest.mark.parametrize("what", REFUSALS)
def test_refusals(trained, what):
    assert REFUSALS[what] in trained["refusals"][what]


# --- Sensitivity ---


def test_sensitivity_names_the_layer_that_rounding_hurts(trained):
    report = json.loads((trained["folder"] / "sensitivity/sensitivity.json").read_text())
    assert {row["name"] for row in report["layers"]} == {"conv1", "conv2", "fc"}
    assert sum(row["macs"] for row in report["layers"]) == pytest.approx(1)
    assert report["float"] == {"kl": 0, "agreement": 1, "accuracy": report["float"]["accuracy"]}
    # One channel of conv2's kernels is made so large that all others round to nothing; no picture uses it.
    worst = max(report["layers"], key=lambda row: row["alone"]["kl"])
    assert worst["name"] == report["keep_float"][0] == "conv2"
    assert report["kept"]["kl"] < 0.5 * report["int8"]["kl"]
    assert (trained["folder"] / "sensitivity/sensitivity.png").stat().st_size > 5000


def test_listed_layers_stay_float(trained):
    graph = flatbuffer.read((trained["folder"] / "kept.tflite").read_bytes())
    multiplying = [o for o in graph.operators if o.name in MULTIPLIERS]
    floats = [o for o in multiplying if graph.tensors[o.outputs[0]].type == "float32"]
    listed = cards.read(trained["folder"] / "kept.tflite")["quantization"]["float_layers"]
    assert "conv2" in listed
    assert len(floats) == len(listed) < len(multiplying)
