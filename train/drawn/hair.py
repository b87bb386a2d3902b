"""Hair, beards and headscarves."""

import numpy as np

from train.drawn.paint import DOWN, WHITE, Canvas, disc, fill, joined, mirror, ribbon, ring, smooth, surface
from train.drawn.person import Identity

# Half outlines, from the middle of the forehead outwards: what falls behind the head,
BEHIND = {
    "bob": [(0.0, -1.5), (0.75, -1.32), (1.16, -0.6), (1.2, 0.3), (1.12, 0.95), (0.6, 1.08)],
    "long": [(0.0, -1.5), (0.75, -1.32), (1.16, -0.6), (1.2, 0.5), (1.28, 1.5), (1.12, 2.7), (0.3, 2.8)],
    "scarf": [(0.0, -1.5), (0.75, -1.35), (1.14, -0.7), (1.16, 0.3), (1.0, 1.1), (1.05, 1.8), (0.4, 2.2)],
}
FALLING = tuple(BEHIND)
# the edge of the hair on the face (all of it for the side parting),
HAIRLINE = {
    "buzz": [(0.0, -0.98), (0.45, -0.98), (0.78, -0.8), (0.87, -0.5), (0.96, -0.1)],
    "short": [(0.0, -0.92), (0.34, -0.98), (0.66, -0.86), (0.8, -0.6), (0.86, -0.3), (0.95, 0.05)],
    "fringe": [(0.0, -0.56), (0.42, -0.55), (0.78, -0.5), (0.92, -0.2), (0.98, 0.3)],
    "bob": [(0.0, -1.14), (0.36, -0.97), (0.72, -0.62), (0.88, -0.1), (0.92, 0.5), (0.98, 0.98)],
    "long": [(0.0, -1.16), (0.3, -1.0), (0.7, -0.66), (0.9, -0.1), (0.95, 0.6), (1.0, 1.5)],
    "afro": [(0.0, -0.92), (0.45, -0.9), (0.8, -0.7), (0.9, -0.4), (0.97, 0.0)],
    "curly": [(0.0, -0.8), (0.25, -0.86), (0.5, -0.78), (0.72, -0.74), (0.88, -0.5), (0.97, 0.0)],
    "bun": [(0.0, -1.02), (0.42, -0.97), (0.78, -0.74), (0.92, -0.35), (0.98, 0.0)],
    "scarf": [(0.0, -0.85), (0.5, -0.78), (0.84, -0.45), (0.93, 0.1), (0.9, 0.62), (0.78, 1.05)],
}
PARTED = np.array(
    [(-0.97, 0.0), (-0.88, -0.45), (-0.78, -0.78), (-0.5, -1.04), (0.1, -0.84), (0.6, -0.66), (0.86, -0.4), (0.97, 0.0)]
)
# and its edge against the background, which is a cloud of some radius for curls.
SILHOUETTE = {
    "buzz": [(0.0, -1.42), (0.6, -1.26), (0.98, -0.75), (1.0, -0.15)],
    "bob": [(0.0, -1.5), (0.68, -1.34), (1.1, -0.75), (1.17, 0.1), (1.16, 0.95)],
    "long": [(0.0, -1.5), (0.68, -1.34), (1.1, -0.75), (1.17, 0.1), (1.2, 1.6)],
    "scarf": [(0.0, -1.5), (0.75, -1.35), (1.14, -0.7), (1.13, 0.4), (1.0, 1.25)],
}
CAP = [(0.0, -1.5), (0.66, -1.33), (1.06, -0.75), (1.04, -0.1)]
CURLS = {"afro": 1.32, "curly": 1.12}


def draw_back_hair(canvas: Canvas, identity: Identity) -> None:
    """Paint what lies behind the head: long hair, a bun, a headscarf."""
    style = identity.style
    if style == "bun":
        fill(canvas, disc((0.0, -1.55), 0.42, 0.36), 0.85 * identity.hair, depth=-0.4)
    elif style in BEHIND:
        outline = ring(np.array(BEHIND[style]) * (1 + 0.08 * identity.volume, 1))
        colour = 0.9 * identity.cloth if style == "scarf" else 0.7 * identity.hair
        fill(canvas, outline, colour, soft=0.03, depth=-0.25)


def draw_hair(canvas: Canvas, identity: Identity, shade: np.ndarray) -> None:
    """Paint the hair, or the scarf, that frames the face; `shade` is the colour of its shadow on the skin."""
    style = identity.style
    if style == "bald":
        return
    line, edge = _hairline(identity), _silhouette(identity)
    colour = identity.cloth if style == "scarf" else identity.hair
    light, dark = colour + 0.3 * (WHITE - colour), 0.6 * colour
    fill(canvas, ribbon(line[::6] + 0.04 * DOWN, 0.14, 0.6, 0.6), shade, 0.5, soft=0.08)
    opacity, soft = (0.75, 0.06) if style == "buzz" else (1.0, 0.02)
    depth = np.concatenate([0.8 * surface(line), np.zeros(len(edge))])
    fill(canvas, np.concatenate([line, edge[::-1]]), colour, opacity, soft=soft, depth=depth)
    if style != "buzz" and style not in CURLS:
        strands = _locks(line, edge) if style in FALLING else _strands(line, edge)
        fill(canvas, ribbon(strands[::2], 0.04), dark, 0.35, soft=0.02, depth=0.4)
        fill(canvas, ribbon(strands[1::2], 0.04), light, 0.3, soft=0.02, depth=0.4)
    fill(canvas, disc((-0.25, -1.2), 0.45, 0.12), light, 0.4, soft=0.2, depth=0.2)


def _hairline(identity: Identity) -> np.ndarray:
    """The edge of the hair on the face (n, 2), from the picture's left to its right."""
    if identity.style == "parted":  # on either side
        return smooth(PARTED if identity.eye_tilt > 0 else (PARTED * (-1, 1))[::-1])
    return smooth(joined(mirror(HAIRLINE[identity.style])))


def _silhouette(identity: Identity) -> np.ndarray:
    """The edge of the hair against the background (n, 2), from the picture's left to its right."""
    if identity.style in CURLS:
        angle = np.linspace(-0.05, 1.05, 41)[:, None] * np.pi
        scallops = 0.035 * (np.arange(41)[:, None] % 2)
        radius = CURLS[identity.style] + 0.1 * identity.volume + scallops
        return smooth(np.concatenate([-np.cos(angle), -0.25 - 1.05 * np.sin(angle)], axis=1) * radius)
    half = np.array(SILHOUETTE.get(identity.style, CAP))
    half[half[:, 1] < -1, 1] -= 0.12 * identity.volume
    return smooth(joined(mirror(half)))


def _locks(line: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """Six curves (6, 5, 2) that fall along the face, three a side, between hairline and silhouette."""
    sides = [np.linspace(0.5, end, 5) for end in (0.04, 0.96)]
    return np.stack([(1 - w) * _along(edge, at) + w * _along(line, at) for at in sides for w in (0.3, 0.5, 0.7)])


def _strands(line: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """Thirteen curves (13, 3, 2) from the crown to the hairline."""
    at = np.linspace(0.1, 0.9, 13)
    roots, tips = _along(edge, 0.2 + 0.6 * at) * (0.8, 0.97), _along(line, at)
    return np.stack([roots, 0.5 * (roots + tips) * (1.12, 1), tips], axis=1)


def _along(curve: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The samples of a curve (n, 2) nearest to shares 0..1 of its length."""
    return curve[np.rint(at * (len(curve) - 1)).astype(int)]


def draw_beard(canvas: Canvas, identity: Identity, parts: dict[str, np.ndarray]) -> None:
    """Paint stubble or a beard around the mouth; `parts` are the control points of `actions.shape`."""
    jaw, lip_top, lip_bottom = parts["jaw"], parts["lip_top"], parts["lip_bottom"]
    if identity.beard in ("stubble", "full"):
        mouth = lip_top[0, 0, 1]
        cheek = joined(mirror([(0.0, mouth - 0.1), (0.35, mouth - 0.04), (0.62, 0.76), (0.84, 0.5)]))
        edge = joined(jaw[:, :-1])[::-1] * (0.97, 1) + 0.02 * DOWN
        outline = smooth(np.concatenate([edge, cheek]), closed=True)
        opacity, soft = (0.3, 0.12) if identity.beard == "stubble" else (0.95, 0.05)
        fill(canvas, outline, identity.hair * 0.9, opacity, soft=soft)
    if identity.beard == "goatee":
        mouth, chin = lip_bottom[0, 0, 1], jaw[0, 0, 1]
        goatee = ring([(0.0, mouth + 0.05), (0.2, mouth + 0.06), (0.24, chin - 0.12), (0.0, chin + 0.05)])
        fill(canvas, goatee, identity.hair * 0.9, 0.95, soft=0.04)
    if identity.beard in ("moustache", "goatee"):
        edge = joined(lip_top)
        moustache = np.concatenate([edge * (1.05, 1) + 0.02 * DOWN, (edge * (0.75, 1) - 0.09 * DOWN)[::-1]])
        fill(canvas, smooth(moustache, closed=True), identity.hair * 0.85, 0.95, soft=0.03)
