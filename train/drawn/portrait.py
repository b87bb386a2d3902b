"""Drawing one person on a canvas: from the hair behind the head to the glasses on the nose."""

import cv2
import numpy as np

from train.drawn.paint import Canvas, disc, fill, ribbon, smooth
from train.drawn.person import Identity, View

WHITE = np.array([255.0, 255.0, 255.0])
BLACK = np.array([18.0, 12.0, 14.0])


def draw_person(
    canvas: Canvas, identity: Identity, actions: dict[int, np.ndarray], parts: dict[str, np.ndarray], view: View
) -> None:
    """Paint a person; `parts` are the control points of `actions.shape`."""
    tones = Tones(identity)
    head = _outline(parts["jaw"])
    _behind(canvas, identity, tones, head)
    _head(canvas, identity, tones, head, view)
    _relief(canvas, identity, tones, actions, parts)
    _beard(canvas, identity, tones, parts)
    _mouth(canvas, identity, tones, actions, parts)
    _nose(canvas, identity, tones, actions, parts, view)
    _eyes(canvas, identity, tones, actions, parts, view)
    _brows(canvas, identity, tones, parts)
    _hair(canvas, identity, tones)
    _glasses(canvas, identity)


class Tones:
    """The colours that follow from a person's skin."""

    def __init__(self, identity: Identity):
        skin = identity.skin
        light = skin.mean() / 255
        self.skin = skin
        self.shade = skin * (0.66, 0.56, 0.54)
        self.line = skin * (0.45, 0.34, 0.33)
        self.glow = skin + (WHITE - skin) * (0.12 + 0.16 * light)
        self.blush = 0.6 * skin + 0.4 * np.array([214, 92, 84]) * (0.35 + 0.65 * light)
        self.lip = 0.5 * skin * (0.9, 0.72, 0.72) + 0.5 * np.array([186, 84, 88]) * (0.4 + 0.6 * light)
        self.mouth = np.array([70.0, 20, 24])
        self.white = np.array([244.0, 242, 240]) * (0.88 + 0.1 * light)


def _mirror(points) -> np.ndarray:
    """Both sides (2, n, 2) of a half given by its control points."""
    points = np.asarray(points, np.float64)
    return np.stack([points * (-1, 1), points])


def _round(points) -> np.ndarray:
    """The closed outline (n, 2) through a half's control points and their mirror images; runs from top to bottom."""
    left, right = _mirror(points)
    return smooth(np.concatenate([right, left[::-1]]), closed=True)


def _outline(jaw: np.ndarray) -> np.ndarray:
    left, right = jaw
    crown = np.array([(0.83, -0.85), (0.47, -1.2), (0.0, -1.32), (-0.47, -1.2), (-0.83, -0.85)])
    return smooth(np.concatenate([right, left[-2::-1], crown[::-1]]), closed=True)


def _jaw_depth(points: np.ndarray) -> np.ndarray:
    """The chin lies before the head's centre, so that it turns with the face; the rest of the outline stays."""
    return 0.35 * np.clip((points[:, 1] - 0.1) / 1.2, 0, 1)


def _behind(canvas: Canvas, identity: Identity, tones: Tones, head: np.ndarray) -> None:
    hair, style = identity.hair, identity.style
    back = {
        "bob": [(0.0, -1.5), (0.75, -1.3), (1.16, -0.6), (1.2, 0.3), (1.08, 0.95), (0.6, 1.05)],
        "long": [(0.0, -1.5), (0.75, -1.3), (1.16, -0.6), (1.2, 0.5), (1.25, 1.5), (1.1, 2.6), (0.3, 2.7)],
        "afro": [(0.0, -1.8), (0.85, -1.6), (1.4, -0.9), (1.45, -0.1), (1.1, 0.5), (0.5, 0.6)],
        "scarf": [(0.0, -1.5), (0.75, -1.35), (1.14, -0.7), (1.16, 0.3), (1.0, 1.1), (1.05, 1.8), (0.4, 2.2)],
    }.get(style)
    colour = identity.cloth * 0.9 if style == "scarf" else hair * 0.72
    if style == "bun":
        fill(canvas, [disc((0.0, -1.55), 0.42, 0.36)], hair * 0.85, depth=-0.4)
    if back is not None:
        grow = np.array([1 + 0.08 * identity.volume, 1 + 0.05 * identity.volume])
        fill(canvas, [_round(np.array(back) * grow)], colour, soft=0.03, depth=-0.25)
    neck = _round([(0.0, 0.6), (0.52, 0.7), (0.5, 1.5), (0.62, 1.9), (0.0, 2.1)])
    body = _round([(0.0, 1.72), (0.5, 1.68), (1.1, 1.85), (1.75, 2.2), (1.9, 3.6), (0.0, 3.8)])
    if style != "scarf":
        fill(canvas, [neck], tones.skin * 0.9, depth=-0.15)
        fill(canvas, [head + (0.0, 0.2)], tones.shade, 0.75, soft=0.16, within=[neck], depth=-0.1)
    fill(canvas, [body], identity.cloth, depth=-0.25)
    if style != "scarf":
        collar = _round([(0.0, 1.4), (0.5, 1.5), (0.56, 1.78), (0.0, 2.08)])
        fill(canvas, [collar], tones.skin * 0.82, depth=-0.2)
    else:
        drape = _round([(0.0, 1.0), (0.8, 1.0), (1.02, 1.5), (0.7, 2.05), (0.0, 2.25)])
        fill(canvas, [drape], identity.cloth * 0.96, soft=0.03, depth=-0.1)
    if style not in ("bob", "long", "scarf"):
        ears = [disc((x, 0.12), 0.13, 0.25) for x in (-1.0, 1.0)]
        fill(canvas, ears, tones.skin * 0.93, depth=-0.12)
        fill(canvas, [disc((x, 0.12), 0.06, 0.15) for x in (-1.02, 1.02)], tones.shade, 0.7, soft=0.05, depth=-0.12)


def _head(canvas: Canvas, identity: Identity, tones: Tones, head: np.ndarray, view: View) -> None:
    depth = _jaw_depth(head)
    fill(canvas, [head], tones.shade * 0.4 + tones.skin * 0.6, depth=depth)
    fill(canvas, [head * 0.93], tones.skin, soft=0.13, depth=depth)
    for side in (-1, 1):  # the light falls more on one side
        amount = side * view.light[0]
        fill(
            canvas,
            [disc((side * 0.62, 0.25), 0.4, 0.75)],
            tones.glow if amount > 0 else tones.shade,
            min(1.0, 1.4 * abs(amount)),
            soft=0.3,
            within=[head],
        )
    fill(canvas, [disc((0.0, -0.68), 0.5, 0.2)], tones.glow, 0.55, soft=0.2)
    fill(canvas, [disc((x, 0.42), 0.2, 0.14) for x in (-0.55, 0.55)], tones.blush, 0.45, soft=0.2)


def _relief(
    canvas: Canvas, identity: Identity, tones: Tones, actions: dict[int, np.ndarray], parts: dict[str, np.ndarray]
) -> None:
    """Sockets, cheeks and chin, and the folds that the muscles press into the skin."""
    brow, lower = parts["brow"], parts["lower_lid"]
    age = 0.25 * identity.age
    fill(canvas, list(disc(brow[:, 1] * 0.5 + parts["upper_lid"][:, 2] * 0.5, 0.25, 0.1)), tones.shade, 0.4, soft=0.12)
    fill(canvas, list(ribbon(lower[:, 1:] + (0.0, 0.075), 0.05)), tones.shade, 0.25 + age, soft=0.06)
    fill(canvas, [disc((0.0, parts["lip_bottom"][0, 0, 1] + 0.07), 0.2, 0.04)], tones.shade, 0.45, soft=0.07)
    chin = parts["jaw"][0, -1] - (0.0, 0.17)
    fill(canvas, [disc(chin, 0.17, 0.1)], tones.glow, 0.3, soft=0.12)

    unit = {number: intensity.mean() for number, intensity in actions.items()}
    for side in (0, 1):
        one = {number: intensity[side] for number, intensity in actions.items()}
        fold = max(0.95 * one[12], 0.9 * one[9], 0.6 * one[10], 0.35 * one[20], age)
        fill(canvas, [ribbon(parts["fold"][side], 0.05)], tones.line, 0.55 * fold, soft=0.03)
        cheek = disc(parts["fold"][side, 1] + ((-0.22, 0.22)[side], -0.16), 0.2, 0.13)
        fill(canvas, [cheek], tones.glow, 0.75 * one[6], soft=0.14)
        corner = parts["lip_top"][side, 3]
        fill(canvas, [disc(corner + ((-0.06, 0.06)[side], 0.0), 0.025, 0.07)], tones.line, 0.7 * one[14], soft=0.03)
    outer = brow.mean(axis=0)[0] * (0, 1)
    if unit[4] + unit[9] > 0.1:  # furrows between the brows
        furrow = _mirror([(0.075, -0.38), (0.06, -0.28), (0.075, -0.19)]) + (0, 0.08 * (unit[4] - unit[1]))
        fill(canvas, list(ribbon(furrow, 0.035)), tones.line, 0.65 * max(unit[4], unit[9]), soft=0.02)
    if unit[9] > 0.1:  # wrinkles across the bridge of the nose
        lines = np.concatenate([_mirror([(0.03, y), (0.10, y - 0.02), (0.15, y + 0.05)]) for y in (0.04, 0.13)])
        fill(canvas, list(ribbon(lines, 0.03)), tones.line, 0.6 * unit[9], soft=0.015)
    raised = max(unit[1], unit[2])
    if raised > 0.1:  # lines across the forehead, only in the middle where the inner brow rises alone
        reach = 0.2 + 0.38 * unit[2]
        lines = [
            np.array([(-reach, y + 0.05), (-reach / 2, y), (reach / 2, y), (reach, y + 0.05)]) for y in (-0.62, -0.74)
        ]
        fill(canvas, list(ribbon(np.stack(lines) + outer * 0.2, 0.03)), tones.line, 0.4 * raised, soft=0.02)
    if unit[6] > 0.1:  # crow's feet
        feet = np.concatenate(
            [_mirror([(0.74, y), (0.80, y + d / 2), (0.87, y + d)]) for y, d in ((-0.02, -0.06), (0.05, 0.03))]
        )
        fill(canvas, list(ribbon(feet, 0.025)), tones.line, (0.25 + age) * unit[6], soft=0.015)
    fill(canvas, [disc(chin, 0.13, 0.08)], tones.shade, 0.55 * unit[17], soft=0.06)


def _beard(canvas: Canvas, identity: Identity, tones: Tones, parts: dict[str, np.ndarray]) -> None:
    if identity.beard == "none":
        return
    top, bottom, jaw = parts["lip_top"], parts["lip_bottom"], parts["jaw"]
    opacity, soft = (0.28, 0.12) if identity.beard == "stubble" else (0.93, 0.05)
    shapes = []
    if identity.beard in ("stubble", "full"):
        left, right = jaw
        edge = np.concatenate([right[1:], left[-2:0:-1]]) * (0.97, 1.0) + (0, 0.02)
        inner = np.array([(-0.82, 0.62), (-0.5, 0.78), (0.0, 0.66), (0.5, 0.78), (0.82, 0.62)])
        shapes.append(smooth(np.concatenate([edge, inner]), closed=True))
    if identity.beard == "goatee":
        chin = jaw[0, -1, 1]
        shapes.append(
            smooth(
                np.array(
                    [
                        (0.3, bottom[0, 0, 1] + 0.03),
                        (0.28, chin - 0.1),
                        (0, chin + 0.06),
                        (-0.28, chin - 0.1),
                        (-0.3, bottom[0, 0, 1] + 0.03),
                        (0, bottom[0, 0, 1] + 0.08),
                    ]
                ),
                closed=True,
            )
        )
    fill(canvas, shapes or [], identity.hair * 0.9, opacity, soft=soft) if shapes else None
    if identity.beard != "stubble":
        left, right = top
        upper = np.concatenate([right[::-1], left[1:]])
        moustache = np.concatenate([upper + (0, 0.015), (upper * (0.8, 1) + (0, -0.10))[::-1]])
        fill(canvas, [smooth(moustache, closed=True)], identity.hair * 0.85, 0.93, soft=0.03)


def _mouth(
    canvas: Canvas, identity: Identity, tones: Tones, actions: dict[int, np.ndarray], parts: dict[str, np.ndarray]
) -> None:
    top, seam_top, seam_bottom, bottom = (
        smooth(np.concatenate([parts[name][0, ::-1], parts[name][1, 1:]]))
        for name in ("lip_top", "seam_top", "seam_bottom", "lip_bottom")
    )
    opening = np.concatenate([seam_top, seam_bottom[::-1]])
    gap = float((seam_bottom - seam_top)[:, 1].max())
    fill(canvas, [np.concatenate([top, bottom[::-1]])], tones.lip)
    fill(canvas, [np.concatenate([top, seam_top[::-1]])], tones.lip * 0.84, 0.9)
    middle = 0.45 * seam_bottom + 0.55 * bottom
    fill(canvas, [ribbon(middle[6:-6:4], 0.05)], WHITE, 0.16, soft=0.05)
    if gap > 0.025:
        fill(canvas, [opening], tones.mouth)
        if gap > 0.16:  # the tongue
            fill(
                canvas,
                [disc((0.0, seam_bottom[:, 1].max() + 0.02), 0.2, 0.3 * gap)],
                [178, 82, 84],
                0.9,
                soft=0.04,
                within=[opening],
            )
        reach = 0.085 + 0.03 * actions[12].mean()
        upper_teeth = np.concatenate([seam_top + (0, -0.01), (seam_top + (0, reach))[::-1]]) * (0.92, 1)
        fill(canvas, [upper_teeth], [246, 243, 236], within=[opening])
        lower = max(actions[16].mean(), 0.8 * actions[20].mean())
        lower_teeth = np.concatenate([seam_bottom + (0, -0.06), (seam_bottom + (0, 0.01))[::-1]]) * (0.85, 1)
        fill(canvas, [lower_teeth], [236, 231, 222], lower, within=[opening])
    fill(canvas, [ribbon(seam_top[::4], 0.03, 0.8, 0.8)], tones.line * 0.75, 0.75, soft=0.01)
    corners = [disc(parts["lip_top"][side, 3], 0.025) for side in (0, 1)]
    fill(canvas, corners, tones.line, 0.7, soft=0.03)


def _nose(
    canvas: Canvas,
    identity: Identity,
    tones: Tones,
    actions: dict[int, np.ndarray],
    parts: dict[str, np.ndarray],
    view: View,
) -> None:
    wing = parts["wing"]
    raised = 0.2
    tip = np.array([0.0, wing[:, 2, 1].mean() - 0.06])
    dark = -1 if view.light[0] > 0 else 1
    side = np.array([(0.09, -0.15), (0.07, 0.1), (0.12, 0.36), (0.16, 0.46)]) * (dark, 1)
    fill(canvas, [ribbon(side, 0.1)], tones.shade, 0.5, soft=0.07)
    bridge = np.array([(0.0, -0.12), (0.0, 0.12), (0.0, 0.38)])
    fill(canvas, [ribbon(bridge, 0.09, 0.4, 0.6)], tones.glow, 0.6, soft=0.06)
    fill(canvas, [disc(tip + (0, 0.14), 0.2, 0.05)], tones.shade, 0.6, soft=0.06)
    fill(canvas, list(ribbon(wing, 0.04, 0.2, 0.5)), tones.line, 0.55, soft=0.025)
    nostrils = [disc(wing[s, 3] * (0.72, 1) + (0, 0.005), 0.05, 0.024) for s in (0, 1)]
    fill(canvas, nostrils, tones.line * 0.6, 0.85, soft=0.015)
    centre = canvas.place(tip, 0.85 + raised)
    fill(canvas, [disc(tip, 0.06, 0.05)], WHITE, 0.28, soft=0.05, depth=0.95)
    del centre


def _eyes(
    canvas: Canvas,
    identity: Identity,
    tones: Tones,
    actions: dict[int, np.ndarray],
    parts: dict[str, np.ndarray],
    view: View,
) -> None:
    upper, lower = smooth(parts["upper_lid"]), smooth(parts["lower_lid"])
    opening = list(np.concatenate([upper, lower[:, ::-1]], axis=1))
    size = 1 + 0.12 * identity.eye_size
    eye = np.array([0.41 + 0.035 * identity.eye_distance, -0.015])
    centres = _mirror([eye])[:, 0] + np.array(view.gaze) * (0.09, 0.05)
    fill(canvas, opening, tones.white)
    fill(canvas, list(upper_shadow(upper)), tones.shade * 0.8, 0.55, soft=0.03, within=opening)
    fill(canvas, list(disc(centres, 0.108 * size)), identity.iris * 0.55, within=opening)
    fill(canvas, list(disc(centres + (0, 0.015), 0.085 * size)), identity.iris * 1.15, soft=0.03, within=opening)
    fill(canvas, list(disc(centres, 0.048 * size)), BLACK, within=opening)
    fill(canvas, list(disc(centres + (-0.035, -0.04), 0.026)), WHITE, 0.95, within=opening)
    lash = tones.line * 0.35
    fill(canvas, list(ribbon(parts["upper_lid"], 0.045 + 0.02 * identity.lashes, 0.3, 0.5)), lash, 0.95)
    if identity.lashes > 0.55:  # a wing of lashes beyond the outer corner
        wing = np.stack([parts["upper_lid"][s, 3:] + ((-0.05, 0.05)[s], -0.04) for s in (0, 1)])
        fill(canvas, list(ribbon(np.concatenate([parts["upper_lid"][:, 3:4], wing], axis=1), 0.03)), lash, 0.9)
    fill(canvas, list(ribbon(parts["lower_lid"], 0.02, 0.1, 0.6)), tones.line, 0.6)
    crease = parts["upper_lid"] + (0, -0.075)
    fill(canvas, list(ribbon(crease, 0.03)), tones.line, 0.5, soft=0.015)


def upper_shadow(upper: np.ndarray) -> np.ndarray:
    """The strip of eyeball that the upper lid (2, n, 2) shades."""
    return np.concatenate([upper - (0, 0.02), (upper + (0, 0.045))[:, ::-1]], axis=1)


def _brows(canvas: Canvas, identity: Identity, tones: Tones, parts: dict[str, np.ndarray]) -> None:
    colour = identity.hair * 0.62 if identity.hair.mean() > 60 else identity.hair
    if identity.hair.mean() > 140:
        colour = 0.5 * identity.hair * 0.7 + 0.5 * tones.line
    weight = 0.105 + 0.03 * identity.brow_weight
    fill(canvas, list(ribbon(parts["brow"], weight, 0.75, 0.12)), colour, 0.92, soft=0.02)


def _hair(canvas: Canvas, identity: Identity, tones: Tones) -> None:
    style, colour = identity.style, identity.hair
    if style == "bald":
        return
    rise = 0.12 * identity.volume
    outer = [(1.04, -0.15), (1.06, -0.75), (0.66, -1.32 - rise), (0.0, -1.5 - rise)]
    inner = {
        "buzz": [(0.0, -0.98), (0.45, -0.97), (0.78, -0.8), (0.86, -0.5), (0.96, -0.15)],
        "short": [(0.0, -0.9), (0.42, -0.92), (0.78, -0.72), (0.88, -0.4), (0.96, -0.05)],
        "fringe": [(0.0, -0.56), (0.42, -0.55), (0.78, -0.5), (0.92, -0.2), (0.98, 0.3)],
        "bob": [(0.0, -1.12), (0.36, -0.95), (0.74, -0.6), (0.9, -0.1), (0.98, 0.6)],
        "long": [(0.0, -1.15), (0.3, -0.98), (0.72, -0.62), (0.92, -0.1), (0.98, 0.7)],
        "afro": [(0.0, -0.92), (0.45, -0.9), (0.8, -0.7), (0.9, -0.4), (0.98, 0.0)],
        "bun": [(0.0, -1.02), (0.42, -0.95), (0.8, -0.7), (0.92, -0.35), (0.98, 0.0)],
        "scarf": [(0.0, -0.85), (0.5, -0.78), (0.84, -0.45), (0.93, 0.1), (0.9, 0.62), (0.78, 1.05)],
    }
    if style == "parted":
        line = np.array(
            [
                (-0.97, 0.0),
                (-0.9, -0.45),
                (-0.78, -0.78),
                (-0.5, -1.0),
                (0.1, -0.82),
                (0.6, -0.62),
                (0.88, -0.4),
                (0.97, 0.0),
            ]
        )
        line = line if identity.eye_tilt > 0 else (line * (-1, 1))[::-1]
    else:
        left, right = _mirror(inner[style])
        line = np.concatenate([left[::-1], right[1:]])
    if style == "afro":
        outer = [(1.3, -0.1), (1.36, -0.85), (0.8, -1.5 - rise), (0.0, -1.72 - rise)]
    if style == "scarf":
        outer = [(1.0, 1.25), (1.13, 0.4), (1.14, -0.7), (0.75, -1.35), (0.0, -1.5)]
        colour = identity.cloth
    left, right = _mirror(outer)
    cap = smooth(np.concatenate([line, right, left[-2::-1]]), closed=True)
    fill(canvas, [ribbon(line + (0, 0.04), 0.14, 0.6, 0.6)], tones.shade, 0.5, soft=0.08)
    depth = np.clip(0.55 - 0.5 * np.abs(cap[:, 0]), 0, 1) * (cap[:, 1] > -1.25)
    fill(canvas, [cap], colour, 0.75 if style == "buzz" else 1.0, soft=0.06 if style == "buzz" else 0.025, depth=depth)
    sheen = np.array([(-0.75, -0.95), (-0.35, -1.2), (0.1, -1.24), (0.5, -1.1)])
    fill(canvas, [ribbon(sheen, 0.12)], colour + (WHITE - colour) * 0.35, 0.55, soft=0.1, depth=0.2)


def _glasses(canvas: Canvas, identity: Identity) -> None:
    if identity.glasses == "none":
        return
    x = 0.42 + 0.035 * identity.eye_distance
    if identity.glasses == "round":
        rims = disc(_mirror([(x, 0.0)])[:, 0], 0.29, 0.28)
    else:
        corners = np.array(
            [
                (-0.29, -0.19),
                (0.0, -0.21),
                (0.29, -0.19),
                (0.3, 0.0),
                (0.24, 0.21),
                (0.0, 0.23),
                (-0.24, 0.21),
                (-0.3, 0.0),
            ]
        )
        rims = np.stack([smooth(corners + (side * x, 0.0), closed=True) for side in (-1, 1)])
    frame = np.array([40.0, 34, 38])
    fill(canvas, list(rims), WHITE, 0.07)
    for rim in rims:
        inner = rim.mean(axis=0) + (rim - rim.mean(axis=0)) * 0.9
        fill(canvas, [np.concatenate([rim, rim[:1], inner[:1], inner[::-1]])], frame, 0.95)
    bars = [np.array([(-x + 0.28, -0.04), (0.0, -0.08), (x - 0.28, -0.04)])]
    bars += [np.array([(s * (x + 0.28), -0.08), (s * 0.85, -0.09), (s * 0.98, -0.08)]) for s in (-1, 1)]
    fill(canvas, [ribbon(bar, 0.045, 1, 1) for bar in bars], frame, 0.95)


def occlude(canvas: Canvas, view: View, rng: np.random.Generator) -> None:
    """Put a thing before the face: the picture's corner, a bar, dark glasses or a mask."""
    colour = rng.uniform(30, 225, 3)
    if view.occluder == "corner":
        side = rng.choice([-1.0, 1.0])
        where = np.array([side * rng.uniform(0.55, 1.0), rng.uniform(-0.9, 1.1)])
        blob = disc(where, rng.uniform(0.3, 0.6), rng.uniform(0.3, 0.7)) + rng.uniform(-0.08, 0.08, (20, 2))
        fill(canvas, [smooth(blob, closed=True)], colour, soft=0.03)
    elif view.occluder == "bar":
        angle, offset = rng.uniform(0, np.pi), rng.uniform(-0.8, 0.8)
        along = np.array([np.cos(angle), np.sin(angle)])
        across = np.array([-along[1], along[0]])
        ends = np.stack([along * 4 + across * offset, -along * 4 + across * offset])
        width = across * rng.uniform(0.08, 0.18)
        fill(canvas, [np.concatenate([ends + width, (ends - width)[::-1]])], colour, depth=0.9)
    elif view.occluder == "shades":
        fill(canvas, list(disc(_mirror([(0.42, 0.02)])[:, 0], 0.33, 0.26)), [26, 24, 28], 0.96)
        fill(canvas, [ribbon(np.array([(-0.95, -0.1), (0.0, -0.06), (0.95, -0.1)]), 0.07, 1, 1)], [26, 24, 28], 0.96)
    elif view.occluder == "mask":
        cover = _round([(0.0, 0.34), (0.45, 0.45), (0.86, 0.5), (0.74, 0.95), (0.4, 1.25), (0.0, 1.36)])
        fill(canvas, [cover], 0.5 * colour + 110, soft=0.02)


def light_up(pixels: np.ndarray, view: View, centre: tuple[float, float], reach: float) -> None:
    """Light a canvas in place: a gradient across the face, exposure, warmth and contrast."""
    height, width = pixels.shape[1:]
    u = np.clip((np.arange(width, dtype=np.float32) - np.float32(centre[0])) / np.float32(reach), -1.3, 1.3)
    v = np.clip((np.arange(height, dtype=np.float32) - np.float32(centre[1])) / np.float32(reach), -1.3, 1.3)
    field = np.float32(view.light[0]) * u + np.float32(view.light[1]) * v[:, None]
    field = np.maximum(np.float32(0.15), field + np.float32(view.exposure))
    tint = np.array([1 + view.warmth, 1, 1 - view.warmth], np.float32)
    pixels *= field * tint[:, None, None]
    if view.contrast < 1:
        grey = np.float32(128)
        pixels -= grey
        pixels *= np.float32(view.contrast)
        pixels += grey


def backdrop(pixels: np.ndarray, view: View, rng: np.random.Generator) -> None:
    """Fill a canvas with a soft two-colour gradient and a few discs out of focus."""
    height, width = pixels.shape[1:]
    ramp = (
        np.linspace(0, 1, width, dtype=np.float32) * np.float32(0.4)
        + np.linspace(0, 0.6, height, dtype=np.float32)[:, None]
    )
    first, second = view.backdrop.astype(np.float32)[:, :, None, None]
    pixels[:] = first + ramp * (second - first)
    canvas = Canvas(pixels, (0.0, 0.0), float(width), 0.0, (0.0, 0.0))
    for x, y, radius, shade in rng.uniform(size=(3, 4)):
        fill(canvas, [disc((x, y * height / width), 0.06 + 0.16 * radius)], WHITE * shade, 0.12, soft=0.03, depth=0.0)


def develop(pixels: np.ndarray, factor: int, view: View, rng: np.random.Generator) -> np.ndarray:
    """The finished picture (height, width, 3) uint8: averaged down by `factor`, blurred, with sensor noise."""
    height, width = pixels.shape[1] // factor, pixels.shape[2] // factor
    cells = pixels.reshape(3, height, factor, width, factor)
    small = sum(cells[:, :, i, :, j] for i in range(factor) for j in range(factor)) / np.float32(factor**2)
    small += np.float32(view.noise) * rng.standard_normal(small.shape, np.float32)
    picture = np.ascontiguousarray(np.clip(small + np.float32(0.5), 0, 255).astype(np.uint8).transpose(1, 2, 0))
    blur = view.blur * width / 96
    return cv2.GaussianBlur(picture, (0, 0), blur) if blur > 0.3 else picture
