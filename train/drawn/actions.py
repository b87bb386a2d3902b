"""Facial action units and how they move a face.

Expressions are the emotion prototypes of the Facial Action Coding System (Ekman & Friesen, *Facial Action Coding
System*, 1978; EMFACS in Ekman, Friesen & Hager, *FACS Investigator's Guide*, 2002): happiness 6+12, sadness 1+4+15,
surprise 1+2+5+26, fear 1+2+4+5+7+20+26, disgust 9+15+16, anger 4+5+7+23, contempt one-sided 12+14, and neutral none.

The face is a linear model in the manner of Candide-3 (Ahlberg, 2001): control points at rest plus, for each action
unit, a displacement times its intensity in 0..1. Everything is given for one half of the face and mirrored.
"""

import numpy as np

from train.drawn.person import Identity

# Expression: {action unit: (lowest, highest intensity at full strength)}; units that often come along start at 0.
PROTOTYPES: dict[str, dict[int, tuple[float, float]]] = {
    "neutral": {},
    "happiness": {6: (0.6, 1.0), 12: (0.75, 1.0), 25: (0.0, 1.0)},
    "sadness": {1: (0.8, 1.0), 4: (0.5, 0.9), 15: (0.75, 1.0), 17: (0.2, 0.8), 43: (0.1, 0.4)},
    "surprise": {1: (0.8, 1.0), 2: (0.8, 1.0), 5: (0.6, 1.0), 25: (0.3, 0.6), 26: (0.6, 1.0)},
    "fear": {1: (0.8, 1.0), 2: (0.3, 0.6), 4: (0.6, 0.9), 5: (0.7, 1.0), 7: (0.2, 0.5), 20: (0.8, 1.0), 25: (0.5, 0.9), 26: (0.1, 0.4)},
    "disgust": {9: (0.8, 1.0), 10: (0.4, 0.9), 15: (0.4, 0.8), 16: (0.6, 1.0), 25: (0.0, 0.3)},
    "anger": {4: (0.85, 1.0), 5: (0.3, 0.7), 7: (0.6, 1.0), 23: (0.7, 1.0), 17: (0.0, 0.4)},
    "contempt": {12: (0.5, 0.8), 14: (0.7, 1.0)},
}  # fmt: skip
UNILATERAL = ("contempt",)

# Control points of the picture's right half, face units.
REST = {
    "brow": [(0.17, -0.30), (0.33, -0.37), (0.52, -0.38), (0.72, -0.27)],
    "upper_lid": [(0.19, 0.025), (0.29, -0.085), (0.41, -0.13), (0.54, -0.085), (0.64, 0.0)],
    "lower_lid": [(0.19, 0.025), (0.29, 0.07), (0.41, 0.10), (0.53, 0.075), (0.64, 0.0)],
    "wing": [(0.11, 0.38), (0.20, 0.42), (0.21, 0.52), (0.13, 0.56)],
    "fold": [(0.23, 0.46), (0.34, 0.59), (0.44, 0.74), (0.48, 0.90)],
    "lip_top": [(0.0, 0.755), (0.08, 0.73), (0.22, 0.775), (0.37, 0.83)],
    "seam_top": [(0.0, 0.83), (0.11, 0.825), (0.23, 0.825), (0.37, 0.83)],
    "seam_bottom": [(0.0, 0.83), (0.11, 0.83), (0.23, 0.83), (0.37, 0.83)],
    "lip_bottom": [(0.0, 0.945), (0.11, 0.94), (0.24, 0.90), (0.37, 0.83)],
    "jaw": [(0.97, -0.30), (0.96, 0.15), (0.88, 0.60), (0.67, 1.00), (0.35, 1.25), (0.0, 1.32)],
}  # fmt: skip

_UP, _DOWN = -1.0, 1.0

# Action unit: {part: displacement of each control point at intensity 1}.
MOVES: dict[int, dict[str, list[tuple[float, float]]]] = {
    1: {"brow": [(0.0, -0.17), (0.0, -0.09), (0.0, -0.01), (0.0, 0.01)], "upper_lid": [(0, 0), (0, -0.02), (0, 0), (0, 0.01), (0, 0)]},
    2: {"brow": [(0.0, -0.03), (0.0, -0.10), (0.0, -0.15), (0.02, -0.11)]},
    4: {"brow": [(-0.07, 0.12), (-0.05, 0.10), (-0.03, 0.04), (0.0, 0.0)], "upper_lid": [(0, 0), (0, 0.03), (0, 0.02), (0, 0), (0, 0)]},
    5: {"upper_lid": [(0, 0), (0, -0.055), (0, -0.085), (0, -0.06), (0, 0)], "lower_lid": [(0, 0), (0, 0.01), (0, 0.02), (0, 0.01), (0, 0)]},
    6: {"lower_lid": [(0, 0), (0, -0.035), (0, -0.07), (0, -0.06), (0.01, 0)], "upper_lid": [(0, 0), (0, 0.01), (0, 0.02), (0, 0.03), (0.01, 0)], "brow": [(0, 0), (0, 0), (0, 0.01), (0, 0.03)]},
    7: {"upper_lid": [(0, 0), (0, 0.02), (0, 0.035), (0, 0.02), (0, 0)], "lower_lid": [(0, 0), (0, -0.03), (0, -0.05), (0, -0.04), (0, 0)]},
    9: {"brow": [(-0.03, 0.10), (-0.01, 0.08), (0, 0.04), (0, 0.02)], "upper_lid": [(0, 0.01), (0, 0.05), (0, 0.05), (0, 0.03), (0, 0)], "lower_lid": [(0, -0.01), (0, -0.045), (0, -0.05), (0, -0.03), (0, 0)], "wing": [(0.01, -0.07), (0.04, -0.08), (0.04, -0.06), (0.01, -0.03)], "fold": [(0.02, -0.07), (0.03, -0.03), (0.03, 0.0), (0.02, 0.0)], "lip_top": [(0, -0.04), (0, -0.05), (0.01, -0.05), (0, 0)], "seam_top": [(0, -0.03), (0, -0.04), (0, -0.04), (0, 0)]},
    10: {"lip_top": [(0, -0.05), (0, -0.07), (0.01, -0.07), (0, 0)], "seam_top": [(0, -0.04), (0, -0.06), (0, -0.06), (0, 0)], "wing": [(0, -0.01), (0.01, -0.02), (0.01, -0.02), (0, -0.01)]},
    12: {"lip_top": [(0, 0.01), (0.02, 0.01), (0.06, -0.035), (0.12, -0.13)], "seam_top": [(0, 0.015), (0.02, 0.01), (0.06, -0.03), (0.12, -0.13)], "seam_bottom": [(0, 0.015), (0.02, 0.01), (0.06, -0.03), (0.12, -0.13)], "lip_bottom": [(0, -0.005), (0.03, -0.01), (0.07, -0.045), (0.12, -0.13)], "fold": [(0.01, -0.02), (0.05, -0.03), (0.08, -0.03), (0.10, -0.04)], "wing": [(0, 0), (0.015, 0), (0.02, -0.01), (0, 0)], "jaw": [(0, 0), (0.01, -0.01), (0.02, -0.02), (0.01, -0.01), (0, -0.01), (0, -0.01)]},
    14: {"lip_top": [(0, 0), (0, 0), (0.03, 0.0), (0.06, -0.03)], "seam_top": [(0, 0), (0, 0), (0.03, -0.01), (0.06, -0.03)], "seam_bottom": [(0, 0), (0, 0), (0.03, -0.01), (0.06, -0.03)], "lip_bottom": [(0, 0), (0, -0.01), (0.03, -0.03), (0.06, -0.03)]},
    15: {"lip_top": [(0, -0.02), (0, -0.02), (0.0, 0.01), (0.0, 0.12)], "seam_top": [(0, -0.03), (0, -0.025), (0.0, 0.01), (0.0, 0.12)], "seam_bottom": [(0, -0.03), (0, -0.025), (0.0, 0.01), (0.0, 0.12)], "lip_bottom": [(0, -0.03), (0, -0.025), (0.0, 0.01), (0.0, 0.12)]},
    16: {"seam_bottom": [(0, 0.07), (0, 0.075), (0.01, 0.05), (0, 0)], "lip_bottom": [(0, 0.07), (0, 0.08), (0.02, 0.06), (0, 0)]},
    17: {"lip_top": [(0, -0.03), (0, -0.025), (0, -0.01), (0, 0.03)], "seam_top": [(0, -0.045), (0, -0.035), (0, -0.01), (0, 0.03)], "seam_bottom": [(0, -0.045), (0, -0.035), (0, -0.01), (0, 0.03)], "lip_bottom": [(0, -0.04), (0, -0.035), (0, -0.01), (0, 0.03)], "jaw": [(0, 0), (0, 0), (0, 0), (0, 0), (0, -0.01), (0, -0.03)]},
    20: {"lip_top": [(0, 0.02), (0.03, 0.02), (0.08, 0.02), (0.14, 0.03)], "seam_top": [(0, 0), (0.03, 0), (0.08, 0.01), (0.14, 0.03)], "seam_bottom": [(0, 0.02), (0.03, 0.03), (0.10, 0.05), (0.14, 0.03)], "lip_bottom": [(0, 0.0), (0.04, 0.01), (0.11, 0.04), (0.14, 0.03)]},
    23: {"lip_top": [(0, 0.035), (-0.02, 0.05), (-0.05, 0.025), (-0.08, 0.01)], "seam_top": [(0, 0), (-0.02, 0), (-0.05, 0.0), (-0.08, 0.01)], "seam_bottom": [(0, 0), (-0.02, 0), (-0.05, 0.0), (-0.08, 0.01)], "lip_bottom": [(0, -0.05), (-0.02, -0.05), (-0.05, -0.035), (-0.08, 0.01)]},
    25: {"seam_top": [(0, -0.015), (0, -0.015), (0, -0.01), (0, 0)], "seam_bottom": [(0, 0.12), (0, 0.115), (0, 0.08), (0, 0)], "lip_bottom": [(0, 0.11), (0, 0.105), (0, 0.08), (0, 0)], "lip_top": [(0, -0.01), (0, -0.01), (0, 0), (0, 0)], "jaw": [(0, 0), (0, 0), (0, 0.01), (0, 0.02), (0, 0.04), (0, 0.05)]},
    26: {"seam_top": [(0, -0.02), (-0.01, -0.02), (-0.03, -0.01), (-0.07, 0.09)], "lip_top": [(0, -0.015), (-0.01, -0.015), (-0.03, -0.02), (-0.07, 0.09)], "seam_bottom": [(0, 0.27), (0, 0.26), (-0.01, 0.21), (-0.07, 0.09)], "lip_bottom": [(0, 0.25), (0, 0.25), (-0.01, 0.20), (-0.07, 0.09)], "jaw": [(0, 0), (0, 0.01), (-0.01, 0.04), (-0.02, 0.10), (-0.01, 0.17), (0, 0.19)], "fold": [(0, 0), (-0.01, 0.03), (-0.02, 0.08), (-0.01, 0.13)]},
    43: {"upper_lid": [(0, 0.01), (0, 0.09), (0, 0.13), (0, 0.10), (0, 0)]},
}  # fmt: skip

UNITS = tuple(MOVES)
_PARTS = {}
for _name, _points in REST.items():
    _begin = sum(len(p) for p in list(REST.values())[: len(_PARTS)])
    _PARTS[_name] = slice(_begin, _begin + len(_points))
_REST = np.concatenate([np.array(points) for points in REST.values()])
_MOVES = np.zeros((len(UNITS), *_REST.shape))
for _row, _moves in enumerate(MOVES.values()):
    for _part, _offsets in _moves.items():
        _MOVES[_row, _PARTS[_part]] = _offsets


def sample_actions(rng: np.random.Generator, expression: str, strength: float) -> dict[int, np.ndarray]:
    """Action unit intensities (picture's left side, right side) of one face that shows `expression`.

    Every unit of the prototype varies by itself, the two sides differ a little, and faint units that do not belong to
    it come along, as on real faces.
    """
    table = np.zeros((len(UNITS), 2))
    table += 0.1 * rng.uniform(size=(len(UNITS), 1)) ** 2
    table[UNITS.index(26)] = table[UNITS.index(43)] = 0
    for unit, (low, high) in PROTOTYPES[expression].items():
        table[UNITS.index(unit)] = strength * rng.uniform(low, high)
    table *= 1 + 0.12 * rng.uniform(-1, 1, table.shape)
    if expression in UNILATERAL:
        table[:, rng.integers(2)] *= 0.1
    return dict(zip(UNITS, np.clip(table, 0, 1)))


def shape(identity: Identity, actions: dict[int, np.ndarray]) -> dict[str, np.ndarray]:
    """Control points (2 sides, n, 2) of each part of a face, in face units, the picture's left side first."""
    intensities = np.zeros((len(UNITS), 2))
    for unit, intensity in actions.items():
        intensities[UNITS.index(unit)] = intensity
    half = _rest(identity) + np.einsum("us,unc->snc", intensities, _MOVES)
    middle = _REST[:, 0] == 0
    half[:, middle] = half[:, middle].mean(axis=0)
    half[0, :, 0] *= -1
    parts = {name: half[:, place] for name, place in _PARTS.items()}
    # Lids and lips that meet do not cross.
    np.maximum(parts["lower_lid"][..., 1], parts["upper_lid"][..., 1], out=parts["lower_lid"][..., 1])
    np.maximum(parts["seam_bottom"][..., 1], parts["seam_top"][..., 1], out=parts["seam_bottom"][..., 1])
    return parts


def _rest(identity: Identity) -> np.ndarray:
    """The control points of this person's face at rest."""
    points = _REST.copy()
    eye = np.array([0.41, 0.0])
    for lid in ("upper_lid", "lower_lid"):
        points[_PARTS[lid]] = (points[_PARTS[lid]] - eye) * (1 + 0.12 * identity.eye_size) + eye
        points[_PARTS[lid], 1] -= 0.12 * identity.eye_tilt * (points[_PARTS[lid], 0] - 0.41)
    for part in ("upper_lid", "lower_lid", "brow"):
        points[_PARTS[part], 0] += 0.035 * identity.eye_distance
    points[_PARTS["brow"], 1] -= 0.03 * identity.brow_height + 0.03 * identity.brow_arch * np.array(
        [-0.5, 0.5, 1, -0.5]
    )
    points[_PARTS["wing"], 0] *= 1 + 0.2 * identity.nose_width
    points[_PARTS["wing"], 1] += 0.03 * identity.nose_length
    for part in ("lip_top", "seam_top", "seam_bottom", "lip_bottom"):
        points[_PARTS[part], 0] *= 1 + 0.1 * identity.mouth_width
    seam = points[_PARTS["seam_top"], 1]
    for part in ("lip_top", "lip_bottom"):
        points[_PARTS[part], 1] = seam + (points[_PARTS[part], 1] - seam) * (1 + 0.25 * identity.lip_fullness)
    points[_PARTS["jaw"], 0] *= 1 + 0.05 * identity.width + 0.06 * identity.jaw * np.array([0, 0, 0.4, 1, 1.4, 0])
    points[_PARTS["jaw"], 1] += 0.06 * identity.chin * np.array([0, 0, 0.2, 0.5, 1, 1])
    return points
