"""Exports for the tests, made in a process of its own: TensorFlow's converter leaks, and warns as it likes.

`python -m tests.exports JOB FOLDER` writes files into FOLDER and prints one JSON object.
"""

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import keras_fer
from export import card, conversion, litert, onnx, pictures, quantize, report, saved_model, tflite, verify
from export.deploy import deployable
from keras_fer import shipped
from keras_fer.errors import InputError
from keras_fer.registry import register_model
from tests import tiny
from train import prepare
from train.data import read_info
from train.drawn import draw

register_model(tiny.tiny)

SCHEMES = ("none", "float16", "dynamic", "int8")
REGISTRY_SIZE = 64
TEMPERATURE = 0.6


def trained(name: str, size: int, seed: int = 0) -> keras.Model:
    """A model that tells faces apart, though it never learned: its batch norms know drawn faces, its head is large."""
    keras.utils.set_random_seed(seed)
    classes = keras_fer.EXPRESSIONS[:7]
    model = keras_fer.create_model(name, len(classes), input_size=size)
    faces = np.stack([draw(i, expression, size=size) for i, expression in enumerate(classes)]).astype("float32")
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable]
    for norm in norms:
        norm.momentum = 0.5
        if norm.name.endswith(".bn3"):  # the end of a residual branch: at full strength 16 of them amplify any rounding
            norm.gamma.assign(0.2 * norm.gamma)
    for _ in range(6 if norms else 0):
        model(faces, training=True)
    model.classes = classes
    model.card = {"model": name, "classes": list(classes), "input_size": size, "recipe": "none"}
    return model


def drawn_data(folder: Path, size: int) -> Path:
    """A prepared set of drawn faces, with a train, a val and a test split."""
    if not folder.exists():
        prepare.main(["drawn", "--out", str(folder), "--count", "140", "--size", str(size)])
    return folder


def tiny_files(folder: Path, *more: str) -> dict:
    """The tiny model by every scheme, from a `.keras` file, through the command; with more words to it."""
    model = trained("tiny", 32)
    model.card["temperature"] = TEMPERATURE
    weights, data = str(folder / "tiny.keras"), str(drawn_data(folder / "data", 32))
    keras_fer.save(model, weights, model.card)
    for scheme in SCHEMES:
        words = ["--quantize", scheme, "--data", data, *more]
        tflite.main(["--weights", weights, *words, "--out", str(folder / f"{scheme}.tflite")])
    words = ["--input", "float32", "--data", data, *more]
    tflite.main(["--weights", weights, *words, "--out", str(folder / "float.tflite")])
    faces = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
    np.save(folder / "faces.npy", faces)
    np.save(folder / "probabilities.npy", keras.ops.softmax(model(faces.astype("float32")) / TEMPERATURE))
    return {}


def every_format(folder: Path) -> dict:
    """The tiny model in every format; which files two reports made; what the verification says of broken models."""
    tiny_files(folder)
    weights, data = str(folder / "tiny.keras"), str(folder / "data")
    onnx.main(["--weights", weights, "--data", data, "--out", str(folder / "tiny.onnx")])
    saved_model.main(["--weights", weights, "--out", str(folder / "served")])
    page = folder / "report"
    words = ["--weights", weights, "--data", data, "--out", str(page), "--no-phone-cost"]
    report.main(words)
    first = {path.name: path.stat().st_mtime_ns for path in page.rglob("*.*")}
    report.main([*words, "--with", str(folder / "float.tflite")])
    second = {path.name: path.stat().st_mtime_ns for path in page.rglob("*.*")}
    return {"first": first, "second": second, "broken": broken(folder)}


def registry_files(
    folder: Path, *names: str, schemes: Sequence[str] = ("none",), to_onnx: Sequence[str] = ("mit_fusion",)
) -> dict:
    """Models of the registry by schemes, and some as ONNX, which takes longer: their cards."""
    info = read_info(drawn_data(folder / "data", REGISTRY_SIZE))
    cards = {}
    for name in names:
        model = trained(name, REGISTRY_SIZE)
        cards[name] = {}
        if name in to_onnx:
            faces = pictures.for_verification(info, model.classes, REGISTRY_SIZE)
            cards[name]["onnx"] = onnx.export(model, folder / f"{name}.onnx", faces)
        cards[name] |= _by_schemes(model, schemes, folder / name, info)
    return cards


def _by_schemes(model, schemes, stem, info, count=False) -> dict:
    content = conversion.float_content(model)
    return {
        scheme: tflite.export(
            model, scheme, Path(f"{stem}-{scheme}.tflite"), info, count_instructions=count, content=content
        )
        for scheme in schemes
    }


def all_schemes(folder: Path, *names: str) -> dict:
    """Models of the registry by every scheme."""
    return registry_files(folder, *names, schemes=SCHEMES, to_onnx=names)


def arm64_files(folder: Path) -> dict:
    """What `make test-arm64` runs on phones' kernels: the weights that ship by every scheme, instructions in the cards.

    Weights that never learned will not do: what they answer hangs on the last bit, as half precision shows.
    """
    info = read_info(drawn_data(folder / "data", REGISTRY_SIZE))
    return {
        name: _by_schemes(keras_fer.load(name), SCHEMES, folder / name, info, count=True) for name in shipped.names()
    }


# --- Trained with rounding ---

QAT = ("--set", "epochs=2", "--set", "batch_size=20", "--set", "learning_rate=1e-3")


def qat_killed(folder: Path) -> dict:
    """A run of quantization-aware training on the tiny model that is killed in its second epoch."""
    from export import qat

    model = trained("tiny", 32)
    model.card["temperature"] = TEMPERATURE
    keras_fer.save(model, folder / "tiny.keras", model.card)
    tiny.write_data(folder / "data", keras_fer.EXPRESSIONS[:7], train=140, val=35)
    validate = qat._validate

    def once_more(*arguments):
        if (folder / "killed/log.csv").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return validate(*arguments)

    qat._validate = once_more
    qat.main([*_qat_words(folder), "--out", str(folder / "killed"), *QAT])
    raise AssertionError("not killed")


def _qat_words(folder):
    return ["--weights", str(folder / "tiny.keras"), "--data", str(folder / "data")]


def qat_files(folder: Path) -> dict:
    """Goes on with the run that was killed, through the export; trains another at once; and measures sensitivity."""
    from export import qat, sensitivity

    words = _qat_words(folder)
    qat.main([*words, "--out", str(folder / "unbroken"), *QAT])
    out = ["--quantize", "qat", "--qat-run", str(folder / "killed"), "--out", str(folder / "qat.tflite")]
    tflite.main([*words, *out])

    model = keras_fer.load(folder / "tiny.keras")
    info = read_info(folder / "data")
    config, _ = qat.read_config(folder / "killed")
    before, _ = qat.start(config, info)
    after, floats, _ = qat.best(folder / "killed", info)
    faces = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
    file = litert.runner(folder / "qat.tflite")(faces)

    result = {
        "file_and_graph": float(np.abs(file - verify.probabilities(after.model, faces)).max()),
        "rounding": float(np.abs(file - verify.probabilities(floats, faces)).max()),
        "moved": _moved(before.model, folder / "killed/last.npz"),
        "refusals": _qat_refusals(folder),
    }
    _hurt(model)
    keras_fer.save(model, folder / "hurt.keras", model.card)
    words = ["--weights", str(folder / "hurt.keras"), "--data", str(folder / "data")]
    sensitivity.main([*words, "--faces", "3", "--budget", "0.45", "--out", str(folder / "sensitivity")])
    chosen = ["--keep-float-from", str(folder / "sensitivity/sensitivity.json")]
    tflite.main([*words, "--quantize", "int8", *chosen, "--out", str(folder / "kept.tflite")])
    return result


def _moved(model, state):
    """How far training moved each kind of variable at most: `kernel`, `bias`, `output_low`, `output_high`."""
    moved = {}
    with np.load(state) as after:
        for i, variable in enumerate(model.variables):
            kind = variable.name.split("/")[-1].split(":")[0]
            step = float(np.abs(after[f"variable_{i}"] - variable.numpy()).max())
            moved[kind] = max(step, moved.get(kind, 0.0))
    return moved


def _hurt(model):
    """A channel that is never positive, so that its weights in the next layer may be as large as they like."""
    gamma, beta, *statistics = model.get_layer("bn1").get_weights()
    beta[0] = -100
    model.get_layer("bn1").set_weights([gamma, beta, *statistics])
    kernel, bias = model.get_layer("conv2").get_weights()
    kernel[:, :, 0] = 100
    model.get_layer("conv2").set_weights([kernel, bias])


def _qat_refusals(folder):
    """What the commands say of what cannot be."""
    from export import qat

    model = trained("tiny", 32, seed=1)
    keras_fer.save(model, folder / "other.keras", model.card)
    tiny.write_data(folder / "three", train=30, val=9)
    (folder / "fit").mkdir()
    record = json.loads((folder / "killed/config.json").read_text())
    del record["weights_sha256"]
    (folder / "fit/config.json").write_text(json.dumps(record))
    weights, data = ["--weights", str(folder / "tiny.keras")], ["--data", str(folder / "data")]
    file = ["--quantize", "qat", "--out", str(folder / "refused.tflite")]
    other = ["--weights", str(folder / "other.keras")]
    three = ["--data", str(folder / "three")]
    attempts = {
        "no data": lambda: tflite.main([*weights, *file]),
        "another model's run": lambda: tflite.main([*other, *data, *file, "--qat-run", str(folder / "killed")]),
        "no run": lambda: qat.main(["--resume", str(folder / "data")]),
        "a run of train.fit": lambda: qat.main(["--resume", str(folder / "fit")]),
        "a run that is there": lambda: qat.main([*weights, *data, "--out", str(folder / "killed")]),
        "no weights": lambda: qat.main(data),
        "other classes": lambda: qat.main([*weights, *three, "--out", str(folder / "new")]),
    }
    says = {}
    for what, attempt in attempts.items():
        try:
            attempt()
            says[what] = ""
        except InputError as error:
            says[what] = str(error)
    return says


def qat_steps(folder: Path, name: str) -> dict:
    """How far a model of the registry with its rounding is from its int8 file, layer by layer."""
    from export.fake_quant import make_student, steps_off

    model = trained(name, 64)
    deployed = deployable(model)
    content = conversion.convert(deployed)
    faces = pictures.drawn(model.classes, 2, 64)
    student = make_student(deployed, content, quantize.calibrate(content, faces), faces[0])
    return steps_off(student, deployed, student.to_int8(), faces[1])


# --- Broken on purpose ---


class Odd(keras.layers.Layer):
    """A function that LiteRT does not bring along."""

    def call(self, x):
        square = tf.linalg.inv(tf.reshape(x[:, :4], (-1, 2, 2)))
        return tf.concat([tf.reshape(square, (-1, 4)), x[:, 4:]], axis=1)


class Sums(keras.layers.Layer):
    """A function that XNNPACK does not know."""

    def call(self, x):
        return tf.cumsum(x, axis=1)


def broken(folder: Path) -> dict:
    """For each way to break an export, what the verification says."""
    model, other, torn, permuted = (trained("tiny", 32) for _ in range(4))
    other.get_layer("normalize").mean = (0.5, 0.5, 0.5)
    kernel, bias = torn.get_layer("conv2").get_weights()
    torn.get_layer("conv2").set_weights([kernel * np.nan, bias])
    permuted.get_layer("fc").set_weights([weight[..., ::-1] for weight in model.get_layer("fc").get_weights()])
    image = keras.Input((32, 32, 3))
    faces = pictures.for_verification(None, model.classes, 32)
    path = folder / "broken.tflite"
    says = {}

    def attempt(what, content, source=model, classes=model.classes):
        path.write_bytes(content)
        try:
            tflite.check(path, source, faces, tflite.TOLERANCES["none"], "uint8")
            card.append(path, card.make_card(source, content, "uint8", {}) | {"classes": list(classes)})
            verify.check_card(path, source)
            says[what] = ""
        except verify.VerificationError as error:
            says[what] = str(error)

    def extended(picture, logits):
        made = keras.Model(picture, logits)
        made.classes, made.card = model.classes, model.card
        return made

    odd, sums = (extended(model.input, layer(model.output)) for layer in (Odd(name="odd"), Sums(name="sums")))
    attempt("nothing", conversion.float_content(model))
    attempt("a Flex operator", convert(odd, tf.lite.OpsSet.SELECT_TF_OPS), odd)
    attempt("a variable", convert(model, freeze=False))
    attempt("an open batch", convert(model, batch=None))
    attempt("a float input", conversion.float_content(model, "float32"))
    attempt("what XNNPACK lacks", convert(sums), sums)
    attempt("a weight that is NaN", conversion.float_content(torn), torn)
    attempt("a wrong mean", conversion.float_content(other))
    attempt("swapped channels", convert(extended(image, model(image[..., ::-1]))))
    attempt("permuted outputs", conversion.float_content(permuted))
    attempt("shuffled labels", conversion.float_content(model), classes=reversed(model.classes))
    return says


def convert(model, *more_operators, batch=1, freeze=True):
    """A conversion as one might write it who does not know the traps."""
    module = tf.Module()
    module.weights = [weight.value for weight in model.weights]

    @tf.function(input_signature=[tf.TensorSpec((batch, 32, 32, 3), tf.uint8, name="image")])
    def classify(image):
        return tf.nn.softmax(model(tf.cast(image, tf.float32), training=False))

    module.classify = classify
    owner = module if freeze else model  # a Keras model shows the converter none of its variables
    converter = tf.lite.TFLiteConverter.from_concrete_functions([classify.get_concrete_function()], owner)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, *more_operators]
    return converter.convert()


if __name__ == "__main__":
    job, folder, *words = sys.argv[1:]
    jobs = {
        "everything": every_format,
        "tiny": tiny_files,
        "registry": registry_files,
        "schemes": all_schemes,
        "arm64": arm64_files,
        "qat_killed": qat_killed,
        "qat": qat_files,
        "qat_steps": qat_steps,
    }
    Path(folder).mkdir(parents=True, exist_ok=True)
    print(json.dumps(jobs[job](Path(folder), *words)))
