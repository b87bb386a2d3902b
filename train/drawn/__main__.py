"""Write a sheet of drawn faces, a row for each expression.

Example:
    python -m train.drawn docs/drawn_faces.png
"""

import argparse

from keras_fer.command import run
from train.drawn import contact_sheet


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m train.drawn", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", metavar="OUT.png", help="picture to write")
    arguments = parser.parse_args()
    contact_sheet(arguments.out)
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    run(main)
