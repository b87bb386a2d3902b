"""The picture of an answer: boxes on the faces, and for each a card with what the model saw and a bar a class."""

import functools

import numpy as np

from keras_fer.optional import need
from keras_fer.recognition import FaceExpression, Recognition

# Okabe and Ito's colours, which people with colour-blindness tell apart; names are always written beside them.
COLOURS = {
    "neutral": (176, 181, 189),
    "happiness": (240, 228, 66),
    "sadness": (86, 180, 233),
    "surprise": (230, 159, 0),
    "fear": (204, 121, 167),
    "disgust": (0, 158, 115),
    "anger": (213, 94, 0),
    "contempt": (100, 143, 255),
}
_OTHER = (120, 200, 200)
_PAPER, _CARD, _GROOVE = (20, 22, 27), (34, 37, 44), (54, 58, 68)
_TEXT, _QUIET = (240, 242, 245), (168, 174, 184)

LEAST_SIDE, MOST_SIDE = 560, 1600
"""The longer side of the picture part, pixels: smaller pictures are enlarged, larger ones reduced."""

_CARD_WIDTH, _GAP, _THUMBNAIL, _ROW = 300, 14, 76, 22
_MOST_COLUMNS = 3
_CAPTION = 26
_HEAT = ((40, 11, 84), (132, 32, 107), (213, 72, 66), (251, 155, 6), (252, 255, 164))  # of matplotlib's inferno
_SMOOTH = 2  # shapes are drawn so many times as large and reduced: Pillow does not smooth their edges


def annotate(image: np.ndarray, recognition: Recognition, *, columns: int | None = None) -> np.ndarray:
    """Draw what was recognised.

    Args:
        image: uint8 (height, width, 3), RGB: the picture that `recognition` is of.
        columns: of cards beside the picture: a video says how many, since its frames must be of one size. Without it,
            as many as the faces need, up to the picture's width. Faces without a card keep their box and name.

    Returns:
        uint8 RGB of even height and width, larger than the picture by the columns.
    """
    Image = need("PIL.Image")
    longest = max(image.shape[:2])
    scale = min(max(longest, LEAST_SIDE), MOST_SIDE) / longest
    width, height = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    faces = _numbered(recognition)
    card_height = 3 * _GAP + _THUMBNAIL + _ROW * len(recognition.classes)
    canvas_height = max(height, card_height + 2 * _GAP)
    per_column = max(1, (canvas_height - _GAP) // (card_height + _GAP))
    if columns is None:
        columns = min(-(-len(faces) // per_column), max(_MOST_COLUMNS, width // _CARD_WIDTH))
    canvas_width = width + columns * (_CARD_WIDTH + _GAP) + (_GAP if columns else 0)
    canvas = Image.new("RGB", (canvas_width + canvas_width % 2, canvas_height + canvas_height % 2), _PAPER)

    picture = Image.fromarray(image).resize((width, height), Image.LANCZOS)
    for number, face in faces:
        _mark(picture, face, scale, number)
    canvas.paste(picture, (0, (canvas_height - height) // 2))
    for index, (number, face) in enumerate(faces[: columns * per_column]):
        column, row = divmod(index, per_column)
        corner = width + _GAP + column * (_CARD_WIDTH + _GAP), _GAP + row * (card_height + _GAP)
        canvas.paste(_card(face, number, card_height), corner)
    return np.array(canvas)


def _numbered(recognition: Recognition) -> list[tuple[int | None, FaceExpression]]:
    """The faces with the numbers that tell them apart: their tracks' in a video, else from left to right."""
    if any(face.track for face in recognition.faces):
        return sorted(((face.track, face) for face in recognition.faces), key=lambda pair: pair[0])
    faces = sorted(recognition.faces, key=lambda face: face.face.box[0])
    return list(enumerate(faces, start=1)) if len(faces) > 1 else [(None, face) for face in faces]


def _mark(picture, face: FaceExpression, scale: float, number: int | None) -> None:
    """Draw a face's box and its name into a PIL picture that shows it `scale` times as large."""
    ImageDraw = need("PIL.ImageDraw")
    x, y, width, height = (value * scale for value in face.face.box)
    colour = COLOURS.get(face.expression, _OTHER)
    box = (round(x), round(y), round(x + width), round(y + height))
    thick = max(2, round(min(width, 240) / 60))
    _outline(picture, box, thick + 2, (0, 0, 0))
    _outline(picture, (box[0] + 1, box[1] + 1, box[2] - 1, box[3] - 1), thick, colour)

    text = f"{number}  " if number else ""
    text += f"{face.expression}  {percent(face)}"
    draw = ImageDraw.Draw(picture)
    font = _font(round(min(max(width / 10, 13), 24)))
    left, upper, right, lower = draw.textbbox((0, 0), text, font=font)
    pad = round(font.size * 0.4)
    chip_width, chip_height = right - left + 2 * pad, lower - upper + 2 * pad
    x = min(max(box[0], 0), max(0, picture.width - chip_width))
    y = box[1] - chip_height if box[1] >= chip_height else min(max(box[3], 0), picture.height - chip_height)
    draw.rounded_rectangle((x, y, x + chip_width, y + chip_height), radius=pad, fill=colour)
    draw.text(
        (x + pad - left, y + pad - upper), text, font=font, fill=(0, 0, 0) if sum(colour) > 330 else (255, 255, 255)
    )


def _outline(picture, box: tuple[int, int, int, int], thick: int, colour: tuple[int, int, int]) -> None:
    """Draw a box with round corners into a PIL picture."""
    Image, ImageDraw = need("PIL.Image"), need("PIL.ImageDraw")
    width, height = max(1, box[2] - box[0]), max(1, box[3] - box[1])
    mask = Image.new("L", (_SMOOTH * width, _SMOOTH * height))
    edge = (0, 0, mask.width - 1, mask.height - 1)
    ImageDraw.Draw(mask).rounded_rectangle(edge, radius=width // 4, outline=255, width=_SMOOTH * thick)
    picture.paste(colour, box[:2], mask.reduce(_SMOOTH))


def _card(face: FaceExpression, number: int | None, height: int):
    """A PIL picture: what the model saw of a face, its answer, and a bar for each class."""
    Image, ImageDraw = need("PIL.Image"), need("PIL.ImageDraw")
    s = _SMOOTH
    card = Image.new("RGB", (s * _CARD_WIDTH, s * height), _PAPER)
    draw = ImageDraw.Draw(card)

    def text(x: float, y: float, words: str, size: int, colour: tuple[int, int, int], anchor: str = "ls") -> None:
        draw.text((s * x, s * y), words, font=_font(s * size), fill=colour, anchor=anchor)

    def bar(x: float, y: float, length: float, thick: float, colour: tuple[int, int, int]) -> None:
        edge = (s * x, s * (y - thick / 2), s * (x + length), s * (y + thick / 2))
        draw.rounded_rectangle(edge, radius=s * min(length, thick) / 2, fill=colour)

    draw.rounded_rectangle((0, 0, card.width - 1, card.height - 1), radius=10 * s, fill=_CARD)
    card.paste(Image.fromarray(face.crop).resize(2 * (s * _THUMBNAIL,), Image.BICUBIC), 2 * (s * _GAP,))
    beside = 2 * _GAP + _THUMBNAIL
    text(beside, _GAP + 12, f"face {number}" if number else "expression", 13, _QUIET)
    text(beside, _GAP + 41, face.expression, 22, COLOURS.get(face.expression, _OTHER))
    text(beside, _GAP + 72, percent(face), 22, _TEXT)

    left, right = 104, _CARD_WIDTH - 56
    for row, (name, value) in enumerate(face.probabilities.items()):
        middle = 2 * _GAP + _THUMBNAIL + _ROW * (row + 0.5)
        ink = _TEXT if name == face.expression else _QUIET
        text(_GAP, middle, name, 14, ink, anchor="lm")
        bar(left, middle, right - left, 10, _GROOVE)
        bar(left, middle, max(1, value * (right - left)), 10, COLOURS.get(name, _OTHER))
        text(_CARD_WIDTH - _GAP, middle, f"{100 * value:.0f} %", 14, ink, anchor="rm")
    return card.reduce(s)


def explanation(rows: list[tuple[FaceExpression, str, list]]) -> np.ndarray:
    """Draw what answers rest on: a row for each face, its card and then its maps, laid over what the model saw.

    Args:
        rows: a face, the class that is explained, and maps (`keras_fer.explanation.Map`).

    Returns:
        uint8 RGB.
    """
    Image, ImageDraw = need("PIL.Image"), need("PIL.ImageDraw")
    height = 3 * _GAP + _THUMBNAIL + _ROW * max(len(face.probabilities) for face, _, _ in rows)
    side = height - _CAPTION
    width = _GAP + _CARD_WIDTH + _GAP + max(len(maps) for _, _, maps in rows) * (side + _GAP)
    canvas = Image.new("RGB", (width, _GAP + len(rows) * (height + _GAP)), _PAPER)
    draw = ImageDraw.Draw(canvas)
    for row, (face, target, maps) in enumerate(rows):
        top = _GAP + row * (height + _GAP)
        canvas.paste(_card(face, row + 1 if len(rows) > 1 else None, height), (_GAP, top))
        for column, (title, values, of_class) in enumerate(maps):
            title += f": {target}" if of_class else ""
            left = 2 * _GAP + _CARD_WIDTH + column * (side + _GAP)
            draw.text((left, top + _CAPTION / 2), title, font=_font(14), fill=_TEXT, anchor="lm")
            tile = Image.fromarray(_heated(face.crop, values)).resize((side, side), Image.BICUBIC)
            canvas.paste(tile, (left, top + _CAPTION))
    return np.array(canvas)


def _heated(picture: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A picture in grey under the colours of a map in 0..1, the stronger the more there is of it."""
    places = np.linspace(0, 1, len(_HEAT))
    colours = np.stack([np.interp(values, places, channel) for channel in np.transpose(_HEAT)], axis=-1)
    grey = picture.mean(axis=-1, keepdims=True)
    return (grey + 0.65 * np.sqrt(values)[..., None] * (colours - grey)).round().astype(np.uint8)


def percent(face: FaceExpression) -> str:
    """The probability of the face's expression, for people."""
    return f"{100 * face.probabilities[face.expression]:.0f} %"


@functools.cache
def _font(size: int):
    return need("PIL.ImageFont").load_default(size)
