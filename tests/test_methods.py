"""The papers' training methods in `train.fit`: more outputs, label distributions from a teacher, balanced sampling."""

import csv
import dataclasses
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

import keras_fer
from keras_fer import InputError, registry
from train import device, fit, recipes
from train.data import read_info, training_batches
from train.label_distribution import LabelDistributionLoss, load_generator
from train.method import TrainingModel
from train.prepared import DatasetInfo, Split, encode_example, write_info
from train.recipes import Recipe
from train.votes import VotesModel

pytestmark = pytest.mark.usefixtures("tiny_model")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "colours"
    tiny.write_data(folder, train=64, val=16, test=16)
    return folder


def train(data: Path, out: Path, *more: str) -> list[dict[str, float]]:
    """A small run, and the rows of its log."""
    settings = {"input_size": 32, "batch_size": 16, "warmup": 0, "ema": 0, "schedule": "constant"}
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    fit.main(["--model", "tiny", "--recipe", "drawn", "--data", str(data), "--out", str(out), *words, *more])
    return log(out)


def log(folder: Path) -> list[dict[str, float]]:
    with (folder / "log.csv").open() as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


# --- More outputs than the network's own ---


def with_auxiliary_head(network):
    auxiliary = keras.layers.Dense(network.output_shape[-1], name="auxiliary")(network.get_layer("conv2").output)
    auxiliary = keras.layers.GlobalAveragePooling2D()(auxiliary)
    return keras.Model(network.input, {"auxiliary": auxiliary, "own": network.output})


def test_losses_of_all_outputs_are_weighted_and_the_networks_own_is_validated():
    registry.register_method("tiny", {"own": 2.0, "auxiliary": 0.5})(with_auxiliary_head)
    model = TrainingModel(registry.create_model("tiny", 3, 32, dropout=0), "tiny")
    cross_entropy = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.0), cross_entropy, metrics=["accuracy"])
    x = np.random.default_rng(0).uniform(0, 255, (6, 32, 32, 3)).astype("float32")
    y = np.eye(3, dtype="float32")[[0, 1, 2, 0, 1, 2]]
    outputs = model(x, training=False)
    own, auxiliary = (float(cross_entropy(y, outputs[name])) for name in ("own", "auxiliary"))
    assert float(model.compute_loss(x, y, outputs)) == pytest.approx(2 * own + 0.5 * auxiliary, rel=1e-5)
    assert model.evaluate(x, y, verbose=0, return_dict=True)["loss"] == pytest.approx(own, rel=1e-5)


def test_resumed_run_keeps_what_only_trains(data, tmp_path):
    registry.register_method("tiny", {"own": 1.0, "auxiliary": 1.0})(with_auxiliary_head)
    whole = train(data, tmp_path / "whole", "--epochs", "2")
    train(data, tmp_path / "parts", "--epochs", "1")
    fit.main(["--resume", str(tmp_path / "parts"), "--epochs", "2"])
    for key in ("loss", "val_loss"):
        assert [row[key] for row in log(tmp_path / "parts")] == pytest.approx([row[key] for row in whole], abs=1e-6)
    assert "auxiliary" not in [layer.name for layer in keras_fer.load(tmp_path / "parts").layers]


@pytest.mark.slow
def test_btn_trains_but_for_its_landmarks():
    keras.utils.set_random_seed(0)
    network = registry.create_model("btn", 7, 32)
    model = TrainingModel(network, "btn", sam_rho=0.05)
    before = {v.path: np.array(v) for v in model.variables}
    model.compile(keras.optimizers.SGD(0.1), keras.losses.CategoricalCrossentropy(from_logits=True), run_eagerly=True)
    x = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    model.train_on_batch(x, np.eye(7, dtype="float32")[:2])
    moved = {v.path.split(".")[0] for v in model.variables if not np.array_equal(v, before.get(v.path, v))}
    assert "face_landback" not in moved  # neither weights nor statistics
    assert moved > {"ir_back", "embed_q", "embed_k", "embed_v", "VIT", "mla", "bt"}


def test_methods_need_tensorflow(data, tmp_path, monkeypatch):
    monkeypatch.setattr(device, "BACKEND", "jax")
    with pytest.raises(InputError, match="sam_rho and --teacher need TensorFlow: KERAS_BACKEND is jax"):
        train(data, tmp_path / "run", "--set", "sam_rho=0.05", "--epochs", "1")


# --- Votes beside the labels ---


@pytest.fixture(scope="module")
def voted(tmp_path_factory) -> Path:
    """Colours with votes of their own: the tagger sees the colour, and a fourth choice half of the time."""
    folder = tmp_path_factory.mktemp("voted") / "colours"
    info = tiny.write_data(folder, train=64, val=16)
    for split in info.splits.values():
        ((file, _),) = split.files.items()
        records = []
        for record in tf.data.TFRecordDataset(str(folder / file)).as_numpy_iterator():
            example = tf.train.Example.FromString(record).features.feature
            label = example["label"].int64_list.value[0]
            shares = (*(0.5 * float(i == label) for i in range(3)), 0.5)
            image, id = example["image"].bytes_list.value[0], example["id"].bytes_list.value[0].decode()
            records.append(encode_example(image, label, id, votes=shares))
        with tf.io.TFRecordWriter(str(folder / file)) as writer:
            for record in records:
                writer.write(record)
    write_info(dataclasses.replace(info, votes=(*tiny.CLASSES, "unknown")))
    return folder


def test_votes_loss_is_added_in_training_alone():
    model = VotesModel(registry.create_model("tiny", 3, 32, dropout=0), choices=4, weight=0.5)
    cross_entropy = keras.losses.CategoricalCrossentropy(from_logits=True)
    smoothed = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2)
    model.compile(keras.optimizers.SGD(0.0), smoothed, metrics=["accuracy"])
    x = np.random.default_rng(0).uniform(0, 255, (6, 32, 32, 3)).astype("float32")
    y = np.eye(3, dtype="float32")[[0, 1, 2, 0, 1, 2]]
    votes = np.random.default_rng(1).dirichlet(np.ones(4), 6).astype("float32")
    outputs = model(x, training=False)
    own, second = float(smoothed(y, outputs["logits"])), float(cross_entropy(votes, outputs["votes"]))
    loss = float(model.compute_loss(x, {"labels": y, "votes": votes}, outputs))
    assert loss == pytest.approx(own + 0.5 * second, rel=1e-5)
    result = model.evaluate(x, y, verbose=0, return_dict=True)
    assert result["loss"] == pytest.approx(own, rel=1e-5)
    assert result["accuracy"] == pytest.approx((np.argmax(outputs["logits"], 1) == y.argmax(1)).mean())


def test_a_run_with_votes_resumes_and_leaves_the_head_behind(voted, tmp_path):
    weight = ["--set", "votes_weight=0.5"]
    whole = train(voted, tmp_path / "whole", "--epochs", "2", *weight)
    train(voted, tmp_path / "parts", "--epochs", "1", *weight)
    fit.main(["--resume", str(tmp_path / "parts"), "--epochs", "2"])
    for key in ("loss", "val_loss"):
        assert [row[key] for row in log(tmp_path / "parts")] == pytest.approx([row[key] for row in whole], abs=1e-6)
    # At best the votes' loss is their entropy, log 2.
    assert whole[0]["loss"] > whole[0]["val_loss"] + 0.4 * np.log(2)
    loaded = keras_fer.load(tmp_path / "parts")
    assert loaded.output_shape == (None, 3)
    assert "votes" not in [layer.name for layer in loaded.layers]


def test_votes_that_are_not_there_or_do_not_fit(data, voted, tmp_path):
    with pytest.raises(InputError, match="has no votes beside its labels"):
        train(data, tmp_path / "none", "--set", "votes_weight=0.5")
    with pytest.raises(InputError, match="votes_weight does not go with"):
        train(voted, tmp_path / "sam", "--set", "votes_weight=0.5", "--set", "sam_rho=0.05")


# --- Label distribution learning ---


def test_label_distribution_loss_is_the_authors(shared):
    golden = np.load(shared / "reference" / "train_math" / "golden.npz")
    student = tf.Variable(golden["ldl.student"])
    with tf.GradientTape() as tape:
        loss = LabelDistributionLoss(dtype="float64")(tf.nn.softmax(golden["ldl.teacher"]), student)
    np.testing.assert_allclose(loss, golden["ldl.loss"], rtol=1e-7)
    np.testing.assert_allclose(tape.gradient(loss, student), golden["ldl.grad_student"], rtol=1e-6)


def generator(folder: Path, classes=tiny.CLASSES, size: int = 32, **card) -> str:
    """A trained teacher, as far as its card can tell."""
    keras.utils.set_random_seed(1)
    card = {"model": "tiny", "classes": classes, "input_size": size, **card}
    keras_fer.save(registry.create_model("tiny", len(classes), size), folder / "ldg.keras", card)
    return str(folder / "ldg.keras")


def test_targets_are_the_generators_in_the_order_of_the_data(data, tmp_path):
    order = [2, 0, 1]
    weights = generator(tmp_path, [tiny.CLASSES[i] for i in order], val_accuracy=0.9)
    teach = load_generator(weights, read_info(data), "val", 32, floor=0.5)
    x = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    theirs = keras.ops.softmax(keras_fer.load(weights)(x, training=False))
    targets = np.array(teach(x))
    np.testing.assert_allclose(targets[:, order], theirs, rtol=1e-5)
    np.testing.assert_array_equal(teach(x), targets)  # no dropout, no drifting statistics


def test_teacher_looks_once_at_each_picture_and_sets_the_loss(data):
    calls = []
    target = np.float32([[0.2, 0.3, 0.5]] * 4)

    def teach(pictures):
        calls.append(pictures)
        return target

    model = TrainingModel(registry.create_model("tiny", 3, 32, dropout=0), "tiny", sam_rho=0.05, teacher=teach)
    accuracy = keras.metrics.CategoricalAccuracy(name="accuracy")
    model.compile(keras.optimizers.SGD(0.1), LabelDistributionLoss(), metrics=[accuracy], run_eagerly=True)
    x, labels = np.zeros((4, 32, 32, 3), "float32"), np.eye(3, dtype="float32")[[0, 0, 1, 2]]
    logits = np.array(model(x, training=True)["logits"])
    log_probabilities = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    result = model.train_on_batch(x, labels, return_dict=True)
    assert len(calls) == 1
    assert result["loss"] == pytest.approx(-(target * log_probabilities).mean(), rel=1e-4)
    assert result["accuracy"] == pytest.approx((logits.argmax(1) == labels.argmax(1)).mean())


def test_student_learns_from_a_run(data, tmp_path):
    train(data, tmp_path / "ldg", "--epochs", "2")
    floor = ["--set", "teacher_floor=0"]
    rows = train(data, tmp_path / "student", "--teacher", str(tmp_path / "ldg"), "--epochs", "2", *floor)
    assert rows[1]["loss"] < rows[0]["loss"] < np.log(3)  # divided by three classes
    assert json.loads((tmp_path / "student" / "config.json").read_text())["teacher"] == str(tmp_path / "ldg")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"val_accuracy": 0.4}, r"validation accuracy of .* is 0\.400, less than teacher_floor=0.5"),
        ({}, r"validation accuracy of .* is 0\.\d+, less than teacher_floor=0.95"),
        ({"classes": keras_fer.EXPRESSIONS[:4], "val_accuracy": 1.0}, "knows the classes .* surprise; the labels of"),
    ],
)
def test_generators_that_are_refused(settings, message, data, tmp_path):
    floor = 0.5 if "val_accuracy" in settings else 0.95  # an untrained one without a figure is measured
    with pytest.raises(InputError, match=message):
        load_generator(generator(tmp_path, **settings), read_info(data), "val", 32, floor)


def test_taggers_votes_are_the_targets(tmp_path):
    """Votes that all go to the next class are learned, and validation still asks for the labels."""
    votes = np.roll(np.eye(3), 1, axis=1)
    tiny.write_data(tmp_path / "data", votes=votes, train=64, val=16, test=16)
    settings = {"labels": "distribution", "model_options.dropout": 0, "learning_rate": 0.02, "label_smoothing": 0}
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    rows = train(tmp_path / "data", tmp_path / "run", "--epochs", "8", *words)
    assert rows[-1]["accuracy"] > 0.8
    assert rows[-1]["val_accuracy"] < 0.3


# --- Balanced sampling ---


@pytest.fixture(scope="module")
def skewed(tmp_path_factory) -> DatasetInfo:
    """400 grey pictures of three classes, whose grey is their number modulo 256."""
    folder = tmp_path_factory.mktemp("skewed")
    counts = dict(zip(tiny.CLASSES, (300, 80, 20)))
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], list(counts.values())))
    size = 0
    with tf.io.TFRecordWriter(str(folder / "train.tfrecord")) as writer:
        for i, label in enumerate(labels):
            picture = tf.io.encode_png(tf.fill((4, 4, 3), tf.cast(i % 256, tf.uint8))).numpy()
            size += len(picture)
            writer.write(encode_example(picture, int(label), str(i)))
    split = Split(len(labels), counts, size, {"train.tfrecord": len(labels)})
    info = DatasetInfo(folder, "skewed", tiny.CLASSES, {"train": split}, {}, False, 0, [], [], {})
    write_info(info)
    return info


def stream(info, sampling, epochs=10, first_epoch=0, seed=0):
    """The greys and labels of all epochs, `(epochs, pictures)` each."""
    batches = training_batches(
        info,
        "train",
        batch_size=50,
        input_size=4,
        augment=recipes.Augment(),
        seed=seed,
        first_epoch=first_epoch,
        epochs=epochs,
        sampling=sampling,
    )
    greys, labels = zip(*((x.numpy()[:, 0, 0, 0], y.numpy().argmax(1)) for x, y in batches))
    rows = epochs - first_epoch
    return np.concatenate(greys).reshape(rows, -1), np.concatenate(labels).reshape(rows, -1)


def test_balanced_sampling_shows_all_classes_equally_often(skewed):
    _, natural = stream(skewed, "natural")
    greys, balanced = stream(skewed, "balanced")
    assert natural.shape == balanced.shape == (10, 400)
    assert np.bincount(natural[0]).tolist() == [300, 80, 20]
    # Over 4,000 draws the 20 rare pictures' share has a deviation of 0.0083.
    np.testing.assert_allclose(np.bincount(balanced.ravel()) / 4000, 1 / 3, atol=0.035)
    assert not np.array_equal(np.sort(greys[0]), np.sort(greys[1]))  # other draws in each epoch


def test_balanced_sampling_is_a_function_of_seed_and_epoch(skewed):
    greys, _ = stream(skewed, "balanced", epochs=3)
    np.testing.assert_array_equal(stream(skewed, "balanced", epochs=3, first_epoch=2)[0][0], greys[2])
    assert not np.array_equal(stream(skewed, "balanced", epochs=1, seed=1)[0][0], greys[0])


# --- Recipes ---


def test_published_recipes():
    poster, btn = recipes.load("poster_v2"), recipes.load("btn_affectnet7")
    assert (poster.optimizer, poster.learning_rate, poster.sam_rho, poster.batch_size) == ("adam", 3.5e-5, 0.05, 144)
    assert (poster.sampling, poster.augment.erasing, poster.weight_decay) == ("natural", 0.5, 0)
    assert (btn.sampling, btn.augment.erasing, btn.augment.erasing_scale) == ("balanced", 1.0, (0.02, 0.1))
    assert recipes.load("mit_fusion_affectnet8") == recipes.load("mit_fusion")
    assert set(keras_fer.list_models()) - {"tiny"} <= set(recipes.list_recipes())
    with pytest.raises(InputError, match="adam has none"):
        Recipe(optimizer="adam", weight_decay=1e-4)
