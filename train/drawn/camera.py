"""Everything around the person: the background, the light, what gets in the way, and the camera."""

import cv2
import numpy as np

from train.drawn.actions import eye_centres
from train.drawn.paint import WHITE, Canvas, disc, fill, ribbon, ring, smooth
from train.drawn.person import Identity, View

TINTED = np.array([26.0, 24.0, 28.0])
MASK = [(0.0, 0.34), (0.45, 0.45), (0.86, 0.5), (0.74, 0.95), (0.4, 1.25), (0.0, 1.36)]


def paint_backdrop(pixels: np.ndarray, view: View, rng: np.random.Generator) -> None:
    """Fill planes (3, height, width) with a soft gradient of two colours and some discs out of focus."""
    height, width = pixels.shape[1:]
    first, second = view.backdrop.astype(np.float32)[:, :, None, None]
    across = np.linspace(0, 0.4, width, dtype=np.float32)
    down = np.linspace(0, 0.6, height, dtype=np.float32)[:, None]
    np.add(first + across * (second - first), down * (second - first), out=pixels)
    canvas = Canvas(pixels, (0.0, 0.0), float(width))
    for x, y, radius, shade in rng.uniform(size=(3, 4)):
        spot = disc((x, y * height / width), 0.06 + 0.16 * radius)
        fill(canvas, spot, WHITE * shade, 0.12, soft=0.03, depth=0.0)


def occlude(canvas: Canvas, identity: Identity, view: View, rng: np.random.Generator) -> None:
    """Put something before the face: a blot, a bar, dark glasses or a mask."""
    colour = rng.uniform(30, 225, 3)
    if view.occluder == "blot":
        where = rng.uniform((-1.0, -0.9), (1.0, 1.1))
        outline = disc(where, *rng.uniform(0.25, 0.5, 2)) + rng.uniform(-0.08, 0.08, (20, 2))
        fill(canvas, smooth(outline, closed=True), colour, soft=0.03)
    elif view.occluder == "bar":
        angle, offset, width = rng.uniform((0, -0.8, 0.15), (np.pi, 0.8, 0.35))
        along = np.array([np.cos(angle), np.sin(angle)])
        middle = offset * along[::-1] * (-1, 1)
        bar = ribbon(np.stack([middle - 4 * along, middle, middle + 4 * along]), width, 1, 1)
        fill(canvas, bar, colour, depth=0.9)
    elif view.occluder == "shades":
        fill(canvas, disc(eye_centres(identity), 0.33, 0.26), TINTED, 0.96)
        fill(canvas, ribbon(np.array([(-0.95, -0.1), (0.0, -0.06), (0.95, -0.1)]), 0.07, 1, 1), TINTED)
    elif view.occluder == "mask":
        fill(canvas, ring(MASK), 0.5 * colour + 110, soft=0.02)


def light_up(canvas: Canvas, view: View) -> None:
    """Light a canvas in place: a gradient across the face, exposure, warmth, then contrast."""
    pixels, scale = canvas.pixels, np.float32(canvas.scale)
    x, y = (
        ((np.arange(n, dtype=np.float32) - np.float32(c)) / scale) for n, c in zip(pixels.shape[:0:-1], canvas.centre)
    )
    right, down = np.array(view.light, np.float32)
    gain = right * x.clip(-1.3, 1.3) + (down * y.clip(-1.3, 1.3) + np.float32(view.exposure))[:, None]
    gain = np.maximum(gain, np.float32(0.15)) * np.float32(view.contrast)
    for plane, tint in zip(pixels, np.array([1 + view.warmth, 1, 1 - view.warmth], np.float32)):
        plane *= gain * tint
        plane += np.float32(128 * (1 - view.contrast))


def develop(pixels: np.ndarray, view: View, rng: np.random.Generator, *, supersampling: int) -> np.ndarray:
    """The picture (height, width, 3) uint8 RGB that a camera takes: averaged down, with sensor noise and blur."""
    height, width = (n // supersampling for n in pixels.shape[1:])
    cells = pixels.reshape(3, height, supersampling, width, supersampling)
    small = sum(cells[:, :, i, :, j] for i in range(supersampling) for j in range(supersampling))
    small *= np.float32(1 / supersampling**2)
    small += np.float32(view.noise) * rng.standard_normal(small.shape, np.float32)
    picture = np.ascontiguousarray(np.rint(small).clip(0, 255).astype(np.uint8).transpose(1, 2, 0))
    sigma = view.blur * width / 96
    return cv2.GaussianBlur(picture, (0, 0), sigma) if sigma > 0.3 else picture
