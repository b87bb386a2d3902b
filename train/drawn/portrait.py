"""Drawing one person on a canvas, from the hair behind the head to the glasses on the nose."""

from dataclasses import dataclass

import numpy as np

from train.drawn.actions import eye_centres, shape
from train.drawn.hair import FALLING, draw_back_hair, draw_beard, draw_hair
from train.drawn.paint import DOWN, WHITE, Canvas, disc, fill, joined, mirror, ribbon, ring, smooth
from train.drawn.person import Identity, View

BLACK = np.array([18.0, 12.0, 14.0])
FRAME = np.array([40.0, 34.0, 38.0])
TOOTH = np.array([246.0, 243.0, 236.0])
TONGUE = np.array([186.0, 88.0, 88.0])
THROAT = np.array([72.0, 22.0, 26.0])


@dataclass(frozen=True)
class Palette:
    """The colours that follow from a person's skin, RGB in 0..255."""

    skin: np.ndarray
    shade: np.ndarray
    line: np.ndarray
    glow: np.ndarray
    blush: np.ndarray
    lip: np.ndarray
    eyeball: np.ndarray

    @classmethod
    def of(cls, skin: np.ndarray) -> "Palette":
        fair = skin.mean() / 255
        return cls(
            skin=skin,
            shade=skin * (0.68, 0.58, 0.56),
            line=skin * (0.45, 0.34, 0.33),
            glow=skin + (WHITE - skin) * (0.1 + 0.2 * fair),
            blush=0.55 * skin + 0.45 * np.array([220, 104, 96]) * (0.4 + 0.6 * fair),
            lip=0.5 * skin * (0.92, 0.72, 0.72) + 0.5 * np.array([190, 88, 92]) * (0.45 + 0.55 * fair),
            eyeball=np.array([246, 244, 242]) * (0.88 + 0.1 * fair),
        )


def draw_person(canvas: Canvas, identity: Identity, actions: dict[int, np.ndarray], view: View) -> None:
    """Paint a person; `actions` are the intensities (picture's left side, right side) of every action unit."""
    parts = shape(identity, actions)
    palette = Palette.of(identity.skin)
    draw_back_hair(canvas, identity)
    _body(canvas, identity, palette)
    _head(canvas, palette, parts, view)
    _relief(canvas, palette, parts)
    _folds(canvas, identity, palette, parts, actions)
    draw_beard(canvas, identity, parts)
    _mouth(canvas, palette, parts, actions)
    _nose(canvas, palette, parts, view)
    _eyes(canvas, identity, palette, parts, view)
    _brows(canvas, identity, palette, parts)
    draw_hair(canvas, identity, palette.shade)
    _glasses(canvas, identity)


NECK = [(0.0, 0.6), (0.52, 0.7), (0.5, 1.45), (0.62, 1.72), (0.0, 2.08)]
SHOULDERS = [(0.0, 1.74), (0.52, 1.7), (1.1, 1.86), (1.72, 2.2), (1.9, 3.4)]
BODY = np.concatenate([smooth(joined(mirror(SHOULDERS))), [(1.95, 16.0), (-1.95, 16.0)]])  # out of any picture
DRAPE = [(0.0, 1.0), (0.8, 1.0), (1.02, 1.5), (0.7, 2.05), (0.0, 2.25)]


def _body(canvas: Canvas, identity: Identity, palette: Palette) -> None:
    fill(canvas, BODY, identity.cloth, depth=-0.25)
    if identity.style == "scarf":
        fill(canvas, ring(DRAPE), 0.95 * identity.cloth, soft=0.03, depth=-0.1)
        return
    fill(canvas, ring(NECK), 0.9 * palette.skin, depth=-0.2)
    fill(canvas, disc((0.0, 1.2), 0.5, 0.42), palette.shade, 0.8, soft=0.14, depth=-0.1)
    if identity.style not in FALLING:
        fill(canvas, disc(mirror((1.0, 0.12)), 0.13, 0.25), 0.93 * palette.skin, depth=-0.12)
        fill(canvas, disc(mirror((1.02, 0.12)), 0.06, 0.15), palette.shade, 0.7, soft=0.05, depth=-0.12)


CROWN = [(0.0, -1.32), (0.47, -1.2), (0.83, -0.85)]


def _head(canvas: Canvas, palette: Palette, parts: dict[str, np.ndarray], view: View) -> None:
    left, right = np.concatenate([mirror(CROWN), parts["jaw"][:, ::-1]], axis=1)
    head = smooth(np.concatenate([right, left[-2:0:-1]]), closed=True)
    depth = 0.35 * np.clip((head[:, 1] - 0.1) / 1.2, 0, 1)  # the chin turns with the face, the temples stay
    fill(canvas, head, 0.45 * palette.shade + 0.55 * palette.skin, depth=depth)
    fill(canvas, head * 0.92, palette.skin, soft=0.15, depth=depth)
    for side in (-1, 1):
        towards = side * view.light[0]
        colour = palette.glow if towards > 0 else palette.shade
        fill(canvas, disc((side * 0.62, 0.25), 0.38, 0.75), colour, min(0.8, 1.4 * abs(towards)), soft=0.3)
    fill(canvas, disc((0.0, -0.68), 0.5, 0.2), palette.glow, 0.55, soft=0.2)
    fill(canvas, disc(mirror((0.55, 0.42)), 0.2, 0.14), palette.blush, 0.4, soft=0.2)


def _relief(canvas: Canvas, palette: Palette, parts: dict[str, np.ndarray]) -> None:
    """The soft lights and shades of sockets, cheekbones and chin."""
    sockets = disc(0.5 * (parts["brow"][:, 1] + parts["upper_lid"][:, 2]), 0.25, 0.1)
    fill(canvas, sockets, palette.shade, 0.3, soft=0.12)
    fill(canvas, ribbon(parts["lower_lid"][:, 1:] + 0.075 * DOWN, 0.05), palette.shade, 0.3, soft=0.06)
    fill(canvas, disc(mirror((0.62, 0.24)), 0.16, 0.07), palette.glow, 0.4, soft=0.12)
    fill(canvas, disc(parts["lip_bottom"][0, 0] + 0.07 * DOWN, 0.2, 0.04), palette.shade, 0.45, soft=0.07)
    fill(canvas, disc(parts["jaw"][0, 0] - 0.17 * DOWN, 0.17, 0.1), palette.glow, 0.3, soft=0.12)


FURROWS = mirror([(0.075, -0.38), (0.06, -0.28), (0.075, -0.19)])
NOSE_WRINKLES = mirror([[(0.03, y), (0.09, y), (0.16, y + 0.06)] for y in (0.03, 0.13)])
CROWS_FEET = mirror([[(0.74, y), (0.80, y + d / 2), (0.87, y + d)] for y, d in ((-0.03, -0.06), (0.05, 0.03))])


def _folds(
    canvas: Canvas,
    identity: Identity,
    palette: Palette,
    parts: dict[str, np.ndarray],
    actions: dict[int, np.ndarray],
) -> None:
    """The lines that the muscles press into the skin, as deep as their units are strong."""
    age = 0.25 * identity.age
    for side in (0, 1):
        unit = {number: intensity[side] for number, intensity in actions.items()}
        outwards = np.array([(-1, 1)[side], 1])
        fold = max(0.95 * unit[12], 0.9 * unit[9], 0.6 * unit[10], 0.35 * unit[20], age)
        fill(canvas, ribbon(parts["fold"][side], 0.05), palette.line, 0.55 * fold, soft=0.03)
        cheek = disc(parts["fold"][side, 1] + (0.22, -0.16) * outwards, 0.2, 0.13)
        fill(canvas, cheek, palette.glow, 0.75 * unit[6], soft=0.14)
        dimple = disc(parts["lip_top"][side, 3] + (0.06, 0) * outwards, 0.025, 0.07)
        fill(canvas, dimple, palette.line, 0.8 * unit[14], soft=0.03)
    unit = {number: intensity.mean() for number, intensity in actions.items()}
    frown = max(unit[4], unit[9])
    fill(canvas, ribbon(FURROWS + 0.08 * (frown - unit[1]) * DOWN, 0.035), palette.line, 0.65 * frown, soft=0.02)
    fill(canvas, ribbon(NOSE_WRINKLES, 0.03), palette.line, 0.5 * unit[9], soft=0.02)
    fill(canvas, ribbon(CROWS_FEET, 0.025), palette.line, (0.25 + age) * unit[6], soft=0.015)
    # The forehead creases across where the outer brows rise too, in the middle where the inner ones rise alone.
    reach = (0.22 + 0.36 * unit[2]) * np.array([-1, -0.5, 0.5, 1])
    creases = np.stack([np.stack([reach, y + np.array([0.05, 0, 0, 0.05])], axis=1) for y in (-0.62, -0.74)])
    fill(canvas, ribbon(creases, 0.03), palette.line, 0.45 * max(unit[1], unit[2]), soft=0.02)
    fill(canvas, disc(parts["jaw"][0, 0] - 0.17 * DOWN, 0.13, 0.08), palette.shade, 0.55 * unit[17], soft=0.06)


def _mouth(canvas: Canvas, palette: Palette, parts: dict[str, np.ndarray], actions: dict[int, np.ndarray]) -> None:
    lines = np.stack([joined(parts[name]) for name in ("lip_top", "seam_top", "seam_bottom", "lip_bottom")])
    top, seam_top, seam_bottom, bottom = smooth(lines)
    fill(canvas, np.concatenate([top, bottom[::-1]]), palette.lip)
    fill(canvas, np.concatenate([top, seam_top[::-1]]), palette.lip * 0.86)
    fill(canvas, ribbon((0.45 * lines[2] + 0.55 * lines[3])[1:-1], 0.05), WHITE, 0.18, soft=0.05)
    gap = np.max(seam_bottom - seam_top)
    if gap > 0.03:
        opening = np.concatenate([seam_top, seam_bottom[::-1]])
        fill(canvas, opening, THROAT)
        floor = seam_bottom[:, 1].max()
        fill(canvas, disc((0.0, floor), 0.2, 0.35 * gap), TONGUE, 2 * gap, soft=0.04, within=opening)
        unit = {number: actions[number].mean() for number in (10, 12, 16, 20)}
        showing = 0.04 + 0.07 * unit[12] + 0.05 * unit[10] + 0.03 * unit[20]
        # The rows of teeth bend less than the lips that show them.
        biting = lines[1, 3, 1] + showing + 0.5 * (seam_top[:, 1] - lines[1, 3, 1])
        upper_teeth = np.concatenate([seam_top - 0.1 * DOWN, np.stack([seam_top[:, 0], biting], axis=1)[::-1]])
        fill(canvas, upper_teeth, TOOTH, within=opening)
        lower_teeth = np.concatenate([seam_bottom - 0.06 * DOWN, (seam_bottom + 0.01 * DOWN)[::-1]]) * (0.85, 1)
        fill(canvas, lower_teeth, TOOTH * 0.96, max(unit[16], 0.8 * unit[20]), within=opening)
    fill(canvas, ribbon(lines[1], 0.03, 0.8, 0.8), palette.line * 0.75, 0.75, soft=0.01)
    fill(canvas, disc(parts["lip_top"][:, 3], 0.025), palette.line, 0.6, soft=0.03)


def _nose(canvas: Canvas, palette: Palette, parts: dict[str, np.ndarray], view: View) -> None:
    wing = parts["wing"]
    tip = np.array([0.0, wing[:, 2, 1].mean() - 0.06])
    away = -1 if view.light[0] > 0 else 1
    flank = np.array([(0.09, -0.15), (0.07, 0.1), (0.12, 0.36), (0.16, 0.46)]) * (away, 1)
    fill(canvas, ribbon(flank, 0.1), palette.shade, 0.5, soft=0.07)
    bridge = np.array([(0.0, -0.12), (0.0, 0.12), (0.0, 0.38)])
    fill(canvas, ribbon(bridge, 0.09, 0.4, 0.6), palette.glow, 0.6, soft=0.06)
    fill(canvas, disc(tip + 0.14 * DOWN, 0.2, 0.05), palette.shade, 0.6, soft=0.06)
    fill(canvas, ribbon(wing, 0.04, 0.2, 0.5), palette.line, 0.55, soft=0.025)
    fill(canvas, disc(wing[:, 3] * (0.72, 1), 0.05, 0.024), palette.line * 0.6, 0.85, soft=0.015)
    fill(canvas, disc(tip, 0.06, 0.05), WHITE, 0.28, soft=0.05, depth=1.0)


CATCH_LIGHT = np.array([-0.035, -0.04])


def _eyes(canvas: Canvas, identity: Identity, palette: Palette, parts: dict[str, np.ndarray], view: View) -> None:
    upper_lid = parts["upper_lid"]
    upper, lower = smooth(upper_lid), smooth(parts["lower_lid"])
    opening = np.concatenate([upper, lower[:, ::-1]], axis=1)
    pupils = eye_centres(identity) + np.array(view.gaze) * (0.18, 0.12)
    size = 1 + 0.12 * identity.eye_size
    fill(canvas, opening, palette.eyeball)
    fill(canvas, disc(pupils, 0.108 * size), identity.iris * 0.55, within=opening)
    fill(canvas, disc(pupils + 0.02 * DOWN, 0.08 * size), identity.iris * 1.2, soft=0.03, within=opening)
    fill(canvas, disc(pupils, 0.048 * size), BLACK, within=opening)
    lid_shadow = np.concatenate([upper - 0.02 * DOWN, (upper + 0.045 * DOWN)[:, ::-1]], axis=1)
    fill(canvas, lid_shadow, palette.shade * 0.6, 0.5, soft=0.03, within=opening)
    fill(canvas, disc(pupils + CATCH_LIGHT, 0.026), WHITE, 0.95, within=opening)
    lash = palette.line * 0.35
    fill(canvas, ribbon(upper_lid, 0.045 + 0.02 * identity.lashes, 0.3, 0.5), lash, 0.95)
    if identity.lashes > 0.55:
        flick = np.stack([upper_lid[:, 3], upper_lid[:, 4], upper_lid[:, 4] + mirror((0.05, -0.05))], axis=1)
        fill(canvas, ribbon(flick, 0.03), lash, 0.9)
    fill(canvas, ribbon(parts["lower_lid"], 0.02, 0.1, 0.6), palette.line, 0.6)
    fill(canvas, ribbon(upper_lid - 0.075 * DOWN, 0.03), palette.line, 0.5, soft=0.015)


def _brows(canvas: Canvas, identity: Identity, palette: Palette, parts: dict[str, np.ndarray]) -> None:
    hair = identity.hair
    colour = hair if hair.mean() < 60 else 0.55 * hair + 0.25 * palette.line  # fair brows still stand out
    fill(canvas, ribbon(parts["brow"], 0.105 + 0.03 * identity.brow_weight, 0.75, 0.12), colour, 0.92, soft=0.02)


SQUARE_RIM = [(-0.29, -0.19), (0, -0.21), (0.29, -0.19), (0.3, 0), (0.24, 0.21), (0, 0.23), (-0.24, 0.21), (-0.3, 0)]


def _glasses(canvas: Canvas, identity: Identity) -> None:
    if identity.glasses == "none":
        return
    eyes = eye_centres(identity)[:, None]
    rim = disc((0.0, 0.0), 0.29, 0.28) if identity.glasses == "round" else smooth(np.array(SQUARE_RIM), closed=True)
    fill(canvas, eyes + rim, WHITE, 0.07)
    frame = np.concatenate([rim, rim[:1], 0.9 * rim[:1], 0.9 * rim[::-1]])
    fill(canvas, eyes + frame, FRAME)
    inner, outer = eyes[1, 0, 0] - 0.28, eyes[1, 0, 0] + 0.28
    fill(canvas, ribbon(np.array([(-inner, -0.04), (0.0, -0.08), (inner, -0.04)]), 0.045, 1, 1), FRAME)
    fill(canvas, ribbon(mirror([(outer, -0.08), (0.85, -0.09), (0.98, -0.08)]), 0.045, 1, 1), FRAME)
