"""Train a model: `python -m train.fit --model mit_fusion`, on the built-in drawn faces or with `--data` on any set."""

import argparse
import dataclasses
import datetime
from pathlib import Path

import keras_fer
from keras_fer.command import run as run_command
from keras_fer.errors import InputError
from train import distribution, loop, recipes, run
from train.data import DatasetInfo, read_info
from train.preparation import prepare
from train.run import Config
from train.sources import drawn_faces

DRAWN = Path("data/drawn")
DRAWN_COUNT = 7000

FIXED = ("model", "recipe", "seed", "val", "limit", "init", "teacher", "cache", "out")
"""What a run keeps for good."""

EXAMPLES = """examples:
  python -m train.fit --model mit_fusion
  python -m train.fit --model efficientface --data data/fer2013 --recipe efficientface_scratch --set epochs=20
  python -m train.fit --model efficientface --data data/raf-db --teacher runs/ldg
  python -m train.fit --model poster_v2 --data data/raf-db --strategy mirrored
  python -m train.fit --resume runs/efficientface-fer2013-0101-120000
"""


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and train."""
    parser = make_parser("train.fit", "Train a model.", EXAMPLES)
    parser.add_argument(
        "--teacher", metavar="WEIGHTS", help="label distribution learning: this trained model's outputs are the targets"
    )
    args = parse(parser, argv)
    train(args, teacher=args.teacher)


def train(args: argparse.Namespace, **teaching) -> None:
    """Start a run, or go on with one, and report on it.

    Args:
        args: from `parse`.
        teaching: settings of a new run (`train.run.Config`) that the command decides.
    """
    resume = bool(args.resume)
    if resume:
        folder = args.resume
        config, info = go_on(args)
    else:
        config, info = start(args, teaching)
        folder = args.out or Path("runs", f"{config.model}-{info.name}-{datetime.datetime.now():%m%d-%H%M%S}")
        run.require_new(folder)
    worker = distribution.join()
    with distribution.run_folder(folder, worker, resume) as own:
        loop.fit(config, info, own, resume, worker)
    distribution.leave(worker)
    if worker.is_chief:
        loop.report(config, info, folder)


def make_parser(name: str, description: str, examples: str) -> argparse.ArgumentParser:
    """The options that every command has that trains; only `--teacher` is its own."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {name}",
        description=f"{description} The run folder is complete after every epoch, and --resume goes on from there.",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--model", metavar="NAME", help="one of " + ", ".join(keras_fer.list_models()))
    add("--data", type=Path, metavar="DIR", help=f"from train.prepare (default: {DRAWN}, which is drawn when missing)")
    add("--recipe", metavar="NAME", help="the model's by default; one of " + ", ".join(recipes.list_recipes()))
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="replace a setting of the recipe")
    add("--epochs", type=int, metavar="N", help="short for --set epochs=N")
    add("--seed", type=int, metavar="N", help="(default: 0)")
    add("--val", metavar="SPLIT", help="the split that chooses the epoch (default: val, else val joins train)")
    add("--limit", type=int, metavar="N", help="use only N pictures of every split")
    add("--init", metavar="WEIGHTS", help="start from these trained weights: a run folder or a .keras file")
    add("--strategy", choices=distribution.STRATEGIES, help="mirrored: on all devices of this machine (default: none)")
    add("--out", type=Path, metavar="RUN", help="the run folder (default: a new one in runs/)")
    add("--resume", type=Path, metavar="RUN", help="go on with a run; --set and --epochs may change it")
    return parser


def parse(parser: argparse.ArgumentParser, argv: list[str] | None) -> argparse.Namespace:
    """The command line, checked as far as the parser itself cannot."""
    args = parser.parse_args(argv)
    fixed = [name for name in FIXED if getattr(args, name, None) is not None]
    if args.resume and fixed:
        raise InputError(
            f"--resume takes --{fixed[0]} from the run; it goes with --set, --epochs, --data and --strategy only"
        )
    if not args.resume and not args.model:
        raise InputError("--model is missing (or --resume, to go on with a run)")
    if args.epochs is not None:
        args.set.append(f"epochs={args.epochs}")
    return args


def start(args: argparse.Namespace, teaching: dict) -> tuple[Config, DatasetInfo]:
    """The configuration of a new run."""
    if args.model not in keras_fer.list_models():
        keras_fer.create_model(args.model)  # raises, and says which names there are
    info = read_info(args.data) if args.data else None
    recipe_name = args.recipe or ("drawn" if info is None or info.name == "drawn" else args.model)
    config = Config(
        model=args.model,
        recipe_name=recipe_name,
        recipe=recipes.load(recipe_name).override(args.set),
        data=str(args.data or DRAWN),
        seed=args.seed or 0,
        val=args.val or "val",
        limit=args.limit,
        init=args.init,
        strategy=args.strategy or "none",
        **teaching,
    )
    return config, info or drawn_data()


def drawn_data() -> DatasetInfo:
    """The built-in drawn faces, drawn when they are used for the first time."""
    if not DRAWN.exists():
        print(f"drawing {DRAWN_COUNT} faces into {DRAWN}")
        return prepare(drawn_faces(DRAWN_COUNT), DRAWN)
    return read_info(DRAWN)


def go_on(args: argparse.Namespace) -> tuple[Config, DatasetInfo]:
    """The configuration of a run that goes on."""
    config, record = run.read_config(args.resume)
    data = str(args.data or config.data)
    strategy = args.strategy or config.strategy
    config = dataclasses.replace(config, recipe=config.recipe.override(args.set), data=data, strategy=strategy)
    info = read_info(config.data)
    if run.fingerprint(info) != record["dataset"]["fingerprint"]:
        raise InputError(f"{config.data} is not the data that {args.resume} was trained on: another dataset.json")
    for weights, known in record.get("teachers", {}).items():
        if run.weights_hash(weights) != known:
            raise InputError(f"{weights} is not the teacher that {args.resume} began with: its file has changed")
    return config, info


if __name__ == "__main__":
    run_command(main)
