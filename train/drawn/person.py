"""Who is drawn, in which pose and light: plain data, sampled from wide and even-handed ranges."""

from dataclasses import dataclass

import numpy as np

# The ten tones of the Monk Skin Tone scale (Ellis Monk, skintone.google), light to dark.
SKIN = np.array(
    [
        (246, 237, 228), (243, 231, 219), (247, 234, 208), (234, 218, 186), (215, 189, 150),
        (160, 126, 86), (130, 92, 67), (96, 65, 52), (58, 49, 42), (41, 36, 32),
    ],
    np.float64,
)  # fmt: skip

HAIR = {
    "black": (34, 28, 30),
    "espresso": (56, 40, 34),
    "brown": (94, 62, 42),
    "auburn": (126, 62, 40),
    "copper": (178, 92, 48),
    "blond": (206, 168, 108),
    "grey": (150, 148, 148),
    "white": (222, 220, 216),
}
STYLES = ("bald", "buzz", "short", "parted", "fringe", "bob", "long", "afro", "bun", "scarf")
BEARDS = ("none", "stubble", "moustache", "goatee", "full")
CLOTH = np.array(
    [(64, 92, 140), (150, 64, 72), (72, 118, 98), (206, 178, 110), (108, 84, 128), (222, 214, 204), (58, 62, 72)],
    np.float64,
)
IRIS = np.array([(58, 36, 24), (84, 54, 32), (104, 84, 48), (84, 110, 84), (82, 118, 148)], np.float64)


@dataclass(frozen=True)
class Identity:
    """One person. Shapes are deviations from the average face, about -1..1; colours are RGB in 0..255."""

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
    age: float
    skin: np.ndarray
    hair: np.ndarray
    iris: np.ndarray
    cloth: np.ndarray
    style: str
    volume: float
    beard: str
    glasses: str
    lashes: float


@dataclass(frozen=True)
class View:
    """How the person is pictured: angles in radians, shifts and scale as shares of the picture, strengths in 0..1."""

    yaw: float
    pitch: float
    roll: float
    scale: float
    shift: tuple[float, float]
    gaze: tuple[float, float]
    light: tuple[float, float]
    exposure: float
    warmth: float
    contrast: float
    noise: float
    blur: float
    occluder: str
    backdrop: np.ndarray


def sample_identity(rng: np.random.Generator) -> Identity:
    """A person: skin tone, hair, beard and glasses vary freely; the shapes stay within what a face can be."""
    shape = rng.uniform(-1, 1, 13)
    tone = rng.uniform(0.3, 8.2)
    skin = SKIN[int(tone)] + (tone % 1) * (SKIN[int(tone) + 1] - SKIN[int(tone)])
    age = rng.uniform() ** 1.5
    natural = ["black", "espresso", "brown", "auburn", "copper", "blond"] if tone < 4.5 else ["black", "espresso"]
    grey = ["grey", "white"] if age > 0.55 else []
    hair = np.array(HAIR[rng.choice(natural + grey)], np.float64) * rng.uniform(0.9, 1.12)
    style = rng.choice(STYLES, p=[0.06, 0.08, 0.18, 0.14, 0.1, 0.12, 0.12, 0.08, 0.06, 0.06])
    masculine = rng.uniform() < {"bald": 0.9, "buzz": 0.8, "short": 0.7, "parted": 0.5, "afro": 0.5}.get(style, 0.0)
    return Identity(
        *shape,
        age=age,
        skin=skin,
        hair=np.minimum(hair, 235),
        iris=IRIS[rng.integers(0, 5 if tone < 4.5 else 3)],
        cloth=CLOTH[rng.integers(len(CLOTH))] * rng.uniform(0.8, 1.1),
        style=str(style),
        volume=rng.uniform(),
        beard=str(rng.choice(BEARDS, p=[0.5, 0.16, 0.1, 0.1, 0.14])) if masculine else "none",
        glasses=str(rng.choice(["none", "round", "square"], p=[0.82, 0.1, 0.08])),
        lashes=rng.uniform(0.0, 0.4) if masculine else rng.uniform(0.3, 1.0),
    )


def sample_view(rng: np.random.Generator, hard: bool) -> View:
    """A pose, a light and a camera; `hard` widens every range and puts things before the face."""
    wide = 1.0 if hard else 0.0
    angle = rng.uniform(0, 2 * np.pi)
    strength = rng.uniform(0.05, 0.25 + 0.45 * wide)
    spread = rng.uniform(-1, 1, 7)
    return View(
        yaw=spread[0] * (0.2 + 0.3 * wide),
        pitch=spread[1] * (0.12 + 0.15 * wide),
        roll=spread[2] * (0.12 + 0.38 * wide),
        scale=0.315 * (1 + spread[3] * (0.06 + 0.16 * wide)),
        shift=(spread[4] * (0.03 + 0.07 * wide), spread[5] * (0.03 + 0.05 * wide)),
        gaze=(rng.uniform(-1, 1) * 0.5, rng.uniform(-0.5, 0.7) * 0.4),
        light=(strength * np.cos(angle), strength * np.sin(angle)),
        exposure=1 + rng.uniform(-1, 0.6) * (0.1 + 0.35 * wide),
        warmth=spread[6] * (0.04 + 0.08 * wide),
        contrast=1 - rng.uniform() * 0.45 * wide,
        noise=rng.uniform(0.5, 3.0 + 15 * wide),
        blur=rng.uniform(0, 1.6) * wide,
        occluder=str(rng.choice(["none", "corner", "bar", "shades", "mask"], p=[0.5, 0.2, 0.14, 0.08, 0.08]))
        if hard
        else "none",
        backdrop=rng.uniform(60, 225, (2, 3)),
    )
