"""The project's own drawn faces (`train.drawn`) as a data set: a new person on each picture, as many as one likes."""

import functools
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

import cv2

from keras_fer.expressions import EXPRESSIONS
from train.drawn import draw
from train.parallel import map_ahead
from train.sources.records import Record, Source

CLASSES = EXPRESSIONS[:7]
TENTHS = ("test", "val", *["train"] * 8)
"""The split of each ten pictures of an expression."""
WORTH_A_PROCESS = 1000
"""Pictures; drawing holds Python's lock, but another process takes seconds to start."""


def drawn_faces(count: int, *, seed: int = 0, size: int = 96, hard: bool = False) -> Source:
    """`count` faces of seven expressions, equally many of each: 80 % train, 10 % val, 10 % test.

    Args:
        seed: other seeds draw other people.
        size: side of the pictures (pixels).
        hard: weak and mixed expressions, poses, occlusion, blur and noise.
    """
    return Source("drawn", CLASSES, _records(count, seed, size, hard), total=count)


def _records(count: int, seed: int, size: int, hard: bool) -> Iterator[Record]:
    people = ((seed * 2**32 + number, CLASSES[number % len(CLASSES)]) for number in range(count))
    draw_one = functools.partial(_draw, size=size, hard=hard)
    with _pool(count) as pool:
        for number, ((person, expression), png) in enumerate(map_ahead(pool, draw_one, people)):
            split = TENTHS[number // len(CLASSES) % len(TENTHS)]
            yield Record(f"person {person} {expression}", split, expression, functools.partial(bytes, png))


def _pool(count: int) -> Executor:
    workers = min(os.cpu_count() or 1, count // WORTH_A_PROCESS)
    if workers < 2:
        return ThreadPoolExecutor(1)
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))


def _draw(person: tuple[int, str], size: int, hard: bool) -> bytes:
    face = draw(*person, size=size, hard=hard)
    return cv2.imencode(".png", cv2.cvtColor(face, cv2.COLOR_RGB2BGR))[1].tobytes()
