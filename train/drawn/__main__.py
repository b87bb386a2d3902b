"""Write a sheet of drawn faces, a row for each expression; or a scene with people of given expressions.

Examples:
    python -m train.drawn docs/drawn_faces.png
    python -m train.drawn people.png --scene happiness surprise anger
"""

import argparse
from pathlib import Path

from PIL import Image

from keras_fer.command import run
from keras_fer.files import replacing
from train.drawn import contact_sheet, scene


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and draw."""
    parser = argparse.ArgumentParser(
        prog="python -m train.drawn", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, metavar="OUT.png", help="picture to write")
    parser.add_argument("--scene", nargs="+", metavar="EXPRESSION", help="draw these people side by side")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="who they are (default: %(default)s)")
    arguments = parser.parse_args(argv)
    if arguments.scene:
        picture, _ = scene(arguments.seed, faces=arguments.scene)
        with replacing(arguments.out) as temporary:
            Image.fromarray(picture).save(temporary)
    else:
        contact_sheet(arguments.out)
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    run(main)
