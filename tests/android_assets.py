"""What the Android app's tests bring along: assets as `python -m export.android` lays them out, frames, and photos.

`python -m tests.android_assets DIR` writes them. Everything is drawn, and no model needs TensorFlow: `grid.tflite`,
kept beside this file, is a linear model on a 3 x 3 grid of mean colours with eight classes, whose answers to faces
differ as a trained model's do; colour.tflite has three.
"""

import json
import shutil
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import ExifTags, Image

from keras_fer.blazeface import model_path
from keras_fer.expressions import EXPRESSIONS
from tests import colour_models
from train.drawn import scene

GRID = Path(__file__).with_name("grid.tflite")
SIZE = 24


def convert() -> None:
    """Write grid.tflite anew, with TensorFlow."""
    import tensorflow as tf

    weights = np.random.default_rng(8).normal(0, 0.02, (27, len(EXPRESSIONS))).astype(np.float32)

    @tf.function(input_signature=[tf.TensorSpec((1, SIZE, SIZE, 3), tf.uint8, name="image")])
    def classify(image):
        means = tf.nn.avg_pool2d(tf.cast(image, tf.float32) - 128, SIZE // 3, SIZE // 3, "VALID")
        return tf.nn.softmax(tf.matmul(tf.reshape(means, (1, 27)), weights))

    converter = tf.lite.TFLiteConverter.from_concrete_functions([classify.get_concrete_function()])
    GRID.write_bytes(converter.convert())


def main(folder: Path) -> None:
    """Write everything that the app's tests read."""
    assets(folder / "assets")
    broken(folder / "broken")
    frames(folder / "frames")
    photos(folder / "photos")


def assets(folder: Path) -> None:
    models = folder / "models"
    models.mkdir(parents=True, exist_ok=True)
    card = {
        "model": "grid",
        "name": "Grid",
        "version": "1",
        "classes": EXPRESSIONS,
        "input_size": SIZE,
        "licence": "Apache-2.0",
        "limits": "A linear model of a few colours: it knows nothing of expressions.",
        "metrics": {"accuracy": 0.125, "data": "drawn faces"},
    }
    write_model(models / "grid.tflite", GRID.read_bytes(), json.dumps(card))
    colour_models.write_tflite(models / "colour.tflite", {**colour_models.CARD, "name": "Colour"})
    entries = [{"id": name, "name": name.title()} for name in ("grid", "colour")]
    for entry in entries:
        path = models / f"{entry['id']}.tflite"
        entry["bytes"] = path.stat().st_size
        path.with_suffix(".selftest").write_bytes(selftest(path))
    (models / "index.json").write_text(json.dumps({"models": entries}))
    (folder / "detector").mkdir(exist_ok=True)
    shutil.copy(model_path(), folder / "detector/face_detection_short_range.tflite")


def write_model(path: Path, model: bytes, card: str | None) -> None:
    path.write_bytes(model)
    if card is not None:
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("card.json", card)


def selftest(model: Path, error: float = 0) -> bytes:
    """A crop of noise and the model's answer to it, `error` off."""
    interpreter = Interpreter(str(model), num_threads=1)
    interpreter.allocate_tensors()
    [given], [answer] = interpreter.get_input_details(), interpreter.get_output_details()
    crop = np.random.default_rng(1).integers(0, 256, given["shape"], np.uint8)
    interpreter.set_tensor(given["index"], crop)
    interpreter.invoke()
    probabilities = interpreter.get_tensor(answer["index"])[0] + np.float32(error)
    return np.int32(len(probabilities)).tobytes() + probabilities.astype("<f4").tobytes() + crop.tobytes()


def broken(folder: Path) -> None:
    """Assets to put in others' places."""
    folder.mkdir(parents=True, exist_ok=True)
    grid = GRID.read_bytes()
    write_model(folder / "no_card.tflite", grid, None)
    write_model(folder / "wrong_card.tflite", grid, json.dumps({"model": "grid", "input_size": SIZE}))
    size = {"model": "grid", "classes": EXPRESSIONS, "input_size": 32}
    write_model(folder / "wrong_size.tflite", grid, json.dumps(size))
    write_model(folder / "no_model.tflite", b"no model at all", json.dumps({**size, "input_size": SIZE}))
    (folder / "wrong.selftest").write_bytes(selftest(GRID, error=0.5))


def frames(folder: Path) -> None:
    """Camera frames as a sensor delivers them: 640 x 480, YUV 4:2:0, lying on their side where the phone stands."""
    folder.mkdir(parents=True, exist_ok=True)
    people = {"none": (), "one": ("happiness",), "several": ("surprise", "neutral", "happiness")}
    for name, expressions in people.items():
        for seed, (shape, size) in enumerate({"tall": (640, 480), "wide": (480, 640)}.items(), start=4):
            picture, _ = scene(seed, size=size, faces=expressions[: 2 if shape == "tall" else 3])
            if shape == "tall":
                picture = cv2.rotate(picture, cv2.ROTATE_90_COUNTERCLOCKWISE)
            (folder / f"{name}_{shape}.i420").write_bytes(cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420).tobytes())


def photos(folder: Path) -> None:
    """Photos in every orientation that EXIF knows, and files that are none."""
    folder.mkdir(parents=True, exist_ok=True)
    picture, _ = scene(7, size=(640, 480), faces=("happiness", "surprise"))
    upright = Image.fromarray(picture)
    stored = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    for orientation, turn in stored.items():
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        image = upright.transpose(turn) if turn is not None else upright
        image.save(folder / f"exif_{orientation}.jpg", quality=95, exif=exif)
    upright.save(folder / "plain.png")
    empty, _ = scene(9, size=(640, 480), faces=())
    Image.fromarray(empty).save(folder / "empty.png")
    (folder / "cut_off.png").write_bytes((folder / "plain.png").read_bytes()[:20])
    (folder / "text.jpg").write_text("no picture")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
