"""`train.evaluate`: classes are matched by name, and what it writes and says."""

import dataclasses
import json
import tracemalloc

import colour_models
import keras
import numpy as np
import pytest
import tiny
from scipy.special import softmax

import keras_fer
from keras_fer import InputError, registry
from keras_fer.classifier import Classifier, open_classifier
from train import evaluate, features
from train.data import evaluation_batches
from train.prepared import write_info
from train.subset import picture_name, read_subset

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
    model.classes, model.card = classes, {"model": "tiny", "classes": classes, "input_size": 32}
    return model


def saved(folder, classes=PERMUTED, seed=0, **card):
    keras.utils.set_random_seed(seed)
    model = model_with(classes)
    keras_fer.save(model, folder / f"weights{seed}.keras", model.card | card)
    return model, str(folder / f"weights{seed}.keras")


def probabilities_of(model, info, flip=False):
    pictures = np.concatenate([x for x, _ in evaluation_batches(info, "public", batch_size=9, input_size=32)])
    return softmax(model.predict_on_batch(pictures[:, :, ::-1] if flip else pictures), axis=1)


def truth_of(info):
    targets = np.concatenate([y for _, y in evaluation_batches(info, "public", batch_size=9, input_size=32)])
    return targets.argmax(axis=1)


def test_command(info, tmp_path, capsys):
    (model, weights), out = saved(tmp_path), tmp_path / "out"
    evaluate.main(["--weights", weights, "--data", str(info.path), "--out", str(out), "--batch-size", "7"])
    result = json.loads((out / "metrics.json").read_text())
    assert set(result) == CONTRACT | {"data", "split", "flip", "weights", "pictures_per_second"}
    assert (result["n"], result["split"], result["classes"]) == (40, "public", list(tiny.CLASSES))
    assert result["pictures_per_second"] > 0
    assert {path.name for path in out.iterdir()} == {"metrics.json", "confusion.png", "reliability.png"}
    assert all((out / name).read_bytes().startswith(b"\x89PNG") for name in ("confusion.png", "reliability.png"))

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
        "--weights {data}/dataset.json --data {data}": "is no trained model: expected a run folder, or a file that",
        "--weights {tmp} --data {tmp}": "is no prepared data set",
        "--weights {tmp} --data {data} --tsne 9": "--tsne draws into --out, which is missing",
        "--weights {tmp} --data {data} --limit 0": "--limit is 0; expected 1 or more",
        "--weights {tmp} --data {data} --list {tmp}/none.txt": "none.txt is no list of pictures",
        "--weights {tmp}/m.onnx --data {data} --strategy mirrored": "runs on one device; --strategy is for runs",
    }.items(),
)
def test_bad_input(words, message, info, tmp_path):
    with pytest.raises(InputError, match=message):
        evaluate.main(words.format(data=info.path, tmp=tmp_path).split())


def test_missing_split(info):
    with pytest.raises(InputError, match="has no split 'private'; it has train, val, public, test"):
        evaluate.measure(model_with(tiny.CLASSES), info, "private")


# --- Every format ---


def test_every_format_says_the_same(tmp_path):
    info = tiny.write_data(tmp_path / "data", ("sadness", "disgust", "anger"), test=30)
    files = [
        colour_models.write_keras(tmp_path / "m.keras"),
        colour_models.write_onnx(tmp_path / "m.onnx"),
        colour_models.write_tflite(tmp_path / "m.tflite"),
    ]
    first, *others = (evaluate.measure(open_classifier(file), info, "test") for file in files)
    for other in others:
        assert other["confusion"] == first["confusion"]
        # Keras takes the resized pictures as they are, the others round them to bytes.
        assert other["nll"] == pytest.approx(first["nll"], abs=2e-3)
    with pytest.raises(InputError, match="t-SNE needs the features of a run"):
        features.embed(files[1], info, "test", 10)


def test_a_temperature_is_in_the_probabilities_and_its_effect_is_told(info, tmp_path, capsys):
    model, weights = saved(tmp_path, tiny.CLASSES, temperature=0.25)
    plain = evaluate.measure(model, info, "test")
    result = evaluate.measure(keras_fer.load(weights), info, "test")
    logits = np.log(probabilities_of(model, info))
    expected = softmax(logits / 0.25, axis=1)[np.arange(40), truth_of(info)]
    assert result["nll"] == pytest.approx(-np.log(expected).mean(), rel=1e-4)
    assert (result["ece_before"], result["nll_before"]) == pytest.approx((plain["ece"], plain["nll"]), rel=1e-4)
    evaluate.main(["--weights", weights, "--data", str(info.path)])
    assert f"temperature 0.250; without it: ECE {plain['ece']:.3f}" in capsys.readouterr().out


# --- Several at once ---


def test_comparison(info, tmp_path, capsys):
    files = [saved(tmp_path, seed=seed)[1] for seed in (0, 1)]
    out = tmp_path / "out"
    evaluate.main(["--weights", *files, files[0], "--data", str(info.path), "--out", str(out)])
    compared = json.loads((out / "comparison.json").read_text())
    assert compared["compared_with"] == files[0]
    first, second, again = compared["models"]
    difference = second["differences"]["accuracy"]
    assert difference["difference"] == pytest.approx(second["accuracy"] - first["accuracy"])
    assert difference["low"] <= difference["difference"] <= difference["high"]
    assert set(again["differences"]["macro_f1"].values()) == {0}
    own = json.loads((out / "weights1.keras" / "metrics.json").read_text())
    assert own == {key: value for key, value in second.items() if key != "differences"}
    assert {path.name for path in out.iterdir()} == {
        *("comparison.json", "comparison.md"),
        *("1-weights0.keras", "weights1.keras", "3-weights0.keras"),
    }
    assert "| weights" in (out / "comparison.md").read_text()
    assert "10000 paired bootstrap samples" in capsys.readouterr().out


# --- Parts of a split ---


@pytest.mark.parametrize(
    ("line", "name"),
    {
        "1_fer0034656.png": "fer0034656",
        "0/fer0032226.jpg": "fer0032226",
        "row 32304 fer0032226.png": "fer0032226",
        "test_0003_aligned": "test_0003",
        "4/test_0006_aligned.jpg": "test_0006",
        "Image/aligned/test_0006_aligned.jpg": "test_0006",
        "train/3/train_00042_aligned.jpg": "train_00042",
        f"val/0/{'bc9ad4' * 9}fe/": "bc9ad4" * 9 + "fe",
        f"7/{'3c0282' * 9}fe/8.jpg": "3c0282" * 9 + "fe",
        f"689/{'3c0282' * 9}fe.jpg": "3c0282" * 9 + "fe",
        "faces/happy/my face.1.png": "my face.1",
    }.items(),
)
def test_names_of_published_lists_and_of_data_sets_meet(line, name):
    assert picture_name(line) == name


def test_a_list_chooses_pictures(info, tmp_path, capsys):
    model, weights = saved(tmp_path, tiny.CLASSES)
    file = tmp_path / "occlusion.txt"
    file.write_text("public/3 4\n12.png\n\n7 2 1\npublic/7\n999\n")
    subset = read_subset(file, info, "test")
    assert subset.chosen.nonzero()[0].tolist() == [3, 7, 12]
    evaluate.main(["--weights", weights, "--data", str(info.path), "--list", str(file), "--batch-size", "2"])
    assert "3 of the 4 pictures that occlusion.txt names" in capsys.readouterr().out
    predictions = evaluate.predict(model, info, "test", subset=subset)
    np.testing.assert_allclose(predictions.probabilities, probabilities_of(model, info)[[3, 7, 12]], atol=1e-6)
    np.testing.assert_array_equal(predictions.labels, truth_of(info)[[3, 7, 12]])
    assert read_subset(file, info, "test", limit=8).chosen.nonzero()[0].tolist() == [3, 7]


def test_a_list_of_other_data_is_an_error(info, tmp_path):
    (tmp_path / "list.txt").write_text("1_fer0034656.png 8 0\n")
    with pytest.raises(InputError, match=r"none of the 1 pictures .* '1_fer0034656.png 8 0', the data's first is 'pub"):
        read_subset(tmp_path / "list.txt", info, "test")


# --- Pictures, memory ---


def test_features_in_the_plane(info, tmp_path):
    _, weights = saved(tmp_path)
    evaluate.main(["--weights", weights, "--data", str(info.path), "--tsne", "20", "--out", str(tmp_path / "out")])
    assert (tmp_path / "out" / "features.png").read_bytes().startswith(b"\x89PNG")
    points, labels = features.embed(weights, info, "test", 20)
    assert points.shape == (20, 2)
    np.testing.assert_array_equal(labels, truth_of(info)[:20])
    np.testing.assert_array_equal(points, features.embed(weights, info, "test", 20)[0])


@pytest.mark.parametrize("name", ["efficientface", "mit_fusion"])
def test_last_features_are_what_the_classifier_reads(name, pictures):
    model = registry.create_model(name, 7, 64)
    kernel, bias = model.outputs[0]._keras_history.operation.get_weights()
    found = np.asarray(features.last_features(model)(pictures, training=False)) @ kernel + bias
    np.testing.assert_allclose(found, model(pictures, training=False), rtol=1e-4, atol=1e-5)


def test_memory_does_not_grow_with_the_set(tmp_path):
    """400 pictures more would be 5 MB as float32: what is kept of them are 3 probabilities and a label."""
    info = tiny.write_data(tmp_path / "data", small=40, large=440)

    def answer(crops):
        assert len(crops) <= 20
        return np.full((len(crops), 3), 1 / 3, np.float32)

    model = Classifier("none", tiny.CLASSES, 32, 1.0, 0.5, answer)
    peaks = {}
    for split in ("small", "large"):
        tracemalloc.start()
        assert len(evaluate.predict(model, info, split, 20).labels) == info.require(split).n
        peaks[split] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks["large"] - peaks["small"] < 400 * 32 * 32 * 3 * 4 / 20
