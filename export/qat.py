"""Quantization-aware training: `python -m export.qat --weights W --data DIR --out RUN`.

The deployable graph is trained with the rounding of its int8 file inside (`export.fake_quant`), with the float model as
teacher on the same augmented pictures. `python -m export.tflite --quantize qat` does this first and then writes the
file.

RUN is a folder like those of `train.fit` (`train.run`), complete after every epoch; `best.npz` holds the weights and
limits of the epoch with the best validation accuracy (of equals, the lower loss), rounding included. Epoch 0, before
any training, is one of them: what training does not improve stays as it was.
"""

import argparse
import dataclasses
import datetime
import hashlib
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import tf_keras
from tqdm import tqdm

import keras_fer
from export import pictures, quantize
from export.conversion import convert
from export.deploy import deployable
from export.fake_quant import Student, make_student, steps_off
from keras_fer.classifier import temperature
from keras_fer.command import run as run_command
from keras_fer.errors import InputError
from keras_fer.files import replacing
from keras_fer.saving import find
from train import recipes, run
from train.callbacks import Diverged
from train.data import DatasetInfo, evaluation_batches, read_info, steps_per_epoch, training_batches

BEST = "best.npz"

TEACHER_SHARE = 0.9
"""Of the targets; the rest are the labels. The teacher knows how sure one can be of a face."""


@dataclasses.dataclass(frozen=True)
class Config(run.Config):
    """What decides a run of quantization-aware training: `init` are the float weights, the teacher's too."""

    weights_sha256: str = ""
    keep_float: tuple[str, ...] = ()
    """Layers whose multiplications stay float."""


def make_config(
    weights: str | Path,
    info: DatasetInfo,
    recipe_name: str | None = None,
    settings: Sequence[str] = (),
    keep_float: Sequence[str] = (),
    **more,
) -> Config:
    """The configuration of a new run.

    Args:
        weights: a run folder or a `.keras` file.
        recipe_name: by default the model's own, `NAME_qat`, and `qat` where it has none.
        settings: `key=value`, to replace the recipe's.
        more: `seed`, `val` and `limit` of `train.run.Config`.

    Raises:
        InputError: no such weights or recipe, a setting that is none, or data of other classes.
    """
    path = find(weights)
    model = keras_fer.load(path)
    if tuple(model.classes) != tuple(info.classes):
        raise InputError(
            f"{info.path} has the classes {', '.join(info.classes)}; those of {path} are {', '.join(model.classes)}"
        )
    own = f"{model.name}_qat"
    name = recipe_name or (own if own in recipes.list_recipes() else "qat")
    recipe = recipes.load(name).override(settings)
    return Config(
        model=model.name,
        recipe_name=name,
        recipe=dataclasses.replace(recipe, input_size=model.input_shape[1]),
        data=str(info.path),
        init=str(path),
        weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        keep_float=tuple(keep_float),
        **more,
    )


def read_config(folder: Path) -> tuple[Config, dict]:
    """The configuration of the run in `folder`, and the whole record of its config.json.

    Raises:
        InputError: there is no such run, or its weights or data have changed.
    """
    config, record = run.read_config(folder)
    if "weights_sha256" not in record:
        raise InputError(f"{folder} is a run of train.fit; expected one of export.qat")
    own = {"weights_sha256": record["weights_sha256"], "keep_float": tuple(record["keep_float"])}
    config = Config(**{field.name: getattr(config, field.name) for field in dataclasses.fields(config)}, **own)
    if hashlib.sha256(find(config.init).read_bytes()).hexdigest() != config.weights_sha256:
        raise InputError(f"{config.init} is not what {folder} started from: the file has changed")
    if run.fingerprint(read_info(Path(config.data))) != record["dataset"]["fingerprint"]:
        raise InputError(f"{config.data} is not the data that {folder} was trained on: another dataset.json")
    return config, record


def start(config: Config, info: DatasetInfo, dtype: str = "uint8") -> tuple[Student, keras.Model]:
    """The graph to be trained, its limits those of `export.quantize.calibrate`; and the teacher."""
    teacher = keras_fer.load(config.init)
    model = deployable(teacher)
    content = convert(model, dtype)
    faces = pictures.stratified(info, "train", quantize.CALIBRATION_FACES, config.recipe.input_size).astype(dtype)
    ranges = quantize.calibrate(content, faces)
    return make_student(model, content, ranges, faces[0], config.keep_float), teacher


def train(config: Config, info: DatasetInfo, folder: Path, resume: bool = False) -> None:
    """Train as `config` says and keep `folder` up to date after every epoch; `resume` goes on after the last one.

    Raises:
        InputError: a split or folder that is not there, or there already; the loss became NaN (`Diverged`).
    """
    recipe = config.recipe
    info.require("train"), info.require(config.val)
    if not resume:
        run.create(folder, config, info)
    elif _epochs_done(folder) >= recipe.epochs:
        print(f"{folder} is complete after epoch {recipe.epochs}")
        return
    keras.utils.set_random_seed(config.seed)
    student, teacher = start(config, info)
    model = student.model
    steps = steps_per_epoch(info, "train", recipe.batch_size, config.limit)
    model.compile(optimizer=_optimizer(recipe, steps))
    model.optimizer.build(model.trainable_variables)

    progress = run.load_state(folder, model) if resume else None
    if resume:
        run.write_config(folder, config, info, earlier_sessions=run.read_config(folder)[1]["sessions"])
    history = progress["history"] if progress else []
    if not history:
        before = time.perf_counter()
        zero = {"epoch": 0, "loss": math.nan, "accuracy": math.nan, **_validate(model, config, info)}
        zero |= {"learning_rate": 0.0, "seconds": round(time.perf_counter() - before, 2)}
        history.append(zero)
        _keep(folder, student, history)
        print(f"rounded, not trained: val accuracy {zero['val_accuracy']:.4f}", flush=True)

    step = _step(model, teacher)
    batches = iter(
        training_batches(
            info,
            "train",
            batch_size=recipe.batch_size,
            input_size=recipe.input_size,
            augment=recipe.augment,
            seed=config.seed,
            limit=config.limit,
            first_epoch=history[-1]["epoch"],
            epochs=recipe.epochs,
        )
    )
    for epoch in range(history[-1]["epoch"] + 1, recipe.epochs + 1):
        before = time.perf_counter()
        sums = np.zeros(2)
        for number in tqdm(range(steps), desc=f"epoch {epoch}/{recipe.epochs}", unit="step", leave=False, disable=None):
            sums += [float(value) for value in step(*next(batches))]
            if not math.isfinite(sums[0]):
                raise Diverged(f"the loss is not finite at step {number + 1} of epoch {epoch}; a lower rate may help")
        loss, accuracy = (sums / steps).tolist()
        row = {"epoch": epoch, "loss": loss, "accuracy": accuracy, **_validate(model, config, info)}
        row |= {"learning_rate": float(model.optimizer.learning_rate)}
        row |= {"seconds": round(time.perf_counter() - before, 2)}
        history.append(row)
        _keep(folder, student, history)
        left = datetime.timedelta(seconds=round(row["seconds"] * (recipe.epochs - epoch)))
        print(
            f"epoch {epoch:3}/{recipe.epochs}  loss {loss:.4f}  accuracy {accuracy:.4f}  "
            f"val loss {row['val_loss']:.4f}  val accuracy {row['val_accuracy']:.4f}  {left} left",
            flush=True,
        )


def ensure(folder: Path, weights: str | Path, info: DatasetInfo, keep_float: Sequence[str] = ()) -> None:
    """A finished run in `folder`, of these weights: a new one, or what is there, gone on with where it was cut off.

    Raises:
        InputError: the run there started from other weights or data, or keeps other layers float.
    """
    if not (folder / run.CONFIG).exists():
        train(make_config(weights, info, keep_float=keep_float), info, folder)
        return
    config, record = require_start(folder, weights)
    if run.fingerprint(info) != record["dataset"]["fingerprint"]:
        raise InputError(f"{folder} was trained on {config.data}, not on {info.path}; choose another --qat-run")
    if keep_float and tuple(keep_float) != config.keep_float:
        kept = ", ".join(config.keep_float) or "no layer"
        raise InputError(f"{folder} keeps {kept} float, not {', '.join(keep_float)}; choose another --qat-run")
    train(config, info, folder, resume=True)


def require_start(folder: Path, weights: str | Path) -> tuple[Config, dict]:
    """What `read_config` gives for the run in `folder`.

    Raises:
        InputError: it started from other weights, or `read_config` refuses it.
    """
    config, record = read_config(folder)
    if hashlib.sha256(find(weights).read_bytes()).hexdigest() != config.weights_sha256:
        raise InputError(f"{folder} started from {config.init}, not from {weights}; choose another --qat-run")
    return config, record


def best(folder: Path, info: DatasetInfo, dtype: str = "uint8") -> tuple[Student, keras.Model, int]:
    """The best epoch of a run: the trained graph, the deployable model with its weights, and the epoch.

    Args:
        dtype: of the file's input.
    """
    config, _ = read_config(folder)
    student, teacher = start(config, info, dtype)
    with np.load(folder / BEST) as state:
        for i, variable in enumerate(student.model.variables):
            variable.assign(state[f"arr_{i}"])
        epoch = int(state["epoch"])
    model = deployable(teacher)
    student.put_weights(model)
    return student.on(convert(model, dtype)), model, epoch


def finish(folder: Path, info: DatasetInfo, dtype: str = "uint8") -> tuple[bytes, dict[str, float], dict]:
    """What the best epoch of a run learned.

    Args:
        dtype: of the file's input.

    Returns:
        The int8 file, how far each layer of the trained graph is from it (`export.fake_quant.steps_off`), and what the
        card says about the training.
    """
    config, record = read_config(folder)
    student, model, epoch = best(folder, info, dtype)
    file = student.to_int8()
    face = pictures.for_verification(info, info.classes, config.recipe.input_size)[0].astype(dtype)
    training = {
        "recipe": config.recipe_name,
        "settings": config.recipe.to_dict(),
        "data": record["dataset"]["name"],
        "data_fingerprint": record["dataset"]["fingerprint"],
        "limit": config.limit,
        "seed": config.seed,
        "epoch": epoch,
        "weights_sha256": config.weights_sha256,
    }
    said = {"training": training, "float_layers": list(config.keep_float)}
    return file, steps_off(student, model, file, face), said


def _epochs_done(folder):
    if not (folder / run.STATE).exists():
        return -1
    with np.load(folder / run.STATE) as state:
        return json.loads(str(state["progress"]))["history"][-1]["epoch"]


def _optimizer(recipe, steps):
    rate = recipe.learning_rate
    if recipe.schedule == "cosine":
        rate = tf_keras.optimizers.schedules.CosineDecay(rate, recipe.epochs * steps)
    return tf_keras.optimizers.Adam(rate, beta_1=recipe.momentum, global_clipnorm=recipe.clip_norm or None)


def _step(model, teacher):
    """One step: pictures and one-hot labels to the loss and the share of right answers."""
    softened = temperature(teacher.card)

    @tf.function
    def step(pictures, labels):
        answers = tf.nn.softmax(teacher(pictures, training=False) / softened)
        targets = TEACHER_SHARE * answers + (1 - TEACHER_SHARE) * labels
        with tf.GradientTape() as tape:
            # The deployable graph has neither dropout nor batch norms that learn, so this is how it is used.
            logits = model(pictures, training=False)
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))
        weights = model.trainable_variables
        model.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
        return loss, _accuracy(labels, logits)

    return step


def _accuracy(labels, logits):
    return tf.reduce_mean(tf.cast(tf.argmax(labels, -1) == tf.argmax(logits, -1), tf.float32))


def _validate(model, config, info):
    losses, right = [], []
    batches = evaluation_batches(
        info, config.val, batch_size=config.recipe.batch_size, input_size=config.recipe.input_size, limit=config.limit
    )
    for faces, labels in tqdm(batches, desc=config.val, unit="batch", leave=False, disable=None):
        logits = model.predict_on_batch(faces)
        losses += tf.nn.softmax_cross_entropy_with_logits(labels, logits).numpy().tolist()
        right += (labels.numpy().argmax(1) == logits.argmax(1)).tolist()
    return {"val_loss": float(np.mean(losses)), "val_accuracy": float(np.mean(right))}


def _keep(folder, student, history):
    """Write the state; and first the best epoch, if that is the last one, so that a kill loses neither."""
    ranks = [(row["val_accuracy"], -row["val_loss"]) for row in history]
    if ranks[-1] == max(ranks):
        with replacing(folder / BEST) as temporary:
            np.savez(temporary, *(v.numpy() for v in student.model.variables), epoch=history[-1]["epoch"])
    run.save_state(folder, student.model, {"history": history})
    if history[1:]:
        run.write_history(folder, history[1:])


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(
        prog="python -m export.qat",
        description="Fine-tune a trained model with the rounding of its int8 file inside, for export.tflite.",
        epilog="example: python -m export.qat --weights runs/mit --data data/fer2013 --out runs/mit_qat; then "
        "python -m export.tflite --weights runs/mit --quantize qat --qat-run runs/mit_qat --data data/fer2013 "
        "--out mit.tflite",
    )
    add = parser.add_argument
    add("--weights", metavar="W", help="a run folder or a .keras file")
    add("--data", type=Path, metavar="DIR", help="the data that the model was trained on, from train.prepare")
    add("--out", type=Path, metavar="RUN", help="the run folder")
    add("--recipe", metavar="NAME", help="the model's by default")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="replace a setting of the recipe")
    add("--seed", type=int, default=0, metavar="N", help="(default: %(default)s)")
    add("--val", default="val", metavar="SPLIT", help="the split that chooses the epoch (default: %(default)s)")
    add("--limit", type=int, metavar="N", help="use only N pictures of every split")
    add("--keep-float", nargs="+", default=[], metavar="LAYER", help="layers that stay float")
    add("--resume", type=Path, metavar="RUN", help="go on with a run")
    args = parser.parse_args(argv)
    if args.resume:
        config, _ = read_config(args.resume)
        train(config, read_info(Path(config.data)), args.resume, resume=True)
        return
    if missing := [f"--{name}" for name in ("weights", "data", "out") if getattr(args, name) is None]:
        raise InputError(f"{', '.join(missing)} missing (or --resume, to go on with a run)")
    info = read_info(args.data)
    more = {"seed": args.seed, "val": args.val, "limit": args.limit}
    config = make_config(args.weights, info, args.recipe, args.set, args.keep_float, **more)
    train(config, info, args.out)


if __name__ == "__main__":
    run_command(main)
