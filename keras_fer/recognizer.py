"""From a picture to the expressions of the faces in it.

import keras_fer
recognize = keras_fer.Recognizer()
for face in recognize("photo.jpg").faces:
    print(face.expression, face.probabilities)
"""

import os
import time

import numpy as np

from keras_fer import shipped
from keras_fer.classifier import Classifier, open_classifier
from keras_fer.crop import crop
from keras_fer.draw import annotate
from keras_fer.errors import InputError
from keras_fer.faces import FaceFinder
from keras_fer.images import read_rgb
from keras_fer.optional import need
from keras_fer.recognition import FaceExpression, Recognition


class Recognizer:
    """Recognises the expressions of all faces in a picture: `Recognizer(weights)(picture)`.

    Args:
        weights: a run folder, a `.keras`, `.tflite` or `.onnx` file, the name of weights that ship with the package
            (`keras_fer.shipped.names()`), or what `open_classifier` made of those; None for the best that ship.
        detector, levels: `model` and `levels` of `keras_fer.faces.FaceFinder`.

    Raises:
        InputError: no such weights are found, they cannot be used, or a package that they need is not installed.

    Attributes:
        classifier: the model (`keras_fer.classifier.Classifier`).
    """

    def __init__(
        self,
        weights: Classifier | str | os.PathLike | None = None,
        *,
        detector: str | os.PathLike | None = None,
        levels: int = 3,
    ):
        weights = shipped.default() if weights is None else weights
        self.classifier = weights if isinstance(weights, Classifier) else open_classifier(weights)
        self._find = FaceFinder(detector, levels)

    def __call__(self, picture: np.ndarray | str | os.PathLike) -> Recognition:
        """Find the faces of a picture and classify each.

        Args:
            picture: the path of a picture, or uint8 (height, width, 3), RGB.

        Raises:
            InputError: the file cannot be read as a picture, or the array is not of that kind.
        """
        if not isinstance(picture, np.ndarray):
            picture = read_rgb(picture)
        if picture.ndim != 3 or picture.shape[-1] != 3 or picture.dtype != np.uint8 or not picture.size:
            raise InputError(f"expected a uint8 picture (height, width, 3), got {picture.dtype} {picture.shape}")
        model = self.classifier
        times = [time.perf_counter()]
        faces = self._find(picture)
        times.append(time.perf_counter())
        framing = {"size": model.input_size, "margin": model.margin, "eye_height": model.eye_height}
        crops = [crop(picture, face.left_eye, face.right_eye, face.box, **framing) for face in faces]
        times.append(time.perf_counter())
        rows = model.run(np.stack(crops)).tolist() if crops else []
        times.append(time.perf_counter())
        return Recognition(
            tuple(
                FaceExpression(face, dict(zip(model.classes, row)), seen) for face, row, seen in zip(faces, rows, crops)
            ),
            model.name,
            model.classes,
            dict(zip(("detect", "crop", "classify"), (np.diff(times) * 1000).tolist())),
        )

    def draw(self, picture: np.ndarray | str | os.PathLike):
        """What `__call__` finds in a picture, as a picture: boxes on the faces, and a bar for each expression.

        Returns:
            A Pillow image; `.save(path)` writes it (`keras_fer.draw.annotate`).

        Raises:
            InputError: as `__call__`; Pillow is not installed.
        """
        Image = need("PIL.Image")
        picture = picture if isinstance(picture, np.ndarray) else read_rgb(picture)
        return Image.fromarray(annotate(picture, self(picture)))
