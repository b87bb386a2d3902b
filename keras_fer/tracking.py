"""Faces from frame to frame: which is which, and probabilities that do not flicker."""

import math
from dataclasses import dataclass, replace

import numpy as np

from keras_fer.blazeface import overlap
from keras_fer.recognition import Recognition

LEAST_OVERLAP = 0.3
TIME_CONSTANT = 0.35
LOST_AFTER = 0.6


@dataclass
class _Track:
    number: int
    box: tuple[float, float, float, float]
    probabilities: dict[str, float]
    seen: float


class Tracker:
    """Gives each face a number that it keeps, and smooths its probabilities over time.

    A face is the one of an earlier frame whose box it overlaps by 0.3 or more (intersection over union); the pairs that
    overlap most are settled first. Its probabilities then follow the new ones with a time constant of 0.35 seconds,
    whatever the frame rate. A face that was not seen for 0.6 seconds is forgotten: whoever comes next starts anew.
    """

    def __init__(self):
        self._tracks: list[_Track] = []
        self._next = 1

    def __call__(self, recognition: Recognition, seconds: float) -> Recognition:
        """The frame's faces with `track` set and `probabilities` smoothed.

        Args:
            recognition: of one frame.
            seconds: the frame's time, not before the last one's.
        """
        self._tracks = [track for track in self._tracks if seconds - track.seen <= LOST_AFTER]
        boxes = [face.face.box for face in recognition.faces]
        known = dict(_pairs(boxes, [track.box for track in self._tracks]))
        faces = []
        for index, face in enumerate(recognition.faces):
            if index in known:
                track = self._tracks[known[index]]
                weight = 1 - math.exp(-(seconds - track.seen) / TIME_CONSTANT)
                track.probabilities = {
                    name: old + weight * (face.probabilities[name] - old) for name, old in track.probabilities.items()
                }
                track.box, track.seen = face.face.box, seconds
            else:
                track = _Track(self._next, face.face.box, face.probabilities, seconds)
                self._tracks.append(track)
                self._next += 1
            faces.append(replace(face, probabilities=track.probabilities, track=track.number))
        return replace(recognition, faces=tuple(faces))


def _pairs(new: list[tuple], old: list[tuple]) -> list[tuple[int, int]]:
    """(index of new, index of old) of the boxes that belong together, each used once."""
    if not new or not old:
        return []
    overlaps = np.stack([overlap(np.array(box), np.array(old)) for box in new])
    pairs = []
    while overlaps.max() >= LEAST_OVERLAP:
        i, j = np.unravel_index(overlaps.argmax(), overlaps.shape)
        pairs.append((int(i), int(j)))
        overlaps[i], overlaps[:, j] = -1, -1
    return pairs
