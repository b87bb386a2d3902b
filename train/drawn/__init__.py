"""Faces drawn by the project: expressions for demos and tests without a picture of anybody.

A face is plain data: an identity, intensities of facial action units, and a view of them. `python -m train.drawn`
writes a sheet to look at.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from keras_fer.files import replacing
from train.drawn.actions import PROTOTYPES, eye_centres, sample_actions, shape
from train.drawn.camera import develop, light_up, occlude, paint_backdrop
from train.drawn.paint import Canvas
from train.drawn.person import Identity, sample_identity, sample_view
from train.drawn.portrait import draw_person

SUPERSAMPLING = 2


def draw(seed: int, expression: str, *, size: int = 96, hard: bool = False) -> np.ndarray:
    """Draw a face that shows an expression.

    One seed is one person, the same in every expression. How strong and pure the expression is, pose, light and camera
    follow from all of seed, expression and `hard`.

    Args:
        seed: any non-negative integer.
        expression: a name of `keras_fer.expressions.EXPRESSIONS`.
        size: side of the square picture in pixels.
        hard: weaker expressions, wide poses and lights, occlusion, blur and noise.

    Returns:
        (size, size, 3) uint8 RGB, the same for the same arguments on every machine.

    Raises:
        InputError: an expression that is not known.
    """
    identity = sample_identity(np.random.default_rng([seed, 0]))
    rng = np.random.default_rng([seed, 1, hard, *expression.encode()])
    view = sample_view(rng, hard)
    actions = sample_actions(rng, expression, rng.uniform(0.4 if hard else 0.7, 1))

    side = size * SUPERSAMPLING
    pixels = np.empty((3, side, side), np.float32)
    paint_backdrop(pixels, view, rng)
    centre = (side * (0.5 + view.shift[0]), side * (0.48 + view.shift[1]))
    canvas = Canvas(pixels, centre, side * view.scale, view.roll, (np.sin(view.yaw), np.sin(view.pitch)))
    draw_person(canvas, identity, actions, view)
    occlude(canvas, identity, view, rng)
    light_up(canvas, view)
    return develop(pixels, view, rng, supersampling=SUPERSAMPLING)


@dataclass(frozen=True)
class DrawnFace:
    """Where a face is in a picture, in pixels, and what it shows. Left and right are the person's own."""

    box: tuple[float, float, float, float]  # left, top, right, bottom: temple to temple, hairline to chin
    left_eye: tuple[float, float]
    right_eye: tuple[float, float]
    expression: str


def scene(
    seed: int, *, size: tuple[int, int] = (480, 640), faces: Sequence[str] = ("happiness", "surprise", "neutral")
) -> tuple[np.ndarray, list[DrawnFace]]:
    """Draw several people side by side.

    Args:
        seed: any non-negative integer.
        size: height and width of the picture in pixels.
        faces: the expression of each person, from the picture's left to its right.

    Returns:
        The picture (height, width, 3), uint8 RGB, and its faces in the order of `faces`.

    Raises:
        InputError: an expression that is not known.
    """
    rng = np.random.default_rng([seed, 2])
    height, width = (n * SUPERSAMPLING for n in size)
    pixels = np.empty((3, height, width), np.float32)
    room = sample_view(rng, hard=False)
    paint_backdrop(pixels, room, rng)

    people = []
    slot = width / max(1, len(faces))
    for index, expression in enumerate(faces):
        scale = min(0.17 * height, 0.36 * slot) * rng.uniform(0.75, 1)
        spare = 0.5 * slot - 1.3 * scale
        centre = (slot * (index + 0.5) + rng.uniform(-1, 1) * spare, height * rng.uniform(0.38, 0.55))
        view = replace(sample_view(rng, hard=False), light=room.light)
        canvas = Canvas(pixels, centre, scale, view.roll, (np.sin(view.yaw), np.sin(view.pitch)))
        people.append((canvas, sample_identity(rng), sample_actions(rng, expression, rng.uniform(0.8, 1)), view))
    for person in sorted(people, key=lambda person: person[0].centre[1]):  # who stands lower stands in front
        draw_person(*person)
    light_up(Canvas(pixels, (width / 2, height / 2), height / 2), room)
    picture = develop(pixels, room, rng, supersampling=SUPERSAMPLING)
    return picture, [_locate(*person[:3], expression) for person, expression in zip(people, faces)]


def _locate(canvas: Canvas, identity: Identity, actions: dict[int, np.ndarray], expression: str) -> DrawnFace:
    outline = np.concatenate([shape(identity, actions)["jaw"].reshape(-1, 2), [(0.0, -0.9)]])
    corners, eyes = (
        (canvas.place(points, depth) + 0.5) / SUPERSAMPLING - 0.5
        for points, depth in ((outline, 0.0), (eye_centres(identity), None))
    )
    return DrawnFace(
        box=(*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist()),
        left_eye=tuple(eyes[1].tolist()),
        right_eye=tuple(eyes[0].tolist()),
        expression=expression,
    )


# People who show the range: eight for the default setting, three for the hard one.
SHEET_EASY = (30, 25, 31, 60, 63, 4, 44, 58)
SHEET_HARD = (84, 85, 87)


def contact_sheet(
    path: str | Path, *, easy: Sequence[int] = SHEET_EASY, hard: Sequence[int] = SHEET_HARD, size: int = 80
) -> None:
    """Write a PNG of drawn faces: a row for each expression, a column for each seed, the hard setting to the right."""
    gap = np.full((size, 10, 3), 255, np.uint8)
    rows = []
    for expression in PROTOTYPES:
        label = np.full((size, 96, 3), 255, np.uint8)
        cv2.putText(label, expression, (6, size // 2 + 4), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (40, 40, 40), 1, cv2.LINE_AA)
        clear = [draw(seed, expression, size=size) for seed in easy]
        blurred = [draw(seed, expression, size=size, hard=True) for seed in hard]
        rows.append(np.concatenate([label, *clear, gap, *blurred], axis=1))
    # A palette, since noise makes a PNG of all colours three times as large.
    sheet = Image.fromarray(np.concatenate(rows))
    palette = sheet.quantize(256, method=Image.Quantize.FASTOCTREE)
    with replacing(path) as temporary:
        sheet.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(temporary, "PNG", optimize=True)
