"""`make apk`: what is packed, how it is read back, and that its runtime computes what today's does.

native.dex and lambda.dex are dx's output for three classes of a few lines: an activity with two native methods and an
inner class that calls a class which is not there; and a lambda that is still an invoke-custom.
"""

import shutil
import struct
import sys
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export import apk, apk_check, apk_models
from keras_fer import InputError

TESTS = Path(__file__).parent
ELF = b"\x7fELF" + bytes(14) + struct.pack("<H", apk_check.AARCH64)
PINS = apk.Pins("demo", "1", "1.0", 26, 36)
MANIFEST = ET.fromstring(
    '<manifest xmlns:android="http://schemas.android.com/apk/res/android">'
    '<uses-permission android:name="android.permission.CAMERA"/>'
    '<application android:name=".App"><activity android:name=".Main"/><provider android:name="other.Files"/>'
    "</application></manifest>"
)
BADGING = """package: name='demo' versionCode='1' versionName='1.0' platformBuildVersionName='15'
minSdkVersion:'26'
targetSdkVersion:'36'
uses-permission: name='android.permission.CAMERA'
launchable-activity: name='demo.Main'  label='' icon=''
native-code: 'arm64-v8a'
"""


@pytest.fixture(scope="module")
def dex() -> apk_check.Dex:
    return apk_check.read_dex((TESTS / "native.dex").read_bytes())


def test_dex_is_read(dex):
    assert dex.defined == {"demo/Main", "demo/Main$Work"}
    assert {"android/app/Activity", "demo/Missing"} <= dex.used
    assert sorted(dex.native) == [("demo/Main", "done"), ("demo/Main", "take_one")]
    assert not dex.dynamic
    assert apk_check.read_dex((TESTS / "lambda.dex").read_bytes()).dynamic


def test_what_is_no_dex_is_refused():
    with pytest.raises(InputError, match="expected dex"):
        apk_check.read_dex(b"PK\x03\x04 and more")


def test_missing_class_is_found(dex):
    android = {"android/app/Activity"}
    with pytest.raises(InputError, match=r"nowhere: found \['demo/Missing'\]"):
        apk_check.check_classes(dex, android)
    apk_check.check_classes(dex._replace(defined=dex.defined | {"demo/Missing"}), android)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"used": {"com/google/ai/edge/litert/CompiledModel"}}, "stubs: found"),
        ({"dynamic": True}, "invoke-custom"),
    ],
)
def test_what_no_phone_could_run_is_found(change, message):
    with pytest.raises(InputError, match=message):
        apk_check.check_classes(apk_check.Dex(set(), set(), [], False)._replace(**change), set())


def test_native_methods_need_functions(dex):
    functions = [b"\0Java_demo_Main_done\0", b"\0Java_demo_Main_take_1one__\0"]
    apk_check.check_native(dex, [ELF + b"".join(functions)])
    with pytest.raises(InputError, match=r"Java_demo_Main_take_1one"):
        apk_check.check_native(dex, [ELF + functions[0]])


def test_library_for_another_processor_is_refused(dex):
    with pytest.raises(InputError, match="format"):
        apk_check.check_native(dex, [ELF[:18] + struct.pack("<H", 62)])


def test_manifest_names_its_classes():
    assert apk_check.components(MANIFEST, "demo") == {"demo/App", "demo/Main", "other/Files"}


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("CAMERA'\n", "CAMERA'\nuses-permission: name='android.permission.INTERNET'\n", "permissions"),
        ("minSdkVersion:'26'", "minSdkVersion:'21'", "minSdkVersion"),
        ("name='demo' ", "name='other' ", "package"),
        ("'arm64-v8a'", "'arm64-v8a' 'x86_64'", "native code"),
        ("launchable-activity: name='demo.Main'  label='' icon=''\n", "", "launchable"),
        ("targetSdk", "application-debuggable\ntargetSdk", "debuggable"),
    ],
)
def test_packed_manifest_is_compared(old, new, what):
    apk_check.check_manifest(BADGING, MANIFEST, PINS)
    assert old in BADGING
    with pytest.raises(InputError, match=what):
        apk_check.check_manifest(BADGING.replace(old, new), MANIFEST, PINS)


@given(st.dictionaries(st.text("abcü/.", min_size=1, max_size=20), st.binary(max_size=50), max_size=5), st.binary())
def test_what_is_not_compressed_is_aligned(tmp_path_factory, contents, library):
    folder = tmp_path_factory.mktemp("apk")
    linked, packed, so = folder / "linked.apk", folder / "packed.apk", folder / "libx.so"
    so.write_bytes(library)
    with zipfile.ZipFile(linked, "w") as archive:
        for i, (name, content) in enumerate(contents.items()):
            archive.writestr(f"{name}{i}", content, zipfile.ZIP_STORED if i % 2 else zipfile.ZIP_DEFLATED)
    apk.assemble(packed, linked, {"lib/libx.so": so, "classes.dex": so})
    with zipfile.ZipFile(packed) as archive:
        apk_check.check_places(packed, archive)
        expected = {f"{name}{i}": content for i, (name, content) in enumerate(contents.items())}
        assert {n: archive.read(n) for n in archive.namelist()} == expected | {
            "lib/libx.so": library,
            "classes.dex": library,
        }


def test_what_is_not_aligned_is_found(tmp_path):
    path = tmp_path / "x.apk"
    for name, compression, message in (
        ("lib/libx.so", zipfile.ZIP_STORED, "expected a multiple of 16384"),
        ("lib/libx.so", zipfile.ZIP_DEFLATED, "is compressed"),
        ("odd", zipfile.ZIP_STORED, "expected a multiple of 4"),
    ):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, b"x", compression)
        with zipfile.ZipFile(path) as archive, pytest.raises(InputError, match=message):
            apk_check.check_places(path, archive)


def test_assets_are_compared_with_their_folder(tmp_path):
    (tmp_path / "assets/models").mkdir(parents=True)
    (tmp_path / "assets/models/a.tflite").write_bytes(b"model")
    for name, content, message in (
        ("assets/models/a.tflite", b"model", None),
        ("assets/models/a.tflite", b"other", "changed assets"),
        ("assets/models/b.tflite", b"model", "the APK's assets"),
    ):
        with zipfile.ZipFile(tmp_path / "x.apk", "w") as archive:
            archive.writestr(name, content)
        with zipfile.ZipFile(tmp_path / "x.apk") as archive:
            if message is None:
                apk_check.check_assets(archive, tmp_path / "assets")
                continue
            with pytest.raises(InputError, match=message):
                apk_check.check_assets(archive, tmp_path / "assets")


def test_missing_tools_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool in ("mvn", "npm") else tool)
    with pytest.raises(InputError, match="lacks Maven, Node"):
        apk.build(tmp_path, tmp_path / "build")


def test_missing_models_are_said(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda tool: tool)
    with pytest.raises(InputError, match=r"no model in .*export\.android"):
        apk.build(tmp_path, tmp_path / "build")


def test_failing_step_is_named(capfd):
    with pytest.raises(InputError, match="javac failed: error: nothing to compile"):
        apk._run("javac", sys.executable, "-c", "print('hm'); import sys; sys.exit('error: nothing to compile')")
    assert "hm" in capfd.readouterr().err


def test_two_runtimes_are_compared():
    pictures = np.full((2, 16, 16, 3), [[[[200, 0, 0]]], [[[0, 0, 90]]]], np.uint8)
    model = apk_models.Model(TESTS / "colour.tflite", pictures, apk_models.DIFFERENCE)
    python = Path(sys.executable)
    (outputs,) = apk_models.infer(python, apk_models.NEW, [model])[0]
    assert outputs.argmax(axis=1).tolist() == [0, 2]
    (same,) = apk_models.compare([model], python)
    assert same.differences.max() <= apk_models.DIFFERENCE


def test_difference_is_a_share_of_the_largest_value():
    new = np.array([[0, 50], [100, 0]], np.float32)
    assert apk_models._furthest(np.array([[0, 51], [100, 0]]), new).tolist() == [0.01, 0]
    assert apk_models._furthest(np.array([[0, np.nan], [100, 0]]), new).tolist() == [np.inf, 0]
    assert apk_models._furthest(np.array([[0, 0.75], [1, 0]]), new / 100).tolist() == [0.25, 0]


def test_model_that_does_not_run_is_named(tmp_path):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"no model")
    model = apk_models.Model(broken, np.zeros((1, 1)), 0)
    with pytest.raises(InputError, match=r"broken\.tflite does not run on ai_edge_litert"):
        apk_models.infer(Path(sys.executable), apk_models.NEW, [model])


def test_app_without_models_is_said(tmp_path):
    with pytest.raises(InputError, match=r"no model in .*export\.android"):
        apk_models.packed(tmp_path)


@pytest.mark.slow
def test_apk_is_built_from_a_clone(tmp_path):
    if lacking := sorted({apk.TOOLS[tool] for tool in apk.TOOLS if not shutil.which(tool)}):
        pytest.skip(f"needs {', '.join(lacking)}")
    ignore = shutil.ignore_patterns("target", "build", "assets")
    demo = shutil.copytree(apk.DEMO, tmp_path / "android_demo", ignore=ignore)
    models = demo / "app/src/main/assets/models"
    models.mkdir(parents=True)
    shutil.copy(TESTS / "colour.tflite", models)
    built = apk.build(demo, tmp_path / "build")
    with zipfile.ZipFile(built) as archive:
        assert archive.read("assets/models/colour.tflite") == (TESTS / "colour.tflite").read_bytes()
        dex = apk_check.read_dex(archive.read("classes.dex"))
    assert {"org/kerasfer/demo/MainActivity", "org/tensorflow/lite/Interpreter"} <= dex.defined
