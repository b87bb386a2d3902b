"""Parts of a split that a list file names: the occlusion and pose lists of RAN, or anybody's own.

Wang, Peng, Yang, Meng, Qiao: "Region Attention Networks for Pose and Occlusion Robust Facial Expression Recognition",
IEEE TIP 2020, publish lists for the test sets of FER+, RAF-DB and AffectNet at
https://github.com/kaiwang960112/Challenge-condition-FER-dataset. They name a picture in several ways:

    1_fer0034656.png 8 0                     FER+: the name in fer2013new.csv, behind the label
    0/fer0032226.jpg
    test_0003_aligned 3 4                    RAF-DB: the label and the kind of occlusion follow
    4/test_0006_aligned.jpg
    val/0/bc9ad400db82...8c1bca79/           AffectNet: the hash in subDirectory_filePath is the folder
    7/3c028208c27c...8a84b267203/8.jpg

Labels and other columns are not read: the data set has its own.
"""

import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_fer.errors import InputError
from train.prepared import DatasetInfo, decode_id

PUBLISHED = re.compile(r"fer\d{7}|(?:train|test)_\d{4,5}|[0-9a-f]{56}")
"""The part of a path that tells a picture of FER+, RAF-DB or AffectNet from all others."""


class Subset(NamedTuple):
    """The pictures of a split that a list names."""

    chosen: np.ndarray
    """For each record of the split whether it is one of them."""
    file: str
    names: int
    """How many different pictures the list names."""


def read_subset(file: Path, info: DatasetInfo, split: str, limit: int | None = None) -> Subset:
    """Find the pictures that a list names among the records of a split.

    A line names the picture whose id (where it came from, for `train.prepare`) it is, or that has the same name in the
    sense of `picture_name`.

    Args:
        limit: look only at the first so many records.

    Raises:
        InputError: no such file, no such split, no picture of the list is in the split, or a name means several.
    """
    try:
        lines = [line.strip() for line in file.read_text().splitlines()]
    except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is no list of pictures: {getattr(error, 'strerror', None) or error}") from error
    lines = [line for line in lines if line]
    chosen_split = info.require(split)
    files = [str(info.path / name) for name in chosen_split.files]
    records = tf.data.TFRecordDataset(files).take(limit or -1).map(decode_id)
    ids = [id.decode() for id in records.as_numpy_iterator()]
    whole = set(lines) & set(ids)
    names = {picture_name(line.split()[0]) for line in lines if line not in whole}
    found = [name for id in ids if id not in whole and (name := picture_name(id)) in names]
    if len(found) > len(set(found)):
        several = next(name for name in found if found.count(name) > 1)
        raise InputError(f"{file} names {several}, and {split} of {info.path} has several pictures of that name")
    if not whole and not found:
        raise InputError(
            f"{split} of {info.path} has none of the {len(names)} pictures that {file} names: the first is "
            f"{lines[0] if lines else 'missing'!r}, the data's first is {ids[0]!r}"
        )
    chosen = np.array([id in whole or picture_name(id) in names for id in ids])
    others = names - {picture_name(line) for line in whole}
    return Subset(chosen, file.name, len(whole) + len(others))


def picture_name(path: str) -> str:
    """What a path says about which picture it is: the published name in it, if any, or the file's without suffix."""
    published = PUBLISHED.search(path)
    return published.group() if published else PurePosixPath(path).stem
