"""`train.distill`: its losses against numpy, its teachers, their maps, their answers on disk, going on after a kill."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny
from hypothesis import given
from hypothesis import strategies as st

import keras_fer
from keras_fer import InputError, registry
from keras_fer.layers import conv
from train import augment, distill, fit, recipes, teacher_cache
from train.data import evaluation_batches, picture_ids, read_info
from train.distillation import Distillation, MapDistance, SoftenedDivergence
from train.method import TrainingModel
from train.recipes import Recipe
from train.run import Config
from train.teacher import load_teacher, resizer

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = {"epochs": 2, "ema": 0, "teacher_floor": 0}
STILL = {"augment.rotation": 0, "augment.scale": "1,1", "augment.shift": 0}
MAPS = {"feature_weight": 0.5, "feature_maps.conv1": "wide1", "feature_maps.conv2": "wide2"}


def wide(x, num_classes):
    """A teacher with more channels than `tiny`, whose second map is as large as tiny's at twice the input size."""
    x = keras.layers.ReLU(name="wide1")(conv(x, 12, 3, 4, name="conv1"))
    x = conv(x, 8, 3, 2, name="wide2")
    return keras.layers.Dense(num_classes, name="fc")(keras.layers.GlobalAveragePooling2D()(x))


@pytest.fixture(autouse=True)
def _models(tiny_model):
    registry.register_model(wide)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "colours"
    tiny.write_data(folder, train=64, val=16, test=16)
    return folder


def teacher(path: Path, name="wide", classes=tiny.CLASSES, size=32, seed=1, **card) -> str:
    """A trained teacher, as far as its card can tell."""
    keras.utils.set_random_seed(seed)
    card = {"model": name, "classes": classes, "input_size": size, "val_accuracy": 0.9, **card}
    keras_fer.save(registry.create_model(name, len(classes), size), path, card)
    return str(path)


def arguments(data: Path, out: Path, teachers: list[str], *more: str, **settings) -> list[str]:
    return ["--teacher", *teachers, *tiny.arguments(data, out, *more, **{**SETTINGS, **settings})]


def noise(n=4, size=32) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (n, size, size, 3)).astype("float32")


# --- Losses ---


def log_softmax(x):
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


@given(seed=st.integers(0, 1000), temperature=st.floats(0.5, 20))
def test_softened_divergence_and_its_gradient_are_numpys(seed, temperature):
    rng = np.random.default_rng(seed)
    taught, logits = rng.normal(0, 3, (2, 5, 7))
    p, log_q = np.exp(log_softmax(taught / temperature)), log_softmax(logits / temperature)
    student = tf.Variable(logits)
    with tf.GradientTape() as tape:
        loss = SoftenedDivergence(temperature, dtype="float64")(p, student)
    np.testing.assert_allclose(loss, temperature**2 * (p * (np.log(p) - log_q)).sum(1).mean(), rtol=1e-6)
    # Hinton's equation 2, times T^2: T (q - p), by the batch.
    expected = temperature * (np.exp(log_q) - p) / 5
    np.testing.assert_allclose(tape.gradient(loss, student), expected, rtol=1e-6, atol=1e-9)


def test_divergence_of_the_same_answers_is_zero_and_certain_teachers_give_numbers():
    logits = np.float32([[1.0, -2.0, 0.5]])
    divergence = SoftenedDivergence(2.0)
    assert float(divergence(np.exp(log_softmax(logits / 2)), logits)) == pytest.approx(0, abs=1e-6)
    assert float(divergence(np.float32([[1, 0, 0]]), np.float32([[0, 0, 0]]))) == pytest.approx(4 * np.log(3))


def map_distance(theirs, own):
    return 0.5 * ((theirs - own) ** 2).sum(axis=(1, 2, 3)) / (theirs**2).sum(axis=(1, 2, 3))


@given(scale=st.floats(1e-3, 1e3))
def test_map_distance_is_numpys_at_every_scale(scale):
    theirs, own = scale * np.random.default_rng(0).normal(size=(2, 3, 4, 4, 5)).astype("float32")
    assert float(MapDistance()(theirs, own)) == pytest.approx(map_distance(theirs, own).mean(), rel=1e-5)
    weights = np.float32([0, 1, 2])
    expected = (map_distance(theirs, own) * weights).mean()
    assert float(MapDistance()(theirs, own, weights)) == pytest.approx(expected, rel=1e-5)
    assert float(MapDistance()(theirs, 0 * own)) == pytest.approx(0.5)


@pytest.mark.parametrize("rho", [0.0, 0.05])
def test_a_step_has_the_loss_of_all_parts_and_asks_each_teacher_once(rho):
    rng = np.random.default_rng(0)
    answers, maps = rng.normal(0, 2, (2, 4, 3)).astype("float32"), rng.normal(size=(4, 4, 4, 8)).astype("float32")
    calls = []

    def teach(which):
        def look(pictures):
            calls.append(which)
            return tf.constant(answers[which][: len(pictures)]), [tf.constant(maps[: len(pictures)])]

        return look

    recipe = Recipe(distill_weight=0.7, distill_temperature=3.0, feature_weight=0.4, feature_maps={"conv2": "anything"})
    network = registry.create_model("tiny", 3, 32, dropout=0)
    model = TrainingModel(network, "tiny", rho, distillation=Distillation([teach(0), teach(1)], recipe))
    model.compile(keras.optimizers.SGD(0.1), keras.losses.CategoricalCrossentropy(from_logits=True), run_eagerly=True)
    x, y, weights = noise(), np.eye(3, dtype="float32")[[0, 1, 2, 0]], np.float32([1, 2, 0.5, 0.5])
    inner = keras.Model(network.input, [network.output, network.get_layer("conv2").output])
    logits, own = map(np.array, inner(x, training=True))
    calls.clear()
    loss = model.train_on_batch(x, y, sample_weight=weights)
    assert sorted(calls) == [0, 1]

    p = np.exp(log_softmax(answers / 3)).mean(axis=0)
    hard = -(y * log_softmax(logits)).sum(1)
    soft = 9 * (p * (np.log(p) - log_softmax(logits / 3))).sum(1)
    theirs = maps.reshape(4, 2, 2, 2, 2, 8).mean(axis=(2, 4)) if own.shape[1] == 2 else maps
    assert own.shape == theirs.shape
    distance = map_distance(theirs, own)
    assert loss == pytest.approx((weights * (0.3 * hard + 0.7 * soft + 0.4 * distance)).mean(), rel=1e-4)


# --- Teachers ---


@given(before=st.integers(1, 40), after=st.integers(1, 40))
def test_resizing_is_that_of_the_pipeline(before, after):
    picture = np.random.default_rng(0).uniform(0, 255, (before, before, 3)).astype("float32")
    np.testing.assert_allclose(
        resizer(before, after)(picture[None])[0], augment.resize(picture, after), rtol=1e-4, atol=1e-3
    )


def test_answers_are_in_the_order_of_the_data(data, tmp_path):
    order = [2, 0, 1]
    weights = teacher(tmp_path / "t.keras", classes=[tiny.CLASSES[i] for i in order])
    logits, maps = load_teacher(weights, read_info(data), "val", 32, 0.5, ["wide2", "wide1"])(noise())
    model = keras_fer.load(weights)
    np.testing.assert_allclose(np.array(logits)[:, order], model(noise(), training=False), rtol=1e-5)
    assert [m.shape for m in maps] == [(4, 4, 4, 8), (4, 8, 8, 12)]


def test_a_teacher_of_another_size_sees_the_same_pictures_and_is_measured_so(data, tmp_path, capsys):
    weights = teacher(tmp_path / "t.keras", size=64)
    with pytest.raises(InputError, match=r"is 0\.\d+, less than teacher_floor=0.99"):  # whatever its card says
        load_teacher(weights, read_info(data), "val", 32, 0.99)
    assert "was trained at 64 pixels and sees the student's 32, resized" in capsys.readouterr().out
    logits, _ = load_teacher(weights, read_info(data), "val", 32, 0)(noise())
    resized = tf.image.resize(noise(), (64, 64), antialias=True)
    np.testing.assert_allclose(logits, keras_fer.load(weights)(resized, training=False), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    {
        "classes": "knows the classes .* surprise; the labels of",
        "val_accuracy": r"validation accuracy of .* is 0\.400, less than teacher_floor=0.5",
        "their layer": "t.keras has no layer 'wide3', which feature_maps names",
        "own layer": "tiny has no layer 'conv3', which feature_maps names",
        "rotation": "augment.rotation makes a new picture each time; leave --cache out, or switch off "
        "augment.rotation, augment.scale, augment.shift",
        "maps": "keeps logits and no maps",
    }.items(),
)
def test_what_is_refused(change, message, data, tmp_path):
    weights = teacher(
        tmp_path / "t.keras",
        classes=keras_fer.EXPRESSIONS[: 4 if change == "classes" else 3],
        val_accuracy=0.4 if change == "val_accuracy" else 0.9,
    )
    settings = {
        "val_accuracy": {"teacher_floor": 0.5},
        "their layer": {"feature_weight": 1, "feature_maps.conv1": "wide3"},
        "own layer": {"feature_weight": 1, "feature_maps.conv3": "wide1"},
        "maps": MAPS | STILL,
    }.get(change, {})
    cache = ["--cache", str(tmp_path / "cache")] if change in ("rotation", "maps") else []
    with pytest.raises(InputError, match=message):
        distill.main(arguments(data, tmp_path / "run", [weights], *cache, **settings))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    {
        "--model tiny": "--teacher is missing",
        "--resume {tmp} --teacher t": "--resume takes --teacher from the run",
        "--resume {tmp} --cache c": "--resume takes --cache from the run",
        "--model tiny --recipe drawn --data {data} --teacher {tmp}/none": "none does not exist",
        "--model tiny --recipe drawn --data {data} --teacher t --set distill_weight=2": "distill_weight is 2.0",
        "--model tiny --recipe drawn --data {data} --teacher t --set feature_weight=1": "feature_weight goes with",
    }.items(),
)
def test_bad_input(words, message, data, tmp_path):
    with pytest.raises(InputError, match=message):
        distill.main(words.format(data=data, tmp=tmp_path).split())


# --- Runs ---


def test_a_run_learns_from_two_teachers_and_keeps_no_trace_of_them(data, tmp_path):
    weights = [teacher(tmp_path / "a.keras"), teacher(tmp_path / "b.keras", "tiny", size=64)]
    before = Path(weights[0]).read_bytes()
    folder = tmp_path / "run"
    distill.main(arguments(data, folder, weights, **MAPS))
    assert Path(weights[0]).read_bytes() == before
    assert json.loads((folder / "config.json").read_text())["distill"] == weights
    student = keras_fer.load(folder)
    assert student.card["distill"] == weights
    fresh = registry.create_model("tiny", 3, 32)
    assert {w.path: w.shape for w in student.weights} == {w.path: w.shape for w in fresh.weights}
    with np.load(folder / "last.npz") as state:
        shapes = [state[name].shape for name in state.files]
    assert (1, 1, 8, 12) in shapes  # the regressor of conv1, which a resumed run needs
    assert tiny.log(folder)[1]["epoch"] == 2
    teacher(tmp_path / "a.keras", seed=3)
    with pytest.raises(InputError, match=r"a.keras is not the teacher that .*run began with"):
        distill.main(["--resume", str(folder), "--epochs", "3"])


def test_a_student_follows_its_teacher(data, tmp_path):
    """With the labels left out it comes to answer as the teacher does, right or wrong."""
    weights = teacher(tmp_path / "t.keras")
    distill.main(
        arguments(data, tmp_path / "run", [weights], distill_weight=1, epochs=8, **{"model_options.dropout": 0})
    )
    losses = [row["loss"] for row in tiny.log(tmp_path / "run")]
    assert losses[-1] < 0.5 * losses[0]


def test_killed_run_ends_as_one_that_was_not(data, tmp_path):
    weights = [teacher(tmp_path / "t.keras")]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    settings = {"epochs": 6, "optimizer": "sgd", "sam_rho": 0.05, **MAPS}
    distill.main(arguments(data, whole, weights, **settings))
    # The other process knows "tiny" only; a saved model needs no registry.
    tiny.kill_after(2, "distill", arguments(data, killed, weights, **settings))
    assert len(tiny.log(killed)) < 6
    distill.main(["--resume", str(killed)])
    tiny.assert_same_run(killed, whole)


@pytest.mark.slow
def test_two_replicas_step_as_one_device():
    """Under MirroredStrategy, regressors included; in a process of its own, for the logical devices."""
    output = subprocess.run([sys.executable, "-c", MIRRORED], check=True, capture_output=True, text=True, cwd=ROOT)
    one, two = json.loads(output.stdout.splitlines()[-1])
    np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-5)


MIRRORED = """
import json, sys
sys.path[:0] = [".", "tests"]
import keras, numpy as np, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
import test_distill
from keras_fer import registry
from train.distillation import Distillation
from train.method import TrainingModel
from train.recipes import Recipe
registry.register_model(test_distill.wide)
x, y = test_distill.noise(8), np.eye(3, dtype="float32")[[0, 1, 2, 0, 1, 2, 0, 1]]
recipe = Recipe(feature_weight=0.5, feature_maps={"wide1": "wide2"})
results = []
for strategy in (tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
    with strategy.scope():
        keras.utils.set_random_seed(0)
        teacher, student = (registry.create_model("wide", 3, 32) for _ in range(2))
        looking = keras.Model(teacher.input, [teacher.output, teacher.get_layer("wide2").output])
        teach = lambda pictures: (lambda logits, map: (logits, [map]))(*looking(pictures, training=False))
        model = TrainingModel(student, "wide", 0.05, distillation=Distillation([teach], recipe))
        model.compile(keras.optimizers.SGD(0.01), keras.losses.CategoricalCrossentropy(from_logits=True),
                      jit_compile=False)
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
    losses = model.fit(data, epochs=3, verbose=0).history["loss"]
    results.append(losses + [float(np.abs(np.array(w)).mean()) for w in model.trainable_variables])
print(json.dumps(results))
"""


# --- Answers on disk ---


def stored(data, folder, *weights):
    """The answers of `weights` as they are kept in `folder`, and what else is needed to look at them."""
    info, recipe = read_info(data), Recipe(input_size=32, augment=augment.Augment(flip=0.5))
    teachers = [load_teacher(path, info, "val", 32, 0) for path in weights]
    config = Config("tiny", "drawn", recipe, str(data), limit=20, distill=weights, cache=str(folder))
    return teacher_cache.known_logits(teachers, config, info), teachers, info


def test_stored_answers_are_those_of_both_views(data, tmp_path):
    known, (teach,), info = stored(data, tmp_path / "cache", teacher(tmp_path / "t.keras"))
    ids = picture_ids(info, "train", 20)
    assert ids == [f"train/{i}".encode() for i in range(20)]
    pictures = next(iter(evaluation_batches(info, "train", batch_size=20, input_size=32, limit=20)))[0]
    for mirrored, view in ((False, pictures), (True, pictures[:, :, ::-1])):
        answers = np.stack([known(tf.constant(id), tf.constant(mirrored)) for id in ids])
        np.testing.assert_allclose(answers[:, 0], teach(view)[0], rtol=1e-4, atol=1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError):
        known(tf.constant("train/20"), tf.constant(False))


def test_stored_answers_are_reused_but_not_another_teachers(data, tmp_path, capsys):
    cache, weights = tmp_path / "cache", teacher(tmp_path / "t.keras")
    stored(data, cache, weights)
    (file,) = cache.iterdir()
    written = file.stat().st_mtime_ns
    assert f"kept in {file}" in capsys.readouterr().out
    stored(data, cache, weights)
    assert f"says of 20 pictures: from {file}" in capsys.readouterr().out
    assert file.stat().st_mtime_ns == written
    teacher(tmp_path / "t.keras", seed=3)  # another one under the same name
    stored(data, cache, weights)
    assert "kept in" in capsys.readouterr().out
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("damage", [lambda b: b[:-200], lambda b: b"", lambda b: b[:300] + bytes(50) + b[350:]])
def test_damaged_answers_are_made_again(damage, data, tmp_path, capsys):
    cache, weights = tmp_path / "cache", teacher(tmp_path / "t.keras")
    stored(data, cache, weights)
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    stored(data, cache, weights)
    assert f"{file} is damaged (" in capsys.readouterr().out
    with np.load(file) as mended:
        assert mended["logits"].shape == (20, 2, 3)


def test_a_run_with_a_cache_is_the_same_also_when_it_goes_on(data, tmp_path, capsys):
    weights = [teacher(tmp_path / "a.keras"), teacher(tmp_path / "b.keras", "tiny", seed=2)]
    settings = STILL | {"schedule": "constant", "sampling": "balanced", "class_weights": "balanced"}
    distill.main(arguments(data, tmp_path / "plain", weights, **settings))
    keep = ("--cache", str(tmp_path / "cache"))
    distill.main(arguments(data, tmp_path / "kept", weights, *keep, **settings | {"epochs": 1}))
    assert capsys.readouterr().out.count("kept in") == 2
    fit.main(["--resume", str(tmp_path / "kept"), "--epochs", "2"])
    assert capsys.readouterr().out.count("says of 64 pictures: from") == 2
    kept, plain = ([list(row.values()) for row in tiny.log(tmp_path / name)] for name in ("kept", "plain"))
    np.testing.assert_allclose(kept, plain, rtol=1e-4)


# --- Settings ---


def test_open_ended_settings():
    recipe = Recipe().override(["model_options.streams=image", "model_options.frozen=false", "feature_maps.a.b=c.d"])
    assert recipe.model_options == {"streams": "image", "frozen": False}
    assert recipe.feature_maps == {"a.b": "c.d"}
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    with pytest.raises(InputError, match="dropout of tiny is 'much'; expected a number"):
        registry.create_model("tiny", 3, 32, dropout="much")


def test_the_students_recipe_names_layers_that_exist():
    """Its maps are those of the table in the model's docstring."""
    maps = recipes.load("poster_v2_mobile").feature_maps
    student = registry.create_model("poster_v2_mobile", input_size=32)
    master = registry.create_model("poster_v2", input_size=32)
    for own, theirs in maps.items():
        assert student.get_layer(own).output.shape == master.get_layer(theirs).output.shape
