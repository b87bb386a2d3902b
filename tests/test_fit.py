"""`train.fit`: the run folder, going on after a kill, NaN, fine-tuning, other backends, bad input."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tiny
from tiny import arguments, log

import keras_fer
from keras_fer import InputError, registry
from train import evaluate, fit, run
from train.data import class_weights, read_info
from train.transfer import transfer

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.usefixtures("tiny_model")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "colours"
    tiny.write_data(folder, train=100, val=30, test=30)
    return folder


def test_run_folder_is_complete(data, tmp_path, capsys):
    folder = tmp_path / "run"
    fit.main(arguments(data, folder, "--epochs", "3", "--seed", "7"))

    names = {"config.json", "last.npz", "best.keras", "log.csv", "curves.png", "metrics.json", "confusion.png"}
    assert {path.name for path in folder.iterdir()} == {*names, "tensorboard"}
    assert list(folder.glob("tensorboard/validation/events.*"))

    config, record = run.read_config(folder)
    assert (config.seed, config.recipe.epochs, config.recipe.learning_rate) == (7, 3, 0.02)
    assert record["dataset"]["classes"] == list(tiny.CLASSES)

    rows = log(folder)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    best = max(rows, key=lambda row: row["val_accuracy"])
    model = keras_fer.load(folder)
    assert model.classes == tiny.CLASSES
    assert (model.card["epoch"], model.card["val_accuracy"]) == (best["epoch"], best["val_accuracy"])

    result = json.loads((folder / "metrics.json").read_text())
    assert (result["n"], result["split"], result["epoch_chosen_on"], result["epoch"]) == (
        30,
        "test",
        "val",
        best["epoch"],
    )
    assert "note" not in result
    # The weights in best.keras are those that were validated: the moving average.
    assert evaluate.measure(model, read_info(data), "val")["accuracy"] == pytest.approx(best["val_accuracy"])
    weights, state = model.get_weights(), np.load(folder / "last.npz")
    assert not np.array_equal(weights[0], state["variable_0"])

    out = capsys.readouterr().out
    assert "epoch   3/3" in out
    assert "accuracy" in out
    with pytest.raises(InputError, match="already holds a run; go on with --resume"):
        fit.main(arguments(data, folder))


@pytest.mark.parametrize("schedule", ["plateau", pytest.param("cosine", marks=pytest.mark.slow)])
def test_killed_run_ends_as_one_that_was_not(data, tmp_path, schedule):
    settings = {"schedule": schedule, "early_stopping": 6, "decay_epochs": 1, "decay_factor": 0.5, "optimizer": "sgd"}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    fit.main(arguments(data, whole, "--epochs", "8", **settings))

    tiny.kill_after(3, "fit", arguments(data, killed, "--epochs", "8", **settings))
    assert len(log(killed)) < 8
    fit.main(["--resume", str(killed)])
    tiny.assert_same_run(killed, whole)


def test_nan_stops_and_keeps_the_last_good_state(data, tmp_path):
    folder = tmp_path / "run"
    fit.main(arguments(data, folder, "--epochs", "1", schedule="constant", clip_norm=0))
    state = (folder / "last.npz").read_bytes()
    with pytest.raises(InputError, match=r"the loss is (nan|inf) at step \d+ of epoch 2; .*--resume .*run"):
        fit.main(["--resume", str(folder), "--epochs", "3", "--set", "learning_rate=1e38"])
    assert (folder / "last.npz").read_bytes() == state
    fit.main(["--resume", str(folder), "--set", "learning_rate=1e-3"])
    assert len(run.read_config(folder)[1]["sessions"]) == 3
    assert [row["learning_rate"] for row in log(folder)] == pytest.approx([0.02, 1e-3, 1e-3])


@pytest.mark.slow
def test_same_losses_compiled_and_in_mixed_precision(data, tmp_path):
    """The path that a GPU takes (XLA, float16 with a scaled loss), on the CPU."""
    losses = {}
    for name, settings in {
        "plain": {},
        "compiled": {"jit": "on"},
        "mixed": {"jit": "on", "mixed_precision": "float16"},
    }.items():
        settings |= {"model_options.dropout": 0, "learning_rate": 1e-3}
        fit.main(arguments(data, tmp_path / name, "--epochs", "2", **settings))
        losses[name] = [(row["loss"], row["val_loss"]) for row in log(tmp_path / name)]
    np.testing.assert_allclose(losses["compiled"], losses["plain"], rtol=1e-4)
    np.testing.assert_allclose(losses["mixed"], losses["plain"], rtol=1e-2)
    assert {layer.dtype_policy.name for layer in keras_fer.load(tmp_path / "mixed").layers} == {"float32"}


def test_jax_trains_on_the_same_pipeline(data, tmp_path):
    settings = {"model_options.dropout": 0, "learning_rate": 1e-3, "class_weights": "balanced"}
    command = [
        sys.executable,
        ROOT / "tests/tiny.py",
        "fit",
        *arguments(data, tmp_path / "jax", "--epochs", "2", **settings),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "jax"}
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    assert "jax on CPU" in output
    assert [session["device"] for session in run.read_config(tmp_path / "jax")[1]["sessions"]] == ["jax on CPU"]
    rows = log(tmp_path / "jax")
    assert rows[1]["loss"] < rows[0]["loss"]
    assert keras_fer.load(tmp_path / "jax").classes == tiny.CLASSES


def test_val_public_trains_on_all_and_says_so(tmp_path):
    data, folder = tmp_path / "data", tmp_path / "run"
    info = tiny.write_data(data, train=40, val=20, public=30)
    (data / "dataset.json").write_text(
        (data / "dataset.json").read_text().replace('"aliases": {}', '"aliases": {"test": "public"}')
    )
    fit.main(arguments(info.path, folder, "--epochs", "1", "--val", "public", batch_size=60))
    result = json.loads((folder / "metrics.json").read_text())
    assert (result["split"], result["epoch_chosen_on"]) == ("public", "public")
    assert "also chose the epoch" in result["note"]


def test_class_weights_balance_and_keep_the_mean(tmp_path):
    info = tiny.write_data(tmp_path / "data", train=10)
    weights = class_weights(info, "train")
    counts = list(info.splits["train"].counts.values())
    assert counts == [4, 3, 3]
    assert [weights[i] * counts[i] for i in range(3)] == pytest.approx([10 / 3] * 3)


def test_init_takes_what_fits_by_name(data, tmp_path, capsys):
    fit.main(arguments(data, tmp_path / "small", "--epochs", "1"))
    more = tmp_path / "more"
    tiny.write_data(more, classes=keras_fer.EXPRESSIONS[:4], train=32, val=16, test=16)
    capsys.readouterr()
    fit.main(arguments(more, tmp_path / "large", "--init", str(tmp_path / "small"), "--epochs", "1", input_size=64))
    assert f"init from {tmp_path / 'small'}: 3 of 4 layers taken; new: fc" in capsys.readouterr().out


def test_init_reorders_the_classifier_by_name():
    source, target = (registry.create_model("tiny", 3, 32) for _ in range(2))
    source.classes = ("sadness", "neutral", "happiness")
    assert transfer(source, target, ("neutral", "happiness", "sadness")).new == []
    picture = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).astype("float32")
    np.testing.assert_allclose(
        target.predict_on_batch(picture), source.predict_on_batch(picture)[:, [1, 2, 0]], rtol=1e-5
    )


def test_init_from_another_model_is_refused():
    source = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Dense(3, name="other")])
    source.classes = tiny.CLASSES
    with pytest.raises(InputError, match=r"no layer of .* fits tiny"):
        transfer(source, registry.create_model("tiny", 3, 32), tiny.CLASSES)


@pytest.mark.parametrize(
    ("words", "message"),
    {
        "--model mit_fuson": "unknown model 'mit_fuson'; known are .*did you mean mit_fusion",
        "--model tiny --recipe drwn --data {data}": "unknown recipe 'drwn'; known are .*did you mean drawn",
        "--model tiny --recipe drawn --data {tmp}": "is no prepared data set",
        "--model tiny --recipe drawn --data {data} --val public": "has no split 'public'; it has train, val, test",
        "--model tiny --recipe drawn --data {data} --set epoch=3": "no such key",
        "--model tiny --recipe drawn --data {data} --set model_options.depth=3": "tiny does not take depth; .* dropout",
        "--model tiny --recipe drawn --data {data} --set batch_size=101": "less than one batch",
        "--model tiny --recipe drawn --data {data} --init {tmp}/none": "does not exist",
        "--resume {tmp}": "is no run folder: it holds no config.json",
        "--resume {tmp} --model tiny": "--resume takes --model from the run",
        "": "--model is missing",
    }.items(),
)
def test_bad_input(words, message, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        fit.main(words.format(data=data, tmp=tmp_path).split())
    assert not (tmp_path / "runs").exists()


def test_resume_refuses_other_data(data, tmp_path):
    folder = tmp_path / "run"
    fit.main(arguments(data, folder, "--epochs", "1"))
    other = tmp_path / "other"
    tiny.write_data(other, seed=1, train=100, val=30, test=30)
    with pytest.raises(InputError, match=r"is not the data that .* was trained on"):
        fit.main(["--resume", str(folder), "--data", str(other), "--epochs", "2"])
