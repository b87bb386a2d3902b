"""`train.average`: the mean of models, its statistics, and what cannot be averaged."""

import json

import keras
import numpy as np
import pytest
import tiny

import keras_fer
from keras_fer import InputError, registry
from train import average
from train.data import evaluation_batches


@pytest.fixture(scope="module")
def info(tmp_path_factory):
    return tiny.write_data(tmp_path_factory.mktemp("data") / "colours", train=48, val=18)


@pytest.fixture
def make(tmp_path, tiny_model):
    """Writes a run's weights that differ from the others' by their seed."""

    def write(name: str, seed: int, classes=tiny.CLASSES, **card) -> str:
        model = registry.create_model("tiny", len(classes), tiny.SIZE, dropout=0.0)
        rng = np.random.default_rng(seed)
        model.set_weights([rng.uniform(0.1, 1, weight.shape) for weight in model.weights])
        card = {"model": "tiny", "classes": list(classes), "input_size": tiny.SIZE, "val_split": "val", **card}
        (tmp_path / name).mkdir()
        keras_fer.save(model, tmp_path / name / "best.keras", card)
        return str(tmp_path / name)

    return write


def test_the_mean_and_its_statistics(info, make, tmp_path, capsys):
    runs = [make("a", 1, temperature=2.0, epoch=3, recipe="drawn"), make("b", 2), make("c", 3)]
    out = tmp_path / "mean"
    average.main(["--weights", *runs, "--data", str(info.path), "--out", str(out), "--batch-size", "16"])
    model = keras_fer.load(out)
    assert "the mean of a and b and c: " in capsys.readouterr().out

    loaded = [keras_fer.load(run) for run in runs]
    for i, weight in enumerate(model.trainable_weights):
        mean = np.mean([one.trainable_weights[i].numpy() for one in loaded], axis=0)
        np.testing.assert_allclose(weight.numpy(), mean, rtol=1e-6, err_msg=weight.path)
    # Batch normalisation sees, in inference, what its layer gives on the mean of the training batches.
    norm = model.get_layer("bn1")
    before = keras.Model(model.input, norm.input)
    batches = [before(x).numpy() for x, _ in evaluation_batches(info, "train", batch_size=16, input_size=tiny.SIZE)]
    np.testing.assert_allclose(norm.moving_mean, np.mean([x.mean((0, 1, 2)) for x in batches], axis=0), rtol=1e-4)
    np.testing.assert_allclose(norm.moving_variance, np.mean([x.var((0, 1, 2)) for x in batches], axis=0), rtol=1e-3)
    assert norm.momentum == loaded[0].get_layer("bn1").momentum

    # What was true of one model is not of the mean.
    assert not {"temperature", "epoch"} & set(model.card)
    assert (model.card["recipe"], len(model.card["average"])) == ("drawn", 3)
    assert 0 <= model.card["val_accuracy"] <= 1
    assert list(json.loads((out / average.RECORD).read_text())["weights"]) == runs


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"classes": tiny.CLASSES[::-1]}, "classes of .*b is .*; expected .*a's"),
        ({"val_split": "public"}, "val_split of .*b is public; expected val, .*a's"),
        ({"model": "plain_cnn"}, "model of .*b is plain_cnn; expected tiny"),
    ],
)
def test_refuses_what_differs(info, make, tmp_path, other, message):
    runs = [make("a", 1), make("b", 2, **other)]
    with pytest.raises(InputError, match=message):
        average.average(runs, info, tmp_path / "mean")
    assert not (tmp_path / "mean").exists()


def test_refuses_one_model_other_shapes_and_a_full_folder(info, make, tmp_path):
    run = make("a", 1)
    with pytest.raises(InputError, match="1 model to be averaged; expected at least two"):
        average.average([run, run], info, tmp_path / "mean")
    wide = make("b", 2)
    model = registry.create_model("tiny", 3, tiny.SIZE, norm=0.0)
    keras_fer.save(model, f"{wide}/best.keras", keras_fer.load(run).card)
    with pytest.raises(InputError, match=r"b has weights of other shapes than .*a"):
        average.average([run, wide], info, tmp_path / "mean")
    with pytest.raises(InputError, match="a already holds a model"):
        average.average([run, wide], info, tmp_path / "a")
    strangers = [make(name, 3, data_fingerprint="other") for name in ("c", "d")]
    with pytest.raises(InputError, match=r"c was not trained on .*colours"):
        average.average(strangers, info, tmp_path / "mean")
