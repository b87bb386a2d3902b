"""Who is drawn, and how the picture is taken: plain data, sampled from wide and even-handed ranges."""

from dataclasses import dataclass

import numpy as np

# Light to dark in even steps, spaced after the ten tones of the Monk Skin Tone scale (skintone.google).
SKIN = np.array(
    [
        (244, 214, 196), (238, 202, 178), (230, 188, 156), (216, 170, 132), (198, 148, 108),
        (174, 124, 86), (148, 102, 70), (122, 82, 57), (98, 66, 48), (78, 54, 42),
    ],
    np.float64,
)  # fmt: skip
HAIR = {
    "black": (36, 30, 32),
    "dark brown": (60, 43, 36),
    "brown": (98, 66, 46),
    "auburn": (128, 66, 44),
    "copper": (160, 92, 58),
    "blond": (204, 168, 112),
    "grey": (142, 140, 140),
    "white": (204, 202, 198),
}
STYLES = {
    "bald": 0.05, "buzz": 0.08, "short": 0.18, "parted": 0.14, "fringe": 0.1, "bob": 0.1, "long": 0.12,
    "afro": 0.08, "curly": 0.07, "bun": 0.04, "scarf": 0.04,
}  # fmt: skip
BEARDS = {"none": 0.5, "stubble": 0.16, "moustache": 0.1, "goatee": 0.1, "full": 0.14}
GLASSES = {"none": 0.82, "round": 0.1, "square": 0.08}
OCCLUDERS = {"none": 0.6, "blot": 0.18, "bar": 0.12, "shades": 0.05, "mask": 0.05}
IRIS = np.array([(58, 36, 24), (84, 54, 32), (104, 84, 48), (84, 110, 84), (82, 118, 148)], np.float64)
CLOTH = np.array(
    [(64, 92, 140), (150, 64, 72), (72, 118, 98), (206, 178, 110), (108, 84, 128), (214, 208, 200), (58, 62, 72)],
    np.float64,
)


@dataclass(frozen=True)
class Identity:
    """One person. Shapes are deviations from the average face in -1..1, shares lie in 0..1, colours are RGB 0..255."""

    width: float
    jaw: float
    chin: float
    eye_distance: float
    eye_size: float
    eye_tilt: float
    brow_height: float
    brow_arch: float
    brow_weight: float
    nose_length: float
    nose_width: float
    mouth_width: float
    lip_fullness: float
    age: float  # 0: no lines, 1: many
    skin: np.ndarray
    iris: np.ndarray
    style: str  # of STYLES
    hair: np.ndarray
    volume: float  # of the hair
    beard: str  # of BEARDS
    lashes: float
    glasses: str  # of GLASSES
    cloth: np.ndarray


@dataclass(frozen=True)
class View:
    """How the person is pictured. Angles are radians, lengths are shares of the picture's side."""

    yaw: float
    pitch: float
    roll: float
    scale: float  # half the face's width
    shift: tuple[float, float]
    gaze: tuple[float, float]  # -1..1
    light: tuple[float, float]  # gain per face unit towards the picture's right and bottom
    exposure: float  # 1: as painted
    warmth: float  # 0: white light
    contrast: float  # 1: as painted
    noise: float  # standard deviation in grey levels
    blur: float  # standard deviation in pixels of a picture 96 wide
    occluder: str  # of OCCLUDERS
    backdrop: np.ndarray  # two colours


def sample_identity(rng: np.random.Generator) -> Identity:
    """A person of any skin tone and age; hair, beard and glasses vary freely."""
    shapes = rng.uniform(-1, 1, 13)
    tone = rng.uniform(0, len(SKIN) - 1)
    skin = SKIN[int(tone)] + (tone % 1) * (SKIN[int(tone) + 1] - SKIN[int(tone)])
    age = rng.uniform() ** 1.5
    if age > 0.6 and rng.uniform() < 0.6:
        colours = ["grey", "white"]
    else:
        colours = ["black", "dark brown", "brown", "auburn", "copper", "blond"][: 6 if tone < 4.5 else 3]
    style = pick(rng, STYLES)
    # Beards and long lashes go with some haircuts more than with others.
    masculine = rng.uniform() < {"bald": 0.9, "buzz": 0.8, "short": 0.7, "parted": 0.5, "curly": 0.5, "afro": 0.4}.get(
        style, 0
    )
    return Identity(
        *shapes,
        age=age,
        skin=skin,
        iris=IRIS[rng.integers(5 if tone < 4.5 else 3)],
        style=style,
        hair=np.array(HAIR[colours[rng.integers(len(colours))]]) * rng.uniform(0.9, 1.1),
        volume=rng.uniform(),
        beard=pick(rng, BEARDS) if masculine else "none",
        lashes=rng.uniform(0, 0.4) if masculine else rng.uniform(0.3, 1),
        glasses=pick(rng, GLASSES),
        cloth=CLOTH[rng.integers(len(CLOTH))] * rng.uniform(0.8, 1.1),
    )


def sample_view(rng: np.random.Generator, hard: bool) -> View:
    """A pose, a light and a camera; `hard` widens every range and puts things before the face."""
    more = 1.0 if hard else 0.0
    yaw, pitch, roll, scale, shift_x, shift_y, exposure, warmth = rng.uniform(-1, 1, 8)
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.25 + 0.25 * more)
    gaze = rng.uniform((-0.3, -0.2), (0.3, 0.3))
    grey, tints = rng.uniform(90, 200, (2, 1)), rng.uniform(-35, 35, (2, 3))
    return View(
        yaw=yaw * (0.2 + 0.2 * more),
        pitch=pitch * (0.12 + 0.1 * more),
        roll=roll * (0.12 + 0.23 * more),
        scale=0.33 * (1 + scale * (0.06 + 0.08 * more)),
        shift=(shift_x * (0.03 + 0.04 * more), shift_y * (0.03 + 0.03 * more)),
        gaze=tuple(gaze),
        light=(strength * np.cos(angle), strength * np.sin(angle)),
        exposure=1 + exposure * (0.08 + 0.2 * more),
        warmth=warmth * (0.04 + 0.08 * more),
        contrast=1 - rng.uniform(0, 0.35) * more,
        noise=rng.uniform(0.2, 1.8 + 8 * more),
        blur=rng.uniform(0, 1.2) * more,
        occluder=pick(rng, OCCLUDERS) if hard else "none",
        backdrop=grey + tints,
    )


def pick(rng: np.random.Generator, shares: dict[str, float]) -> str:
    """One of the keys, each with the probability that is its value."""
    return list(shares)[int(np.searchsorted(np.cumsum(list(shares.values())), rng.uniform()).clip(0, len(shares) - 1))]
