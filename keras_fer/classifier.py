"""A trained model in any of its three formats, as one function from face crops to probabilities.

`.keras` needs Keras with a backend; `.tflite` needs LiteRT, `.onnx` ONNX Runtime, and neither needs TensorFlow. All
three carry their card (`keras_fer.card`); an `.onnx` file as the metadata entry `card`.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_fer import card as cards
from keras_fer import shipped
from keras_fer.crop import EYE_HEIGHT, MARGIN
from keras_fer.errors import InputError
from keras_fer.optional import need

FORMATS = (".tflite", ".onnx", ".keras")
"""From the lightest to run to the heaviest."""

Run = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Classifier:
    """A model that can be called, with what one must know to call it.

    Attributes:
        name: the model's name in the registry, from its card.
        classes: names of its outputs, in their order.
        input_size: side of the crops that it sees, pixels.
        margin, eye_height: how those are framed (`keras_fer.crop.face_window`).
        run: crops (n, input_size, input_size, 3), RGB in 0..255, to float32 probabilities (n, len(classes)). They are
            uint8, or float: what takes bytes only rounds them.
        temperature: that is inside the probabilities (`train.calibrate`); 1 where the model was not calibrated.
    """

    name: str
    classes: tuple[str, ...]
    input_size: int
    margin: float
    eye_height: float
    run: Run
    temperature: float = 1.0


def open_classifier(path: str | os.PathLike) -> Classifier:
    """Read a trained model from a `.keras`, `.tflite` or `.onnx` file, from a run folder, or what ships by its name.

    Raises:
        InputError: the file is missing, damaged or of another kind, its card is missing or does not fit, or the package
            that runs it is not installed.
    """
    path = shipped.resolve(path, FORMATS)
    openers = {".tflite": _open_tflite, ".onnx": _open_onnx, ".keras": _open_keras}
    if path.suffix not in openers and not path.is_dir():
        raise InputError(
            f"{path} is no trained model: expected a run folder, or a file that ends in {', '.join(FORMATS)}"
        )
    return _classifier(path, *openers.get(path.suffix, _open_keras)(path))


def as_classifier(model) -> Classifier:
    """A Keras model, as `keras_fer.load` returns it: its softmax, calibrated where its card has a `temperature`.

    Raises:
        InputError: the card does not fit the model.
    """
    return _classifier(model.name, *_keras_parts(model))


def _classifier(path: Path | str, card: dict, sides: tuple[int, int], outputs: int, run: Run) -> Classifier:
    """The parts put together, if they fit each other."""
    height, width = sides
    try:
        classes = tuple(str(name) for name in card["classes"])
        framing = {"margin": MARGIN, "eye_height": EYE_HEIGHT} | card.get("crop", {})
        classifier = Classifier(
            name=str(card["model"]),
            classes=classes,
            input_size=int(card["input_size"]),
            margin=float(framing["margin"]),
            eye_height=float(framing["eye_height"]),
            run=run,
            temperature=temperature(card),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} has a broken card: {type(error).__name__} {error}") from error
    if (height, width) != 2 * (classifier.input_size,):
        raise InputError(
            f"{path} does not fit its card: it takes {height} x {width} pixels, the card says {classifier.input_size}"
        )
    if outputs != len(classes):
        raise InputError(f"{path} does not fit its card: it has {outputs} outputs, the card {len(classes)} classes")
    return classifier


def temperature(card: dict) -> float:
    """What the logits are divided by before the softmax, by the card of a trained model; 1 where it was not calibrated.

    Raises:
        ValueError: it is no positive number.
    """
    value = float(card.get("temperature", 1.0))
    if not 0 < value < float("inf"):
        raise ValueError(f"temperature {value}")
    return value


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Float32 probabilities of logits (..., classes) that are softened by the temperature."""
    logits = np.asarray(logits, np.float64) / temperature
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (odds / odds.sum(axis=-1, keepdims=True)).astype(np.float32)


def _open_keras(path: Path) -> tuple[dict, tuple[int, int], int, Run]:
    from keras_fer.saving import load  # brings Keras' backend along: several seconds that the others do not need

    return _keras_parts(load(path))


def _keras_parts(model) -> tuple[dict, tuple[int, int], int, Run]:
    model.jit_compile = False  # Keras would choose XLA, which compiles anew for each number of faces

    def run(crops: np.ndarray) -> np.ndarray:
        return softmax(model.predict_on_batch(crops), temperature(model.card))

    return model.card, model.input_shape[1:3], model.output_shape[-1], run


def _open_tflite(path: Path) -> tuple[dict, tuple[int, int], int, Run]:
    interpreter = need("ai_edge_litert.interpreter")
    card = cards.read(path)
    try:
        model = interpreter.Interpreter(str(path), num_threads=os.cpu_count())
        model.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise InputError(f"{path} cannot be read as a .tflite model: {str(error).splitlines()[0]}") from error
    image, probabilities = model.get_input_details()[0], model.get_output_details()[0]
    dtypes = image["dtype"], probabilities["dtype"]
    if len(image["shape"]) != 4 or dtypes not in ((np.uint8, np.float32), (np.float32, np.float32)):
        raise InputError(
            f"{path} is no model of this project: expected uint8 or float32 pictures in, float32 probabilities out"
        )

    def run(crops: np.ndarray) -> np.ndarray:
        rows = []
        for crop in _as_dtype(crops, image["dtype"]):
            model.set_tensor(image["index"], crop[None])
            model.invoke()
            rows.append(model.get_tensor(probabilities["index"])[0])
        return np.stack(rows)

    return card, tuple(image["shape"][1:3].tolist()), int(probabilities["shape"][-1]), run


def _open_onnx(path: Path) -> tuple[dict, tuple[int, int], int, Run]:
    runtime = need("onnxruntime", "onnxruntime")
    try:
        model = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no other base
        raise InputError(f"{path} cannot be read as an .onnx model: {str(error).splitlines()[0]}") from error
    card = cards.parse(model.get_modelmeta().custom_metadata_map.get("card"), path)
    image, probabilities = model.get_inputs()[0], model.get_outputs()[0]
    if len(image.shape) != 4 or image.type not in ("tensor(uint8)", "tensor(float)"):
        raise InputError(f"{path} is no model of this project: expected pictures (n, size, size, 3) in")
    dtype = np.uint8 if image.type == "tensor(uint8)" else np.float32

    def run(crops: np.ndarray) -> np.ndarray:
        return model.run([probabilities.name], {image.name: _as_dtype(crops, dtype)})[0]

    return card, tuple(image.shape[1:3]), probabilities.shape[-1], run


def _as_dtype(crops: np.ndarray, dtype: type) -> np.ndarray:
    return (np.rint(crops) if dtype is np.uint8 else crops).astype(dtype)
