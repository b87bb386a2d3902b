"""Data sets in which a picture's folder is its label: one folder a class, in folders for the splits or not.

faces/train/happy/1.jpg  faces/test/happy/2.jpg    or    faces/happy/1.jpg
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from keras_fer.errors import InputError
from keras_fer.expressions import ALIASES, DATASET_LABELS, EXPRESSIONS
from train.sources.records import Record, Source, in_canonical_order

SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def read_folder(path: Path) -> Source:
    """Anybody's own pictures: class folders, in train/, val/ and test/ or without splits (then all are `train`).

    The classes are those that have a folder, in canonical order.
    """
    return class_folders("folder", path)


def read_caer_s(path: Path) -> Source:
    """CAER-S (Lee et al. 2019): train/ and test/ with seven class folders.

    The published frames show more than the face. The papers crop the faces first; the cropped set has the same layout.
    """
    return class_folders("caer-s", path, DATASET_LABELS["caer-s"])


def class_folders(
    name: str,
    path: Path,
    labels: Mapping | None = None,
    splits: Mapping[str, str] = SPLITS,
    notes: tuple[str, ...] = (),
) -> Source:
    """A data set of class folders.

    Args:
        labels: the set's own labels to canonical names; a folder may be called by either. Without them any expression
            is a class.
        splits: what each folder of a split stands for.

    Raises:
        InputError: a folder that is no class of the set; the message lists those that are.
    """
    if not path.is_dir():
        raise InputError(f"{path} is no folder; {name} needs one with a folder for each class")
    parents = {folder: splits[folder.lower()] for folder in folders_in(path) if folder.lower() in splits}
    known = _folder_names(labels)
    pictures = []
    for parent, split in parents.items() or {"": "train"}.items():
        for folder in folders_in(path / parent):
            if folder.lower() not in known:
                raise InputError(f"{path / parent / folder} is no class of {name}; known names are {', '.join(known)}")
            files = pictures_in(path, path / parent / folder)
            pictures += [(file, split, known[folder.lower()]) for file in files]
    if not pictures:
        raise InputError(f"{path} holds no pictures in folders of a class; known names are {', '.join(known)}")
    classes = in_canonical_order(labels.values() if labels else (expression for _, _, expression in pictures))
    return Source(name, classes, picture_records(path, pictures), total=len(pictures), notes=notes)


def _folder_names(labels: Mapping | None) -> dict[str, str]:
    """Each name that a class folder may have, in lower case, to the expression that it stands for."""
    names = {name: name for name in EXPRESSIONS} | ALIASES
    if labels is None:
        return names
    own = {str(label).lower(): name for label, name in labels.items()}
    return own | {alias: name for alias, name in names.items() if name in own.values()}


def folders_in(path: Path) -> list[str]:
    """The names of the visible folders in `path`, sorted."""
    return sorted(entry.name for entry in os.scandir(path) if entry.is_dir() and not entry.name.startswith("."))


def pictures_in(root: Path, folder: Path) -> Iterator[str]:
    """The pictures below `folder`, sorted, as paths relative to `root`.

    Plain strings, since a big set has hundreds of thousands and a Path takes ten times the memory.
    """
    for parent, folders, files in os.walk(folder):
        folders.sort()
        prefix = Path(parent).relative_to(root).as_posix()
        for file in sorted(files):
            if file.lower().endswith(SUFFIXES) and not file.startswith("."):
                yield f"{prefix}/{file}"


def picture_records(root: Path, pictures: Iterable[tuple[str, str, str]]) -> Iterator[Record]:
    """Records of (path relative to `root`, split, expression)."""
    for file, split, expression in pictures:
        yield Record(file, split, expression, (root / file).read_bytes)
