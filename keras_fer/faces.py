"""Finding faces in a picture of any size.

A detector sees a small square, so a face must fill a good part of it to be found. `FaceFinder` therefore looks at the
whole picture, letterboxed, and then at overlapping tiles of a half and a quarter of its side.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_fer.blazeface import BlazeFace
from keras_fer.crop import Box, Point, Window, reduce, reduction, resample
from keras_fer.yunet import YuNet

_SURE = 0.7
"""The least score in a tile. Many looks see many half-faces in hands and curtains, which score up to 0.66; a real face
is whole in several tiles, and one of them scores more (docs/crop.md)."""


@dataclass(frozen=True)
class Face:
    """A face in a picture: points are (x, y) in pixels, with (0, 0) at the picture's upper left corner.

    Attributes:
        box: (x, y, width, height).
        right_eye, left_eye: the person's own; in an upright face the right one is on the left of the picture.
        nose, mouth: the tip of the nose and the middle of the mouth.
        score: how sure the detector is, 0..1.
    """

    box: Box
    right_eye: Point
    left_eye: Point
    nose: Point
    mouth: Point
    score: float


class FaceFinder:
    """Finds all faces in a picture: `FaceFinder()(image)`.

    Args:
        model: path of BlazeFace's `.tflite` or YuNet's `.onnx` file; None for BlazeFace from its installed package.
        levels: 1 looks at the whole picture only: enough for faces that fill a sixth of its longer side, as before a
            phone or a webcam. Each further level halves the side of the smallest face and multiplies the time by about
            five; tiles smaller than the detector's input are not looked at.

    Raises:
        InputError: the model is missing or is another one, or a package that it needs is not installed.
    """

    def __init__(self, model: str | os.PathLike | None = None, levels: int = 3):
        self._detect = YuNet(model) if model and Path(model).suffix == ".onnx" else BlazeFace(model)
        self._levels = levels

    def __call__(self, image: np.ndarray) -> list[Face]:
        """The faces of a uint8 (height, width, 3) RGB picture, the surest first; an empty list where there is none."""
        found = [self._look(image, tiles) for tiles in self._tiles(image)]
        return [_face(row) for row in _distinct(np.concatenate(found))]

    def _tiles(self, image: np.ndarray) -> Iterator[list[Window]]:
        """The squares to look at, level by level: those of one level are of one size."""
        height, width = image.shape[:2]
        for level in range(self._levels):
            side = max(height, width) / 2**level
            if level and side < self._detect.side:
                return
            yield [Window((x, y), (side, 0.0)) for y in _centres(height, side) for x in _centres(width, side)]

    def _look(self, image: np.ndarray, tiles: list[Window]) -> np.ndarray:
        """What the detector finds in tiles of one size: rows (n, 13) in pixels of the picture."""
        # `resample` would reduce each tile by itself; overlapping tiles share their cells, so do it once for all.
        factor = reduction(tiles[0], self._detect.side)
        cells = reduce(image, factor)
        rows = [np.empty((0, 13))]
        for tile in tiles:
            (x, y), side = tile.centre, tile.side
            small = Window((x / factor, y / factor), (side / factor, 0.0))
            found = self._detect(resample(cells, small, self._detect.side))
            found[:, :12] *= side
            found[:, [0, 1, 4, 5, 6, 7, 8, 9, 10, 11]] += np.tile([x - side / 2, y - side / 2], 5)
            if side < max(image.shape[:2]):
                found = found[_whole(found, tile, image) & (found[:, 12] >= _SURE)]
            rows.append(found)
        return np.concatenate(rows)


def _centres(length: int, side: float) -> np.ndarray:
    """Middles of the tiles along an edge of the picture: evenly spaced, each overlapping the next by half or more."""
    if length <= side:
        return np.array([length / 2])
    tiles = int(np.ceil((length - side) / (side / 2))) + 1
    return np.linspace(side / 2, length - side / 2, tiles)


def _whole(rows: np.ndarray, tile: Window, image: np.ndarray) -> np.ndarray:
    """Which boxes cross no edge of the tile but the picture's own: another tile has those others whole."""
    height, width = image.shape[:2]
    (x, y), half = tile.centre, tile.side / 2
    low, high = rows[:, :2], rows[:, :2] + rows[:, 2:4]
    left, top = (x - half if x > half else -np.inf), (y - half if y > half else -np.inf)
    right, bottom = (x + half if x + half < width else np.inf), (y + half if y + half < height else np.inf)
    return (low >= (left, top)).all(axis=1) & (high <= (right, bottom)).all(axis=1)


def _distinct(rows: np.ndarray) -> list[np.ndarray]:
    """One row for each face, the surest; a face is the same where the smaller box lies mostly inside the larger."""
    kept: list[np.ndarray] = []
    for row in rows[np.argsort(-rows[:, 12], kind="stable")]:
        if all(_shared(row, other) <= 0.5 for other in kept):
            kept.append(row)
    return kept


def _shared(a: np.ndarray, b: np.ndarray) -> float:
    """The intersection of two boxes divided by the smaller one's area."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[:2] + a[2:4], b[:2] + b[2:4])
    return np.clip(high - low, 0, None).prod() / min(a[2:4].prod(), b[2:4].prod())


def _face(row: np.ndarray) -> Face:
    x, y, width, height, *points, score = row.tolist()
    return Face((x, y, width, height), *zip(points[::2], points[1::2]), score)
