"""A trained model as a .tflite file for phones: `python -m export.tflite --weights W --out FILE`.

The file takes pictures as they are, uint8 RGB in 0..255, gives probabilities, and carries its card. It has passed
`export.verify` before it gets its name.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

import keras_fer
from export import accuracy, arm64, card, flatbuffer, litert, phone_cost, pictures, quantize, verify
from export.conversion import float_content
from export.deploy import deployable
from export.matching import Matching
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
    "qat": Tolerance(difference=0.5, agreement=0.85),
}
"""By scheme. On trained models the differences are far smaller; what is wrong is far off. (Quantization-aware training
moves the weights, so its file is held to the graph that was trained, too.)"""

MOST_STEPS = 2
"""Between a layer of the trained graph and the file, given the same inputs: float arithmetic tips a rare rounding."""

PARTITIONS_HELP = "into how many pieces XNNPACK, phones' fast kernels, may take the file apart (default: %(default)s)"


def export(
    model: keras.Model,
    scheme: str,
    out: Path,
    info: DatasetInfo | None = None,
    dtype: str = "uint8",
    keep_float: Sequence[str] = (),
    most_partitions: int = verify.MOST_PARTITIONS,
    expected: accuracy.Reference | None = None,
    count_instructions: bool = False,
    content: bytes | None = None,
    qat_run: Path | None = None,
) -> dict:
    """Write the .tflite file, verified, with its card inside and beside it.

    Args:
        model: as `keras_fer.load` returns it.
        scheme: a key of `TOLERANCES`.
        out: the file.
        info: prepared data with faces for calibration (its `train`) and verification; drawn faces for want of it.
        dtype: of the input, "uint8" or "float32".
        keep_float: layers that int8 leaves alone.
        most_partitions: into how many XNNPACK may take the file apart.
        expected: what the model says of a split; the card then says how good the file is on it.
        count_instructions: put what the file costs on a phone into its card; this takes a minute.
        content: what `float_content` gives for the model, where it is at hand.
        qat_run: a finished run of `export.qat`, for the scheme qat.

    Returns:
        The card.

    Raises:
        InputError: another suffix than .tflite, int8 without data, a layer that is not there, qat without its run.
        VerificationError: the file is not what it should be; nothing is kept.
    """
    card.require_suffix(out, ".tflite")
    size = model.input_shape[1]
    names = [layer.name for layer in model.layers]
    if unknown := set(keep_float) - set(names):
        raise InputError(f"{model.name} has no layer {', '.join(sorted(unknown))}")
    quantization = {"scheme": scheme}
    if scheme == "qat":
        from export import qat  # the toolkit takes seconds to import

        if qat_run is None or info is None:
            raise InputError("qat needs --data: the model is trained on, with its rounding")
        content, steps, learned = qat.finish(qat_run, info, dtype)
        quantization |= learned
    else:
        content = content or float_content(model, dtype)
    if scheme == "int8":
        if info is None:
            raise InputError("int8 needs --data: the ranges of the activations are measured on real faces")
        faces = pictures.stratified(info, "train", quantize.CALIBRATION_FACES, size).astype(dtype)
        ranges = quantize.calibrate(content, faces)
        products = Matching(deployable(model), content, faces[0]).products() if keep_float else {}
        if missing := [name for name in keep_float if name not in products]:
            raise InputError(f"{', '.join(missing)} multiplies nothing in the file, so it cannot stay float")
        content = quantize.to_int8(content, ranges, [index for name in keep_float for index in products[name]])
        quantization |= {
            "calibration": {"data": info.name, "fingerprint": fingerprint(info), "split": "train", "faces": len(faces)},
            "float_layers": list(keep_float),
        }
    elif scheme in quantize.SCHEMES:
        content = quantize.SCHEMES[scheme](content)

    faces = pictures.for_verification(info, model.classes, size)
    with replacing(out) as temporary:
        temporary.write_bytes(content)
        report = check(temporary, model, faces, TOLERANCES[scheme], dtype, most_partitions)
        if scheme == "qat":
            report["steps_off_trained_graph"] = verify.check_steps(steps, MOST_STEPS)
        more = {"verification": report}
        if expected:
            more["metrics"] = accuracy.measure(litert.runner(temporary), model, expected)
        if count_instructions:
            more[card.PHONE_COST] = {arm64.CPUS[0]: phone_cost.summary(phone_cost.count(temporary))}
        made = card.make_card(model, content, dtype, quantization, **more)
        card.append(temporary, made)
        verify.check_card(temporary, model)
    card.write_beside(out, made)
    return made


def check(
    path: Path,
    model: keras.Model,
    faces: np.ndarray,
    tolerance: Tolerance,
    dtype: str,
    most_partitions: int = verify.MOST_PARTITIONS,
) -> dict:
    """Everything that `export.verify` asks of the file at `path`; the result goes into its card.

    Raises:
        VerificationError: what fails, and where.
    """
    graph = flatbuffer.read(path.read_bytes())
    names = [layer.name for layer in model.layers]
    verify.check_operators(graph, names)
    verify.check_shapes(graph, model.input_shape[1:], dtype, len(model.classes), names)
    partitions = verify.check_partitions(litert.partitions(path), most_partitions, graph, names)
    verify.check_finite(path, faces, graph, names)
    return verify.check_agreement(litert.runner(path), model, faces, tolerance) | partitions


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
    add("--data", type=Path, metavar="DIR", help="faces from train.prepare: to calibrate, verify and measure on")
    add("--input", choices=("uint8", "float32"), default="uint8", help="type of the picture, 0..255 (default: uint8)")
    add("--keep-float", nargs="+", default=[], metavar="LAYER", help="layers that int8 leaves alone")
    add("--partitions", type=int, default=verify.MOST_PARTITIONS, metavar="N", help=PARTITIONS_HELP)
    add("--split", help="measure the accuracy on this split, for the card (default: test, where the data has one)")
    add("--no-metrics", action="store_true", help="do not measure the accuracy")
    add("--keep-float-from", type=Path, metavar="FILE", help="the same, as export.sensitivity chose them")
    add(
        "--qat-run",
        type=Path,
        metavar="RUN",
        help="of export.qat; made, or gone on with, if need be (default: OUT_qat)",
    )
    add("--phone-cost", action="store_true", help="count the instructions on a phone, for the card (takes a minute)")
    add("--out", required=True, type=Path, metavar="FILE", help="the .tflite file")
    args = parser.parse_args(argv)

    model = keras_fer.load(args.weights)
    info = read_info(args.data) if args.data else None
    keep_float = args.keep_float
    if args.keep_float_from:
        from export import sensitivity  # which exports, too

        keep_float = [*keep_float, *sensitivity.read_choice(args.keep_float_from, model)]
    qat_run = None
    if args.quantize == "qat" and info:
        from export import qat  # the toolkit takes seconds to import

        qat_run = args.qat_run or args.out.with_name(f"{args.out.stem}_qat")
        qat.ensure(qat_run, args.weights, info, keep_float)
    measured = args.split or (info and accuracy.default_split(info))
    if args.split and not info:
        raise InputError(f"--split {args.split} needs --data")
    made = export(
        model,
        args.quantize,
        args.out,
        info,
        args.input,
        keep_float,
        most_partitions=args.partitions,
        expected=accuracy.reference(model, info, measured) if measured and not args.no_metrics else None,
        count_instructions=args.phone_cost,
        qat_run=qat_run,
    )
    report = made["verification"]
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB, {made['model']}, {args.quantize}")
    print(verify.summary(report))
    if args.quantize == "qat":
        print(f"each layer within {report['steps_off_trained_graph']:g} int8 steps of the graph that was trained")
    if "metrics" in made:
        print(accuracy.summary(made["metrics"]))
    if args.phone_cost:
        print(f"{made[card.PHONE_COST][arm64.CPUS[0]]['total']:.2f} million instructions on {arm64.CPUS[0]}")
    outside = ", ".join(report["outside_xnnpack"]) or "nothing"
    print(f"XNNPACK runs it in {report['xnnpack_partitions']} partition(s); outside of it: {outside}")


if __name__ == "__main__":
    run(main)
