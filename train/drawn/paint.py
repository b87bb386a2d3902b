"""Painting soft-edged shapes on a canvas that knows where the face is.

Shapes are outlines in face coordinates: x to the picture's right, y down, the origin between the eyes, the unit half
the width of an average face. A canvas places them by scale, roll and a 2.5-D displacement: each point has a depth, and
turning the head moves it sideways in proportion (`Canvas.place`).

Everything is integer drawing (OpenCV fills between sub-pixel corners) and elementwise arithmetic, so that one seed
gives one picture on every machine.
"""

import functools
from dataclasses import dataclass

import cv2
import numpy as np

WHITE = np.array([255.0, 255.0, 255.0])
DOWN = np.array([0.0, 1.0])

_SHIFT = 4  # fractional bits of the corners that OpenCV fills between


@dataclass(frozen=True)
class Canvas:
    """A picture being painted, and the place of the face on it.

    Attributes:
        pixels: (3, height, width) float32, RGB planes in 0..255; painting changes it in place.
        centre: pixel (x, y) of the face's origin.
        scale: pixels per face unit.
        roll: radians, clockwise on the picture.
        turn: (x, y) displacement, in face units, of a point of depth 1: the sines of yaw and pitch.
    """

    pixels: np.ndarray
    centre: tuple[float, float]
    scale: float
    roll: float = 0.0
    turn: tuple[float, float] = (0.0, 0.0)

    def place(self, points: np.ndarray, depth: float | np.ndarray | None = None) -> np.ndarray:
        """Pixels of face points (..., 2); `depth` is their distance towards the viewer, the face's surface if None."""
        depth = surface(points) if depth is None else np.asarray(depth)
        turned = points + depth[..., None] * self._turn
        return turned @ self._rotation + self._centre

    @functools.cached_property
    def _turn(self) -> np.ndarray:
        return np.array(self.turn)

    @functools.cached_property
    def _centre(self) -> np.ndarray:
        return np.array(self.centre)

    @functools.cached_property
    def _rotation(self) -> np.ndarray:
        cos, sin = self.scale * np.cos(self.roll), self.scale * np.sin(self.roll)
        return np.array([[cos, sin], [-sin, cos]])


def surface(points: np.ndarray) -> np.ndarray:
    """Depth of the face, an ellipsoid, at face points (..., 2)."""
    squares = points * _INVERSE_AXES
    squares *= squares
    return 0.85 * np.sqrt(np.maximum(0, 1 - squares[..., 0] - squares[..., 1]))


_INVERSE_AXES = 1 / np.array([1.15, 1.6])


def fill(
    canvas: Canvas,
    outlines: np.ndarray,
    colour: np.ndarray,
    opacity: float = 1.0,
    *,
    soft: float = 0.0,
    within: np.ndarray | None = None,
    depth: float | np.ndarray | None = None,
) -> None:
    """Paint the inside of closed outlines with one colour.

    Args:
        outlines: (..., n, 2) in face units.
        colour: RGB in 0..255.
        opacity: 0..1; nothing is painted where it could not be seen, below 0.02.
        soft: width of the blurred edge in face units.
        within: outlines on the face's surface that clip the paint (an iris by its lids).
        depth: see `Canvas.place`.
    """
    if opacity < 0.02:
        return
    corners = _fixed(canvas.place(outlines, depth))
    blur = 2 * round(soft * canvas.scale / 2) + 1
    left, top, width, height = cv2.boundingRect(corners.reshape(-1, 1, 2))
    rows, columns = canvas.pixels.shape[1:]
    right = min(columns, (left + width >> _SHIFT) + blur + 2)
    bottom = min(rows, (top + height >> _SHIFT) + blur + 2)
    left, top = max(0, (left >> _SHIFT) - blur - 1), max(0, (top >> _SHIFT) - blur - 1)
    if left >= right or top >= bottom:
        return
    mask = _mask(corners, (left, top), (bottom - top, right - left))
    if blur > 1:  # twice a box filter: as soft as a Gaussian, at a tenth of its cost
        mask = cv2.blur(cv2.blur(mask, (blur, blur)), (blur, blur))
    if within is not None:
        mask = cv2.min(mask, _mask(_fixed(canvas.place(within)), (left, top), mask.shape))
    alpha = mask * np.float32(min(opacity, 1.0) / 255)
    # Plane by plane: what stays in the cache is five times as fast on large shapes.
    for plane, value in zip(canvas.pixels[:, top:bottom, left:right], np.asarray(colour, np.float32)):
        plane += alpha * (value - plane)


def _fixed(corners: np.ndarray) -> np.ndarray:
    """Corners (..., n, 2) in pixels as (outlines, n, 2) in OpenCV's fixed point."""
    return np.rint(corners * (1 << _SHIFT)).astype(np.int32).reshape(-1, *corners.shape[-2:])


def _mask(corners: np.ndarray, origin: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
    offset = (-origin[0] << _SHIFT, -origin[1] << _SHIFT)
    return cv2.fillPoly(np.zeros(shape, np.uint8), list(corners), 255, cv2.LINE_AA, _SHIFT, offset)


def smooth(points: np.ndarray, closed: bool = False) -> np.ndarray:
    """A Catmull-Rom curve through control points (..., n, d), sampled at six points a span."""
    return _catmull_rom(points.shape[-2], closed) @ points


@functools.cache
def _catmull_rom(count: int, closed: bool, steps: int = 6) -> np.ndarray:
    """The matrix (samples, count) that turns control points into points on the curve."""
    spans = count if closed else count - 1
    t = np.arange(steps) / steps
    weights = 0.5 * np.stack([-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2], 1)
    basis = np.zeros((spans * steps + (not closed), count))
    for span in range(spans):
        for offset in range(4):
            knot = span + offset - 1
            knot = knot % count if closed else min(max(knot, 0), count - 1)
            basis[span * steps : (span + 1) * steps, knot] += weights[:, offset]
    if not closed:
        basis[-1, -1] = 1
    return basis


def ribbon(points: np.ndarray, width: float, start: float = 0.0, end: float = 0.0) -> np.ndarray:
    """Outlines of brush strokes along control points (..., n, 2): full `width` midway, tapering to both ends.

    `start` and `end` are the shares of the width that remain there.
    """
    line = smooth(points)
    along = _slope(line.shape[-2]) @ line
    normal = along[..., ::-1] * (-1, 1) / np.sqrt((along * along).sum(axis=-1, keepdims=True) + 1e-12)
    side = 0.5 * width * _taper(line.shape[-2], start, end) * normal
    return np.concatenate([line + side, (line - side)[..., ::-1, :]], axis=-2)


@functools.cache
def _slope(count: int) -> np.ndarray:
    return np.gradient(np.eye(count), axis=0)


@functools.cache
def _taper(count: int, start: float, end: float) -> np.ndarray:
    t = np.linspace(0, 1, count)[:, None]
    return np.maximum(4 * t * (1 - t), start * (1 - t) + end * t)


def disc(centres: np.ndarray, radius_x: float, radius_y: float | None = None) -> np.ndarray:
    """Outlines (..., 20, 2) of ellipses around centres (..., 2)."""
    return np.asarray(centres)[..., None, :] + _CIRCLE * (radius_x, radius_x if radius_y is None else radius_y)


_CIRCLE = np.stack([np.cos(np.arange(20) * np.pi / 10), np.sin(np.arange(20) * np.pi / 10)], axis=1)


def mirror(points: np.ndarray) -> np.ndarray:
    """Both sides (2, ..., 2) of what is given for the picture's right half, the left one first."""
    points = np.asarray(points, np.float64)
    return np.stack([points * (-1, 1), points])


def joined(sides: np.ndarray) -> np.ndarray:
    """One line (2n - 1, 2) across the face from its two halves (2, n, 2), which both start at the middle."""
    return np.concatenate([sides[0, ::-1], sides[1, 1:]])


def ring(half: np.ndarray) -> np.ndarray:
    """The closed curve through a half's control points, given from top to bottom, and their mirror images."""
    left, right = mirror(half)
    return smooth(np.concatenate([right, left[left[:, 0] < 0][::-1]]), closed=True)  # the middle only once
