"""Turn a data set into the one folder format that training reads fast.

    python -m train.prepare fer2013 fer2013.csv --out data/fer2013
    python -m train.prepare fer2013 fer2013.csv --votes fer2013new.csv --out data/fer2013
    python -m train.prepare folder my_faces --out data/mine --drop-leaks
    python -m train.prepare folder my_photos --out data/mine --align --size 64
    python -m train.prepare drawn --out data/drawn --count 7000

The pictures, their labels and their splits are kept as the data set has them. A set without a validation split gets
one: a tenth of each class of its training pictures.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from keras_fer.command import run
from keras_fer.errors import InputError
from train.preparation import prepare
from train.prepared import INFO_FILE, DatasetInfo
from train.sources import READERS, Source, drawn_faces, open_source

DATASETS = (*READERS, "drawn")
LISTED = 20
"""Unreadable pictures on the screen."""


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, prepare, print the counts."""
    args = parse(argv)
    tf.config.set_visible_devices([], "GPU")  # pictures are decoded on the CPU
    source = open_data(args)
    info = prepare(source, args.out, seed=args.seed, drop_leaks=args.drop_leaks, size=args.size, align=args.align)
    print(report(info))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        "python -m train.prepare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("dataset", choices=DATASETS, metavar="DATASET", help=", ".join(DATASETS))
    add("source", nargs="?", metavar="SOURCE", help="the data set's file or folder; not for drawn")
    add("--out", required=True, metavar="DIR", type=Path, help="the folder to write")
    add("--seed", type=int, default=0, help="of the records' order, the validation tenth and the drawing (default: 0)")
    add("--drop-leaks", action="store_true", help="leave out of train what is in another split too, pixel by pixel")
    add("--align", action="store_true", help="cut out the largest face of each picture, as docs/crop.md says")
    add(
        "--size",
        type=int,
        help="shrink larger pictures to this shorter side; side of drawn (96) or aligned faces (224)",
    )
    add("--count", type=int, help="drawn: how many pictures (default: 7000)")
    add("--votes", metavar="CSV", type=Path, help="fer2013: FER+'s fer2013new.csv, whose votes stand beside the labels")
    add("--hard", action="store_true", help="drawn: weak expressions, poses, occlusion, noise")
    return parser.parse_args(argv)


def open_data(args: argparse.Namespace) -> Source:
    """The source that the command line asks for."""
    drawn = args.dataset == "drawn"
    if drawn and args.source is not None:
        raise InputError(f"drawn takes no SOURCE, but got {args.source}")
    if not drawn and (args.count is not None or args.hard):
        raise InputError(f"--count and --hard are for drawn, not for {args.dataset}")
    if args.votes and args.dataset != "fer2013":
        raise InputError(f"--votes is for fer2013, not for {args.dataset}")
    for option in ("size", "count"):
        value = getattr(args, option)
        if value is not None and value < 1:
            raise InputError(f"--{option} is {value}, expected 1 or more")
    if drawn:
        return drawn_faces(args.count or 7000, seed=args.seed, size=args.size or 96, hard=args.hard)
    if args.source is None:
        raise InputError(f"{args.dataset} needs a SOURCE: the file or folder of the data set")
    return open_source(args.dataset, args.source, args.votes)


def report(info: DatasetInfo) -> str:
    """The counts of each class and split as a table, and everything that the user should know."""
    width = max(map(len, [*info.classes, "all"])) + 2
    rows = [("", list(info.splits)), *((name, [s.counts[name] for s in info.splits.values()]) for name in info.classes)]
    rows.append(("all", [split.n for split in info.splits.values()]))
    lines = [name.ljust(width) + "".join(str(cell).rjust(9) for cell in cells) for name, cells in rows]
    lines += info.notes
    lines += [f"split {alias} means {split}" for alias, split in info.aliases.items()]
    for pair, n in info.leaks.items():
        first, second = pair.split("/")
        lines.append(
            f"{n} pictures of {second} are in {first} too, pixel by pixel (--drop-leaks drops them from train)"
        )
    lines += [f"unreadable, left out: {entry['id']} ({entry['reason']})" for entry in info.unreadable[:LISTED]]
    if len(info.unreadable) > LISTED:
        lines.append(f"and {len(info.unreadable) - LISTED} more unreadable pictures, listed in {info.path / INFO_FILE}")
    lines.append(f"written to {info.path} with seed {info.seed}")
    return "\n".join(lines)


if __name__ == "__main__":
    run(main)
