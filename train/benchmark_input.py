"""Whether the input pipeline keeps up: its pictures per second, and those that a model's training step takes.

    python -m train.benchmark_input --data data/fer2013 --model mit_fusion --model efficientface

Both are measured in turns, alone, on the whole machine, with the recipe's augmentation, picture size and batch size. In
training they share the processor, so without a GPU the pipeline should be several times faster than the step.
"""

import argparse
import functools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import numpy as np

import keras_fer
from keras_fer.command import run
from train import device, recipes
from train.data import DatasetInfo, read_info, training_batches
from train.fused import fuse_batch_norm
from train.loop import make_model
from train.optim import make_loss, make_optimizer
from train.run import Config

GOOD_RATIO = 3
ROUNDS = 3


class Speed(NamedTuple):
    """Pictures per second."""

    pipeline: float
    step: float


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, measure, print a row for each model."""
    parser = argparse.ArgumentParser(
        prog="python -m train.benchmark_input",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data", required=True, metavar="DIR", help="from train.prepare")
    add("--model", action="append", metavar="NAME", help="may be given several times (default: all that have a recipe)")
    add("--recipe", metavar="NAME", help="default: the one with the model's name")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="replace a setting of the recipe")
    add("--seconds", type=float, default=5.0, help="how long each of the rounds measures (default: 5)")
    args = parser.parse_args(argv)
    info = read_info(args.data)
    models = args.model or [name for name in keras_fer.list_models() if args.recipe or name in recipes.list_recipes()]
    print(f"{device.name()}, {info.name}: pictures per second")
    print(f"{'model':<18}{'recipe':<22}{'size':>5}{'batch':>7}{'pipeline':>10}{'step':>8}{'ratio':>8}")
    for name in models:
        recipe_name = args.recipe or name
        recipe = recipes.load(recipe_name).override(args.set)
        speed = measure(Config(name, recipe_name, recipe, args.data), info, args.seconds)
        ratio = speed.pipeline / speed.step
        verdict = "good" if ratio >= GOOD_RATIO else f"below {GOOD_RATIO}: the step waits for pictures"
        print(
            f"{name:<18}{recipe_name:<22}{recipe.input_size:>5}{recipe.batch_size:>7}"
            f"{speed.pipeline:>10.0f}{speed.step:>8.1f}{ratio:>8.1f}  {verdict}"
        )


def measure(config: Config, info: DatasetInfo, seconds: float) -> Speed:
    """The medians of a few rounds, in which the two take turns so that both see the same machine."""
    recipe = config.recipe
    batches = training_batches(
        info,
        "train",
        batch_size=recipe.batch_size,
        input_size=recipe.input_size,
        augment=recipe.augment,
        labels=recipe.labels,
        sampling=recipe.sampling,
        seed=config.seed,
        epochs=1_000_000,
    )
    step = training_step(config, info)
    rounds = []
    for _ in range(ROUNDS):
        iterator = iter(batches)  # a new one each time, lest it works ahead during the steps
        pipeline = _calls_per_second(functools.partial(next, iterator), seconds)
        del iterator
        rounds.append(Speed(recipe.batch_size * pipeline, recipe.batch_size * _calls_per_second(step, seconds)))
    return Speed(*map(statistics.median, zip(*rounds)))


def training_step(config: Config, info: DatasetInfo) -> Callable[[], object]:
    """A function that trains the model on the same batch again and again, and waits for the loss."""
    recipe = config.recipe
    model = make_model(config, info, device.dtype_policy(recipe.mixed_precision))
    fuse_batch_norm(model)
    model.compile(
        optimizer=make_optimizer(recipe, model, steps_per_epoch=1000),
        loss=make_loss(recipe),
        jit_compile=device.jit_compile(recipe.jit),
    )
    rng = np.random.default_rng(0)
    shape = (recipe.batch_size, recipe.input_size, recipe.input_size, 3)
    pictures = keras.ops.convert_to_tensor(rng.uniform(0, 255, shape), "float32")
    targets = keras.ops.one_hot(np.arange(recipe.batch_size) % len(info.classes), len(info.classes))
    return lambda: model.train_on_batch(pictures, targets)


def _calls_per_second(call: Callable[[], object], seconds: float) -> float:
    """After one call that does not count: it compiles the step, or starts the pipeline."""
    call()
    calls, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        call()
        calls += 1
    return calls / elapsed


if __name__ == "__main__":
    run(main)
