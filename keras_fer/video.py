"""Frames in and out: video files and cameras, through OpenCV."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from keras_fer.errors import InputError
from keras_fer.files import replacing
from keras_fer.optional import need

SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".3gp")


@dataclass(frozen=True)
class Video:
    """An opened video file or camera.

    Attributes:
        rate: frames a second.
        length: how many frames the file says it has; None for a camera, or where the file does not say.
        frames: (seconds from the start, uint8 (height, width, 3) RGB) of each frame, once.
    """

    rate: float
    length: int | None
    frames: Iterator[tuple[float, np.ndarray]]


@contextlib.contextmanager
def open_video(source: str | os.PathLike | int) -> Iterator[Video]:
    """Open a video file, or a camera by its number; it is closed again when the block ends.

    Raises:
        InputError: there is no such file or camera, or no frame can be read from it.
    """
    cv2 = _opencv()
    is_camera = isinstance(source, int)
    if not is_camera and not Path(source).is_file():
        raise InputError(f"{source} does not exist; expected a video")
    with _silence():
        capture = cv2.VideoCapture(source if is_camera else str(source))
        readable, first = capture.read()
    try:
        if not readable:
            what = f"camera {source} is not there or is in use" if is_camera else f"{source} cannot be read as a video"
            raise InputError(f"{what}: no frame came from it")
        rate, length = capture.get(cv2.CAP_PROP_FPS), int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        rate = rate if 1 <= rate <= 1000 else 25.0  # cameras and some containers do not say
        yield Video(rate, length if length > 0 and not is_camera else None, _frames(capture, first, rate, is_camera))
    finally:
        capture.release()


def _frames(capture, first: np.ndarray, rate: float, is_camera: bool) -> Iterator[tuple[float, np.ndarray]]:
    cv2 = _opencv()
    start = cv2.getTickCount()
    number, frame = 0, first
    while frame is not None:
        elapsed = (cv2.getTickCount() - start) / cv2.getTickFrequency()
        yield elapsed if is_camera else number / rate, np.ascontiguousarray(frame[..., ::-1])
        number, frame = number + 1, capture.read()[1]


@contextlib.contextmanager
def write_video(path: str | os.PathLike, rate: float) -> Iterator[Callable[[np.ndarray], None]]:
    """Write an .mp4 file: the block gets a function that takes the frames, uint8 (height, width, 3) RGB of one size.

    Raises:
        InputError: the video cannot be written there.
    """
    cv2 = _opencv()
    with replacing(path) as temporary:
        writer = None

        def write(frame: np.ndarray) -> None:
            nonlocal writer
            if writer is None:
                size = frame.shape[1], frame.shape[0]
                writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
                if not writer.isOpened():
                    raise InputError(f"{path} cannot be written as a video")
            writer.write(np.ascontiguousarray(frame[..., ::-1]))

        try:
            yield write
        finally:
            if writer is not None:
                writer.release()


def _opencv() -> ModuleType:
    # FFmpeg reads this once; a broken file is told in one line of ours.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    return need("cv2")


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep OpenCV from telling, in a dozen lines, that there is no such camera."""
    logging = need("cv2").utils.logging
    level = logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(level)
