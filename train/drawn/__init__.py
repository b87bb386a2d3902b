"""Faces drawn by the project: expressions for demos and tests without a picture of anybody."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from keras_fer.errors import InputError
from keras_fer.files import replacing
from train.drawn.actions import PROTOTYPES, sample_actions
from train.drawn.camera import develop, light_up, occlude, paint_backdrop
from train.drawn.paint import Canvas
from train.drawn.person import sample_identity, sample_view
from train.drawn.portrait import draw_person

SUPERSAMPLING = 2


def draw(seed: int, expression: str, *, size: int = 96, hard: bool = False) -> np.ndarray:
    """Draw a face that shows an expression.

    One seed is one person: it has the same identity in every expression. The rest (strength, pose, light, camera)
    follows from seed, expression and `hard`.

    Args:
        seed: any non-negative integer.
        expression: a name of `keras_fer.expressions.EXPRESSIONS`.
        size: side of the square picture in pixels.
        hard: weak and mixed expressions, wide poses and lights, occlusion, blur and noise.

    Returns:
        (size, size, 3) uint8 RGB, the same for the same arguments on every machine.

    Raises:
        InputError: an expression that is not known.
    """
    if expression not in PROTOTYPES:
        raise InputError(f"cannot draw {expression!r}; known expressions are {', '.join(PROTOTYPES)}")
    identity = sample_identity(np.random.default_rng([seed, 0]))
    rng = np.random.default_rng([seed, 1, list(PROTOTYPES).index(expression), hard])
    view = sample_view(rng, hard)
    actions = sample_actions(rng, expression, rng.uniform(0.3 if hard else 0.7, 1))

    side = size * SUPERSAMPLING
    pixels = np.empty((3, side, side), np.float32)
    paint_backdrop(pixels, view, rng)
    centre = (side * (0.5 + view.shift[0]), side * (0.5 + view.shift[1]))
    canvas = Canvas(pixels, centre, side * view.scale, view.roll, (np.sin(view.yaw), np.sin(view.pitch)))
    draw_person(canvas, identity, actions, view)
    occlude(canvas, identity, view, rng)
    light_up(canvas, view)
    return develop(pixels, view, rng, supersampling=SUPERSAMPLING)


def contact_sheet(path: str | Path, *, identities: int = 8, size: int = 96, seed: int = 0, hard: bool = False) -> None:
    """Write a picture with one row an expression and one column a person."""
    rows = []
    for expression in PROTOTYPES:
        label = np.full((size, 110, 3), 255, np.uint8)
        cv2.putText(label, expression, (6, size // 2 + 5), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (40, 40, 40), 1, cv2.LINE_AA)
        faces = [draw(seed + i, expression, size=size, hard=hard) for i in range(identities)]
        rows.append(np.concatenate([label, *faces], axis=1))
    with replacing(path) as temporary:
        cv2.imwrite(str(temporary), cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR))
