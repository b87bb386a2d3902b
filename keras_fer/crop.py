"""The face crop: which square of a picture a model sees, and how its pixels are computed.

docs/crop.md is the norm, written so that any language can follow it to the bit; this is its numpy form. Training
(`train.prepare --align`), Python (`keras_fer.predict`) and the phone cut the same pixels. The arithmetic is integer but
for the coordinates, which use only double-precision + - * / and square roots: no library decides a grey level.

Points are (x, y) in pixels, x to the right and y down; pixel (0, 0) covers the square from (0, 0) to (1, 1).
"""

from dataclasses import dataclass

import numpy as np

MARGIN = 1.13
EYE_HEIGHT = 0.39
"""The framing of FER2013's pictures (docs/crop.md has the measurement)."""

OUTSIDE = 128
"""The grey of what lies beyond the picture: about 0 after a model's normalisation, as in a convolution's padding."""

_FRACTION_BITS = 10
_ONE = 1 << _FRACTION_BITS

Point = tuple[float, float]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Window:
    """A square, possibly turned, on a picture.

    Attributes:
        centre: its middle, pixels.
        across: the vector along its upper edge, from left to right: its length is the square's side.
    """

    centre: Point
    across: Point

    @property
    def side(self) -> float:
        """Length of an edge, pixels."""
        return float(np.sqrt(self.across[0] * self.across[0] + self.across[1] * self.across[1]))

    def to_picture(self, points: np.ndarray) -> np.ndarray:
        """Picture coordinates of points (..., 2) given in the window's own: 0..1 from its upper left corner."""
        u, v = points[..., 0] - 0.5, points[..., 1] - 0.5
        (x, y), (ax, ay) = self.centre, self.across
        return np.stack([x + (u * ax - v * ay), y + (u * ay + v * ax)], axis=-1)


def face_window(
    left_eye: Point, right_eye: Point, box: Box, *, margin: float = MARGIN, eye_height: float = EYE_HEIGHT
) -> Window:
    """The square that a face is seen in: as large as its box asks, upright as its eyes say.

    The box gives the size because the distance between the eyes shrinks when a head turns. The eyes give the roll and
    the place: their midpoint lies in the middle of the square's width, `eye_height` of its side below the upper edge.

    Args:
        left_eye, right_eye: centres of the person's own; the right one is on the left of the picture.
        box: (x, y, width, height) of the face as the detector found it.
        margin: side of the square divided by the square root of the box's area (a detector's boxes may be tall).
    """
    side = margin * float(np.sqrt(box[2] * box[3]))
    dx, dy = left_eye[0] - right_eye[0], left_eye[1] - right_eye[1]
    distance = float(np.sqrt(dx * dx + dy * dy))
    ax, ay = (side * (dx / distance), side * (dy / distance)) if distance > 0 else (side, 0.0)
    down = 0.5 - eye_height
    x, y = (left_eye[0] + right_eye[0]) / 2, (left_eye[1] + right_eye[1]) / 2
    return Window((x - down * ay, y + down * ax), (ax, ay))


def crop(
    image: np.ndarray,
    left_eye: Point,
    right_eye: Point,
    box: Box,
    *,
    size: int,
    margin: float = MARGIN,
    eye_height: float = EYE_HEIGHT,
) -> np.ndarray:
    """Cut a face out of a picture: `face_window`, then `resample`.

    Args:
        image: uint8 (height, width, 3).

    Returns:
        uint8 (size, size, 3).
    """
    return resample(image, face_window(left_eye, right_eye, box, margin=margin, eye_height=eye_height), size)


def resample(image: np.ndarray, window: Window, size: int) -> np.ndarray:
    """The pixels of a window, without aliasing where it shrinks and smooth where it grows.

    The picture is first reduced by a whole factor, each cell the mean of `factor` x `factor` pixels, then sampled
    bilinearly where the centres of the window's pixels lie.

    Args:
        image: uint8 (height, width, 3).
        size: pixels of the result's side.

    Returns:
        uint8 (size, size, 3).

    Raises:
        ValueError: the image is of another shape or type, or the window's side is not positive.
    """
    if image.ndim != 3 or image.shape[-1] != 3 or image.dtype != np.uint8:
        raise ValueError(f"expected a uint8 image (height, width, 3), got {image.dtype} {image.shape}")
    if not window.side > 0:
        raise ValueError(f"a window needs a positive side, got {window.side}")
    factor = reduction(window, size)
    centres = (np.arange(size) + 0.5) / size
    points = window.to_picture(np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2)) / factor - 0.5
    fixed = np.floor(points * _ONE + 0.5).astype(np.int32)
    (x, y), (fx, fy) = (fixed >> _FRACTION_BITS).T, (fixed & (_ONE - 1)).T
    left, top, right, bottom = x.min(), y.min(), x.max() + 2, y.max() + 2
    cells = reduce(image, factor, (left, top, right, bottom))
    row = right - left
    planes = cells.reshape(-1, 3).T.astype(np.int32)
    here = (y - top) * row + (x - left)
    upper = planes.take(here, axis=1) * (_ONE - fx) + planes.take(here + 1, axis=1) * fx
    lower = planes.take(here + row, axis=1) * (_ONE - fx) + planes.take(here + row + 1, axis=1) * fx
    half = 1 << (2 * _FRACTION_BITS - 1)
    sampled = (upper * (_ONE - fy) + lower * fy + half) >> (2 * _FRACTION_BITS)
    return sampled.astype(np.uint8).T.reshape(size, size, 3)


def reduction(window: Window, size: int) -> int:
    """The whole factor by which a picture is reduced before a window of it is sampled to `size` pixels."""
    return max(1, int(window.side / size))


def reduce(image: np.ndarray, factor: int, area: tuple[int, int, int, int] | None = None) -> np.ndarray:
    """Means of `factor` x `factor` pixels, rounded to the nearest grey level.

    Cell (0, 0) begins at the picture's corner. The picture goes on in grey (`OUTSIDE`) beyond its edges.

    Args:
        image: uint8 (height, width, 3).
        area: (left, top, right, bottom) in cells, also beyond the picture; without it, the cells that cover it.

    Returns:
        uint8 (bottom - top, right - left, 3).
    """
    height, width = image.shape[:2]
    left, top, right, bottom = area or (0, 0, -(-width // factor), -(-height // factor))
    pixels = np.full(((bottom - top) * factor, (right - left) * factor, 3), OUTSIDE, np.uint8)
    x, y = left * factor, top * factor
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(right * factor, width), min(bottom * factor, height)
    if x0 < x1 and y0 < y1:
        pixels[y0 - y : y1 - y, x0 - x : x1 - x] = image[y0:y1, x0:x1]
    if factor == 1:
        return pixels
    rows = sum((pixels[i::factor] for i in range(factor)), np.uint32(0))
    sums = sum((rows[:, i::factor] for i in range(factor)), np.uint32(0))
    area = factor * factor
    return ((sums + area // 2) // area).astype(np.uint8)
