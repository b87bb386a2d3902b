"""See what a model's answer rests on: `python -m keras_fer.explain IMAGE`."""

import argparse
from pathlib import Path

import keras_fer
from keras_fer import shipped
from keras_fer.classifier import as_classifier
from keras_fer.command import run
from keras_fer.crop import Window, resample
from keras_fer.draw import explanation
from keras_fer.errors import InputError
from keras_fer.explanation import METHODS, explain
from keras_fer.files import replacing
from keras_fer.images import read_rgb
from keras_fer.optional import need
from keras_fer.recognition import FaceExpression
from keras_fer.recognizer import Recognizer


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, recognise, explain and draw."""
    parser = argparse.ArgumentParser(
        prog="python -m keras_fer.explain",
        description="Draw which parts of each face a model's answer rests on, beside its probabilities.",
        epilog="example: python -m keras_fer.explain photo.jpg --weights runs/first --method grad-cam score-cam",
    )
    add = parser.add_argument
    add("image", type=Path, help="a picture with one or more faces")
    add("--weights", metavar="W", help="a run folder, a .keras file or shipped weights (default: the best of those)")
    add("--method", nargs="+", choices=METHODS, default=[], help="(default: attention if it has some, else grad-cam)")
    add("--layer", nargs="+", default=[], metavar="NAME", help="of grad-cam and score-cam (default: its last map)")
    add("--class", dest="target", metavar="NAME", help="explain this class (default: each face's most probable one)")
    add("--cropped", action="store_true", help="the picture is a face already, cut out as for training")
    add("--out", type=Path, metavar="FILE", help="the picture to write (default: IMAGE's name with _explained.png)")
    args = parser.parse_args(argv)

    out = args.out or Path(f"{args.image.stem}_explained.png")
    picture = read_rgb(args.image)
    model = load(args.weights)
    if args.target and args.target not in model.classes:
        raise InputError(f"{model.name} knows no class {args.target!r}; it knows {', '.join(model.classes)}")
    faces = cropped(model, picture) if args.cropped else Recognizer(as_classifier(model))(picture).faces
    if not faces:
        raise InputError(f"no face found in {args.image}; where it is a face already, cut out: --cropped")
    rows = []
    for face in faces:
        target = args.target or face.expression
        maps = explain(model, face.crop, model.classes.index(target), args.method, args.layer)
        rows.append((face, target, maps))
        print(f"{face.expression} {face.probabilities[face.expression]:.0%}: {', '.join(m.title for m in maps)}")
    with replacing(out) as temporary:
        need("PIL.Image").fromarray(explanation(rows)).save(temporary)
    print(f"written to {out}")


def load(weights: str | None):
    """The Keras model of a run, a `.keras` file or shipped weights.

    Raises:
        InputError: the file is of another format, whose layers cannot be looked into.
    """
    weights = weights or shipped.default()
    if Path(weights).suffix in (".tflite", ".onnx"):
        raise InputError(f"{weights} does not show its layers; explain takes the .keras file that it came from")
    return keras_fer.load(weights)


def cropped(model, picture) -> list[FaceExpression]:
    """A picture that is a face as a whole, resampled and classified."""
    height, width, _ = picture.shape
    whole = Window((width / 2, height / 2), (max(height, width), 0))
    crop = resample(picture, whole, model.input_shape[1])
    row = as_classifier(model).run(crop[None])[0].tolist()
    return [FaceExpression(None, dict(zip(model.classes, row)), crop)]


if __name__ == "__main__":
    run(main)
