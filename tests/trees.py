"""Small data sets in the layouts of the real ones, of pictures whose one colour tells which picture it is."""

import csv
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

SIDE = 8


def colour(number: int) -> tuple[int, int, int]:
    """The RGB colour of picture `number`, below 4096: far enough apart to survive JPEG."""
    return tuple(16 * (number // 16**place % 16) + 8 for place in range(3))


def number(picture: np.ndarray) -> int:
    """The number of a picture of one colour: `colour` read backwards."""
    return sum(int(value) // 16 * 16**place for place, value in enumerate(picture.mean(axis=(0, 1))))


def encoded(number: int, suffix: str = ".png", side: int = SIDE) -> bytes:
    """Picture `number`, as a file of that kind."""
    pixels = np.full((side, side, 3), colour(number)[::-1], np.uint8)
    return cv2.imencode(suffix, pixels)[1].tobytes()


def write(root: Path, files: Mapping[str, bytes | str]) -> Path:
    """Make the files, with their folders, below `root`."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def class_folders(root: Path, counts: Mapping[str, int]) -> Path:
    """{"train/happy": 3} makes three pictures there; they are numbered through."""
    names = [f"{folder}/{i:04d}.png" for folder, count in counts.items() for i in range(count)]
    return write(root, {name: encoded(i) for i, name in enumerate(names)})


def fer2013_csv(path: Path, rows: list[tuple[int, str]]) -> Path:
    """fer2013.csv with (emotion, usage) in each row; the grey of row i is i."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["emotion", "pixels", "Usage"])
        writer.writerows(
            [emotion, " ".join([str(i % 256)] * 48 * 48), usage] for i, (emotion, usage) in enumerate(rows)
        )
    return path
