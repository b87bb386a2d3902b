"""Training on several devices and in several processes: the losses of one, one run folder, clear refusals."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
from tiny import arguments

import keras_fer
from keras_fer import InputError
from keras_fer.classifier import open_classifier
from train import device, distribution, fit, run
from train.augment import Augment
from train.data import read_info, training_batches

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.usefixtures("tiny_model")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A validation split whose last batch is a single picture: one of two devices gets none."""
    folder = tmp_path_factory.mktemp("data") / "colours"
    tiny.write_data(folder, train=100, val=33, test=30)
    return folder


def losses(folder: Path) -> np.ndarray:
    return np.array(
        [[row[key] for key in ("loss", "accuracy", "val_loss", "val_accuracy")] for row in tiny.log(folder)]
    )


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


# --- Two devices ---


def on_two_devices(*runs: list[str]) -> str:
    command = [sys.executable, ROOT / "tests/two_devices.py", json.dumps(runs)]
    # On processors with AVX-512, oneDNN's kernels mix up the layers of two logical devices of one CPU.
    env = environment(TF_ENABLE_ONEDNN_OPTS="0")
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_two_devices_give_the_losses_of_one(data, tmp_path):
    """Clipped gradients, moving average, sharpness-aware steps and a teacher's targets; the rest is per replica."""
    alone = {"model_options.dropout": 0, "model_options.norm": 0, "label_smoothing": 0, "teacher_floor": 0.1}
    teacher = str(tmp_path / "plain-none")
    cases = {"plain": [], "sam": ["--set", "sam_rho=0.05"], "ldl": ["--teacher", teacher]}
    output = on_two_devices(
        *(
            arguments(data, tmp_path / f"{case}-{strategy}", "--epochs", "2", "--strategy", strategy, *more, **alone)
            for case, more in cases.items()
            for strategy in distribution.STRATEGIES
        )
    )
    assert output.count("tensorflow on CPU x 2") == len(cases)
    for case in cases:
        one, two = losses(tmp_path / f"{case}-none"), losses(tmp_path / f"{case}-mirrored")
        np.testing.assert_allclose(two, one, rtol=1e-5)
    # The run folder is the same: it goes on, and is evaluated, on one device.
    folder = tmp_path / "plain-mirrored"
    assert run.read_config(folder)[0].strategy == "mirrored"
    assert {path.name for path in folder.iterdir()} == {path.name for path in (tmp_path / "plain-none").iterdir()}
    assert keras_fer.load(folder).classes == tiny.CLASSES
    fit.main(["--resume", str(folder), "--strategy", "none", "--epochs", "3"])
    fit.main(["--resume", str(tmp_path / "plain-none"), "--epochs", "3"])
    np.testing.assert_allclose(losses(folder), losses(tmp_path / "plain-none"), rtol=1e-5)


def test_one_device_under_the_strategy(data, tmp_path, capsys):
    """With batch normalisation and dropout; two devices would differ in these."""
    fit.main(arguments(data, tmp_path / "none", "--epochs", "1"))
    fit.main(arguments(data, tmp_path / "mirrored", "--epochs", "1", "--strategy", "mirrored"))
    np.testing.assert_allclose(losses(tmp_path / "mirrored"), losses(tmp_path / "none"), rtol=1e-5)
    weights = tmp_path / "none" / "best.keras"
    crops = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    replicated = distribution.open_replicated(weights, distribution.strategy("mirrored"))
    np.testing.assert_allclose(replicated.run(crops), open_classifier(weights).run(crops), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"batch_size": 15}, "batch_size is 15; expected a multiple of 2"), ({"jit": "on"}, "XLA cannot compile")],
)
def test_refusals(data, tmp_path, monkeypatch, settings, message):
    monkeypatch.setattr(distribution, "replicas", lambda _: 2)
    with pytest.raises(InputError, match=message):
        fit.main(arguments(data, tmp_path / "run", "--strategy", "mirrored", **settings))


def test_mirrored_needs_tensorflow(data, tmp_path, monkeypatch):
    monkeypatch.setattr(device, "BACKEND", "jax")
    with pytest.raises(InputError, match="--strategy mirrored needs TensorFlow: KERAS_BACKEND is jax"):
        fit.main(arguments(data, tmp_path / "run", "--strategy", "mirrored"))


# --- Two processes ---


def tf_config(addresses: list[str], index: int) -> str:
    return json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})


def free_addresses(count: int) -> list[str]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one(data, tmp_path):
    """Batch normalisation and dropout included. Only the chief writes, and its run goes on in one process."""
    program = [sys.executable, ROOT / "tests/tiny.py", "fit"]
    command = [*program, *arguments(data, tmp_path / "two", "--epochs", "2")]
    addresses = free_addresses(2)
    workers = [
        subprocess.Popen(
            command,
            env=environment(KERAS_BACKEND="jax", TF_CONFIG=tf_config(addresses, index), TMPDIR=str(tmp_path)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for index in (0, 1)
    ]
    chief, other = [worker.communicate()[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], chief + other
    assert "jax on CPU x 2" in chief
    assert "validation takes 32 of 33 pictures" in chief
    assert ("on test:" in chief, "on test:" in other) == (True, False)
    assert {path.name for path in tmp_path.iterdir()} == {"two"}

    alone = environment(KERAS_BACKEND="jax")
    limited = tmp_path / "limited"
    tiny.write_data(limited, train=100, val=33, test=30)
    stored = (limited / "dataset.json").read_text().replace('"n": 33', '"n": 32')
    (limited / "dataset.json").write_text(stored.replace('-of-00001.tfrecord": 33', '-of-00001.tfrecord": 32'))
    one = [*program, *arguments(limited, tmp_path / "one", "--epochs", "2")]
    subprocess.run(one, env=alone, check=True, capture_output=True)
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=1e-5)
    subprocess.run([*program, "--resume", str(tmp_path / "two"), "--epochs", "3"], env=alone, check=True)
    assert len(losses(tmp_path / "two")) == 3


def test_parts_of_a_batch_are_the_batch(data):
    info = read_info(data)
    options = {"batch_size": 12, "input_size": 32, "augment": Augment(flip=0.5, rotation=9), "seed": 3, "epochs": 2}
    whole, *parts = (
        list(training_batches(info, "train", **options, shard=shard).as_numpy_iterator())
        for shard in ((0, 1), (0, 3), (1, 3), (2, 3))
    )
    assert [len(part) for part in parts] == 3 * [len(whole)]
    for batch, *pieces in zip(whole, *parts):
        for column, together in enumerate(batch):
            np.testing.assert_array_equal(np.concatenate([piece[column] for piece in pieces]), together)


@pytest.mark.parametrize(
    ("text", "message"),
    {
        "{": "TF_CONFIG cannot be read",
        '{"cluster": {}}': "TF_CONFIG cannot be read .*'task'",
        tf_config(["a:1", "b:2"], 2): "TF_CONFIG cannot be read .it has no worker 2",
        tf_config(["a:1", "b:2"], 0): "TF_CONFIG names 2 workers, and Keras trains on several machines with JAX only",
    }.items(),
)
def test_bad_clusters(text, message, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InputError, match=message):
        distribution.join()


@pytest.mark.parametrize("text", ["", tf_config(["a:1"], 0)])
def test_a_single_worker_is_alone(text, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    assert distribution.join() == distribution.Worker(0, 1)


def test_only_the_chief_keeps_its_folder(tmp_path):
    folder = tmp_path / "run"
    for index in (0, 1):
        with distribution.run_folder(folder, distribution.Worker(index, 2), resume=index > 0) as own:
            assert own.exists() == (index > 0)
            own.mkdir(exist_ok=True)
            (own / str(index)).write_text("")
    assert [path.name for path in folder.iterdir()] == ["0"]
    assert not own.exists()
