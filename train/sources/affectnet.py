"""AffectNet's manually annotated part (Mollahosseini et al. 2017): 287,000 training faces, 500 a class to report on.

AffectNet publishes no test labels: the field reports on its validation set, so that becomes the split `test` here, and
epochs are chosen on a tenth of the training set.
"""

import functools
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from keras_fer.errors import InputError
from keras_fer.expressions import DATASET_LABELS
from train.sources.folders import picture_records
from train.sources.records import Record, Source, in_canonical_order
from train.sources.tables import rows

VALIDATION_IS_TEST = "AffectNet's validation set is what the field reports on, so it becomes the split test"

COLUMNS = (
    "subDirectory_filePath",
    "face_x",
    "face_y",
    "face_width",
    "face_height",
    "facial_landmarks",
    "expression",
    "valence",
    "arousal",
)
CLASSES = range(11)
"""The eight expressions, then none, uncertain, no face."""
JPEG_QUALITY = 95


def read_affectnet7(path: Path) -> Source:
    """AffectNet without contempt; the layouts are those of `read_affectnet8`."""
    return _read("affectnet7", path)


def read_affectnet8(path: Path) -> Source:
    """AffectNet in one of its two official layouts.

    - annotations: `train_set/images/N.jpg` with `train_set/annotations/N_exp.npy`, and `val_set/` alike;
    - lists: `training.csv` and `validation.csv`, in `Manually_Annotated_file_lists/` or right here, with the pictures
      in `Manually_Annotated_Images/`, `Manually_Annotated/Manually_Annotated_Images/` or right here. Each face is cut
      out by the box that the list gives.

    Pictures of other classes (none, uncertain, no face) are left out.
    """
    return _read("affectnet8", path)


def _read(name: str, path: Path) -> Source:
    labels = DATASET_LABELS[name]
    lists = [
        path / folder for folder in ("Manually_Annotated_file_lists", ".") if (path / folder / "training.csv").exists()
    ]
    if (path / "train_set" / "annotations").is_dir():
        annotations = _annotations(path)
        records, total = _annotated(path, annotations, labels), len(annotations)
    elif lists:
        tables = {"train": lists[0] / "training.csv", "test": lists[0] / "validation.csv"}
        total = sum(1 for table in tables.values() for _ in _rows(table))
        records = _boxed(_images(path), tables, labels)
    else:
        raise InputError(f"{path} has neither train_set/annotations/ nor training.csv; {name} comes with one of them")
    return Source(name, in_canonical_order(labels.values()), records, total, notes=(VALIDATION_IS_TEST,))


def _annotations(root: Path) -> list[tuple[str, str, str]]:
    """(folder, split, N) of every `N_exp.npy`."""
    found = []
    for folder, split in (("train_set", "train"), ("val_set", "test")):
        for needed in ("images", "annotations"):
            if not (root / folder / needed).is_dir():
                raise InputError(f"{root / folder} has no {needed}/; expected images/N.jpg and annotations/N_exp.npy")
        files = sorted(entry.name for entry in os.scandir(root / folder / "annotations"))
        found += [(folder, split, name.removesuffix("_exp.npy")) for name in files if name.endswith("_exp.npy")]
    return found


def _annotated(root: Path, annotations: list[tuple[str, str, str]], labels: dict[int, str]) -> Iterator[Record]:
    for folder, split, name in annotations:
        file = root / folder / "annotations" / f"{name}_exp.npy"
        label = _label(np.load(file).item(), file)  # the number as text, in an array without axes
        if label in labels:
            yield from picture_records(root, [(f"{folder}/images/{name}.jpg", split, labels[label])])


def _boxed(images: Path, tables: dict[str, Path], labels: dict[int, str]) -> Iterator[Record]:
    for split, table in tables.items():
        for row, cells in _rows(table):
            label = _label(cells["expression"], f"{table} row {row}")
            if label in labels:
                try:
                    box = [int(float(cells[side])) for side in COLUMNS[1:5]]
                except ValueError:
                    raise InputError(f"{table}: row {row} has no face box: is the file cut off?") from None
                file = cells["subDirectory_filePath"]
                yield Record(file, split, labels[label], functools.partial(_face, images / file, *box))


def _rows(table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """(row number, cell by column) of a list; validation.csv comes with and without the line of column names."""
    for row, cells in enumerate(rows(table)):
        if len(cells) != len(COLUMNS):
            raise InputError(f"{table}: row {row} has {len(cells)} columns, not {len(COLUMNS)}: is the file cut off?")
        if cells[0] != COLUMNS[0]:
            yield row, dict(zip(COLUMNS, cells))


def _images(root: Path) -> Path:
    folders = (root / "Manually_Annotated_Images", root / "Manually_Annotated" / "Manually_Annotated_Images")
    return next((folder for folder in folders if folder.is_dir()), root)


def _label(text: str, where: object) -> int:
    if not str(text).isdigit() or int(text) not in CLASSES:
        raise InputError(f"{where}: expression {text!r}; AffectNet's are 0 to {len(CLASSES) - 1}")
    return int(text)


def _face(file: Path, x: int, y: int, width: int, height: int) -> bytes:
    """The face's box of the picture, encoded again."""
    image = cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    face = None if image is None else image[max(y, 0) : y + height, max(x, 0) : x + width]
    if face is None or not face.size:
        raise ValueError("no picture, or a face box outside of it")
    return cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
