"""Turn a data set into the one folder format that training reads fast.

    python -m train.prepare fer2013 fer2013.csv --out data/fer2013
    python -m train.prepare folder my_faces --out data/mine --drop-leaks
    python -m train.prepare drawn --out data/drawn --count 7000

The pictures, their labels and their splits are kept as the data set has them. A set without a validation split gets
one: a tenth of each class of its training pictures.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from keras_fer.command import run
from keras_fer.errors import InputError
from train.preparation import prepare
from train.prepared import DatasetInfo
from train.sources import READERS, open_source


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "python -m train.prepare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", choices=[*READERS, "drawn"], metavar="DATASET", help=", ".join([*READERS, "drawn"]))
    parser.add_argument("source", nargs="?", metavar="SOURCE", help="the data set's file or folder (not for drawn)")
    parser.add_argument("--out", required=True, metavar="DIR", type=Path, help="the folder to write")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the records' order and the validation tenth (%(default)s)"
    )
    parser.add_argument("--drop-leaks", action="store_true", help="drop from train what is in another split too")
    parser.add_argument(
        "--size", type=int, help="shrink pictures whose shorter side is longer; for drawn, their side (96)"
    )
    args = parser.parse_args(argv)
    if args.source is None:
        raise InputError(f"{args.dataset} needs a SOURCE: the file or folder with the data set")
    source = open_source(args.dataset, args.source)
    info = prepare(source, args.out, seed=args.seed, drop_leaks=args.drop_leaks, size=args.size)
    print(report(info))


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
    lines += [f"unreadable, left out: {entry['id']} ({entry['reason']})" for entry in info.unreadable]
    lines.append(f"written to {info.path}")
    return "\n".join(lines)


if __name__ == "__main__":
    run(main)
