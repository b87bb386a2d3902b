"""`export.tflite`: what the files compute, what they carry, and what the verification catches."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from conftest import ROOT, make_exports

import keras_fer
from export import flatbuffer
from export.litert import partitions, runner
from export.quantize import MOVERS, MULTIPLIERS
from keras_fer import InputError
from keras_fer import card as cards
from keras_fer.classifier import open_classifier

CLASSES = list(keras_fer.EXPRESSIONS[:7])
SCHEMES = ("none", "float16", "dynamic", "int8")
SMALL = ("efficientface", "mit_fusion", "poster_v2_mobile")


def export(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "export.tflite", *words], cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def files(exported) -> Path:
    """The tiny model by every scheme."""
    return exported[0]


@pytest.mark.parametrize(("name", "tolerance"), [("none", 1e-5), ("float", 1e-5), ("float16", 0.01), ("int8", 0.1)])
def test_file_computes_what_the_model_does(files, name, tolerance):
    found = runner(files / f"{name}.tflite")(np.load(files / "faces.npy"))
    np.testing.assert_allclose(found, np.load(files / "probabilities.npy"), atol=tolerance)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_file_is_one_partition_of_builtin_operators(files, scheme):
    graph = flatbuffer.read((files / f"{scheme}.tflite").read_bytes())
    assert graph.tensors[graph.inputs[0]][2:4] == ((1, 32, 32, 3), "uint8")
    assert not [operator for operator in graph.operators if operator.custom]
    count, outside = partitions(files / f"{scheme}.tflite")
    assert (count, [operator.name for operator in outside]) == (1, ["CAST"])


def test_card_is_inside_and_beside(files):
    file = files / "int8.tflite"
    card = cards.read(file)
    assert card == json.loads((files / "int8.json").read_text())
    assert card["classes"] == CLASSES
    assert card["input"] == {
        "name": "image",
        "shape": [1, 32, 32, 3],
        "dtype": "uint8",
        "colour": "RGB",
        "range": [0, 255],
        "normalisation": "inside",
    }
    assert card["quantization"]["calibration"]["faces"] == 112
    assert card["training"] == {"recipe": "none"}
    assert card["verification"]["xnnpack_partitions"] == 1
    for entry in ("name", "version", "crop", "licence", "limits", "weights", "sha256"):
        assert card[entry]
    done = subprocess.run(["unzip", "-p", str(file), "labels.txt"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")  # unzip warns where the archive's offsets are not the file's
    assert done.stdout.split() == CLASSES


def test_card_says_how_good_the_file_is(files):
    """Its figures are those that the pictures of the split give, float and int8."""
    metrics = cards.read(files / "int8.tflite")["metrics"]
    assert (metrics["data"], metrics["split"], metrics["n"]) == ("drawn", "test", 14)
    for which in ("float", "file"):
        rates = metrics[which]
        assert list(rates["recall"]) == CLASSES
        # Two faces a class: the accuracy is the mean recall.
        assert rates["accuracy"] == pytest.approx(np.mean(list(rates["recall"].values())), abs=1e-4)
        assert rates["accuracy"] == pytest.approx(rates["mean_class_accuracy"], abs=1e-4)
    assert 0 < metrics["largest_difference"] < 0.1
    assert cards.read(files / "none.tflite")["metrics"]["agreement"] == 1


def test_float_input_works_from_end_to_end(files):
    file = files / "float.tflite"
    card = cards.read(file)
    assert card["input"]["dtype"] == "float32"
    assert card["metrics"]["agreement"] == 1
    classifier = open_classifier(file)
    found = classifier.run(np.load(files / "faces.npy"))
    np.testing.assert_allclose(found, np.load(files / "probabilities.npy"), atol=1e-5)
    assert classifier.temperature == 0.6  # inside already


def test_broken_card_is_refused(files, tmp_path):
    content = (files / "none.tflite").read_bytes()
    with zipfile.ZipFile(files / "none.tflite") as archive:
        start = min(member.header_offset for member in archive.infolist())
    broken = tmp_path / "broken.tflite"
    for change in (content[:start], content[:-40], content.replace(b'"classes"', b'"klasses"')):
        broken.write_bytes(change)
        with pytest.raises(InputError, match="card"):
            cards.read(broken)


def test_int8_is_where_it_pays(files):
    details = {t["index"]: t for t in Interpreter(str(files / "int8.tflite")).get_tensor_details()}
    operators = flatbuffer.read((files / "int8.tflite").read_bytes()).operators
    assert [o for o in operators if o.name in MULTIPLIERS]
    for operator in operators:
        tensors = [details[t] for t in (operator.inputs[0], *operator.outputs)]
        if operator.name in MULTIPLIERS:
            assert {tensor["dtype"] for tensor in tensors} == {np.int8}
        if operator.name in MOVERS:
            assert len({tensor["quantization"] for tensor in tensors}) == 1


def test_int8_is_a_fraction_of_the_size(files):
    none, half, int8 = ((files / f"{scheme}.tflite").stat().st_size for scheme in ("none", "float16", "int8"))
    assert int8 < half < none


def test_command_refuses_what_it_cannot_do(files, tmp_path):
    weights, out = str(files / "tiny.keras"), str(tmp_path / "out.tflite")
    for words, message in [
        (["--weights", weights, "--quantize", "int8", "--out", out], "error: int8 needs --data"),
        (["--weights", str(tmp_path), "--out", out], "is no run folder"),
        (["--weights", weights, "--keep-float", "nose", "--out", out], "tiny has no layer nose"),
    ]:
        done = export(*words)
        assert done.returncode == 2
        assert message in done.stderr.splitlines()[-1]
        assert not any(tmp_path.iterdir())


DIFFERENT = "the file and the model differ by up to"
BREAKAGES = {
    "nothing": "",
    "a Flex operator": "FlexMatrixInverse is no builtin operator of LiteRT; it came from layer odd",
    "a variable": "VAR_HANDLE is a variable operator; it came from layer bn1",
    "an open batch": "has the open shape (-1,",
    "a float input": "expected [((1, 32, 32, 3), 'uint8')",
    "what XNNPACK lacks": "in 2 partitions, expected at most 1; it leaves out CAST of Cast; CUMSUM of layer",
    "a weight that is NaN": "the file gives NaN or infinity: CONV_2D of layer ",
    "a wrong mean": DIFFERENT,
    "swapped channels": DIFFERENT,
    "permuted outputs": DIFFERENT,
    "shuffled labels": "the card's classes are anger, disgust",
}


@pytest.mark.parametrize("what", BREAKAGES)
def test_verification_catches(exported, what):
    said = exported[1]["broken"][what]
    assert BREAKAGES[what] in said
    assert what != "nothing" or not said


# --- Over the registry ---


@pytest.fixture(scope="module")
def small_models(tmp_path_factory) -> tuple[Path, dict]:
    """The small models of the registry as float .tflite, one of them as ONNX, and their cards."""
    folder = tmp_path_factory.mktemp("small")
    return folder, make_exports("registry", folder, *SMALL)


def assert_equal_to_the_model(folder: Path, name: str, cards: dict) -> None:
    files = {"none": f"{name}-none.tflite", "onnx": f"{name}.onnx"}
    for kind in sorted(files.keys() & cards.keys()):
        file = files[kind]
        assert cards[kind]["verification"]["agreement"] == 1
        assert cards[kind]["verification"]["largest_difference"] < 1e-4
        classifier = open_classifier(folder / file)
        assert (classifier.name, list(classifier.classes), classifier.input_size) == (name, CLASSES, 64)


@pytest.mark.parametrize("name", SMALL)
def test_small_model_exports(small_models, name):
    folder, cards = small_models
    assert_equal_to_the_model(folder, name, cards[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", keras_fer.list_models())
def test_every_model_exports_by_every_scheme(tmp_path, name):
    cards = make_exports("schemes", tmp_path, name)[name]
    assert_equal_to_the_model(tmp_path, name, cards)
    sizes = {scheme: (tmp_path / f"{name}-{scheme}.tflite").stat().st_size for scheme in SCHEMES}
    assert sizes["int8"] < 0.34 * sizes["none"]
    assert sizes["float16"] < 0.54 * sizes["none"]
