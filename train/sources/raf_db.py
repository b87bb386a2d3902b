"""RAF-DB's basic emotions (Li et al. 2017): 12,271 training and 3,068 test faces, aligned to 100x100."""

from collections.abc import Iterator
from pathlib import Path

from keras_fer.errors import InputError
from keras_fer.expressions import DATASET_LABELS
from train.sources.folders import SPLITS, class_folders, folders_in, picture_records
from train.sources.records import Source, in_canonical_order

LIST = "list_patition_label.txt"
"""The official list, misspelt by its authors: "train_00001.jpg 5" on each line."""

VALID_IS_TEST = "the folder valid/ is RAF-DB's test set, so it becomes the split test"


def read_raf_db(path: Path) -> Source:
    """RAF-DB in one of its layouts.

    - official: `EmoLabel/list_patition_label.txt` and `Image/aligned/train_00001_aligned.jpg`;
    - POSTER V2's page: the aligned pictures in `train/` and `valid/`, with the official list there or in `EmoLabel/`;
    - class folders (1 to 7 or by name) in `train/` and `valid/` or `test/`.

    In all of them the pictures called `test_*` are the split `test`, also where the folder is called `valid`.
    """
    labels = DATASET_LABELS["raf-db"]
    if not path.is_dir():
        raise InputError(
            f"{path} is no folder; raf-db needs the one that holds EmoLabel/ and Image/, or train/ and valid/"
        )
    renamed = (path / "valid").is_dir() and not (path / "test").is_dir()
    notes = (VALID_IS_TEST,) if renamed else ()
    lists = [place for place in (path / "EmoLabel" / LIST, path / LIST) if place.is_file()]
    if lists:
        pictures = list(_listed(path, lists[0]))
        classes = in_canonical_order(labels.values())
        return Source("raf-db", classes, picture_records(path, pictures), total=len(pictures), notes=notes)
    if not any(folders_in(path / parent) for parent in folders_in(path) if parent in SPLITS):
        raise InputError(
            f"{path} has neither {LIST} (also looked for in EmoLabel/) nor class folders in train/ and valid/"
        )
    return class_folders("raf-db", path, labels, SPLITS | {"valid": "test"} if renamed else SPLITS, notes)


def _listed(root: Path, table: Path) -> Iterator[tuple[str, str, str]]:
    """(path relative to `root`, split, expression) of each line of the official list."""
    labels = DATASET_LABELS["raf-db"]
    folders = _picture_folders(root)
    for number, line in enumerate(table.read_text(errors="replace").splitlines(), start=1):
        name, _, label = line.partition(" ")
        split, stem = name.partition("_")[0], name.removesuffix(".jpg")
        if split not in folders or not label.isdigit() or int(label) not in labels:
            raise InputError(
                f"{table}: line {number} is {line!r}; expected one like 'train_00001.jpg 5' (labels 1 to 7)"
            )
        yield f"{folders[split]}/{stem}_aligned.jpg", split, labels[int(label)]


def _picture_folders(root: Path) -> dict[str, str]:
    """Where the aligned pictures of each split are, relative to `root`."""
    for folders in (
        {"train": "Image/aligned", "test": "Image/aligned"},
        {"train": "train", "test": "valid"},
        {"train": "train", "test": "test"},
    ):
        if all((root / folder).is_dir() for folder in folders.values()):
            return folders
    raise InputError(
        f"{root} has {LIST} but no aligned pictures; expected them in Image/aligned/, or in train/ and valid/"
    )
