"""Pictures of a split that were trained on all the same: 280 of FER2013's PublicTest are in its Training too."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from train.data import decode
from train.preparation import digest
from train.prepared import DatasetInfo, decode_example


def trained_on(info: DatasetInfo, split: str) -> np.ndarray:
    """For each picture of a split, in the order of its files, whether `train` or `val` holds one of the same pixels."""
    learned = {digest for part in ("train", "val") if part in info.splits for digest in _digests(info, part)}
    return np.array([digest in learned for digest in _digests(info, split)])


def known(info: DatasetInfo, split: str) -> bool:
    """Whether `train.prepare` found any such pictures, before it dropped what it was told to drop."""
    split = info.aliases.get(split, split)
    return split not in ("train", "val") and any(pair.endswith(f"/{split}") for pair in info.leaks)


def _digests(info: DatasetInfo, split: str) -> Iterator[int]:
    dataset = tf.data.TFRecordDataset([str(info.path / file) for file in info.require(split).files])
    dataset = dataset.map(
        lambda record: decode(decode_example(record, len(info.classes), "hard")[0]),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return (digest(pixels) for pixels in dataset.as_numpy_iterator())
