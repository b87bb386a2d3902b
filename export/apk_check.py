"""What an APK must hold, read back from its bytes: classes, resources, native library, assets and manifest."""

import re
import struct
import subprocess
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from keras_fer.errors import InputError

ABI = "arm64-v8a"
PAGE = 16384
"""Of the phones with the largest memory pages: a library that is not compressed starts at a multiple."""
AARCH64 = 183  # in an ELF file's header

ANDROID = "{http://schemas.android.com/apk/res/android}"
JDK = "java/"
COMPONENTS = ("activity", "service", "receiver", "provider")
ANNOTATIONS = ("dalvik/annotation/", "org/jetbrains/annotations/")
"""Named by annotations alone, which Android passes over where they are missing."""
STUBS = "com/google/ai/edge/litert/"
NATIVE = 0x100  # access flag of a method
CALL_SITES, METHOD_HANDLES = 7, 8  # sections of a dex file


class Dex(NamedTuple):
    """What a dex file holds. Names are as in `org/kerasfer/demo/MainActivity`.

    Attributes:
        defined: names of its classes.
        used: names of all classes that its code speaks of.
        native: class and method for each native method.
        dynamic: whether there is an invoke-custom or a method handle.
    """

    defined: set[str]
    used: set[str]
    native: list[tuple[str, str]]
    dynamic: bool


def alignment(name: str) -> int:
    """What the place in an APK of a file that is not compressed must be a multiple of."""
    return PAGE if name.endswith(".so") else 4


def read_dex(content: bytes) -> Dex:
    """Read a dex file (versions 035 to 039; source.android.com/docs/core/runtime/dex-format).

    Raises:
        InputError: it is none.
    """
    if content[:4] != b"dex\n":
        raise InputError(f"classes.dex begins with {content[:8]!r}, expected dex")

    def table(place: int) -> tuple[int, int]:
        return struct.unpack_from("<II", content, place)

    (map_start,) = struct.unpack_from("<I", content, 52)
    string_count, string_start = table(56)
    type_count, type_start = table(64)
    _, method_start = table(88)
    class_count, class_start = table(96)

    def string(index: int) -> str:
        (start,) = struct.unpack_from("<I", content, string_start + 4 * index)
        start = _uleb(content, start)[1]
        return content[start : content.index(b"\0", start)].decode("utf-8", "replace")

    def type_name(index: int) -> str:
        return string(struct.unpack_from("<I", content, type_start + 4 * index)[0])

    types = [type_name(i).lstrip("[") for i in range(type_count)]
    defined, native = set(), []
    for i in range(class_count):
        index, *_, data, _ = struct.unpack_from("<8I", content, class_start + 32 * i)
        defined.add(types[index][1:-1])
        for method in _native_methods(content, data) if data else ():
            _, _, name = struct.unpack_from("<HHI", content, method_start + 8 * method)
            native.append((types[index][1:-1], string(name)))
    (sections,) = struct.unpack_from("<I", content, map_start)
    kinds = {struct.unpack_from("<H", content, map_start + 4 + 12 * i)[0] for i in range(sections)}
    used = {name[1:-1] for name in types if name.startswith("L")}
    return Dex(defined, used, native, bool(kinds & {CALL_SITES, METHOD_HANDLES}))


def _native_methods(content: bytes, place: int) -> Iterator[int]:
    counts = []
    for _ in range(4):
        count, place = _uleb(content, place)
        counts.append(count)
    for _ in range(2 * (counts[0] + counts[1])):
        _, place = _uleb(content, place)
    for count in counts[2:]:
        index = 0
        for _ in range(count):
            step, place = _uleb(content, place)
            flags, place = _uleb(content, place)
            _, place = _uleb(content, place)
            index += step
            if flags & NATIVE:
                yield index


def _uleb(content: bytes, place: int) -> tuple[int, int]:
    """A variable-length number and the place behind it."""
    value = shift = 0
    while True:
        byte = content[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place


def check(apk: Path, aapt2: Path, android: Path, app: Path, pins) -> None:
    """Read an APK back.

    Args:
        android: the jar with Android's classes.
        app: the folder with the manifest and the assets that the APK was made of.
        pins: `package`, `version_code`, `min_sdk` and `target_sdk`, as the manifest is to say them.

    Raises:
        InputError: naming the first thing that is not as it should be.
    """
    with zipfile.ZipFile(apk) as archive:
        broken = archive.testzip()
        _expect(f"{apk}'s damaged entries", [broken] if broken else [], [])
        names = archive.namelist()
        _expect("names that occur twice", sorted({name for name in names if names.count(name) > 1}), [])
        _expect("dex files", [name for name in names if name.endswith(".dex")], ["classes.dex"])
        check_places(apk, archive)
        check_assets(archive, app / "assets")
        dex = read_dex(archive.read("classes.dex"))
        libraries = [name for name in names if name.startswith("lib/")]
        _expect("native libraries' folders", sorted({str(Path(name).parent) for name in libraries}), [f"lib/{ABI}"])
        check_native(dex, [archive.read(name) for name in libraries])
    with zipfile.ZipFile(android) as jar:
        check_classes(dex, {name[: -len(".class")] for name in jar.namelist() if name.endswith(".class")})
    manifest = ET.parse(app / "AndroidManifest.xml").getroot()
    _expect("components without a class", sorted(components(manifest, pins.package) - dex.defined), [])
    check_manifest(_output(aapt2, "dump", "badging", apk), manifest, pins)


def check_places(apk: Path, archive: zipfile.ZipFile) -> None:
    """Files that are not compressed start at a multiple of `alignment`, and native libraries are of those."""
    with apk.open("rb") as file:
        for entry in archive.infolist():
            file.seek(entry.header_offset + 26)
            start = entry.header_offset + 30 + sum(struct.unpack("<HH", file.read(4)))
            stored = entry.compress_type == zipfile.ZIP_STORED
            if not stored and entry.filename.endswith(".so"):
                raise InputError(f"{entry.filename} is compressed in {apk}; it could not be loaded from there")
            if stored and start % alignment(entry.filename):
                raise InputError(
                    f"{entry.filename} starts at {start} in {apk}, expected a multiple of {alignment(entry.filename)}"
                )


def check_assets(archive: zipfile.ZipFile, folder: Path) -> None:
    """The assets are those of the folder, byte by byte."""
    expected = {f"assets/{path.relative_to(folder).as_posix()}": path for path in folder.rglob("*") if path.is_file()}
    _expect("assets", sorted(name for name in archive.namelist() if name.startswith("assets/")), sorted(expected))
    changed = sorted(name for name, path in expected.items() if archive.read(name) != path.read_bytes())
    _expect("changed assets", changed, [])


def check_native(dex: Dex, libraries: list[bytes]) -> None:
    """The libraries are for ARM64 and hold a function for each of the dex file's native methods."""
    for content in libraries:
        magic, machine = content[:4], struct.unpack_from("<H", content, 18)[0]
        _expect("a native library's format", (magic, machine), (b"\x7fELF", AARCH64))
    symbols = [f"Java_{_mangled(owner)}_{_mangled(method)}" for owner, method in dex.native]
    found = set(re.findall(rb"Java_\w+", b"\0".join(libraries)))
    lacking = [name for name in symbols if not any(f.decode().split("__")[0] == name for f in found)]
    _expect("native methods without a function", sorted(lacking), [])


def check_classes(dex: Dex, android: set[str]) -> None:
    """Nothing of LiteRT's stubs is there, nothing that old phones cannot run, and every class that is named exists."""
    _expect("stubs", sorted(name for name in dex.defined | dex.used if name.startswith(STUBS)), [])
    _expect("invoke-custom or method handles", dex.dynamic, False)
    lacking = dex.used - dex.defined - android
    _expect("classes that are nowhere", sorted(n for n in lacking if not n.startswith((JDK, *ANNOTATIONS))), [])


def components(manifest: ET.Element, package: str) -> set[str]:
    """Names of the classes that a manifest names."""
    application = manifest.find("application")
    found = [application.get(f"{ANDROID}name"), *(e.get(f"{ANDROID}name") for e in application if e.tag in COMPONENTS)]
    return {(package + name if name.startswith(".") else name).replace(".", "/") for name in found if name}


def check_manifest(badging: str, manifest: ET.Element, pins) -> None:
    """What `aapt2 dump badging` says is what the source manifest and the pins say."""

    def values(pattern: str) -> list[str]:
        return re.findall(pattern, badging, re.MULTILINE)

    def expect(what: str, pattern: str, expected: list) -> None:
        _expect(f"the manifest's {what}", values(pattern), [str(value) for value in expected])

    expect("package", r"^package: name='([^']+)'", [pins.package])
    expect("version", r"^package: .* versionCode='([^']+)'", [pins.version_code])
    expect("minSdkVersion", r"^minSdkVersion:'(\d+)'", [pins.min_sdk])
    expect("targetSdkVersion", r"^targetSdkVersion:'(\d+)'", [pins.target_sdk])
    permissions = [element.get(f"{ANDROID}name") for element in manifest.iter("uses-permission")]
    expect("permissions", r"^uses-permission: name='([^']+)'", permissions)
    expect("native code", r"^native-code: '([^\n]+)'", [ABI])
    _expect("launchable activities", len(values("^launchable-activity:")), 1)
    _expect("debuggable", "application-debuggable" in badging, False)


def _mangled(name: str) -> str:
    return "".join({"_": "_1", "/": "_", "$": "_00024"}.get(letter, letter) for letter in name)


def _expect(what: str, found, expected) -> None:
    if found != expected:
        raise InputError(f"the APK's {what}: found {found}, expected {expected}")


def _output(*command) -> str:
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout
