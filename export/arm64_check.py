"""Do .tflite files compute on a phone's kernels what they compute here? `python -m export.arm64_check FILE...`

Each runs on drawn faces under emulation (`export.arm64`): float files give what they give on this machine to 1e-5, int8
files to a step or two of their int8 tensors; in half precision, as phones' GPUs compute, the first class stays; and the
instructions are within 1 % of those in the card, where it has them.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from export import arm64, flatbuffer, phone_cost, pictures
from export.card import PHONE_COST
from export.litert import runner
from keras_fer import card as cards
from keras_fer.command import run
from keras_fer.errors import InputError
from keras_fer.tables import table

FACES = 2
"""For each class."""

DIFFERENCES = {"int8": 0.02, "dynamic": 0.02}
OTHER_DIFFERENCE = 1e-5
"""Of a probability. Exponentials and sums round differently from kernel to kernel, by some 1e-7; where an int8 tensor
is made from such numbers, one at the border of two steps may fall to the other side. Most faces are spared."""

TIE = 0.01
"""Two classes whose probabilities are closer than this may change places in half precision."""
COST_DIFFERENCE = 0.01


class Check(NamedTuple):
    """What came out for a file.

    Attributes:
        equal: share of the faces that get the same probabilities here and there, but for `OTHER_DIFFERENCE`.
        difference: the largest between the two.
        half_agreement: share of the faces that keep their first class in half precision.
        instructions, promised: millions, counted and in the card; None where the card has none.
        failures: what of it is not as it should be.
    """

    file: Path
    equal: float
    difference: float
    half_agreement: float
    instructions: float | None
    promised: float | None
    failures: list[str]


def check(file: Path, cpu: str) -> Check:
    """Run a file on ARM64 kernels.

    Raises:
        InputError: the file has no card, or does not run there at all.
    """
    card = cards.read(file)
    graph = flatbuffer.read(file.read_bytes())
    faces = pictures.drawn(tuple(card["classes"]), FACES, card["input_size"])
    faces = faces.astype(graph.tensors[graph.inputs[0]].type)
    here, there = runner(file)(faces), arm64.infer(file, faces, cpu)
    half = arm64.infer(file, faces, cpu, half=True)

    failures = []
    differences = np.abs(here - there).max(axis=1)
    if differences.max() > DIFFERENCES.get(card["quantization"]["scheme"], OTHER_DIFFERENCE):
        failures.append("differs from this machine")
    chosen = np.take_along_axis(here, half.argmax(axis=1)[:, None], axis=1)[:, 0]
    agreement = float(np.mean(here.max(axis=1) - chosen < TIE))
    if agreement < 1:
        failures.append("changes its mind in half precision")
    instructions = promised = None
    if cpu in card.get(PHONE_COST, {}):
        promised = card[PHONE_COST][cpu]["total"]
        instructions = phone_cost.count(file, cpu).total / 1e6
        if abs(instructions / promised - 1) > COST_DIFFERENCE:
            failures.append("costs other than its card says")
    equal = float(np.mean(differences <= OTHER_DIFFERENCE))
    return Check(file, equal, float(differences.max()), agreement, instructions, promised, failures)


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, check and print."""
    parser = argparse.ArgumentParser(
        prog="python -m export.arm64_check",
        description="Compare .tflite files on ARM64 kernels (emulated) with this machine's, and with their cards.",
        epilog="example: python -m export.arm64_check mit_fusion.tflite mit_fusion_int8.tflite",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a .tflite file with its card")
    parser.add_argument("--cpu", choices=arm64.CPUS, default=arm64.CPUS[0], help="(default: %(default)s)")
    args = parser.parse_args(argv)

    checks = [check(file, args.cpu) for file in tqdm(args.files, unit="file", disable=None)]
    rows = [
        [
            c.file.name,
            f"{c.equal:.0%}",
            f"{c.difference:.1e}",
            f"{c.half_agreement:.0%}",
            "" if c.instructions is None else f"{c.instructions:.2f} M ({c.instructions / c.promised:.2%})",
            ", ".join(c.failures) or "ok",
        ]
        for c in checks
    ]
    print(f"drawn faces on {args.cpu}")
    print(table(["file", "equal", "difference", "same in fp16", "instructions (of the card's)", ""], rows))
    if failed := [c for c in checks if c.failures]:
        raise InputError(f"{len(failed)} of {len(checks)} files do not compute on ARM64 what they should")


if __name__ == "__main__":
    run(main)
