"""What Android Studio and `make apk` build of `android_demo`: its manifest, resources, pins and rules agree."""

import re
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from export import apk, apk_check, apk_models

DEMO = apk.DEMO
APP = DEMO / "app/src/main"
RES = APP / "res"
ANDROID = apk_check.ANDROID
POM = {"m": "http://maven.apache.org/POM/4.0.0"}
PACKAGED = [DEMO / "core/src/main", APP, DEMO / "app/src/litert", DEMO / "apk/src/main"]
"""The folders whose Kotlin one of the two builds packs."""
TEXTS = ("text", "hint", "contentDescription", "label", "title", "tooltipText", "stateDescription", "prompt", "summary")
KOTLIN_TEXT = re.compile(
    r"\b(?:text|hint|contentDescription|title|subtitle|tooltipText|stateDescription|paneTitle)\s*=\s*(\"[^\"\n]*\")"
    r"|\b(?:setText|setTitle|setHint|setMessage|makeText|announceForAccessibility|setContentDescription)"
    r"\([^\n\"]*(\"[^\"\n]*\")"
)


@pytest.fixture(scope="module")
def manifest() -> ET.Element:
    return ET.parse(APP / "AndroidManifest.xml").getroot()


@pytest.fixture(scope="module")
def catalog() -> dict:
    return tomllib.loads((DEMO / "gradle/libs.versions.toml").read_text())


def kotlin(*folders: Path) -> dict[Path, str]:
    found = {path: path.read_text() for folder in folders for path in sorted(folder.rglob("*.kt"))}
    assert found
    return found


def without_comments(source: str) -> str:
    return re.sub(r"/\*.*?\*/|(?<!:)//[^\n]*", "", source, flags=re.DOTALL)


def pom(name: str) -> ET.Element:
    return ET.parse(DEMO / name / "pom.xml").getroot()


def versions(root: ET.Element) -> dict[str, str]:
    """The versions of a pom's dependencies and its properties."""
    found = {e.tag.split("}")[1]: e.text for e in root.iterfind("m:properties/*", POM)}
    for dependency in root.iterfind(".//m:dependency", POM):
        version = dependency.findtext("m:version", namespaces=POM)
        if version:
            found[dependency.findtext("m:artifactId", namespaces=POM)] = version
    return {name: re.sub(r"\$\{([^}]+)\}", lambda m: found.get(m[1], m[0]), value) for name, value in found.items()}


# --- The manifest ---


def test_the_camera_is_the_only_permission(manifest):
    asked = [element.get(f"{ANDROID}name") for element in manifest.iter() if element.tag.startswith("uses-permission")]
    assert asked == ["android.permission.CAMERA"]


def test_every_component_says_whether_others_may_start_it(manifest):
    parts = [element for element in manifest.find("application") if element.tag in apk_check.COMPONENTS]
    exported = {part.get(f"{ANDROID}name"): part.get(f"{ANDROID}exported") for part in parts}
    assert set(exported.values()) <= {"true", "false"}
    launched = [part.get(f"{ANDROID}name") for part in parts if part.find("intent-filter") is not None]
    assert [name for name, value in exported.items() if value == "true"] == launched
    assert len(launched) == 1


def test_nothing_is_backed_up(manifest):
    application = manifest.find("application")
    assert application.get(f"{ANDROID}allowBackup") == "false"
    assert application.get(f"{ANDROID}fullBackupContent") == "false"
    rules = application.get(f"{ANDROID}dataExtractionRules")
    root = ET.parse(RES / (rules.removeprefix("@") + ".xml")).getroot()
    domains = {"root", "file", "database", "sharedpref", "external"}
    for way in ("cloud-backup", "device-transfer"):
        assert {e.get("domain") for e in root.iterfind(f"{way}/exclude")} == domains
    assert not list(root.iter("include"))


def test_nothing_opens_the_app_to_others(manifest):
    application = manifest.find("application")
    assert application.get(f"{ANDROID}debuggable") is None
    assert application.get(f"{ANDROID}usesCleartextTraffic") in (None, "false")
    assert not list(manifest.iter("queries"))


def test_it_can_be_had_without_a_camera(manifest):
    # The permission alone would imply that a phone must have one.
    features = {e.get(f"{ANDROID}name"): e.get(f"{ANDROID}required") for e in manifest.iter("uses-feature")}
    assert features["android.hardware.camera"] == features["android.hardware.camera.any"] == "false"
    assert set(features.values()) == {"false"}


def test_the_package_is_left_to_gradle(manifest):
    # Gradle's plugin refuses a manifest that names it.
    assert manifest.get("package") is None
    assert manifest.find("uses-sdk") is None


# --- Resources ---


def test_no_text_stands_in_a_layout_or_the_manifest():
    for path in [APP / "AndroidManifest.xml", *sorted(RES.rglob("*.xml"))]:
        for element in ET.parse(path).iter():
            for name in TEXTS:
                value = element.get(ANDROID + name, "@")
                assert value[:1] in ("@", "?"), f"{path}: {name}={value!r}"


def test_no_text_stands_in_kotlin():
    for path, source in kotlin(APP, DEMO / "app/src/litert", DEMO / "apk/src/main").items():
        for match in KOTLIN_TEXT.finditer(without_comments(source)):
            literal = re.sub(r"\$\{[^}]*\}|\$\w+", "", match[1] or match[2])
            assert not re.search(r"[A-Za-z]{2}", literal), f"{path}: {match[0]}"


def defined() -> set[tuple[str, str]]:
    """Type and name of every resource but ids and attributes."""
    found = set()
    for folder in RES.iterdir():
        kind = folder.name.split("-")[0]
        for path in folder.iterdir():
            if kind != "values":
                found.add((kind, path.name.split(".")[0]))
                continue
            for element in ET.parse(path).getroot():
                kind_here = element.get("type") if element.tag == "item" else element.tag
                found.add((kind_here.removesuffix("-array").replace("integer-array", "array"), element.get("name")))
    return {(kind, name.replace(".", "_")) for kind, name in found if kind not in ("id", "attr", "declare-styleable")}


def used() -> set[tuple[str, str]]:
    found = set()
    for source in kotlin(APP).values():
        found |= set(re.findall(r"(?<!android\.)\bR\.(\w+)\.(\w+)", source))
    for path in [APP / "AndroidManifest.xml", *RES.rglob("*.xml")]:
        content = path.read_text()
        found |= set(re.findall(r"@(\w+)/([\w.]+)", content))
        found |= {("style", name) for name in re.findall(r'parent="(?:@style/)?([\w.]+)"', content)}
        # Without a parent, dotted styles inherit from what is before the dot.
        found |= {("style", name) for name in re.findall(r'<style name="([\w.]+)\.\w+">', content)}
    return {(kind, name.replace(".", "_")) for kind, name in found if kind not in ("id", "attr", "styleable")}


def test_every_resource_is_defined_and_used():
    assert sorted(used() - defined()) == []
    assert sorted(defined() - used()) == []


def test_texts_number_their_arguments():
    for path in RES.glob("values*/strings.xml"):
        for element in ET.parse(path).iter():
            arguments = re.findall(r"%(?!%)(\S)", (element.text or "").replace("%%", ""))
            if len(arguments) > 1:
                assert all(argument.isdigit() for argument in arguments), f"{path}: {element.text}"


# --- Two builds of the same app ---


def test_both_builds_bring_an_engine():
    def public(folder):
        sources = "\n".join(kotlin(DEMO / folder).values())
        return set(re.findall(r"^val (\w+)", sources, re.MULTILINE))

    there = public("app/src/litert")
    assert there == public("apk/src/main")
    assert all(re.search(rf"\b{name}\b", "\n".join(kotlin(APP).values())) for name in there)


def test_packaged_sources_know_the_framework_and_litert_only():
    allowed = ("android.", "java.", "javax.microedition.", "kotlin.", "org.json.", "org.kerasfer.")
    runtime = {"app/src/litert": ("com.google.ai.edge.litert.",), "apk/src/main": ("org.tensorflow.lite.",)}
    for folder in PACKAGED:
        more = runtime.get(folder.relative_to(DEMO).as_posix(), ())
        for path, source in kotlin(folder).items():
            assert re.search(r"^package org\.kerasfer\.\w+$", source, re.MULTILINE), path
            for name in re.findall(r"^import ([\w.]+)", source, re.MULTILINE):
                assert name.startswith(allowed + more), f"{path} imports {name}"


def test_stubs_and_shims_are_packed_by_neither_build():
    assert set(re.findall(r"include\(([^)]*)\)", (DEMO / "settings.gradle.kts").read_text())) == {'":app", ":core"'}
    scopes = {
        dependency.findtext("m:artifactId", namespaces=POM): dependency.findtext("m:scope", namespaces=POM)
        for dependency in pom("app").iterfind("m:dependencies/m:dependency", POM)
    }
    assert scopes["litert-stubs"] == "provided"
    assert scopes["robolectric-shim"] == "test"
    dependencies = re.search(r"dependencies \{(.*?)\n\}", (DEMO / "app/build.gradle.kts").read_text(), re.DOTALL)[1]
    assert set(re.findall(r"\w+\((.*)\)", dependencies)) == {'project(":core")', "libs.litert"}


def test_gradle_uses_what_the_catalog_has(catalog):
    scripts = "\n".join(path.read_text() for path in DEMO.rglob("*.gradle.kts"))
    said = {f"libs.plugins.{name}" for name in catalog["plugins"]} | {f"libs.{name}" for name in catalog["libraries"]}
    references = {entry["version"]["ref"] for kind in ("plugins", "libraries") for entry in catalog[kind].values()}
    said |= {f"libs.versions.{name}" for name in catalog["versions"].keys() - references}
    assert references <= catalog["versions"].keys()
    asked = {re.sub(r"\.get$", "", name) for name in re.findall(r"\blibs(?:\.\w+)+", scripts)}
    assert asked == {name.replace("-", ".") for name in said}


def test_pins_agree(catalog):
    pins = catalog["versions"]
    parent, tools, stubs = versions(pom(".")), versions(pom("apk")), pom("litert-stubs")
    assert tools["kotlin-compiler-embeddable"] == tools["kotlin-stdlib"] == pins["kotlin"]
    # Maven's is a later repair of the same Kotlin: both compile the same sources.
    assert parent["kotlin.version"].split(".")[:2] == pins["kotlin"].split(".")[:2]
    assert parent["android-json.version"] == pins["androidJson"]
    assert parent["android-all.version"] == tools["android-all"]
    assert tools["tensorflow-lite"] == tools["tensorflow-lite-api"] == apk_models.TENSORFLOW
    assert f"litert:{pins['litert']}" in stubs.findtext("m:description", namespaces=POM)


def test_every_build_says_the_same_of_the_app(catalog):
    pins, found = catalog["versions"], apk.read_pins(DEMO)
    script, maven = (DEMO / "app/build.gradle.kts").read_text(), (DEMO / "app/pom.xml").read_text()
    assert f'namespace = "{found.package}"' in script
    assert found.package in maven
    assert f"--min-sdk-version {pins['minSdk']} --target-sdk-version {pins['targetSdk']}" in maven
    assert f"gummy-bears-api-{pins['minSdk']}<" in (DEMO / "core/pom.xml").read_text()
    assert int(pins["minSdk"]) <= int(pins["targetSdk"]) <= int(pins["compileSdk"])
    assert {f"package {found.package}" in source for source in kotlin(APP).values()} == {True}


def test_the_wrapper_pins_gradle_and_its_sum():
    text = (DEMO / "gradle/wrapper/gradle-wrapper.properties").read_text()
    assert re.search(
        r"^distributionUrl=https\\://services\.gradle\.org/distributions/gradle-[\d.]+-bin\.zip$", text, re.M
    )
    assert re.search(r"^distributionSha256Sum=[0-9a-f]{64}$", text, re.M)


# --- Keep rules ---


def declared() -> set[str]:
    """Full names of the classes in the project's Kotlin, and of those that it imports."""
    found = set()
    for source in kotlin(*PACKAGED, DEMO / "litert-stubs/src/main").values():
        package = re.search(r"^package ([\w.]+)", source, re.MULTILINE)[1]
        found |= {f"{package}.{name}" for name in re.findall(r"\b(?:class|interface|object) (\w+)", source)}
        found |= set(re.findall(r"^import ([\w.]+)", source, re.MULTILINE))
    return found


@pytest.mark.parametrize("rules", ["app/proguard-rules.pro", "apk/shrink.pro"])
def test_keep_rules_name_classes_that_exist(rules):
    text = re.sub(r"#.*", "", (DEMO / rules).read_text())
    patterns = re.findall(r"-keep\w*(?:,\w+)* (?:\w+ )?(?:class|interface|enum) ([\w.*$]+)", text)
    assert patterns
    for pattern in patterns:
        regex = re.escape(pattern).replace(r"\*\*", ".+").replace(r"\*", r"[^.]+")
        assert pattern == "*" or any(re.fullmatch(regex, name) for name in declared()), pattern


def test_the_release_is_minified():
    script = (DEMO / "app/build.gradle.kts").read_text()
    assert "isMinifyEnabled = true" in script
    assert '"proguard-rules.pro"' in script
