"""`train.evaluate`: classes are matched by name, and what it writes and says."""

import dataclasses
import json

import numpy as np
import pytest
import tiny
from scipy.special import softmax

import keras_fer
from keras_fer import InputError, registry
from train import evaluate
from train.data import evaluation_batches
from train.prepared import write_info

PERMUTED = ("sadness", "neutral", "happiness")
CONTRACT = {
    *("n", "accuracy", "mean_class_accuracy", "macro_f1", "per_class"),
    *("confusion", "ece", "nll", "classes"),
}


@pytest.fixture(scope="module", autouse=True)
def _tiny_model():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_MODELS", dict(registry._MODELS))
        registry.register_model(tiny.tiny)
        yield


@pytest.fixture(scope="module")
def info(tmp_path_factory):
    info = tiny.write_data(tmp_path_factory.mktemp("data") / "colours", train=6, val=6, public=40)
    info = dataclasses.replace(info, aliases={"test": "public"})
    write_info(info)
    return info


def model_with(classes):
    model = registry.create_model("tiny", len(classes), 32)
    model.classes = classes
    return model


def probabilities_of(model, info, flip=False):
    pictures = np.concatenate([x for x, _ in evaluation_batches(info, "public", batch_size=9, input_size=32)])
    return softmax(model.predict_on_batch(pictures[:, :, ::-1] if flip else pictures), axis=1)


def truth_of(info):
    targets = np.concatenate([y for _, y in evaluation_batches(info, "public", batch_size=9, input_size=32)])
    return targets.argmax(axis=1)


def test_command(info, tmp_path, capsys):
    model = model_with(PERMUTED)
    weights, out = tmp_path / "weights.keras", tmp_path / "out"
    keras_fer.save(model, weights, {"model": "tiny", "classes": PERMUTED, "input_size": 32})
    evaluate.main(["--weights", str(weights), "--data", str(info.path), "--out", str(out), "--batch-size", "7"])
    result = json.loads((out / "metrics.json").read_text())
    assert set(result) == CONTRACT | {"data", "split", "flip", "weights"}
    assert (result["n"], result["split"], result["classes"]) == (40, "public", list(tiny.CLASSES))
    assert (out / "confusion.png").read_bytes().startswith(b"\x89PNG")

    # The first output is sadness, which is the data's third class, and so on.
    probabilities = probabilities_of(model, info)[:, [1, 2, 0]]
    assert result["accuracy"] == pytest.approx((probabilities.argmax(axis=1) == truth_of(info)).mean())
    assert result["nll"] == pytest.approx(-np.log(probabilities[np.arange(40), truth_of(info)]).mean(), rel=1e-5)
    assert f"{result['n']} pictures" in capsys.readouterr().out


def test_flip_averages_the_mirror_image(info):
    model = model_with(tiny.CLASSES)
    mean = (probabilities_of(model, info) + probabilities_of(model, info, flip=True)) / 2
    result = evaluate.measure(model, info, "test", flip=True)
    assert result["flip"] is True
    assert result["nll"] == pytest.approx(-np.log(mean[np.arange(40), truth_of(info)]).mean(), rel=1e-5)
    assert result["nll"] != pytest.approx(evaluate.measure(model, info, "test")["nll"], rel=1e-7)


def test_a_class_that_the_data_lacks_is_left_out(info):
    model = model_with((*tiny.CLASSES, "anger"))
    result = evaluate.measure(model, info, "test")
    assert result["classes_left_out"] == ["anger"]
    assert sum(map(sum, result["confusion"])) == 40


def test_a_class_that_the_model_lacks_is_an_error(info):
    with pytest.raises(InputError, match="has the classes sadness, which the model does not know; its own are neutral"):
        evaluate.measure(model_with(("neutral", "happiness", "anger")), info, "test")


@pytest.mark.parametrize(
    ("words", "message"),
    {
        "--weights {tmp} --data {data}": "is no run folder: it holds no best.keras",
        "--weights {tmp}/none.keras --data {data}": "does not exist",
        "--weights {data}/dataset.json --data {data}": "carries no card",
        "--weights {tmp} --data {tmp}": "is no prepared data set",
    }.items(),
)
def test_bad_input(words, message, info, tmp_path):
    with pytest.raises(InputError, match=message):
        evaluate.main(words.format(data=info.path, tmp=tmp_path).split())


def test_missing_split(info):
    with pytest.raises(InputError, match="has no split 'private'; it has train, val, public, test"):
        evaluate.measure(model_with(tiny.CLASSES), info, "private")
