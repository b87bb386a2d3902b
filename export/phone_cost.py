"""What a phone pays for a .tflite file, counted without a phone: `python -m export.phone_cost FILE...`

Times on a desktop mislead: its int8 kernels are others than a phone's. So this counts the ARM64 instructions that one
inference runs in LiteRT's phone kernels, on one thread. The file runs twice under emulation with every block of
instructions traced; each is classed by its encoding, and the second inference is reported. The same file on the same
CPU model counts the same to 0.01 %, on any host.

Millions of: all instructions; int8 dot products (SDOT, UDOT, SMMLA); float multiply-adds; other vector and widening
instructions; scalar ones; loads and stores; and the megabytes loaded. LiteRT's library is counted; what it calls in the
C library (copies of memory above all) is not. Instructions are not milliseconds: neither caches nor stalls are seen, so
compare files on one CPU model only.
"""

import argparse
import bisect
import functools
import json
import os
import re
import struct
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from export import arm64
from keras_fer.command import run
from keras_fer.errors import InputError
from keras_fer.files import replacing
from keras_fer.tables import table

KINDS = ("dot", "fma", "vector", "scalar", "loads", "stores")

OPERATOR = "xnn_run_operator_with_index"
"""The function that XNNPACK calls for each of its operators."""

CHUNK = 2**20
SYMBOL_TABLE, FUNCTION = 2, 2  # kinds of sections and of symbols in ELF files

# Instructions of the A64 set by (mask, value): the Arm Architecture Reference Manual, C4.1.
DOT = (
    (0x9FE0FC00, 0x0E809400),  # SDOT, UDOT
    (0x9F00F400, 0x0F00E000),  # the same, by element
    (0xDFE0F400, 0x4E80A400),  # SMMLA, UMMLA, USMMLA
)
FMA = (
    (0xBF20FC00, 0x0E20CC00),  # FMLA, FMLS
    (0xBF80B400, 0x0F801000),  # the same, by element
    (0xFF000000, 0x1F000000),  # FMADD and its kind, of scalars
    (0xBF60FC00, 0x0E400C00),  # FMLA, FMLS of halves
    (0xBFC0B400, 0x0F001000),  # the same, by element
)


# --- Instructions ---


def classify(word: int) -> tuple[str, int]:
    """The kind of one A64 instruction, out of `KINDS`, and how many bytes it loads."""
    group = word >> 25 & 15
    if group & 5 == 4:
        return _classify_memory(word)
    if group & 7 != 7:
        return "scalar", 0
    for kind, patterns in (("dot", DOT), ("fma", FMA)):
        if any(word & mask == value for mask, value in patterns):
            return kind, 0
    return "vector", 0


def _classify_memory(word):
    vector, size, opc = word >> 26 & 1, word >> 30, word >> 22 & 3
    if word & 0x3B000000 == 0x18000000:  # from a place relative to the program counter
        return "loads", 4 << size if vector else (4, 8, 4, 0)[size]
    if word & 0x3A000000 == 0x28000000:  # of two registers
        loads, length = opc & 1, 8 << size if vector else 16 if size else 8
    elif vector and word & 0x3E000000 == 0x0C000000:  # LD1 to LD4
        registers = {0: 4, 2: 4, 4: 3, 6: 3, 7: 1, 8: 2, 10: 2}.get(word >> 12 & 15, 0)
        loads, length = opc & 1, 4 if word >> 24 & 1 else registers * (16 if word >> 30 & 1 else 8)
    elif not word & 0x30000000 or word >> 27 & 7 == 1:  # exclusive
        loads, length = opc & 1, 1 << size
    elif not vector and size == 3 and opc == 2:  # a prefetch
        return "scalar", 0
    else:
        loads, length = opc & 1 if vector else opc, 16 if vector and opc > 1 else 1 << size
    return ("loads", length) if loads else ("stores", 0)


# --- Counting ---


@dataclass(frozen=True)
class Cost:
    """What one inference takes.

    Attributes:
        counts: instructions of each of `KINDS`, and `load_bytes`.
        kernels: instructions of each function, the costly ones first.
        operators: for each operator that XNNPACK runs, in order, the function that costs most and all instructions.
    """

    counts: dict[str, int]
    kernels: dict[str, int]
    operators: list[tuple[str, int]]

    @property
    def total(self) -> int:
        return sum(self.counts[kind] for kind in KINDS)


def count(file: Path, cpu: str = arm64.CPUS[0]) -> Cost:
    """Run a .tflite file under emulation and count the instructions of its second inference.

    Raises:
        InputError: the file does not run there, or the emulator cannot be fetched.
    """
    base, low, high = arm64.library_address(cpu)
    addresses, names = symbols(arm64.home() / arm64.LIBRARY)

    def function(address):
        return names[bisect.bisect_right(addresses, address - base) - 1]

    blocks, segments = _trace(file, cpu, low, high, addresses[names.index(OPERATOR)] + base)
    counts, kernels, operators = Counter(dict.fromkeys([*KINDS, "load_bytes"], 0)), Counter(), []
    for segment in segments:
        spent = Counter()
        for address, times in segment.items():
            spent[function(address)] += times * len(blocks[address])
            for word in blocks[address]:
                kind, length = classify(word)
                counts[kind] += times
                counts["load_bytes"] += times * length
        kernels += spent
        operators.append((spent.most_common(1)[0][0], spent.total()))
    # What ran before the first operator is LiteRT's own.
    return Cost(dict(counts), dict(kernels.most_common()), operators[1:])


def _trace(file, cpu, low, high, operator):
    """The words of each block of instructions by its address; and how often each block ran in the second inference.

    The latter in one counter for what ran before the first operator, and one for each operator.
    """
    translated = re.compile(rb"^(?:(IN:)|0x([0-9a-f]+): +([0-9a-f]{8}))", re.MULTILINE).findall
    executed = re.compile(rb"^Trace [^/]*/([0-9a-f]+)/", re.MULTILINE).findall
    operators = re.compile(rb"(?=^Trace [^/]*/%016x/)" % operator, re.MULTILINE).split
    inferences = re.compile(rb"getpgid\((?:%d|%#x)" % (arm64.MARK, arm64.MARK)).split
    blocks, block, marks, ran = {}, None, 0, [Counter()]
    for text in _trace_text(file, cpu, low, high):
        for start, address, word in translated(text):
            if start:
                block = None
            elif block is None:
                block = blocks[int(address, 16)] = [int(word, 16)]
            else:
                block.append(int(word, 16))
        for i, inference in enumerate(inferences(text)):
            marks += i > 0
            if marks == 2:
                for j, piece in enumerate(operators(inference)):
                    if j:
                        ran.append(Counter())
                    ran[-1].update(executed(piece))
    return blocks, [Counter({int(address, 16): times for address, times in counter.items()}) for counter in ran]


def _trace_text(file, cpu, low, high):
    """What qemu writes about the guest's code between two addresses: whole lines, about a megabyte at a time."""
    reader, writer = os.pipe()
    options = ["-d", "in_asm,exec,nochain,strace", "-dfilter", f"{low:#x}+{high - low:#x}", "-D", f"/dev/fd/{writer}"]
    with tempfile.TemporaryFile() as errors, os.fdopen(reader, "rb", buffering=0) as trace:
        guest = subprocess.Popen(
            [*arm64.command(cpu, *options), "twice", str(file), str(arm64.MARK)],
            env=arm64.environment(),
            stdout=subprocess.DEVNULL,
            stderr=errors,
            pass_fds=[writer],
        )
        os.close(writer)
        rest = b""
        with tqdm(desc=f"trace of {file.name}", unit="B", unit_scale=True, leave=False, disable=None) as bar:
            while chunk := trace.read(CHUNK):
                bar.update(len(chunk))
                text, newline, rest = (rest + chunk).rpartition(b"\n")
                yield text + newline
        if guest.wait():
            errors.seek(0)
            last = errors.read().decode(errors="replace").strip().splitlines()[-1:]
            raise InputError(f"{file} does not run on {cpu}: {' '.join(last)}")


@functools.cache
def symbols(library: Path) -> tuple[list[int], list[str]]:
    """The functions of an ELF library in the order of their addresses, from its symbol table."""
    content = library.read_bytes()
    (start,), (size, n) = struct.unpack_from("<Q", content, 0x28), struct.unpack_from("<HH", content, 0x3A)
    sections = [struct.unpack_from("<IIQQQQII", content, start + i * size) for i in range(n)]
    _, _, _, _, offset, length, link, _ = next(section for section in sections if section[1] == SYMBOL_TABLE)
    strings = sections[link][4]
    functions = [
        (address, content[strings + name : content.index(b"\0", strings + name)].decode())
        for name, info, _, _, address, _ in struct.iter_unpack("<IBBHQQ", content[offset : offset + length])
        if info & 15 == FUNCTION
    ]
    addresses, names = zip(*sorted(functions))
    return list(addresses), list(names)


# --- Report ---


def kernel_name(function: str) -> str:
    """A function's name as one reads it: what it computes, then how."""
    if not function.startswith(("xnn_", "pthreadpool_")):
        return "LiteRT"
    kernel, _, how = function.removeprefix("xnn_").partition("__")
    return f"{kernel.replace('_ukernel', '')} {how.removeprefix('asm_aarch64_')}".strip()


def summary(cost: Cost) -> dict[str, float]:
    """Millions of instructions, in all and of each kind, and megabytes loaded."""
    counts = {kind: _millions(cost.counts[kind]) for kind in KINDS}
    return {"total": _millions(cost.total), **counts, "load_MB": _millions(cost.counts["load_bytes"])}


def details(cost: Cost) -> dict:
    """Millions of instructions by kernel, and by operator in the order of execution."""
    kernels = Counter()
    for function, spent in cost.kernels.items():
        kernels[kernel_name(function)] += spent
    return {
        "kernels": {name: _millions(spent) for name, spent in kernels.most_common()},
        "operators": [[kernel_name(function), _millions(spent)] for function, spent in cost.operators],
    }


def _millions(n):
    return round(n / 1e6, 3)


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, count and print."""
    parser = argparse.ArgumentParser(
        prog="python -m export.phone_cost",
        description="Count the ARM64 instructions of one inference in LiteRT's phone kernels, by emulation.",
        epilog="example: python -m export.phone_cost float.tflite int8.tflite --cpu cortex-a55 --kernels 10",
    )
    add = parser.add_argument
    add("files", nargs="+", type=Path, metavar="FILE", help="a .tflite file")
    add("--cpu", choices=arm64.CPUS, default=arm64.CPUS[0], help="(default: %(default)s)")
    add("--kernels", type=int, default=0, metavar="N", help="also print the N functions that cost most")
    add("--operators", action="store_true", help="also print every operator that XNNPACK runs, in order")
    add("--json", type=Path, metavar="OUT", help="write everything to this file")
    args = parser.parse_args(argv)
    if missing := [str(file) for file in args.files if not file.is_file()]:
        raise InputError(f"there is no {', '.join(missing)}")

    costs = {}
    for file in tqdm(args.files, unit="file", disable=None):
        cost = count(file, args.cpu)
        costs[str(file)] = summary(cost) | details(cost)
    first = next(iter(costs.values()))["total"]
    columns = ["total", *KINDS, "load_MB"]
    rows = [
        [Path(file).name, *(f"{cost[column]:.2f}" for column in columns), f"{cost['total'] / first:.3f}"]
        for file, cost in costs.items()
    ]
    print(f"millions of instructions on {args.cpu}, one thread")
    print(table(["file", *columns, "ratio"], rows))
    for file, cost in costs.items():
        if args.kernels:
            kernels = list(cost["kernels"].items())[: args.kernels]
            print(table([f"\n{Path(file).name}", "millions"], [[name, f"{spent:.2f}"] for name, spent in kernels]))
        if args.operators:
            print(f"\n{Path(file).name}, operator by operator")
            print(table(["kernel", "millions"], [[name, f"{spent:.3f}"] for name, spent in cost["operators"]]))
    if args.json:
        with replacing(args.json) as temporary:
            temporary.write_text(json.dumps({"cpu": args.cpu, "litert": arm64.LITERT, "files": costs}, indent=1) + "\n")


if __name__ == "__main__":
    run(main)
