"""LiteRT's phone kernels without a phone: an ARM64 Python with LiteRT, run under emulation.

The first use fetches about 110 MB into the user's cache: qemu 10 and the ARM64 system from this machine's own Debian
mirror (its package manager only downloads and unpacks, nothing is installed), LiteRT's and numpy's wheels from the
package index. From then on no network is needed. Emulated times mean nothing; results and instruction counts do.
"""

import functools
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from keras_fer.errors import InputError
from keras_fer.files import replacing

LITERT = "2.3.0"
WHEELS = (f"ai-edge-litert=={LITERT}", "ml_dtypes==0.6.0", "numpy==2.3.5")
QEMU = "trixie"
"""The Debian release that qemu is taken from: bookworm's 7.2 computes int8 wrongly."""
SYSTEM = "bookworm"
SYSTEM_PACKAGES = (
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6", "libstdc++6", "libgcc-s1"),
    *("zlib1g", "libexpat1", "libffi8", "libssl3", "libbz2-1.0", "liblzma5"),
)
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
TOOLS = ("apt-get", "dpkg", "setarch", "tar")

CPUS = ("cortex-a76", "cortex-a55")
"""Big and little cores of phones since 2018. Both have int8 dot products; older ones run other kernels."""

GUEST = Path(__file__).with_name("arm64_guest.py")
LIBRARY = Path("site/ai_edge_litert/libpywrap_litert_common.so")

MARK = 0x5150
"""The number of a process that is not there: the guest asks for it between inferences, which the trace shows."""


def home() -> Path:
    """The folder with the emulator and what runs in it, fetched where it is missing.

    Raises:
        InputError: it is missing and cannot be fetched.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "keras_fer", f"arm64-litert-{LITERT}")
    if not folder.is_dir():
        missing = [tool for tool in TOOLS if not shutil.which(tool)]
        if missing or not Path(KEYRING).is_file() or platform.machine() != "x86_64":
            raise InputError(f"ARM64 emulation needs a Debian machine (x86_64); this one lacks {missing or KEYRING}")
        try:
            with replacing(folder) as temporary:
                _fetch(temporary)
        except subprocess.CalledProcessError as error:
            last = (error.stderr or b"").decode(errors="replace").strip().splitlines()[-1:]
            raise InputError(
                f"could not fetch the ARM64 emulator (110 MB, once); is there a network? {' '.join(last)}"
            ) from error
    return folder


def _fetch(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch, tqdm(total=5, desc="ARM64 emulator", unit="step") as bar:
        apt, debs, wheels = (Path(scratch, name) for name in ("apt", "debs", "wheels"))
        system = folder / "sys"
        for path in (apt / "lists/partial", apt / "cache/archives/partial", apt / "dpkg", debs, wheels, system):
            path.mkdir(parents=True)
        (apt / "dpkg/status").touch()
        mirror = _debian_mirror()
        (apt / "sources.list").write_text(
            f"deb [arch=amd64 signed-by={KEYRING}] {mirror} {QEMU} main\n"
            f"deb [arch=arm64 signed-by={KEYRING}] {mirror} {SYSTEM} main\n"
        )
        (apt / "conf").write_text(
            f'Dir::Etc::sourcelist "{apt}/sources.list"; Dir::Etc::sourceparts "-"; Dir::State "{apt}";\n'
            f'Dir::State::status "{apt}/dpkg/status"; Dir::Cache "{apt}/cache"; Acquire::Languages "none";\n'
            'APT::Architectures {"amd64";"arm64";}; APT::Sandbox::User "root";\n'
            'APT::Update::Error-Mode "any"; Acquire::Retries "1"; Acquire::http::Timeout "20";\n'
        )
        environment = os.environ | {"APT_CONFIG": str(apt / "conf")}
        _run("apt-get", "-qq", "update", env=environment)
        bar.update()
        packages = ["qemu-user", *(f"{name}:arm64" for name in SYSTEM_PACKAGES)]
        _run("apt-get", "-qq", "download", *packages, env=environment, cwd=debs)
        bar.update()
        for package in debs.glob("*_arm64.deb"):
            _run("dpkg", "-x", package, system)
        _run("dpkg", "-x", *debs.glob("qemu-user_*"), Path(scratch, "qemu"))
        shutil.copy(Path(scratch, "qemu/usr/bin/qemu-aarch64"), folder)
        bar.update()
        platforms = [f"--platform=manylinux_2_{version}_aarch64" for version in (28, 27)]
        _run(
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", wheels),
            *(*platforms, "--python-version=3.11", *WHEELS),
        )
        bar.update()
        for wheel in wheels.glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(folder / "site")
        bar.update()


def _debian_mirror():
    files = [path for path in Path("/etc/apt").rglob("*") if path.suffix in (".list", ".sources")]
    for url in re.findall(r"https?://\S+", "\n".join(path.read_text() for path in files)):
        if url.rstrip("/").endswith("/debian") and "snapshot" not in url:
            return url
    raise InputError("no Debian mirror in /etc/apt: ARM64 emulation takes its system from there")


def _run(*command, **options):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **options)


def command(cpu: str, *options: str) -> list[str]:
    """The command line that runs `arm64_guest.py` on an emulated CPU; the guest's arguments are to follow.

    Args:
        cpu: one of `CPUS`. (Never qemu's `max`, whose kernels no phone runs.)
        options: for qemu.
    """
    folder = home()
    emulator = ["setarch", "--addr-no-randomize", folder / "qemu-aarch64", "-L", folder / "sys", "-cpu", cpu, *options]
    return [str(part) for part in (*emulator, folder / "sys/usr/bin/python3.11", "-s", GUEST)]


def environment() -> dict[str, str]:
    """The variables that the guest sees: the fewest that it needs, since they move its memory."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(home() / "site"),
        "PYTHONHASHSEED": "0",
        "OPENBLAS_NUM_THREADS": "1",
    }


@functools.cache
def library_address(cpu: str) -> tuple[int, int, int]:
    """Where LiteRT's library lies in the guest's memory: its first byte, and the bounds of its code."""
    found = subprocess.run([*command(cpu), "map"], env=environment(), check=True, capture_output=True, text=True).stdout
    return tuple(int(number, 16) for number in found.split())


def infer(file: Path, inputs: Sequence[np.ndarray], cpu: str = CPUS[0], half: bool = False) -> list[np.ndarray]:
    """`export.litert.run_tensors` on ARM64 kernels.

    Args:
        file: a .tflite file.
        inputs: for each of its inputs, n values one after another: (n, *shape).
        half: compute what is float in half precision; for files with one input and one output.

    Returns:
        For each output its n values.

    Raises:
        InputError: it does not run there.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder, "given.npz"), Path(folder, "found.npz")
        np.savez(given, *inputs)
        run = [*command(cpu), "half" if half else "run", str(file), str(given), str(found)]
        done = subprocess.run(run, env=environment(), capture_output=True, text=True)
        if done.returncode:
            raise InputError(f"{file} does not run on {cpu}: {' '.join(done.stderr.strip().splitlines()[-1:])}")
        with np.load(found) as arrays:
            return list(arrays.values())
