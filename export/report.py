"""What each way to export a model costs and keeps, on one page: `python -m export.report --weights W --data DIR`.

Every variant is exported, with its accuracy on a split and its instructions on a phone in its card; then all are timed
against each other. The page is MODEL.md with MODEL.png, and MODEL.json for programs. What an earlier call has left in
the folder and still fits the weights and the data is not made again, so a call that was interrupted goes on, and one
with more files (`--with`) or another split only does what is new.
"""

import argparse
import datetime
import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from tqdm import tqdm

import keras_fer
from export import accuracy, arm64, benchmark, conversion, onnx, page, phone_cost, pictures, tflite, verify
from export import card as export_cards
from export.card import PHONE_COST
from keras_fer import card as cards
from keras_fer.command import run
from keras_fer.errors import InputError
from keras_fer.files import replacing
from train import device
from train.data import DatasetInfo, read_info
from train.run import fingerprint, write_json

VARIANTS = {"none": "float32", "float16": "float16", "dynamic": "dynamic", "int8": "int8"}
"""What is exported by scheme, and what it is called on the page. Trained variants come by `--with`."""


class Variant(NamedTuple):
    """An exported file with its card."""

    name: str
    file: Path
    card: dict


def make(
    model: keras.Model, info: DatasetInfo, split: str, out: Path, others: Sequence[Path] = (), cpu: str = arm64.CPUS[0]
) -> dict:
    """Export, measure, and write the page into the folder `out`.

    Args:
        model: as `keras_fer.load` returns it.
        info, split: where the accuracy is measured; calibration takes faces of `train`.
        others: more .tflite and .onnx files of the same classes, whose cards have metrics on the same split.
        cpu: of the phone, one of `arm64.CPUS`; "" counts no instructions.

    Returns:
        What MODEL.json holds.

    Raises:
        InputError: no such split, or another file that does not belong here.
    """
    info.require(split)
    split = info.aliases.get(split, split)
    others = [_other(file, model, info, split) for file in others]
    expected = _reference(model, info, split, out)
    variants, failures = _export_all(model, info, expected, out)
    for other in others:
        taken = other.name in [variant.name for variant in variants]
        variants.append(other._replace(name=other.file.stem) if taken else other)
    counted = [file for _, file, _ in variants if cpu and file.suffix == ".tflite"]
    progress = tqdm(counted, desc="instructions", unit="file", leave=False, disable=None)
    costs = {file: _phone_cost(file, cpu, out) for file in progress}
    times = _times([file for _, file, _ in variants], out)
    rows = [
        {
            "variant": name,
            "size_bytes": file.stat().st_size,
            "metrics": card["metrics"],
            "partitions": card.get("verification", {}).get("xnnpack_partitions"),
            "time": time,
            PHONE_COST: costs.get(file),
        }
        for (name, file, card), time in zip(variants, times)
    ]
    result = {
        "model": model.card["model"],
        "weights": export_cards.fingerprint(model),
        "trained": {key: model.card[key] for key in ("recipe", "epoch", "data", "val_split") if key in model.card},
        "input_size": model.input_shape[1],
        "classes": list(info.classes),
        "data": info.name,
        "split": split,
        "n": info.splits[split].n,
        "counts": info.splits[split].counts,
        "date": datetime.date.today().isoformat(),
        "machine": device.machine(),
        "cpu": cpu,
        "variants": rows,
        "failures": failures,
    }
    write_json(out / f"{result['model']}.json", result)
    page.write(result, out)
    return result


# --- Parts, each of which is kept ---


def _reference(model, info, split, out):
    """What the Keras model says of the split."""
    key = f"{export_cards.fingerprint(model)}-{fingerprint(info)}-{split}"
    kept = out / "parts" / f"keras-{key}.npz"
    if not kept.is_file():
        expected = accuracy.reference(model, info, split)
        with replacing(kept) as temporary:
            np.savez_compressed(temporary, probabilities=expected.probabilities, labels=expected.labels)
    with np.load(kept) as arrays:
        return accuracy.Reference(info, split, arrays["probabilities"], arrays["labels"])


def _export_all(model, info, expected, out):
    """The variants, and for those that cannot be made the reasons."""
    faces = pictures.for_verification(info, model.classes, model.input_shape[1])
    content = functools.cache(lambda: conversion.float_content(model))

    def to_tflite(scheme):
        return lambda file: tflite.export(model, scheme, file, info, expected=expected, content=content())

    makers: dict[str, Callable[[Path], dict]] = {name: to_tflite(scheme) for scheme, name in VARIANTS.items()}
    makers["onnx"] = lambda file: onnx.export(model, file, faces, expected)
    variants, failures = [], {}
    for name, maker in tqdm(makers.items(), desc="variants", unit="file", disable=None):
        suffix = ".onnx" if name == "onnx" else ".tflite"
        file = out / f"{model.card['model']}-{name}{suffix}"
        try:
            card = _kept(file, model, expected) or maker(file)
        except verify.VerificationError as error:
            failures[name] = str(error)
        else:
            variants.append(Variant(name, file, card))
    if not variants:
        raise InputError(f"no variant passes its verification; the first says: {next(iter(failures.values()))}")
    return variants, failures


def _kept(file, model, expected):
    """The card of a file that an earlier call made of the same weights and measured on the same split."""
    try:
        card = _read_card(file)
    except (InputError, OSError):
        return None
    same = card.get("weights") == export_cards.fingerprint(model) and _measured_on(card, expected.info, expected.split)
    return card if same else None


def _other(file, model, info, split):
    card = _read_card(file)
    if sorted(card["classes"]) != sorted(model.classes):
        raise InputError(f"{file} tells {', '.join(card['classes'])} apart, the model {', '.join(model.classes)}")
    if not _measured_on(card, info, split):
        raise InputError(
            f"{file} was not measured on {info.name} {split}: export it with --data {info.path} --split {split}"
        )
    scheme = card.get("quantization", {}).get("scheme", file.stem)
    return Variant("onnx" if file.suffix == ".onnx" else VARIANTS.get(scheme, scheme), file, card)


def _read_card(file):
    if not file.is_file():
        raise InputError(f"there is no {file}")
    if file.suffix == ".onnx":
        return onnx.read_card(file)
    return cards.read(file)


def _measured_on(card, info, split):
    metrics = card.get("metrics", {})
    return (metrics.get("fingerprint"), metrics.get("split")) == (fingerprint(info), split)


def _phone_cost(file, cpu, out):
    """What the file costs on a phone, all of `phone_cost.summary` and `phone_cost.details`."""
    kept = out / "parts" / f"cost-{cpu}-{_hash(file)}.json"
    if not kept.is_file():
        cost = phone_cost.count(file, cpu)
        write_json(kept, phone_cost.summary(cost) | phone_cost.details(cost))
    return json.loads(kept.read_text())


def _times(files, out):
    """`benchmark.benchmark` of the files, measured anew whenever one of them is another."""
    key = hashlib.sha256("".join(map(_hash, files)).encode()).hexdigest()[:16]
    kept = out / "parts" / f"times-{key}.json"
    if not kept.is_file():
        write_json(kept, {"rows": benchmark.benchmark(files)})
    return json.loads(kept.read_text())["rows"]


def _hash(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, make the page and print its tables."""
    parser = argparse.ArgumentParser(
        prog="python -m export.report",
        description="Export a model in every way and write one page about accuracy, size, time and a phone's cost.",
        epilog="example: python -m export.report --weights runs/first --data data/fer2013 --with first_qat.tflite",
    )
    add = parser.add_argument
    add("--weights", required=True, metavar="W", help="a run folder or a .keras file")
    add("--data", required=True, type=Path, metavar="DIR", help="a data set from train.prepare")
    add("--split", default="test", help="where the accuracy is measured (default: %(default)s)")
    add(
        "--with", nargs="+", default=[], type=Path, metavar="FILE", dest="others", help="more exported files to compare"
    )
    add("--cpu", choices=arm64.CPUS, default=arm64.CPUS[0], help="the phone's (default: %(default)s)")
    add("--no-phone-cost", action="store_true", help="count no instructions, which needs qemu and takes minutes")
    add("--out", type=Path, metavar="DIR", help="(default: report in the run folder, or beside the file)")
    args = parser.parse_args(argv)

    info = read_info(args.data)
    model = keras_fer.load(args.weights)
    weights = Path(args.weights)
    out = args.out or (weights if weights.is_dir() else weights.parent) / "report"
    result = make(model, info, args.split, out, args.others, "" if args.no_phone_cost else args.cpu)
    print(page.tables(result, markdown=False))
    for name, reason in result["failures"].items():
        print(f"{name} is not there: {reason}")
    print(f"{out / result['model']}.md")


if __name__ == "__main__":
    run(main)
