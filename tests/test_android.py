"""The Android app on a JVM: its core against what Python says, and whole frames through real LiteRT.

Maven compiles, checks the style and runs JUnit; this module gives it the vectors and counts what it ran.
"""

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import ai_edge_litert
import pytest

import keras_fer

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "android_demo"

pytestmark = pytest.mark.skipif(
    not (shutil.which("javac") and shutil.which("mvn")), reason="no JDK and Maven here, which the Android core needs"
)


def maven(golden: Path, *words: str) -> None:
    """Run Maven on the app's parts with the golden vectors of a folder, and show what it says if it fails."""
    library = Path(ai_edge_litert.__file__).parent / "libLiteRt.so"
    # The first tier of the JVM's compiler is enough for a minute's work, and leaves the machine to others.
    options = {"MAVEN_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"} | os.environ
    command = ["mvn", "-B", "-q", "-Dkotlin.compiler.daemon=false", "-Dstyle.color=never"]
    command += [f"-Dgolden={golden}", f"-Dlitert.library={library}", *words, "test"]
    done = subprocess.run(command, cwd=DEMO, env=options, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-6000:]


def ran(module: str) -> dict[str, int]:
    """How many tests of each class Surefire ran, not counting those that skipped."""
    reports = [ET.parse(path).getroot() for path in (DEMO / module / "target/surefire-reports").glob("TEST-*.xml")]
    return {
        report.get("name").split(".")[-1]: int(report.get("tests")) - int(report.get("skipped")) for report in reports
    }


def vectors(golden: Path, files: Path, *jobs: tuple[str, ...]) -> None:
    """Golden vectors, with the .tflite files that `tests.exports` writes by the jobs."""
    for job, *words in jobs:
        python("tests.exports", job, files, *words)
    (files / "float.tflite").unlink(missing_ok=True)  # takes float pictures, which keras_fer.Recognizer refuses
    python("tests.android_golden", golden, *sorted(files.glob("*.tflite")))


def python(*words: str | Path) -> None:
    done = subprocess.run([sys.executable, "-m", *map(str, words)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def test_core_and_whole_frames(tmp_path):
    vectors(tmp_path / "golden", tmp_path, ("tiny",))
    for module in ("core", "litert-jvm"):
        shutil.rmtree(DEMO / module / "target/surefire-reports", ignore_errors=True)
    maven(tmp_path / "golden", "-pl", "core,litert-jvm")
    core = ran("core")
    for name in ("FrameTest", "CropTest", "BlazeFaceTest", "TrackerTest", "CardTest", "ReducerTest", "ModelsTest"):
        assert core[name] > 0
    assert ran("litert-jvm")["EndToEndTest"] >= 4


@pytest.mark.slow
def test_whole_frames_of_every_model(tmp_path):
    vectors(tmp_path / "golden", tmp_path, *(("registry", name) for name in keras_fer.list_models()))
    maven(
        tmp_path / "golden",
        "-pl",
        "litert-jvm",
        "-am",
        "-Dtest=EndToEndTest",
        "-Dsurefire.failIfNoSpecifiedTests=false",
    )
    assert ran("litert-jvm")["EndToEndTest"] >= 4


@pytest.mark.skipif(not shutil.which("npm"), reason="no npm here, which the app's resource compiler comes with")
def test_app_on_robolectric(tmp_path):
    python("tests.android_assets", tmp_path)
    shutil.rmtree(DEMO / "app/target/surefire-reports", ignore_errors=True)
    classes = ("AppTest", "ScreensTest", "CameraSourceTest", "TfliteInputTest")
    maven(tmp_path, "-pl", "app", "-am", f"-Dtest={','.join(classes)}", "-Dsurefire.failIfNoSpecifiedTests=false")
    app = ran("app")
    assert all(app[name] > 0 for name in classes)
    screens = list((DEMO / "app/target/screens").glob("*.png"))
    assert len(screens) >= 100
