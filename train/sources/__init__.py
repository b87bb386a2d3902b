"""Readers: one for each data set, from the layout that its authors publish to plain records.

A reader is a function `read(source: Path) -> Source`. It looks at names and labels at once, and at pictures only when a
record's `load` is called, so that `train.prepare` can read them in parallel and never holds more than a few.
"""

from collections.abc import Callable
from pathlib import Path

from keras_fer.errors import InputError
from train.sources.affectnet import read_affectnet7, read_affectnet8
from train.sources.drawn_faces import drawn_faces
from train.sources.fer2013 import read_fer2013, read_ferplus
from train.sources.folders import read_caer_s, read_folder
from train.sources.raf_db import read_raf_db
from train.sources.records import Record, Source

READERS: dict[str, Callable[[Path], Source]] = {
    "fer2013": read_fer2013,
    "ferplus": read_ferplus,
    "raf-db": read_raf_db,
    "affectnet7": read_affectnet7,
    "affectnet8": read_affectnet8,
    "caer-s": read_caer_s,
    "folder": read_folder,
}
"""Every data set that is read from the user's disk."""

__all__ = ["READERS", "Record", "Source", "drawn_faces", "open_source"]


def open_source(dataset: str, path: str | Path, votes: str | Path | None = None) -> Source:
    """The records of the data set `dataset` that lies at `path`.

    Args:
        votes: for fer2013, the file of FER+'s votes, which are then read beside the labels.

    Raises:
        InputError: there is nothing at `path`, or not in a layout that the data set is known to come in.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"there is no {path}; expected the {dataset} data set there")
    if votes is not None:
        if not Path(votes).is_file():
            raise InputError(f"there is no {votes}; expected FER+'s fer2013new.csv there")
        return read_fer2013(path, Path(votes))
    return READERS[dataset](path)
