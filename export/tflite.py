"""A trained model as a .tflite file for phones: `python -m export.tflite --weights W --out FILE`.

The file takes pictures as they are, uint8 RGB in 0..255, gives probabilities, and carries its card. It has passed
`export.verify` before it gets its name.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import keras_fer
from export import arm64, card, flatbuffer, litert, phone_cost, pictures, quantize, verify
from export.deploy import deployable
from export.serving import serving_module
from export.verify import Tolerance
from keras_fer.command import run
from keras_fer.errors import InputError
from keras_fer.files import replacing
from train.data import DatasetInfo, read_info
from train.run import fingerprint

TOLERANCES = {
    "none": Tolerance(difference=1e-3, agreement=1.0),
    "float16": Tolerance(difference=0.02, agreement=1.0),
    "dynamic": Tolerance(difference=0.25, agreement=0.9),
    "int8": Tolerance(difference=0.35, agreement=0.9),
}
"""By scheme. On trained models the differences are far smaller; what is wrong is far off."""

CALIBRATION_FACES = 32
"""For each class."""


def export(
    model: keras.Model,
    scheme: str,
    out: Path,
    info: DatasetInfo | None = None,
    dtype: str = "uint8",
    keep_float: Sequence[str] = (),
    count_instructions: bool = False,
) -> dict:
    """Write the .tflite file, verified, with its card inside and beside it.

    Args:
        model: as `keras_fer.load` returns it.
        scheme: a key of `TOLERANCES`.
        out: the file.
        info: prepared data with faces for calibration (its `train`) and verification; drawn faces for want of it.
        dtype: of the input, "uint8" or "float32".
        keep_float: layers that int8 leaves alone.
        count_instructions: put what the file costs on a phone into its card; this takes a minute.

    Returns:
        The card.

    Raises:
        InputError: int8 without data, a layer that is not there.
        VerificationError: the file is not what it should be; nothing is kept.
    """
    size = model.input_shape[1]
    names = [layer.name for layer in model.layers]
    if unknown := set(keep_float) - set(names):
        raise InputError(f"{model.name} has no layer {', '.join(sorted(unknown))}")
    quantization = {"scheme": scheme}
    content = convert(deployable(model), dtype)
    if scheme == "int8":
        if info is None:
            raise InputError("int8 needs --data: the ranges of the activations are measured on real faces")
        faces = pictures.stratified(info, "train", CALIBRATION_FACES, size)
        ranges = quantize.calibrate(content, faces.astype(dtype))
        content = quantize.to_int8(content, ranges, keep_float, names)
        quantization |= {
            "calibration": {"data": info.name, "fingerprint": fingerprint(info), "split": "train", "faces": len(faces)},
            "float_layers": list(keep_float),
        }
    elif scheme != "none":
        content = quantize.SCHEMES[scheme](content)

    faces = pictures.for_verification(info, model.classes, size)
    with replacing(out) as temporary:
        temporary.write_bytes(content)
        report = check(temporary, model, faces, TOLERANCES[scheme], dtype)
        more = {"verification": report}
        if count_instructions:
            more[card.PHONE_COST] = {arm64.CPUS[0]: phone_cost.summary(phone_cost.count(temporary))}
        made = card.make_card(model, content, dtype, quantization, **more)
        card.append(temporary, made)
        verify.check_card(temporary, model)
    card.write_beside(out, made)
    return made


def convert(model: keras.Model, dtype: str = "uint8") -> bytes:
    """The float .tflite file of a model that gives logits: one picture in, probabilities out, builtin operators."""
    module = serving_module(model, 1, dtype)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.classify.get_concrete_function()], module)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter.convert()


def check(path: Path, model: keras.Model, faces: np.ndarray, tolerance: Tolerance, dtype: str) -> dict:
    """Everything that `export.verify` asks of the file at `path`; the result goes into its card.

    Raises:
        VerificationError: what fails, and where.
    """
    graph = flatbuffer.read(path.read_bytes())
    names = [layer.name for layer in model.layers]
    verify.check_operators(graph, names)
    verify.check_shapes(graph, model.input_shape[1:], dtype, len(model.classes), names)
    report = verify.check_agreement(litert.runner(path), model, faces, tolerance)
    partitions = litert.partitions(path)
    return report | {
        "xnnpack_partitions": partitions.count,
        "outside_xnnpack": [operator.name for operator in partitions.outside],
    }


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, export and print."""
    parser = argparse.ArgumentParser(
        prog="python -m export.tflite",
        description="Write a trained model as a .tflite file that needs no preprocessing and carries its card.",
        epilog="example: python -m export.tflite --weights runs/first --quantize int8 --data data/fer2013 "
        "--out first.tflite",
    )
    add = parser.add_argument
    add("--weights", required=True, metavar="W", help="a run folder or a .keras file")
    add("--quantize", choices=TOLERANCES, default="none", help="(default: %(default)s)")
    add("--data", type=Path, metavar="DIR", help="faces to calibrate on and to verify with, from train.prepare")
    add("--input", choices=("uint8", "float32"), default="uint8", help="type of the picture, 0..255 (default: uint8)")
    add("--keep-float", nargs="+", default=[], metavar="LAYER", help="layers that int8 leaves alone")
    add("--phone-cost", action="store_true", help="count the instructions on a phone, for the card (takes a minute)")
    add("--out", required=True, type=Path, metavar="FILE", help="the .tflite file")
    args = parser.parse_args(argv)

    model = keras_fer.load(args.weights)
    info = read_info(args.data) if args.data else None
    made = export(model, args.quantize, args.out, info, args.input, args.keep_float, args.phone_cost)
    report = made["verification"]
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB, {made['model']}, {args.quantize}")
    print(verify.summary(report))
    if args.phone_cost:
        print(f"{made[card.PHONE_COST][arm64.CPUS[0]]['total']:.1f} million instructions on {arm64.CPUS[0]}")
    outside = ", ".join(report["outside_xnnpack"]) or "nothing"
    print(f"XNNPACK runs it in {report['xnnpack_partitions']} partition(s); outside of it: {outside}")


if __name__ == "__main__":
    run(main)
