"""Painting soft-edged shapes on a canvas that knows where the face is.

Shapes are outlines in face coordinates: x to the picture's right, y down, the origin between the eyes, the unit half
the width of an average face. A canvas places them by scale, roll and a 2.5-D displacement: each point has a depth, and
turning the head moves it sideways in proportion (`Canvas.place`).

Everything is integer drawing (OpenCV fills with sub-pixel corners) and elementwise arithmetic, so that one seed gives
one picture on every machine.
"""

import functools
from dataclasses import dataclass

import cv2
import numpy as np

_SHIFT = 4  # fractional bits of the corners that OpenCV fills between


@dataclass(frozen=True)
class Canvas:
    """A picture being painted, and the place of the face on it.

    Attributes:
        pixels: (3, height, width) float32, RGB planes in 0..255; painting changes it in place.
        centre: pixel (x, y) of the face's origin.
        scale: pixels per face unit.
        roll: radians, clockwise on the picture.
        turn: (x, y) displacement in face units of a point of depth 1: the sines of yaw and pitch.
    """

    pixels: np.ndarray
    centre: tuple[float, float]
    scale: float
    roll: float
    turn: tuple[float, float]

    def place(self, points: np.ndarray, depth: float | np.ndarray | None = None) -> np.ndarray:
        """Pixels of face points (..., 2); `depth` is their distance towards the viewer, the face's surface if None."""
        depth = surface(points) if depth is None else np.asarray(depth)
        moved = points + depth[..., None] * self.turn
        cos, sin = self.scale * np.cos(self.roll), self.scale * np.sin(self.roll)
        return moved @ np.array([[cos, sin], [-sin, cos]]) + self.centre


def surface(points: np.ndarray) -> np.ndarray:
    """Depth of the face, an ellipsoid, at face points (..., 2)."""
    x, y = points[..., 0], points[..., 1]
    return 0.85 * np.sqrt(np.maximum(0, 1 - (x / 1.15) ** 2 - (y / 1.6) ** 2))


def fill(
    canvas: Canvas,
    outlines: np.ndarray | list[np.ndarray],
    colour: np.ndarray,
    opacity: float = 1.0,
    *,
    soft: float = 0.0,
    within: np.ndarray | list[np.ndarray] | None = None,
    depth: float | np.ndarray | None = None,
) -> None:
    """Paint the inside of closed outlines (each (n, 2), face units) with one colour.

    Args:
        colour: RGB in 0..255.
        opacity: 0..1; nothing is painted at 0.
        soft: width of the blurred edge in face units.
        within: outlines that clip the paint (an iris by its lids).
        depth: see `Canvas.place`.
    """
    if opacity <= 0:
        return
    corners = [canvas.place(outline, depth) for outline in outlines]
    blur = 2 * round(soft * canvas.scale / 2) + 1
    low = np.min([c.min(axis=0) for c in corners], axis=0) - blur - 1
    high = np.max([c.max(axis=0) for c in corners], axis=0) + blur + 2
    height, width = canvas.pixels.shape[1:]
    left, top = max(0, int(low[0])), max(0, int(low[1]))
    right, bottom = min(width, int(high[0])), min(height, int(high[1]))
    if left >= right or top >= bottom:
        return
    origin = np.array([left, top])
    mask = _mask(corners, origin, (bottom - top, right - left))
    if blur > 1:  # two box filters make a soft edge without the cost of a Gaussian
        mask = cv2.blur(cv2.blur(mask, (blur, blur)), (blur, blur))
    if within is not None:
        mask = cv2.min(mask, _mask([canvas.place(outline) for outline in within], origin, mask.shape))
    alpha = mask * np.float32(opacity / 255)
    region = canvas.pixels[:, top:bottom, left:right]
    region += alpha * (np.asarray(colour, np.float32)[:, None, None] - region)


def _mask(corners: list[np.ndarray], origin: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    fixed = [np.rint((c - origin) * (1 << _SHIFT)).astype(np.int32) for c in corners]
    return cv2.fillPoly(mask, fixed, 255, cv2.LINE_AA, _SHIFT)


def smooth(points: np.ndarray, closed: bool = False) -> np.ndarray:
    """A Catmull-Rom curve through control points (..., n, 2), sampled at six points a span."""
    return _catmull_rom(points.shape[-2], closed) @ points


@functools.cache
def _catmull_rom(count: int, closed: bool, steps: int = 6) -> np.ndarray:
    spans = count if closed else count - 1
    t = np.arange(steps) / steps
    weights = 0.5 * np.stack(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3], axis=1
    )
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
    """The outline of a brush stroke along control points (..., n, 2): full `width` midway, tapering to both ends.

    `start` and `end` are the shares of the width that remain there.
    """
    line = smooth(points)
    along = np.gradient(line, axis=-2)
    normal = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    normal /= np.sqrt((normal**2).sum(axis=-1, keepdims=True)) + 1e-9
    t = np.linspace(0, 1, line.shape[-2])
    taper = np.maximum(4 * t * (1 - t), start * (1 - t) + end * t)
    side = 0.5 * width * taper[:, None] * normal
    return np.concatenate([line + side, (line - side)[..., ::-1, :]], axis=-2)


def disc(centres: np.ndarray, radius_x: float, radius_y: float | None = None) -> np.ndarray:
    """Outlines of ellipses around centres (..., 2)."""
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    circle = np.stack([radius_x * np.cos(angle), (radius_y or radius_x) * np.sin(angle)], axis=-1)
    return np.asarray(centres)[..., None, :] + circle
