"""Train a model on trained ones' answers: `python -m train.distill --teacher W [W ...] --model NAME --data DIR`."""

from keras_fer.command import run as run_command
from keras_fer.errors import InputError
from train import fit

EXAMPLES = """examples:
  python -m train.distill --teacher runs/poster --model poster_v2_mobile --data data/raf-db
  python -m train.distill --teacher runs/a runs/b --model efficientface --data data/fer2013 --set distill_temperature=4
  python -m train.distill --resume runs/poster_v2_mobile-raf-db-0101-120000
"""


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and train."""
    parser = fit.make_parser("train.distill", "Train a model on the labels and on what trained ones answer.", EXAMPLES)
    parser.add_argument(
        "--teacher", nargs="+", metavar="WEIGHTS", help="one or more trained models; their mean answer is learned"
    )
    parser.add_argument(
        "--cache", metavar="DIR", help="keep what the teachers say there, for recipes that at most flip the pictures"
    )
    args = fit.parse(parser, argv)
    if not args.resume and not args.teacher:
        raise InputError("--teacher is missing: one or more trained models to learn from")
    fit.train(args, distill=tuple(args.teacher or ()), cache=args.cache)


if __name__ == "__main__":
    run_command(main)
