"""Facial action units and how they move a face.

Expressions are the emotion prototypes of the Facial Action Coding System (Ekman and Friesen, *Facial Action Coding
System*, 1978; EMFACS tables in Ekman, Friesen and Hager, *FACS Investigator's Guide*, 2002):

    happiness  6 cheek raiser, 12 lip corner puller
    sadness    1 inner brow raiser, 4 brow lowerer, 15 lip corner depressor
    surprise   1, 2 outer brow raiser, 5 upper lid raiser, 26 jaw drop
    fear       1, 2, 4, 5, 7 lid tightener, 20 lip stretcher, 26
    disgust    9 nose wrinkler, 15, 16 lower lip depressor
    anger      4, 5, 7, 23 lip tightener
    contempt   12 and 14 dimpler, on one side
    neutral    none

The face is a linear model in the manner of Candide-3 (Ahlberg, *CANDIDE-3: an updated parameterised face*, 2001):
control points at rest plus, for each action unit, a displacement times its intensity in 0..1. Units that change each
other's look together (FACS describes 1+4 by itself, for example) have a further displacement, times both intensities.
Everything is given for the picture's right half of the face and mirrored.
"""

import numpy as np

from keras_fer.errors import InputError
from train.drawn.paint import mirror
from train.drawn.person import Identity

# {expression: {action unit: lowest and highest intensity at full strength}}. Beside the prototype's own units stand
# those of its variants: parted lips (25), a raised chin (17), a raised upper lip (10), slack lids (43).
PROTOTYPES: dict[str, dict[int, tuple[float, float]]] = {
    "neutral": {},
    "happiness": {6: (0.6, 1.0), 12: (0.75, 1.0), 25: (0.0, 1.0)},
    "sadness": {1: (0.8, 1.0), 4: (0.5, 0.9), 15: (0.75, 1.0), 17: (0.2, 0.8), 43: (0.15, 0.4)},
    "surprise": {1: (0.8, 1.0), 2: (0.8, 1.0), 5: (0.6, 1.0), 25: (0.2, 0.5), 26: (0.6, 1.0)},
    "fear": {
        1: (0.8, 1.0), 2: (0.3, 0.6), 4: (0.6, 0.9), 5: (0.7, 1.0), 7: (0.1, 0.4),
        20: (0.8, 1.0), 25: (0.5, 0.9), 26: (0.1, 0.4),
    },
    "disgust": {9: (0.8, 1.0), 10: (0.5, 1.0), 15: (0.4, 0.8), 16: (0.6, 1.0), 25: (0.0, 0.3)},
    "anger": {4: (0.85, 1.0), 5: (0.3, 0.7), 7: (0.6, 1.0), 17: (0.0, 0.4), 23: (0.7, 1.0)},
    "contempt": {12: (0.5, 0.8), 14: (0.7, 1.0)},
}  # fmt: skip
UNILATERAL = ("contempt",)

# Control points in face units; lines across the face start at its middle.
REST = {
    "brow": [(0.17, -0.32), (0.33, -0.375), (0.52, -0.38), (0.72, -0.28)],
    "upper_lid": [(0.19, 0.025), (0.29, -0.085), (0.41, -0.13), (0.54, -0.085), (0.64, 0.0)],
    "lower_lid": [(0.19, 0.025), (0.29, 0.07), (0.41, 0.10), (0.53, 0.075), (0.64, 0.0)],
    "wing": [(0.11, 0.38), (0.20, 0.42), (0.21, 0.52), (0.13, 0.56)],
    "fold": [(0.23, 0.46), (0.34, 0.59), (0.44, 0.74), (0.48, 0.90)],
    "lip_top": [(0.0, 0.755), (0.08, 0.735), (0.22, 0.775), (0.37, 0.815)],
    "seam_top": [(0.0, 0.83), (0.11, 0.825), (0.23, 0.823), (0.37, 0.815)],
    "seam_bottom": [(0.0, 0.83), (0.11, 0.825), (0.23, 0.823), (0.37, 0.815)],
    "lip_bottom": [(0.0, 0.94), (0.11, 0.935), (0.24, 0.895), (0.37, 0.815)],
    "jaw": [(0.0, 1.32), (0.35, 1.25), (0.67, 1.00), (0.88, 0.60), (0.96, 0.15), (0.97, -0.30)],
}  # fmt: skip

# {action units: {part: displacement of each of its control points at intensity 1}}.
MOVES: dict[tuple[int, ...], dict[str, list[tuple[float, float]]]] = {
    (1,): {
        "brow": [(0, -0.17), (0, -0.09), (0, -0.01), (0, 0.01)],
        "upper_lid": [(0, 0), (0, -0.02), (0, 0), (0, 0.01), (0, 0)],
    },
    (2,): {"brow": [(0, -0.03), (0, -0.10), (0, -0.15), (0.02, -0.11)]},
    (4,): {
        "brow": [(-0.07, 0.12), (-0.05, 0.10), (-0.03, 0.04), (0, 0)],
        "upper_lid": [(0, 0), (0, 0.03), (0, 0.02), (0, 0), (0, 0)],
    },
    (1, 4): {
        "brow": [(0, -0.10), (0, -0.06), (0, 0.02), (0, 0.03)],
        "upper_lid": [(0, 0), (0, -0.03), (0, -0.01), (0, 0.02), (0, 0.01)],
    },
    (5,): {
        "upper_lid": [(0, 0), (0, -0.055), (0, -0.085), (0, -0.06), (0, 0)],
        "lower_lid": [(0, 0), (0, 0.01), (0, 0.02), (0, 0.01), (0, 0)],
    },
    (6,): {
        "brow": [(0, 0), (0, 0), (0, 0.01), (0, 0.03)],
        "upper_lid": [(0, 0), (0, 0.01), (0, 0.02), (0, 0.03), (0.01, 0)],
        "lower_lid": [(0, 0), (0, -0.035), (0, -0.07), (0, -0.06), (0.01, 0)],
    },
    (7,): {
        "upper_lid": [(0, 0), (0, 0.02), (0, 0.035), (0, 0.02), (0, 0)],
        "lower_lid": [(0, 0), (0, -0.03), (0, -0.05), (0, -0.04), (0, 0)],
    },
    (9,): {
        "brow": [(-0.03, 0.10), (-0.01, 0.08), (0, 0.04), (0, 0.02)],
        "upper_lid": [(0, 0.01), (0, 0.05), (0, 0.05), (0, 0.03), (0, 0)],
        "lower_lid": [(0, -0.01), (0, -0.045), (0, -0.05), (0, -0.03), (0, 0)],
        "wing": [(0.01, -0.07), (0.04, -0.08), (0.04, -0.06), (0.01, -0.03)],
        "fold": [(0.02, -0.07), (0.03, -0.03), (0.03, 0), (0.02, 0)],
        "lip_top": [(0, -0.04), (0, -0.05), (0.01, -0.05), (0, 0)],
        "seam_top": [(0, -0.03), (0, -0.04), (0, -0.04), (0, 0)],
    },
    (10,): {
        "wing": [(0, -0.01), (0.01, -0.02), (0.01, -0.02), (0, -0.01)],
        "lip_top": [(0, -0.05), (0, -0.07), (0.01, -0.07), (0, 0)],
        "seam_top": [(0, -0.04), (0, -0.06), (0, -0.06), (0, 0)],
    },
    (12,): {
        "wing": [(0, 0), (0.015, 0), (0.02, -0.01), (0, 0)],
        "fold": [(0.01, -0.02), (0.05, -0.03), (0.08, -0.03), (0.10, -0.04)],
        "lip_top": [(0, 0.01), (0.02, 0.01), (0.06, -0.035), (0.13, -0.12)],
        "seam_top": [(0, 0.02), (0.02, 0.015), (0.06, -0.025), (0.13, -0.12)],
        "seam_bottom": [(0, 0.02), (0.02, 0.015), (0.06, -0.025), (0.13, -0.12)],
        "lip_bottom": [(0, 0), (0.03, -0.005), (0.07, -0.045), (0.13, -0.12)],
        "jaw": [(0, -0.01), (0, -0.01), (0.01, -0.01), (0.02, -0.02), (0.01, -0.01), (0, 0)],
    },
    (14,): {
        "lip_top": [(0, 0), (0, 0), (0.03, 0), (0.06, -0.03)],
        "seam_top": [(0, 0), (0, 0), (0.03, -0.01), (0.06, -0.03)],
        "seam_bottom": [(0, 0), (0, 0), (0.03, -0.01), (0.06, -0.03)],
        "lip_bottom": [(0, 0), (0, -0.01), (0.03, -0.03), (0.06, -0.03)],
    },
    (15,): {
        "lip_top": [(0, -0.02), (0, -0.02), (0, 0.01), (0, 0.12)],
        "seam_top": [(0, -0.03), (0, -0.025), (0, 0.01), (0, 0.12)],
        "seam_bottom": [(0, -0.03), (0, -0.025), (0, 0.01), (0, 0.12)],
        "lip_bottom": [(0, -0.03), (0, -0.025), (0, 0.01), (0, 0.12)],
    },
    (16,): {
        "seam_bottom": [(0, 0.07), (0, 0.075), (0.01, 0.05), (0, 0)],
        "lip_bottom": [(0, 0.07), (0, 0.08), (0.02, 0.06), (0, 0)],
    },
    (17,): {
        "lip_top": [(0, -0.03), (0, -0.025), (0, -0.01), (0, 0.03)],
        "seam_top": [(0, -0.045), (0, -0.035), (0, -0.01), (0, 0.03)],
        "seam_bottom": [(0, -0.045), (0, -0.035), (0, -0.01), (0, 0.03)],
        "lip_bottom": [(0, -0.04), (0, -0.035), (0, -0.01), (0, 0.03)],
        "jaw": [(0, -0.03), (0, -0.01), (0, 0), (0, 0), (0, 0), (0, 0)],
    },
    (20,): {
        "lip_top": [(0, 0.02), (0.03, 0.02), (0.08, 0.02), (0.14, 0.03)],
        "seam_top": [(0, 0), (0.03, 0), (0.08, 0.01), (0.14, 0.03)],
        "seam_bottom": [(0, 0.02), (0.03, 0.03), (0.10, 0.05), (0.14, 0.03)],
        "lip_bottom": [(0, 0), (0.04, 0.01), (0.11, 0.04), (0.14, 0.03)],
    },
    (23,): {
        "lip_top": [(0, 0.035), (-0.02, 0.05), (-0.05, 0.025), (-0.08, 0.015)],
        "seam_top": [(0, 0), (-0.02, 0), (-0.05, 0), (-0.08, 0.015)],
        "seam_bottom": [(0, 0), (-0.02, 0), (-0.05, 0), (-0.08, 0.015)],
        "lip_bottom": [(0, -0.05), (-0.02, -0.05), (-0.05, -0.035), (-0.08, 0.015)],
    },
    (25,): {
        "lip_top": [(0, -0.01), (0, -0.01), (0, 0), (0, 0)],
        "seam_top": [(0, -0.015), (0, -0.015), (0, -0.01), (0, 0)],
        "seam_bottom": [(0, 0.12), (0, 0.115), (0, 0.08), (0, 0)],
        "lip_bottom": [(0, 0.11), (0, 0.105), (0, 0.08), (0, 0)],
        "jaw": [(0, 0.05), (0, 0.04), (0, 0.02), (0, 0.01), (0, 0), (0, 0)],
    },
    (12, 25): {
        "seam_bottom": [(0, 0.07), (0, 0.065), (0, 0.045), (0, 0)],
        "lip_bottom": [(0, 0.05), (0, 0.05), (0.01, 0.045), (0, 0)],
    },
    (26,): {
        "fold": [(0, 0), (-0.01, 0.03), (-0.02, 0.08), (-0.01, 0.13)],
        "lip_top": [(0, -0.02), (-0.01, -0.02), (-0.04, -0.02), (-0.10, 0.11)],
        "seam_top": [(0, -0.02), (-0.01, -0.02), (-0.04, -0.01), (-0.10, 0.11)],
        "seam_bottom": [(0, 0.31), (0, 0.30), (-0.02, 0.24), (-0.10, 0.11)],
        "lip_bottom": [(0, 0.29), (0, 0.29), (-0.02, 0.23), (-0.10, 0.11)],
        "jaw": [(0, 0.21), (-0.01, 0.19), (-0.03, 0.12), (-0.02, 0.05), (0, 0.01), (0, 0)],
    },
    (43,): {"upper_lid": [(0, 0.01), (0, 0.09), (0, 0.13), (0, 0.10), (0, 0)]},
}

UNITS = tuple(units[0] for units in MOVES if len(units) == 1)


def _layout() -> tuple[dict[str, slice], np.ndarray, np.ndarray]:
    """Where each part lies in the list of all control points, that list (n, 2), and the moves (len(MOVES), n, 2)."""
    ends = np.cumsum([len(points) for points in REST.values()])
    parts = {name: slice(end - len(points), end) for (name, points), end in zip(REST.items(), ends)}
    moves = np.zeros((len(MOVES), ends[-1], 2))
    for row, move in zip(moves, MOVES.values()):
        for part, displacement in move.items():
            row[parts[part]] = displacement
    return parts, np.concatenate([np.array(points) for points in REST.values()]), moves


_PARTS, _REST, _MOVES = _layout()
_MIDDLE = _REST[:, 0] == 0


def sample_actions(rng: np.random.Generator, expression: str, strength: float) -> dict[int, np.ndarray]:
    """Intensities in 0..1 of every action unit on a face that shows `expression`, each (picture's left, right side).

    The prototype's units vary one by one, the sides differ a little, and faint units that do not belong to the
    expression come along, as on real faces.

    Raises:
        InputError: an expression that is not known.
    """
    if expression not in PROTOTYPES:
        raise InputError(f"cannot draw {expression!r}; known expressions are {', '.join(PROTOTYPES)}")
    stray = 0.08 * rng.uniform(size=len(UNITS)) ** 2
    unevenness = 1 + 0.12 * rng.uniform(-1, 1, (len(UNITS), 2))
    actions = {unit: stray[i] * unevenness[i] for i, unit in enumerate(UNITS)}
    for unit, (low, high) in PROTOTYPES[expression].items():
        actions[unit] = strength * rng.uniform(low, high) * unevenness[UNITS.index(unit)]
    if expression in UNILATERAL:
        side = np.eye(2)[rng.integers(2)]
        actions = {unit: intensity * (0.1 + 0.9 * side) for unit, intensity in actions.items()}
    return {unit: intensity.clip(0, 1) for unit, intensity in actions.items()}


def shape(identity: Identity, actions: dict[int, np.ndarray | float]) -> dict[str, np.ndarray]:
    """Control points (2 sides, n, 2) of each part of a face, in face units, the picture's left side first.

    `actions` maps action units to intensities in 0..1, one number or one a side; units that it leaves out are at rest.
    """
    still = np.zeros(2)
    intensity = [np.prod([still + actions.get(unit, still) for unit in units], axis=0) for units in MOVES]
    points = _rest(identity) + np.tensordot(intensity, _MOVES, axes=(0, 0))
    points[:, _MIDDLE] = points[:, _MIDDLE].mean(axis=0)  # the halves meet
    points[0] *= (-1, 1)
    parts = {name: points[:, place] for name, place in _PARTS.items()}
    for above, below in (("upper_lid", "lower_lid"), ("seam_top", "seam_bottom")):  # lids and lips do not cross
        np.maximum(parts[above][..., 1], parts[below][..., 1], out=parts[below][..., 1])
    return parts


def _rest(identity: Identity) -> np.ndarray:
    """The control points (n, 2) of this person's face at rest, one half."""
    points = _REST.copy()
    x, y = ({name: points[place, axis] for name, place in _PARTS.items()} for axis in (0, 1))  # views
    for lid in ("upper_lid", "lower_lid"):
        y[lid] *= 1 + 0.12 * identity.eye_size
        x[lid] += 0.12 * identity.eye_size * (x[lid] - 0.41)
        y[lid] -= 0.12 * identity.eye_tilt * (x[lid] - 0.41)
        x[lid] += 0.035 * identity.eye_distance
    x["brow"] += 0.035 * identity.eye_distance
    y["brow"] -= 0.03 * identity.brow_height + 0.03 * identity.brow_arch * np.array([-0.5, 0.5, 1, -0.5])
    x["wing"] *= 1 + 0.2 * identity.nose_width
    y["wing"] += 0.03 * identity.nose_length
    for lip in ("lip_top", "lip_bottom"):
        y[lip] += 0.25 * identity.lip_fullness * (y[lip] - y["seam_top"])
    for line in ("lip_top", "seam_top", "seam_bottom", "lip_bottom"):
        x[line] *= 1 + 0.1 * identity.mouth_width
    x["jaw"] *= 1 + 0.05 * identity.width + 0.06 * identity.jaw * np.array([0, 1.4, 1, 0.4, 0, 0])
    y["jaw"] += 0.06 * identity.chin * np.array([1, 1, 0.5, 0.2, 0, 0])
    return points


def eye_centres(identity: Identity) -> np.ndarray:
    """The middles (2, 2) of the eyes at rest, in face units, the picture's left one first."""
    return mirror((0.41 + 0.035 * identity.eye_distance, -0.015))
