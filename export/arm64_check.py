"""Do .tflite files compute on a phone's kernels what they compute here? `python -m export.arm64_check FILE...`

Each runs on drawn faces under emulation (`export.arm64`):

- What computes in int8 gives the same bits. Operators whose inputs and outputs are int8 are cut out of the file, with
  all their borders to float operators, fed with what this machine has there, and every output is compared.
- A file without int8 differs by at most 1e-5 in any probability. A whole int8 file may differ by more: exponentials and
  sums round differently from kernel to kernel, by some 1e-7, and where an int8 tensor is made from such floats (behind
  a layer norm, say) a number on the border of two steps may fall to the other side. Most faces are spared: "equal" is
  the share that is not touched.
- In half precision, as phones' GPUs compute, the first class stays, but for ties: classes that are closer than the file
  is to its Keras model, by its card.
- The instructions are within 1 % of those in the card, where it has them.
"""

import argparse
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from export import arm64, flatbuffer, litert, phone_cost, pictures
from export.card import PHONE_COST
from keras_fer import card as cards
from keras_fer.command import run
from keras_fer.errors import InputError
from keras_fer.tables import table

FACES = 2
"""For each class."""

FLOAT_DIFFERENCE = 1e-5

TIE = 0.01
"""Two classes whose probabilities are closer than this may change places in half precision, in any file."""
COST_DIFFERENCE = 0.01


class Check(NamedTuple):
    """What came out for a file.

    Attributes:
        int8: share of the int8 operators' outputs that have the same bits here and there; None without int8 operators.
        equal: share of the faces that get the same probabilities here and there, but for `FLOAT_DIFFERENCE`.
        difference: the largest between the two.
        half_agreement: share of the faces that keep their first class in half precision.
        instructions, promised: millions, counted and in the card; None where the card has none.
        failures: what of it is not as it should be.
    """

    file: Path
    int8: float | None
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
    content = file.read_bytes()
    graph = flatbuffer.read(content)
    faces = pictures.drawn(tuple(card["classes"]), FACES, card["input_size"])
    faces = faces.astype(graph.tensors[graph.inputs[0]].type)[:, None]
    (here,), (there,) = litert.run_tensors(content, [faces]), arm64.infer(file, [faces], cpu)
    (half,) = arm64.infer(file, [faces], cpu, half=True)
    here, there, half = here[:, 0], there[:, 0], half[:, 0]

    failures = []
    int8 = compare_int8(content, faces, cpu)
    if int8 not in (None, 1):
        failures.append("computes int8 otherwise")
    differences = np.abs(here - there).max(axis=1)
    made_int8 = any(tensor.type == "int8" for tensor in graph.tensors)
    if differences.max() > (litert.INT8_DIFFERENCE if made_int8 else FLOAT_DIFFERENCE):
        failures.append("differs from this machine")
    chosen = np.take_along_axis(here, half.argmax(axis=1)[:, None], axis=1)[:, 0]
    tie = max(TIE, card.get("verification", {}).get("largest_difference", 0))
    agreement = float(np.mean(here.max(axis=1) - chosen <= tie))
    if agreement < 1:
        failures.append("changes its mind in half precision")
    instructions = promised = None
    if cpu in card.get(PHONE_COST, {}):
        promised = card[PHONE_COST][cpu]["total"]
        instructions = phone_cost.count(file, cpu).total / 1e6
        if abs(instructions / promised - 1) > COST_DIFFERENCE:
            failures.append("costs other than its card says")
    equal = float(np.mean(differences <= FLOAT_DIFFERENCE))
    return Check(file, int8, equal, float(differences.max()), agreement, instructions, promised, failures)


def compare_int8(content: bytes, faces: np.ndarray, cpu: str) -> float | None:
    """The share of equal bytes in all that int8 operators give to others, between this machine and an ARM64 CPU.

    Args:
        content: the .tflite file.
        faces: (n, 1, size, size, 3).

    Returns:
        None where no operator has int8 activations in and out.
    """
    graph = flatbuffer.read(content)

    def activations(tensors):
        return [t for t in tensors if t >= 0 and not graph.tensors[t].constant]

    inside = [
        i
        for i, operator in enumerate(graph.operators)
        if {graph.tensors[t].type for t in activations([*operator.inputs, *operator.outputs])} == {"int8"}
    ]
    if not inside:
        return None
    part, rest = ([o for i, o in enumerate(graph.operators) if (i in inside) == chosen] for chosen in (True, False))
    read, written = {t for o in part for t in activations(o.inputs)}, {t for o in part for t in o.outputs}
    borders_in = sorted(read - written)
    borders_out = sorted(written & ({t for o in rest for t in o.inputs} | set(graph.outputs)))

    before = flatbuffer.cut(content, range(len(graph.operators)), graph.inputs, borders_in)
    given = litert.run_tensors(before, [faces])
    between = flatbuffer.cut(content, inside, borders_in, borders_out)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "int8.tflite")
        file.write_bytes(between)
        pairs = list(zip(litert.run_tensors(between, given), arm64.infer(file, given, cpu)))
    return float(sum(np.sum(here == there) for here, there in pairs) / sum(here.size for here, _ in pairs))


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
            "" if c.int8 is None else f"{c.int8:.6%}",
            f"{c.equal:.0%}",
            f"{c.difference:.1e}",
            f"{c.half_agreement:.0%}",
            "" if c.instructions is None else f"{c.instructions:.2f} M ({c.instructions / c.promised:.2%})",
            ", ".join(c.failures) or "ok",
        ]
        for c in checks
    ]
    print(f"drawn faces on {args.cpu}")
    print(table(["file", "int8 bits", "equal", "difference", "same in fp16", "instructions (of the card's)", ""], rows))
    if failed := [c for c in checks if c.failures]:
        raise InputError(f"{len(failed)} of {len(checks)} files do not compute on ARM64 what they should")


if __name__ == "__main__":
    run(main)
