"""Converts other people's checkpoints: `python -m keras_fer.convert MODEL CHECKPOINT... --out FILE.keras`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import keras_fer
from keras_fer.command import run
from keras_fer.convert.layouts import read_source
from keras_fer.convert.published import convention
from keras_fer.convert.state_dict import load_state_dict
from keras_fer.errors import InputError
from keras_fer.expressions import canonical

INPUT_SIZE = 224
"""What all of these models were trained at."""


def main(argv: Sequence[str] | None = None) -> None:
    args = _parser().parse_args(argv)
    if args.out.suffix != ".keras":
        raise InputError(f"--out is {args.out}; expected a name that ends in .keras")

    sources = [read_source(args.model, path) for path in args.checkpoint]
    for path, source in zip(args.checkpoint, sources):
        print(f"{path}: {source.layout}")
    has_classifier = any(source.has_classifier for source in sources)
    if args.model in keras_fer.list_backbones():
        classes, normalisation = (), {}
        model = keras_fer.create_backbone(args.model, INPUT_SIZE)
    else:
        names = [canonical(name) for name in args.classes.split(",")] if args.classes else None
        classes, mean, std = convention(args.model, has_classifier, args.data, args.num_classes, names)
        normalisation = {"mean": mean, "std": std}
        model = keras_fer.create_model(args.model, len(classes), INPUT_SIZE, **normalisation)

    entries = {name: array for source in sources for name, array in source.entries.items()}
    loaded = load_state_dict(model, entries, lambda name: all(source.leaves(name) for source in sources))
    dropped = [*(name for source in sources for name in source.dropped), *loaded.dropped]
    print(f"{len(loaded.matched)} of {len(loaded.matched) + len(loaded.fresh)} entries of {args.model} matched")
    if dropped:
        print(f"{len(dropped)} dropped, which have no place in {args.model}: {_summary(dropped)}")
    if loaded.fresh:
        print(f"{len(loaded.fresh)} left as initialised, which such a file does not hold: {_summary(loaded.fresh)}")

    card = {
        "model": args.model,
        "classes": classes,
        "input_size": INPUT_SIZE,
        **normalisation,
        "converted_from": [path.name for path in args.checkpoint],
        "fresh": loaded.fresh,
    }
    keras_fer.save(model, args.out, card)
    if classes:
        print(f"classes in the order of the logits: {', '.join(classes)}")
        print(f"normalised with mean {mean} and deviation {std}")
        if has_classifier and not (args.data or args.classes):
            print("the order and the normalisation are assumed; --data or --classes say what the checkpoint's are")
    print(f"wrote {args.out}")


def _summary(names: Sequence[str], limit: int = 10) -> str:
    """The modules that the names belong to."""
    modules = list(dict.fromkeys(".".join(name.split(".")[:2]) for name in names))
    return ", ".join(modules[:limit]) + (" and others" if len(modules) > limit else "")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m keras_fer.convert",
        description="Turn PyTorch checkpoints into a .keras file that evaluates, predicts and starts a training run."
        " No code from the checkpoint runs, and PyTorch is not needed.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""examples:
  the authors' classifiers:
    python -m keras_fer.convert poster_v2 raf-db-model_best.pth --data raf-db --out poster.keras
    python -m keras_fer.convert poster_v2 affectnet-8-model_best.pth --data affectnet8 --out poster8.keras
  a start for `train.fit --init`, with a new head:
    python -m keras_fer.convert mit_fusion mit_b0.pth --out start.keras
    python -m keras_fer.convert efficientface shufflenetv2_x1.pth --num-classes 8 --out start.keras
    python -m keras_fer.convert poster_v2 ir50.pth mobilefacenet_model_best.pth.tar --out start.keras""",
    )
    models = [*keras_fer.list_models(), *keras_fer.list_backbones()]
    parser.add_argument("model", metavar="MODEL", help=", ".join(models))
    parser.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        nargs="+",
        type=Path,
        help=".pth, .pt, .pth.tar, .bin, .safetensors or .npz; several start different parts of one model",
    )
    parser.add_argument("--out", metavar="FILE.keras", type=Path, required=True)
    parser.add_argument(
        "--data",
        metavar="SET",
        help="what the checkpoint was trained on: raf-db, affectnet7, affectnet8 or caer-s. It decides the order of the"
        " classes, and for efficientface and ldg_resnet50 mean and deviation",
    )
    parser.add_argument("--num-classes", metavar="N", type=int, help="length of the output (default: that of the set)")
    parser.add_argument(
        "--classes",
        metavar="A,B,...",
        help="names of the classes in the checkpoint's order, where it is not one of the authors'",
    )
    return parser


if __name__ == "__main__":
    run(main)
