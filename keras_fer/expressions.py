"""The expressions, their one canonical order, and what each data set calls them.

Label order is the field's most common bug: two sets rarely agree, and folders sort alphabetically. So nothing in the
project relies on a set's own numbers: `train.prepare` maps them to `EXPRESSIONS` by name, and a trained model carries
its own list of class names.
"""

from keras_fer.errors import InputError

EXPRESSIONS = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
"""The canonical order (AffectNet's). Sets of seven classes use the first seven."""

ALIASES = {
    "happy": "happiness",
    "joy": "happiness",
    "sad": "sadness",
    "surprised": "surprise",
    "fearful": "fear",
    "disgusted": "disgust",
    "angry": "anger",
    "contemptuous": "contempt",
}
"""Other spellings of the canonical names, as folder names use them."""

_AFFECTNET = dict(enumerate(EXPRESSIONS))

DATASET_LABELS: dict[str, dict[int, str] | dict[str, str]] = {
    "fer2013": dict(enumerate(("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"))),
    # Two more columns of votes, "unknown" and "NF" (not a face), are no expressions.
    "ferplus": {name: name for name in EXPRESSIONS},
    "raf-db": dict(enumerate(("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"), start=1)),
    "affectnet7": {label: name for label, name in _AFFECTNET.items() if name != "contempt"},
    "affectnet8": _AFFECTNET,
    "caer-s": {
        "Anger": "anger",
        "Disgust": "disgust",
        "Fear": "fear",
        "Happy": "happiness",
        "Neutral": "neutral",
        "Sad": "sadness",
        "Surprise": "surprise",
    },
}
"""For each set, what it calls its classes (a number, a column, a folder) to the canonical name."""


def canonical(name: str) -> str:
    """The canonical name of an expression that may be written in another way ("Happy", "angry").

    Raises:
        InputError: no expression has that name; the message lists the names that are known.
    """
    key = name.strip().lower()
    key = ALIASES.get(key, key)
    if key not in EXPRESSIONS:
        known = ", ".join([*EXPRESSIONS, *ALIASES])
        raise InputError(f"unknown expression {name!r}; known names are {known}")
    return key
