"""A trained model as an .onnx file: `python -m export.onnx --weights W --out FILE.onnx`.

Opset 17, any number of pictures at once: input `image`, uint8 RGB in 0..255, `(batch, size, size, 3)`; output
`probabilities`, float32, `(batch, classes)`. The card is the metadata entry `card`. Before the file gets its name,
ONNX's checker and ONNX Runtime have seen it.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import onnx
import onnxruntime
import tf2onnx
from google.protobuf.message import DecodeError

import keras_fer
from export import accuracy, card, pictures, verify
from export.serving import serving_module
from keras_fer import card as cards
from keras_fer.classifier import temperature
from keras_fer.command import run
from keras_fer.errors import InputError
from keras_fer.files import replacing
from train.data import read_info

OPSET = 17
TOLERANCE = verify.Tolerance(difference=1e-4, agreement=1.0)


def export(model: keras.Model, out: Path, faces: np.ndarray, expected: accuracy.Reference | None = None) -> dict:
    """Write the .onnx file, verified, with its card inside and beside it.

    Args:
        model: as `keras_fer.load` returns it.
        out: the file.
        faces: uint8 pictures (n, size, size, 3) to verify with.
        expected: what the model says of a split; the card then says how good the file is on it.

    Returns:
        The card.

    Raises:
        InputError: another suffix than .onnx.
        VerificationError: the file is not what it should be; nothing is kept.
    """
    card.require_suffix(out, ".onnx")
    proto = convert(model)
    with replacing(out) as temporary:
        onnx.save(proto, temporary)
        more = {"verification": check(temporary, model, faces)}
        if expected:
            more["metrics"] = accuracy.measure(runner(temporary), model, expected)
        made = card.make_card(model, temporary.read_bytes(), "uint8", {"scheme": "none"}, **more)
        made["opset"] = OPSET
        for shapes in (made["input"]["shape"], made["output"]["shape"]):
            shapes[0] = "batch"
        onnx.helper.set_model_props(proto, {"card": json.dumps(made)})
        onnx.save(proto, temporary)
    card.write_beside(out, made)
    return made


def convert(model: keras.Model) -> onnx.ModelProto:
    """The ONNX graph of a model that gives logits: pictures in, probabilities out."""
    classify = serving_module(model, None, temperature=temperature(model.card)).classify
    proto, _ = tf2onnx.convert.from_function(classify, input_signature=classify.input_signature, opset=OPSET)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    return proto


def check(path: Path, model: keras.Model, faces: np.ndarray) -> dict:
    """ONNX's own checker, the names and shapes, and the same answers as Keras, for one picture and for many at once.

    Raises:
        VerificationError: what fails.
    """
    try:
        onnx.checker.check_model(path, full_check=True)
    except onnx.checker.ValidationError as error:
        raise verify.VerificationError(f"the file is no valid ONNX: {str(error).splitlines()[0]}") from error
    session = _open(path)
    found = [(value.name, value.type, value.shape) for value in (*session.get_inputs(), *session.get_outputs())]
    expected = [
        ("image", "tensor(uint8)", ["batch", *model.input_shape[1:]]),
        ("probabilities", "tensor(float)", ["batch", len(model.classes)]),
    ]
    if found != expected:
        raise verify.VerificationError(f"the file's input and output are {found}, expected {expected}")

    def infer(crops):
        (together,) = session.run(None, {"image": crops})
        (alone,) = session.run(None, {"image": crops[:1]})
        if not np.allclose(together[:1], alone, atol=TOLERANCE.difference):
            raise verify.VerificationError("a picture's probabilities depend on the batch that it is in")
        return together

    return verify.check_agreement(infer, model, faces, TOLERANCE)


def runner(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The file as a function from pictures (n, size, size, 3) in 0..255, rounded, to probabilities (n, classes)."""
    session = _open(path)
    return lambda crops: session.run(None, {"image": np.rint(crops).astype(np.uint8)})[0]


def read_card(path: Path) -> dict:
    """The card inside an .onnx file.

    Raises:
        InputError: it is no .onnx file, or it holds no card.
    """
    try:
        proto = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise InputError(f"{path} cannot be read as an .onnx model") from error
    return cards.parse({entry.key: entry.value for entry in proto.metadata_props}.get("card"), path)


def _open(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, export and print."""
    parser = argparse.ArgumentParser(
        prog="python -m export.onnx",
        description=f"Write a trained model as an .onnx file (opset {OPSET}) that takes uint8 pictures, with its card.",
        epilog="example: python -m export.onnx --weights runs/first --out first.onnx",
    )
    parser.add_argument("--weights", required=True, metavar="W", help="a run folder or a .keras file")
    parser.add_argument("--data", type=Path, metavar="DIR", help="faces to verify with and measure on")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the .onnx file")
    args = parser.parse_args(argv)

    model = keras_fer.load(args.weights)
    info = read_info(args.data) if args.data else None
    faces = pictures.for_verification(info, model.classes, model.input_shape[1])
    split = info and accuracy.default_split(info)
    made = export(model, args.out, faces, accuracy.reference(model, info, split) if split else None)
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB, {made['model']}, opset {OPSET}")
    print(verify.summary(made["verification"]))
    if "metrics" in made:
        print(accuracy.summary(made["metrics"]))


if __name__ == "__main__":
    run(main)
