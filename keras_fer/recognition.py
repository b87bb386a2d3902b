"""What a model says of a picture, as plain data."""

from dataclasses import dataclass, field

import numpy as np

from keras_fer.faces import Face


@dataclass(frozen=True)
class FaceExpression:
    """What a model says of one face.

    Attributes:
        face: where it is.
        probabilities: of each class, by name, in the model's order; their sum is 1.
        crop: what the model saw, uint8 (size, size, 3).
        track: in a video, the same number for the same face from frame to frame.
    """

    face: Face
    probabilities: dict[str, float]
    crop: np.ndarray = field(repr=False, compare=False)
    track: int | None = None

    @property
    def expression(self) -> str:
        """The most probable class."""
        return max(self.probabilities, key=self.probabilities.get)


@dataclass(frozen=True)
class Recognition:
    """What a model says of one picture.

    Attributes:
        faces: from the surest to the least sure; empty where there is none.
        model: name of the model.
        classes: the names of all that it tells apart, in its order.
        milliseconds: what `detect`, `crop` and `classify` took.
    """

    faces: tuple[FaceExpression, ...]
    model: str
    classes: tuple[str, ...]
    milliseconds: dict[str, float]
