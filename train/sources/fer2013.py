"""FER2013 (Goodfellow et al. 2013) and its better labels, FER+ (Barsoum et al. 2016).

The pictures are 48x48 greys, written as text into one csv. FER+ is a second csv of ten taggers' votes, row for row.
"""

import functools
import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from keras_fer.errors import InputError
from keras_fer.expressions import DATASET_LABELS
from train.sources.folders import class_folders
from train.sources.records import Record, Source, in_canonical_order
from train.sources.tables import rows

SIDE = 48
SPLITS = {"Training": "train", "PublicTest": "public", "PrivateTest": "private"}
NOT_A_FACE = "NF"
CHOICES = (*DATASET_LABELS["ferplus"], "unknown", NOT_A_FACE)
"""What FER+'s taggers could vote for."""


def read_fer2013(path: Path, votes_table: Path | None = None) -> Source:
    """FER2013 from `fer2013.csv` (or the folder that holds it), or from Kaggle's train/ and test/ class folders.

    Kaggle's `test` folder holds PublicTest and PrivateTest together, so there the split is called `test`.

    Args:
        votes_table: FER+'s `fer2013new.csv`: its votes stand beside FER2013's own labels, which stay the labels.
    """
    labels = DATASET_LABELS["fer2013"]
    if path.is_dir() and not (path / "fer2013.csv").exists():
        if votes_table:
            raise InputError(f"{path} holds no fer2013.csv; {votes_table} belongs to that file, row for row")
        return class_folders("fer2013", path, labels)
    table = path / "fer2013.csv" if path.is_dir() else path
    classes, size = in_canonical_order(labels.values()), _size(table)
    if votes_table:
        records = _voted_records(table, votes_table)
        return Source(
            "fer2013", classes, records, votes=CHOICES, notes=("with FER+'s votes beside the labels",), **size
        )
    records = (
        Record(f"row {row}", split, expression, functools.partial(_png, pixels))
        for row, split, expression, pixels in _rows(table)
    )
    return Source("fer2013", classes, records, **size)


def _voted_records(table: Path, votes_table: Path) -> Iterator[Record]:
    for id, split, expression, pixels, counts in _rows_with_votes(table, votes_table):
        # A row has ten votes, but for a few whose votes got lost: those say nothing.
        total = sum(counts.values()) or 1
        votes = tuple(counts[choice] / total for choice in CHOICES)
        yield Record(id, split, expression, functools.partial(_png, pixels), votes=votes)


def read_ferplus(path: Path) -> Source:
    """FER+ from a folder with `fer2013.csv` and `fer2013new.csv`.

    A record's distribution is its votes for the eight expressions, normalised; its label is the expression with the
    most votes. Rows that most taggers call no face are left out, and so are rows without a vote for any expression.
    """
    table, votes_table = path / "fer2013.csv", path / "fer2013new.csv"
    for needed in (table, votes_table):
        if not needed.is_file():
            raise InputError(f"{path} has no {needed.name}; ferplus needs a folder with fer2013.csv and fer2013new.csv")
    classes = in_canonical_order(DATASET_LABELS["ferplus"].values())
    return Source(
        "ferplus",
        classes,
        _ferplus_records(table, votes_table, classes),
        distributions=True,
        notes=("rows that most taggers call no face, or no expression at all, are left out",),
        **_size(table),
    )


def _ferplus_records(table: Path, votes_table: Path, classes: tuple[str, ...]) -> Iterator[Record]:
    for id, split, _, pixels, counts in _rows_with_votes(table, votes_table):
        expressions = np.array([counts[name] for name in classes], dtype=np.float64)
        if not expressions.any() or counts[NOT_A_FACE] > expressions.max():
            continue
        distribution = tuple(expressions / expressions.sum())
        yield Record(id, split, classes[expressions.argmax()], functools.partial(_png, pixels), distribution)


def _rows(table: Path) -> Iterator[tuple[int, str, str, str]]:
    """(row number, split, expression, pixels as text) of each row of fer2013.csv."""
    for row, cells in _cells(table, ("emotion", "pixels", "Usage")):
        label, pixels, usage = cells["emotion"], cells["pixels"], cells["Usage"]
        if usage not in SPLITS or pixels.count(" ") != SIDE * SIDE - 1:
            raise InputError(
                f"{table}: row {row} has {len(pixels.split())} pixels and usage {usage!r}; expected {SIDE * SIDE} and "
                f"one of {', '.join(SPLITS)}: is the file cut off?"
            )
        if not label.isdigit() or int(label) not in DATASET_LABELS["fer2013"]:
            raise InputError(f"{table}: row {row} has emotion {label!r}; expected 0 to 6")
        yield row, SPLITS[usage], DATASET_LABELS["fer2013"][int(label)], pixels


def _rows_with_votes(table: Path, votes_table: Path) -> Iterator[tuple[str, str, str, str, dict[str, int]]]:
    """(id, split, expression, pixels as text, votes by choice) of each row of both tables; the id has FER+'s name."""
    votes = _votes(votes_table)
    for row, split, expression, pixels in _rows(table):
        votes_split, name, counts = next(votes, (None, None, None))
        if votes_split != split:
            raise InputError(f"{votes_table} does not match {table} row for row: they part at row {row}")
        yield f"row {row} {name}".rstrip(), split, expression, pixels, counts
    if next(votes, None) is not None:
        raise InputError(f"{votes_table} has more rows than {table}; they belong together row for row")


def _votes(table: Path) -> Iterator[tuple[str, str, dict[str, int]]]:
    """(split, name of the picture, votes by choice) of each row of fer2013new.csv."""
    for row, cells in _cells(table, ("Usage", *CHOICES)):
        if cells["Usage"] not in SPLITS or not all(cells[choice].isdigit() for choice in CHOICES):
            raise InputError(f"{table}: row {row} is no row of votes: is the file cut off?")
        yield SPLITS[cells["Usage"]], cells.get("Image name", ""), {choice: int(cells[choice]) for choice in CHOICES}


def _cells(table: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """(row number, cell by column name) of a csv; the columns may stand in any order, missing cells are empty."""
    lines = rows(table)
    # Kaggle's icml_face_data.csv has blanks before its column names.
    found = [name.strip() for name in next(lines, [])]
    if not set(columns) <= set(found):
        raise InputError(f"{table} starts with {','.join(found)[:100]!r}; expected the columns {', '.join(columns)}")
    for number, cells in enumerate(lines):
        yield number, dict(itertools.zip_longest(found, cells[: len(found)], fillvalue=""))


def _size(table: Path) -> dict:
    """What a look through the whole table tells before the first picture is written, its faults included."""
    splits = Counter(split for _, split, _, _ in _rows(table))
    tests = [split for split in ("private", "public") if split in splits]
    return {"total": splits.total(), "aliases": {"test": tests[0]} if tests else {}}


def _png(pixels: str) -> bytes:
    values = np.array(pixels.split(), dtype=np.int64)
    if values.min() < 0 or values.max() > 255:
        raise ValueError("pixels outside of 0 to 255")
    return cv2.imencode(".png", values.reshape(SIDE, SIDE).astype(np.uint8))[1].tobytes()
