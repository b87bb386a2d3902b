"""The papers' augmentations, drawn anew for each picture from the seed, the epoch and the picture's place in it.

What moves pixels after the crop (mirror image, rotation, zoom, shift and the resizing itself) is one map from the
output's pixels to the picture's, so that a picture is interpolated once, or twice where it also shrinks.
"""

import dataclasses
import math

import tensorflow as tf

from keras_fer.errors import InputError

ATTEMPTS = 10
"""How often torchvision draws a crop or a patch that may not fit, before it gives up."""

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey (ITU-R 601-2, as in torchvision)."""


@dataclasses.dataclass(frozen=True)
class Augment:
    """What is done to training pictures; nothing by default. All ranges are uniform and all draws are per picture."""

    flip: float = 0.0
    """Probability of a left-right mirror image."""
    rotation: float = 0.0
    """Up to this many degrees either way; what comes in at the corners is the picture, mirrored at its edge."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Range of the zoom; above 1 the face grows."""
    shift: float = 0.0
    """Up to this share of the side, in x and in y."""
    crop_scale: tuple[float, float] = (1.0, 1.0)
    """torchvision's RandomResizedCrop: the crop's share of the picture's area; (1, 1) is the whole picture."""
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """Its width by its height, in the picture's pixels; uniform in the logarithm."""
    brightness: float = 0.0
    """torchvision's ColorJitter: factors from 1 - x to 1 + x."""
    contrast: float = 0.0
    saturation: float = 0.0
    erasing: float = 0.0
    """torchvision's RandomErasing: the probability of a blank patch."""
    erasing_scale: tuple[float, float] = (0.02, 0.33)
    """The patch's share of the area."""
    erasing_ratio: tuple[float, float] = (0.3, 3.3)
    """Its height by its width; uniform in the logarithm."""
    erasing_fill: tuple[float, float, float] = (123.675, 116.28, 103.53)
    """RGB, 0..255. ImageNet's mean colour, which is the papers' 0 after normalisation."""

    def __post_init__(self):
        for name in ("flip", "erasing"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"augment.{name} is {getattr(self, name)}; expected a probability")
        for name in ("scale", "crop_scale", "crop_ratio", "erasing_scale", "erasing_ratio"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise InputError(f"augment.{name} is {low},{high}; expected a range of numbers above 0")


def augment_picture(image: tf.Tensor, seed: tf.Tensor, size: int, augment: Augment) -> tf.Tensor:
    """One training picture.

    Args:
        image: (height, width, 3) uint8.
        seed: (2,) int64; equal seeds give equal pictures.
        size: side of the output (pixels).

    Returns:
        (size, size, 3) float32 in 0..255.
    """
    single, crop, patch = tf.split(_draws(seed), (9, 4 * ATTEMPTS, 4 * ATTEMPTS))
    flip, angle, zoom, right, down, brightness, contrast, saturation, erase = tf.unstack(single)
    flip, erase = flip < augment.flip, erase < augment.erasing
    if augment.crop_scale != (1.0, 1.0):
        image = _random_crop(image, tf.reshape(crop, (4, ATTEMPTS)), augment)
    if augment.rotation or augment.shift or augment.scale != (1.0, 1.0):
        image = _warp(image, flip, (angle, zoom, right, down), size, augment)
    else:
        image = resize(image, size)
        image = tf.cond(flip, lambda: tf.reverse(image, axis=[1]), lambda: image)
    image = _colour(image, (brightness, contrast, saturation), augment)
    if augment.erasing:
        image = tf.cond(erase, lambda: _erase(image, tf.reshape(patch, (4, ATTEMPTS)), augment), lambda: image)
    return image


def is_mirrored(seed: tf.Tensor, augment: Augment) -> tf.Tensor:
    """Whether `augment_picture` turns the picture of that seed into its mirror image."""
    return _draws(seed)[0] < augment.flip


def _draws(seed):
    return tf.random.stateless_uniform((9 + 2 * 4 * ATTEMPTS,), seed)


def resize(image: tf.Tensor, size: int) -> tf.Tensor:
    """A picture as evaluation sees it: (size, size, 3) float32 in 0..255; bilinear, antialiased where it shrinks."""
    return tf.image.resize(image, (size, size), antialias=True)


def _random_crop(image, draws, augment):
    """torchvision's RandomResizedCrop, before the resizing."""
    height, width = tf.unstack(tf.shape(image)[:2])
    fits, top, left, crop_height, crop_width = _rectangle(
        draws, (height, width), (height, width), augment.crop_scale, augment.crop_ratio
    )

    def largest_in_the_middle():
        lowest, highest = augment.crop_ratio
        h, w = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
        crop_h = tf.cast(tf.round(tf.minimum(h, w / lowest)), tf.int32)
        crop_w = tf.cast(tf.round(tf.minimum(w, h * highest)), tf.int32)
        return (height - crop_h) // 2, (width - crop_w) // 2, crop_h, crop_w

    box = tf.cond(fits, lambda: (top, left, crop_height, crop_width), largest_in_the_middle)
    return tf.slice(image, (box[0], box[1], 0), (box[2], box[3], 3))


def _rectangle(draws, within, longest, scale, ratio):
    """The first of the drawn rectangles that fits.

    Args:
        draws: (4, ATTEMPTS) uniform in 0..1: area, ratio, place from the top and from the left.
        within: height and width of the picture.
        longest: the largest height and width that a rectangle may have.
        scale: range of its share of the area.
        ratio: range of its width by its height.

    Returns:
        Whether one fits, and its top, left, height and width.
    """
    height, width = (tf.cast(side, tf.float32) for side in within)
    area = height * width * _between(scale, draws[0])
    aspect = tf.exp(_between((math.log(ratio[0]), math.log(ratio[1])), draws[1]))
    heights = tf.cast(tf.round(tf.sqrt(area / aspect)), tf.int32)
    widths = tf.cast(tf.round(tf.sqrt(area * aspect)), tf.int32)
    fit = (heights > 0) & (heights <= longest[0]) & (widths > 0) & (widths <= longest[1])
    first = tf.argmax(fit)
    h, w = heights[first], widths[first]
    top, left = (
        tf.cast(draw[first] * tf.cast(side - length + 1, tf.float32), tf.int32)
        for draw, side, length in ((draws[2], within[0], h), (draws[3], within[1], w))
    )
    return fit[first], top, left, h, w


def _warp(image, flip, draws, size, augment):
    """Mirror image, rotation, zoom, shift and resizing in one interpolation.

    Output pixel p, from the middle of the output, shows the picture's pixel m + shift + (side / size) R p / zoom,
    with m its middle and R the rotation.
    """
    shape = tf.shape(image)
    smaller = tf.minimum(shape[:2], size)
    # The interpolation looks at four pixels only, so what must shrink is made smaller first.
    image = tf.cond(
        tf.reduce_all(smaller == shape[:2]),
        lambda: tf.cast(image, tf.float32),
        lambda: tf.image.resize(image, smaller, antialias=True),
    )
    height, width = tf.unstack(tf.cast(smaller, tf.float32))
    angle = math.radians(augment.rotation) * (2 * draws[0] - 1)
    zoom = _between(augment.scale, draws[1])
    x, y = (augment.shift * (2 * draw - 1) * side for draw, side in ((draws[2], width), (draws[3], height)))
    mirrored = tf.where(flip, -1.0, 1.0)
    right = [mirrored * tf.cos(angle) * width / size / zoom, -tf.sin(angle) * width / size / zoom]
    down = [mirrored * tf.sin(angle) * height / size / zoom, tf.cos(angle) * height / size / zoom]
    middle = (size - 1) / 2
    right.append((width - 1) / 2 + x - (right[0] + right[1]) * middle)
    down.append((height - 1) / 2 + y - (down[0] + down[1]) * middle)
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None],
        transforms=tf.stack([*right, *down, 0.0, 0.0])[None],
        output_shape=(size, size),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
    return tf.ensure_shape(moved[0], (size, size, 3))


def _colour(image, draws, augment):
    """torchvision's ColorJitter, in a fixed order."""
    if augment.brightness:
        image = _blend(image, tf.zeros(()), augment.brightness, draws[0])
    if augment.contrast:
        image = _blend(image, tf.reduce_mean(_grey(image)), augment.contrast, draws[1])
    if augment.saturation:
        image = _blend(image, _grey(image), augment.saturation, draws[2])
    return image


def _grey(image):
    return tf.tensordot(image, LUMA, 1)[..., None]


def _blend(image, other, strength, draw):
    factor = _between((max(0.0, 1 - strength), 1 + strength), draw)
    return tf.clip_by_value(other + factor * (image - other), 0.0, 255.0)


def _erase(image, draws, augment):
    """torchvision's RandomErasing, with a colour for its value."""
    height, width, _ = image.shape
    lowest, highest = augment.erasing_ratio  # its height by its width
    fits, top, left, h, w = _rectangle(
        draws, (height, width), (height - 1, width - 1), augment.erasing_scale, (1 / highest, 1 / lowest)
    )
    rows, columns = tf.range(height)[:, None, None], tf.range(width)[None, :, None]
    inside = (rows >= top) & (rows < top + h) & (columns >= left) & (columns < left + w)
    return tf.where(inside & fits, tf.constant(augment.erasing_fill), image)


def _between(bounds, draw):
    return bounds[0] + (bounds[1] - bounds[0]) * draw
