"""Reading a picture as people see it: upright, opaque, in colour, 8 bits.

Pillow rather than OpenCV: it turns by EXIF, composites the transparency of alpha channels and palettes, knows Adobe's
inverted CMYK, and says what is wrong with a file instead of returning nothing.
"""

import os
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np

from keras_fer.errors import InputError
from keras_fer.optional import need

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".jp2", ".avif")
"""What counts as a picture in a folder. A file that is named itself may have any suffix."""


def read_rgb(path: str | os.PathLike) -> np.ndarray:
    """Read a picture of any size, turned by its EXIF orientation, composited on white where it is transparent.

    16-bit pictures are scaled to 8 bits; of an animation, the first frame is read.

    Returns:
        uint8 (height, width, 3), RGB.

    Raises:
        InputError: there is no such file; it is no picture, or empty, broken, cut off, or so large that Pillow suspects
            an attack (over 178 megapixels); Pillow is not installed.
    """
    need("PIL.Image")
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist; expected a picture")
    try:
        return decode_rgb(path)
    except Exception as error:  # Pillow's readers raise whatever a broken file makes them stumble over
        raise InputError(f"{path} cannot be read as a picture: {' '.join(str(error).split())}") from error


def decode_rgb(file: Path | BinaryIO) -> np.ndarray:
    """As `read_rgb`, of a file that may be open already; raises whatever Pillow raises."""
    Image, ImageOps = need("PIL.Image"), need("PIL.ImageOps")
    # Pillow warns of odd metadata and of large pictures: the pixels are sound all the same.
    with warnings.catch_warnings(action="ignore"), Image.open(file) as picture:
        return _rgb(ImageOps.exif_transpose(picture))


def _rgb(picture) -> np.ndarray:
    """The pixels of an upright PIL picture of any mode, uint8 (height, width, 3)."""
    if picture.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown range")
    if picture.mode.startswith("I"):  # 16-bit grey, which Pillow's own conversion would clip to 255
        grey = np.clip(np.asarray(picture), 0, 65535).astype(np.uint32) * 255 + 32767
        return np.repeat((grey // 65535).astype(np.uint8)[..., None], 3, axis=-1)
    if picture.has_transparency_data:
        Image = need("PIL.Image")
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return np.array(picture.convert("RGB"))
