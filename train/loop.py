"""The training run: model, optimizer, data and callbacks put together around `keras.Model.fit`."""

import dataclasses
import math
import sys
from pathlib import Path

import keras

import keras_fer
from keras_fer.errors import InputError
from keras_fer.registry import training_method
from train import device, distribution, evaluate, metrics, run, teacher_cache
from train.callbacks import Diverged, Progress, RunFolder, StopOnNaN
from train.data import DatasetInfo, class_weights, evaluation_batches, steps_per_epoch, training_batches
from train.distillation import Distillation
from train.fused import fuse_batch_norm
from train.label_distribution import LabelDistributionLoss, load_generator
from train.method import TrainingModel
from train.optim import make_loss, make_optimizer
from train.recipes import Recipe
from train.run import Config
from train.teacher import load_teacher
from train.transfer import transfer
from train.votes import VotesModel

ALONE = distribution.Worker()


def fit(
    config: Config, info: DatasetInfo, folder: Path, resume: bool = False, worker: distribution.Worker = ALONE
) -> None:
    """Train as `config` says and keep `folder` (see `train.run`) up to date after every epoch.

    With `resume` the run goes on after its last whole epoch and ends as one that was never interrupted: the weights,
    the optimizer, the random generators and all counters are restored, and the pictures of an epoch depend on its
    number and the seed alone.

    Args:
        worker: which of several processes this one is, each of which trains on its part of every batch.

    Raises:
        InputError: a model, recipe or split that is not there; a batch that cannot be parted among the devices; the
            loss became NaN (`Diverged`).
    """
    recipe = config.recipe
    strategy = distribution.strategy(config.strategy)
    replicas = distribution.replicas(strategy)
    if recipe.batch_size % replicas:
        raise InputError(f"batch_size is {recipe.batch_size}; expected a multiple of {replicas}, the number of devices")
    if strategy and recipe.jit == "on":
        raise InputError(f"jit is on, and XLA cannot compile a step of --strategy {config.strategy}: leave it on auto")
    info.require("train"), info.require(config.val)
    if config.val != "val" and "val" in info.splits:
        info = with_val_in_train(info)
    steps = steps_per_epoch(info, "train", recipe.batch_size, config.limit)

    keras.utils.set_random_seed(config.seed)
    published = make_model(config, info)
    with distribution.scope(strategy):
        network = make_model(config, info, device.dtype_policy(recipe.mixed_precision))
        if config.init and not (folder / run.STATE).exists():
            print(f"init from {config.init}: {transfer(keras_fer.load(config.init), network, info.classes)}")

        if not strategy:
            fuse_batch_norm(network)
        model = _trained(network, config, info)
        model.compile(
            optimizer=make_optimizer(recipe, model, steps, replicas if strategy else 1),
            loss=LabelDistributionLoss() if config.teacher else make_loss(recipe),
            metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
            jit_compile=device.jit_compile(recipe.jit) and not strategy,
        )
        model.optimizer.build(model.trainable_variables)

    progress = run.load_state(folder, model) if resume else None
    if progress and (progress["stopped"] or progress["epoch"] >= recipe.epochs):
        run.write_history(folder, progress["history"])
        print(f"{folder} is complete after epoch {progress['epoch']}")
        return
    if progress and progress["learning_rate"] != recipe.learning_rate and recipe.schedule in ("constant", "plateau"):
        # These rates are part of the state; the others are functions of the step.
        model.optimizer.learning_rate = recipe.learning_rate
    if resume:
        run.write_config(folder, config, info, earlier_sessions=run.read_config(folder)[1]["sessions"])
    else:
        run.create(folder, config, info)
    parameters = sum(math.prod(v.shape) for v in network.trainable_variables)
    counts = f"{info.splits['train'].n} train, {info.require(config.val).n} {config.val}"
    where = device.name() + (f" x {replicas}" if replicas > 1 else "")
    print(
        f"{config.model} ({parameters / 1e6:.2f} M parameters), recipe {config.recipe_name}, "
        f"on {info.name} ({counts}), {where}, into {folder}"
    )

    average = keras.callbacks.SwapEMAWeights() if recipe.ema else None
    companions = _companions(recipe)
    callbacks = [
        average,
        StopOnNaN(),
        Progress(steps * recipe.batch_size),
        *companions,
        keras.callbacks.TensorBoard(folder / "tensorboard", write_graph=False),
        RunFolder(folder, network, published, make_card(config, info), companions, average, progress),
    ]
    first_epoch = progress["epoch"] if progress else 0
    data = {"batch_size": recipe.batch_size, "input_size": recipe.input_size, "shard": worker}
    validated = config.limit
    if worker.count > 1:
        n = min(info.require(config.val).n, config.limit or sys.maxsize)
        validated = n - n % replicas
        if n > validated:
            print(f"validation takes {validated} of {n} pictures, as many on each of {replicas} devices")
    training = training_batches(
        info,
        "train",
        **data,
        limit=config.limit,
        augment=recipe.augment,
        labels=recipe.labels,
        sampling=recipe.sampling,
        votes=recipe.votes_weight > 0,
        seed=config.seed,
        first_epoch=first_epoch,
        epochs=recipe.epochs,
        beside=teacher_cache.known_logits(model.distillation.teachers, config, info) if config.cache else None,
    )
    try:
        model.fit(
            training,
            steps_per_epoch=steps,
            initial_epoch=first_epoch,
            epochs=recipe.epochs,
            validation_data=evaluation_batches(info, config.val, **data, limit=validated),
            class_weight=class_weights(info, "train") if recipe.class_weights == "balanced" else None,
            callbacks=[callback for callback in callbacks if callback],
            shuffle=False,
            verbose=0,
        )
    except (Diverged, OSError) as error:
        raise InputError(f"{error}; to go on after the last whole epoch: --resume {folder}") from error


def make_model(config: Config, info: DatasetInfo, dtype_policy: str = "float32") -> keras.Model:
    """The config's model with fresh weights, for the classes of the data."""
    recipe = config.recipe
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype_policy)
    try:
        return keras_fer.create_model(
            config.model,
            num_classes=len(info.classes),
            input_size=recipe.input_size,
            mean=recipe.mean,
            std=recipe.std,
            **recipe.model_options,
        )
    finally:
        keras.config.set_dtype_policy(before)


def _trained(network: keras.Model, config: Config, info: DatasetInfo) -> keras.Model:
    """What is compiled: the network itself, or a model around it that trains the same weights by a paper's method."""
    recipe = config.recipe
    methods = recipe.sam_rho or config.teacher or config.distill or training_method(config.model)
    if recipe.votes_weight:
        if methods or config.strategy != "none" or recipe.class_weights != "none":
            raise InputError("votes_weight does not go with btn, sam_rho, teachers, --strategy or class_weights")
        return VotesModel(network, len(info.require_votes()), recipe.votes_weight)
    if not methods and config.strategy == "none":
        return network
    if device.BACKEND != "tensorflow":
        raise InputError(f"btn, sam_rho and --teacher need TensorFlow: KERAS_BACKEND is {device.BACKEND}")
    teacher = distillation = None
    checks = (info, config.val, recipe.input_size, recipe.teacher_floor)
    if config.teacher:
        teacher = load_generator(config.teacher, *checks)
    if config.distill:
        if config.cache:
            teacher_cache.check(recipe)
        maps = tuple(recipe.feature_maps.values()) if recipe.feature_weight else ()
        first, *others = config.distill
        teachers = [load_teacher(first, *checks, maps), *(load_teacher(weights, *checks) for weights in others)]
        distillation = Distillation(teachers, recipe)
    return TrainingModel(network, config.model, recipe.sam_rho, teacher, distillation)


def make_card(config: Config, info: DatasetInfo) -> dict:
    """What a weight says about itself."""
    return {
        "model": config.model,
        "classes": list(info.classes),
        "input_size": config.recipe.input_size,
        "mean": list(config.recipe.mean),
        "std": list(config.recipe.std),
        "recipe": config.recipe_name,
        "settings": config.recipe.to_dict(),
        "data": info.name,
        "data_fingerprint": run.fingerprint(info),
        "val_split": config.val,
        "seed": config.seed,
        "teacher": config.teacher,
        "distill": list(config.distill),
    }


def with_val_in_train(info: DatasetInfo) -> DatasetInfo:
    """The data set with its `val` joined to `train`, for runs that choose their epoch on another split."""
    train, val = info.splits["train"], info.splits["val"]
    joined = dataclasses.replace(
        train,
        n=train.n + val.n,
        counts={name: train.counts[name] + val.counts[name] for name in train.counts},
        bytes=train.bytes + val.bytes,
        files=train.files | val.files,
    )
    return dataclasses.replace(info, splits=info.splits | {"train": joined})


def report(config: Config, info: DatasetInfo, folder: Path) -> dict:
    """Measure the best epoch on the test split (without one, on the split that chose it); print and write it."""
    split = "test" if "test" in {**info.splits, **info.aliases} else config.val
    model = keras_fer.load(folder)
    result = evaluate.measure(model, info, split, config.recipe.batch_size, config.limit)
    result |= {"epoch": model.card["epoch"], "epoch_chosen_on": config.val}
    if result["split"] == info.aliases.get(config.val, config.val):
        result["note"] = "these pictures also chose the epoch, so the figures are on the high side"
    evaluate.write(result, folder)
    print(f"epoch {result['epoch']}, chosen on {config.val}; on {result['split']}:")
    print(metrics.table(result))
    if "note" in result:
        print(f"note: {result['note']}")
    return result


def _companions(recipe: Recipe) -> list[keras.callbacks.Callback]:
    """Keras' callbacks that act on the validation accuracy."""
    watch = {"monitor": "val_accuracy", "mode": "max", "min_delta": 0.0}
    companions = []
    if recipe.schedule == "plateau":
        companions.append(
            keras.callbacks.ReduceLROnPlateau(factor=recipe.decay_factor, patience=recipe.decay_epochs, **watch)
        )
    if recipe.early_stopping:
        companions.append(keras.callbacks.EarlyStopping(patience=recipe.early_stopping, **watch))
    return companions
