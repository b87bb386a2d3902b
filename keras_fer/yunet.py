"""YuNet, OpenCV's face detector, for those who have its ONNX file.

Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", 2023. OpenCV decodes it; here it only takes the shape of
`keras_fer.blazeface.BlazeFace`. Its boxes are tall and end at the hairline, where BlazeFace's are square: the areas
agree within a few percent, which is why the crop asks for the area.
"""

import os
from pathlib import Path

import numpy as np

from keras_fer.errors import InputError
from keras_fer.optional import need


class YuNet:
    """The detector on one square picture.

    Args:
        path: the `.onnx` file.

    Raises:
        InputError: the file is missing or is another model, or OpenCV is not installed.
    """

    side = 320

    def __init__(self, path: str | os.PathLike):
        cv2 = need("cv2")
        if not Path(path).is_file():
            raise InputError(f"{path} does not exist; expected YuNet's .onnx file")
        try:
            self._model = cv2.FaceDetectorYN.create(str(path), "", (self.side, self.side), score_threshold=0.7)
            self(np.zeros((self.side, self.side, 3), np.uint8))
        except cv2.error as error:
            raise InputError(f"{path} cannot be read as YuNet's .onnx file") from error

    def __call__(self, square: np.ndarray) -> np.ndarray:
        """Find faces in a uint8 (320, 320, 3) RGB picture; the result is as `BlazeFace.__call__` describes."""
        _, found = self._model.detect(np.ascontiguousarray(square[..., ::-1]))
        if found is None:
            return np.empty((0, 13))
        found = found.astype(np.float64)
        mouth = (found[:, 10:12] + found[:, 12:14]) / 2  # YuNet gives its corners
        rows = np.concatenate([found[:, :10], mouth], axis=1) / self.side
        return np.concatenate([rows, found[:, 14:]], axis=1)
