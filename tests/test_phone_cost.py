"""`export.phone_cost` and `export.arm64_check`: instructions told apart, and LiteRT's phone kernels under emulation."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, make_exports

from export import arm64, arm64_check, litert, phone_cost
from export.phone_cost import classify, kernel_name
from keras_fer import InputError

INSTRUCTIONS = {
    "sdot v0.4s, v1.16b, v2.16b": (0x4E829420, "dot", 0),
    "sdot v0.4s, v1.16b, v2.4b[0]": (0x4F82E020, "dot", 0),
    "smmla v0.4s, v1.16b, v2.16b": (0x4E82A420, "dot", 0),
    "fmla v0.4s, v1.4s, v2.4s": (0x4E22CC20, "fma", 0),
    "fmla v0.4s, v1.4s, v2.s[0]": (0x4F821020, "fma", 0),
    "fmla v0.8h, v1.8h, v2.8h": (0x4E420C20, "fma", 0),
    "fmadd s0, s1, s2, s3": (0x1F020C20, "fma", 0),
    "fmul v0.4s, v1.4s, v2.4s": (0x6E22DC20, "vector", 0),
    "smlal v0.8h, v1.8b, v2.8b": (0x0E228020, "vector", 0),
    "add x0, x1, x2": (0x8B020020, "scalar", 0),
    "b.ne": (0x54000001, "scalar", 0),
    "prfm pldl1keep, [x0]": (0xF9800000, "scalar", 0),
    "ldr w0, [x0]": (0xB9400000, "loads", 4),
    "ldrb w0, [x0]": (0x39400000, "loads", 1),
    "ldr q0, [x0]": (0x3DC00000, "loads", 16),
    "ldp q0, q1, [x0]": (0xAD400400, "loads", 32),
    "ldp x0, x1, [x2]": (0xA9400440, "loads", 16),
    "ld1 {v0.16b}, [x0]": (0x4C407000, "loads", 16),
    "ld4 {v0.4s - v3.4s}, [x0]": (0x4C400800, "loads", 64),
    "ld1r {v0.4s}, [x0]": (0x4D40C800, "loads", 4),
    "ldr x0, literal": (0x58000000, "loads", 8),
    "str q0, [x0]": (0x3D800000, "stores", 0),
    "stp x0, x1, [x2]": (0xA9000440, "stores", 0),
}


@pytest.mark.parametrize("instruction", INSTRUCTIONS)
def test_instruction_is_told_by_its_encoding(instruction):
    word, kind, loaded = INSTRUCTIONS[instruction]
    assert classify(word)[0] == kind
    assert kind != "loads" or classify(word)[1] == loaded


def test_kernel_has_a_readable_name():
    name = "xnn_qs8_qc8w_gemm_minmax_fp32_ukernel_4x16c4__asm_aarch64_neondot_ld128"
    assert kernel_name(name) == "qs8_qc8w_gemm_minmax_fp32_4x16c4 neondot_ld128"
    assert kernel_name("_ZN6tflite8Subgraph6InvokeEv") == "LiteRT"


def test_without_a_network_it_says_so(tmp_path):
    """A proxy that is not there stands for no network."""
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, "-m", "export.phone_cost", str(ROOT / "tests/colour.tflite")],
        cwd=ROOT,
        env=os.environ | nowhere | {"XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    if "ARM64 emulation" in last:
        pytest.skip(last)  # no Debian
    assert last.startswith("error: could not fetch the ARM64 emulator (110 MB, once); is there a network? E: ")
    assert not any((tmp_path / "keras_fer").iterdir())


def test_command_names_a_missing_file(tmp_path):
    command = [sys.executable, "-m", "export.phone_cost", str(tmp_path / "no.tflite")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: there is no ")


def test_int8_is_compared_bit_by_bit(exported, monkeypatch):
    """With this machine in the phone's place: all bits are equal, until one is not."""
    content = (exported[0] / "int8.tflite").read_bytes()
    faces = np.random.default_rng(0).integers(0, 256, (2, 1, 32, 32, 3), np.uint8)
    compared = []

    def stand_in(flip):
        def infer(file, inputs, cpu):
            found = litert.run_tensors(file.read_bytes(), inputs)
            compared.extend(found)
            found[0].flat[0] ^= flip
            return found

        return infer

    for flip in (0, 1):
        monkeypatch.setattr(arm64, "infer", stand_in(flip))
        share = arm64_check.compare_int8(content, faces, "cortex-a76")
        assert share == (1 if not flip else pytest.approx(1 - 1 / sum(x.size for x in compared[: len(compared) // 2])))
    assert all(values.dtype == np.int8 and len(np.unique(values)) > 2 for values in compared)
    assert arm64_check.compare_int8((exported[0] / "none.tflite").read_bytes(), faces, "cortex-a76") is None


# --- Under emulation ---


@pytest.fixture(scope="module")
def emulator():
    """The emulator; where it is not in the cache and cannot be fetched, its tests skip and say why."""
    try:
        return arm64.home()
    except InputError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """The tiny model by every scheme, with instructions in the cards."""
    folder = tmp_path_factory.mktemp("tiny")
    make_exports("tiny", folder, "--phone-cost")
    return folder


@pytest.mark.slow
def test_int8_costs_less_and_counts_repeat(emulator, files):
    none, int8 = (phone_cost.count(files / f"{scheme}.tflite") for scheme in ("none", "int8"))
    assert none.counts["dot"] == 0
    assert int8.counts["dot"] > 0
    assert int8.total < none.total
    again = phone_cost.count(files / "int8.tflite")
    assert abs(again.total / int8.total - 1) < 1e-4
    assert sum(int8.kernels.values()) == int8.total
    # The rest is the interpreter's: some thousand instructions, much of what so small a model takes.
    assert 0 < int8.total - sum(spent for _, spent in int8.operators) < 6000


@pytest.mark.slow
def test_files_compute_the_same_on_a_phone(emulator, files):
    for scheme in ("none", "float16", "dynamic", "int8"):
        assert arm64_check.check(files / f"{scheme}.tflite", "cortex-a76").failures == []


@pytest.mark.slow
def test_check_finds_a_card_that_promises_too_much(emulator, files, tmp_path):
    file = tmp_path / "int8.tflite"
    shutil.copy(files / "int8.tflite", file)
    with zipfile.ZipFile(file) as archive:
        card = json.loads(archive.read("card.json"))
        start = min(member.header_offset for member in archive.infolist())
    card["phone_cost"]["cortex-a76"]["total"] *= 0.9
    file.write_bytes(file.read_bytes()[:start])
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("card.json", json.dumps(card))
    assert arm64_check.check(file, "cortex-a76").failures == ["costs other than its card says"]
