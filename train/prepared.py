"""The on-disk format of a prepared data set: a folder that is fast to read at any size.

    DIR/dataset.json                     what is in it (`DatasetInfo`)
    DIR/train-00000-of-00014.tfrecord    encoded pictures, already in random order

Each record is a tf.train.Example: `image` (PNG or JPEG), `label` (index into the classes), `id` (where the picture came
from) and, for sets that publish their taggers' votes, `distribution` (their share for each class), or `votes` (their
share for all that could be voted for) where the label is another opinion.
"""

import dataclasses
import json
from pathlib import Path

import tensorflow as tf

from keras_fer.errors import InputError

INFO_FILE = "dataset.json"
FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Split:
    n: int
    counts: dict[str, int]
    """Pictures of each class."""
    bytes: int
    """Size of all the encoded pictures."""
    files: dict[str, int]
    """Records in each file, by file name."""


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """What a prepared folder holds; `dataset.json` has the same fields, but for `path`."""

    path: Path
    name: str
    classes: tuple[str, ...]
    """In canonical order; a record's label counts in it."""
    splits: dict[str, Split]
    aliases: dict[str, str]
    """Other names of splits: FER2013's "test" is its "private"."""
    distributions: bool
    """Whether the records carry label distributions."""
    seed: int
    notes: list[str]
    """How the set was read and changed, a line each."""
    unreadable: list[dict[str, str]]
    """`id` and `reason` of each picture that was left out because it cannot be decoded."""
    leaks: dict[str, int]
    """"train/test": how many pictures of test are in train too, pixel by pixel; before any were dropped."""
    votes: tuple[str, ...] = ()
    """What taggers could vote for, where the records carry votes beside their labels."""

    def require(self, split: str) -> Split:
        """The split of that name or alias.

        Raises:
            InputError: there is none; the message names those that exist.
        """
        name = self.aliases.get(split, split)
        if name not in self.splits:
            raise InputError(f"{self.path} has no split {split!r}; it has {', '.join([*self.splits, *self.aliases])}")
        return self.splits[name]

    def require_votes(self) -> tuple[str, ...]:
        """What taggers could vote for.

        Raises:
            InputError: the records carry no votes beside their labels.
        """
        if not self.votes:
            raise InputError(f"{self.path} ({self.name}) has no votes beside its labels: see train.prepare --votes")
        return self.votes


def read_info(path: str | Path) -> DatasetInfo:
    """What the prepared folder at `path` holds.

    Raises:
        InputError: it is no prepared folder, or one whose files do not all exist.
    """
    path = Path(path)
    try:
        stored = json.loads((path / INFO_FILE).read_text())
        if stored.pop("format") != FORMAT:
            raise ValueError
        splits = {name: Split(**split) for name, split in stored.pop("splits").items()}
        names = {key: tuple(stored.pop(key, ())) for key in ("classes", "votes")}
        info = DatasetInfo(path, splits=splits, **names, **stored)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{path} is no prepared data set: it has no {INFO_FILE}; make one with train.prepare"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            f"{path / INFO_FILE} is damaged or of another version; make it again with train.prepare"
        ) from None
    missing = [file for split in splits.values() for file in split.files if not (path / file).is_file()]
    if missing:
        raise InputError(
            f"{path} lacks {len(missing)} of its files, first {missing[0]}; make it again with train.prepare"
        )
    return info


def write_info(info: DatasetInfo) -> None:
    """Store `info` in its folder."""
    stored = {"format": FORMAT} | dataclasses.asdict(info)
    del stored["path"]
    (info.path / INFO_FILE).write_text(json.dumps(stored, indent=1) + "\n")


def encode_example(
    image: bytes,
    label: int,
    id: str,
    distribution: tuple[float, ...] | None = None,
    votes: tuple[float, ...] | None = None,
) -> bytes:
    """One record, as it stands in a file."""
    features = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
        "id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[id.encode()])),
    }
    for name, shares in (("distribution", distribution), ("votes", votes)):
        if shares is not None:
            features[name] = tf.train.Feature(float_list=tf.train.FloatList(value=shares))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def decode_id(record: tf.Tensor) -> tf.Tensor:
    """Where the picture of a record came from: a scalar string."""
    return tf.io.parse_single_example(record, {"id": tf.io.FixedLenFeature((), tf.string)})["id"]


def decode_example(record: tf.Tensor, num_classes: int, labels: str) -> tuple[tf.Tensor, tf.Tensor]:
    """The encoded picture of a record, and its target: a distribution over the classes, float32 (num_classes,).

    Args:
        labels: "hard" for the label as a one-hot vector, "distribution" for the taggers' votes.
    """
    image = tf.io.FixedLenFeature((), tf.string)
    if labels == "distribution":
        features = {"image": image, "distribution": tf.io.FixedLenFeature((num_classes,), tf.float32)}
        parsed = tf.io.parse_single_example(record, features)
        return parsed["image"], parsed["distribution"]
    parsed = tf.io.parse_single_example(record, {"image": image, "label": tf.io.FixedLenFeature((), tf.int64)})
    return parsed["image"], tf.one_hot(parsed["label"], num_classes)


def decode_votes(record: tf.Tensor, count: int) -> tf.Tensor:
    """The votes of a record of a set that has them: the share of each of `count` choices, float32 (count,)."""
    return tf.io.parse_single_example(record, {"votes": tf.io.FixedLenFeature((count,), tf.float32)})["votes"]
