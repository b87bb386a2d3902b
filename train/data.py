"""From a prepared folder to batches: tf.data, at any size of data set and in flat memory.

An epoch is a pure function of (seed, epoch): a run that goes on at epoch 7 sees what an unbroken one would have seen,
whatever the number of threads.
"""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_fer.errors import InputError
from train.augment import Augment, augment_picture, is_mirrored, resize
from train.prepared import DatasetInfo, Split, decode_example, decode_id, decode_votes, read_info

__all__ = [
    "DatasetInfo",
    "class_weights",
    "evaluation_batches",
    "picture_ids",
    "read_info",
    "steps_per_epoch",
    "training_batches",
]

FILES_AT_ONCE = 8
SHUFFLE_BYTES = 16 * 2**20
"""How much is shuffled at once. The records lie in random order already, and in each epoch the files are read in a new
order and several at once, so it need not be much of the set."""


def training_batches(
    info: DatasetInfo,
    split: str,
    *,
    batch_size: int,
    input_size: int,
    augment: Augment,
    seed: int,
    epochs: int,
    first_epoch: int = 0,
    limit: int | None = None,
    labels: str = "hard",
    sampling: str = "natural",
    votes: bool = False,
    shard: tuple[int, int] = (0, 1),
    beside: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None,
) -> tf.data.Dataset:
    """The shuffled and augmented batches of the epochs first_epoch .. epochs - 1, one after another.

    Each epoch is `steps_per_epoch` full batches; what is left over is other pictures in the next epoch.

    Args:
        limit: use only this many pictures of the split, the same in each epoch.
        labels: "hard", or "distribution" for the taggers' votes.
        sampling: "natural" shows each picture once; "balanced" draws them with replacement, all classes equally often.
        votes: give the taggers' votes beside the labels.
        shard: (i, n) takes the i-th of n equal parts of every batch, whose size n divides: side by side the parts are
            the batches of (0, 1).
        beside: `(id, whether it is the mirror image) -> tensor` of what is known of a picture; it stands beside the
            pictures then, `((pictures, known), targets)`.

    Returns:
        A dataset of (pictures float32 (batch, input_size, input_size, 3) in 0..255, targets float32
        (batch, classes), a distribution over `info.classes`). With `votes` the targets are a dict: "labels" as before,
        and "votes" float32 (batch, choices), a distribution over `info.votes`.

    Raises:
        InputError: no such split, no votes in the data, or not enough pictures for a batch.
    """
    chosen = _first(info.require(split), limit)
    _check_labels(info, labels)
    if votes:
        info.require_votes()
    steps = steps_per_epoch(info, split, batch_size, limit)
    paths = tf.constant([str(info.path / file) for file in chosen.files])
    lengths = tf.constant(list(chosen.files.values()), tf.int64)
    block = max(1, SHUFFLE_BYTES * chosen.n // chosen.bytes)
    weights = tf.constant(list(class_weights(info, split).values()), tf.float32)

    def balanced(records, epoch, number):
        # Drawing n of n pictures with replacement, the rarer ones more often, shows each a Poisson distributed number
        # of times. So it takes a single pass over the files, and as many pictures come out as go in, or nearly.
        labels = tf.io.parse_example(records, {"label": tf.io.FixedLenFeature((), tf.int64)})["label"]
        draw = tf.random.experimental.stateless_fold_in(tf.stack([seed, epoch]), number)
        times = tf.random.stateless_poisson(tf.shape(labels), draw, tf.gather(weights, labels), tf.int32)
        return tf.repeat(records, times)

    def records(epoch):
        # Not Dataset.shuffle, whose order also depends on TensorFlow's global seed.
        shuffled = functools.partial(tf.random.experimental.stateless_shuffle, seed=(seed, epoch))
        files = shuffled(tf.range(len(chosen.files)))
        dataset = tf.data.Dataset.from_tensor_slices((tf.gather(paths, files), tf.gather(lengths, files)))
        dataset = dataset.interleave(
            lambda path, length: tf.data.TFRecordDataset(path).take(length),
            cycle_length=FILES_AT_ONCE,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        dataset = dataset.batch(block)
        if sampling == "balanced":
            dataset = dataset.enumerate().map(lambda number, records: balanced(records, epoch, number)).repeat()
        dataset = dataset.map(shuffled).unbatch()
        return dataset.take(steps * batch_size).enumerate(epoch * 2**32)

    def example(number, record):
        encoded, target = decode_example(record, len(info.classes), labels)
        if votes:
            target = {"labels": target, "votes": decode_votes(record, len(info.votes))}
        draw = tf.stack([seed, number])
        picture = augment_picture(decode(encoded), draw, input_size, augment)
        if beside is None:
            return picture, target
        return (picture, beside(decode_id(record), is_mirrored(draw, augment))), target

    index, count = shard
    part = batch_size // count

    def is_ours(number, _):
        return number % 2**32 % batch_size // part == index

    dataset = tf.data.Dataset.range(first_epoch, epochs).flat_map(records).filter(is_ours)
    dataset = dataset.map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return dataset.batch(part, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def evaluation_batches(
    info: DatasetInfo,
    split: str,
    *,
    batch_size: int,
    input_size: int,
    limit: int | None = None,
    labels: str = "hard",
    chosen: np.ndarray | None = None,
    shard: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """The pictures of a split in the order of its files, only resized; the last batch may be smaller.

    Args, result and errors are those of `training_batches`; `chosen` tells for each of the (first `limit`) records
    whether to take it, all by default. With a `shard` (i, n), n divides the number of pictures too.
    """
    part = _first(info.require(split), limit)
    _check_labels(info, labels)

    def example(record):
        encoded, target = decode_example(record, len(info.classes), labels)
        return resize(decode(encoded), input_size), target

    dataset, n = tf.data.TFRecordDataset([str(info.path / file) for file in part.files]).take(part.n), part.n
    if chosen is not None:
        taken = tf.constant(chosen[:n])
        dataset, n = dataset.enumerate().filter(lambda i, _: taken[i]).map(lambda _, record: record), sum(chosen[:n])
    index, count = shard
    dataset = dataset.shard(count, index).map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    dataset = dataset.batch(batch_size // count).prefetch(tf.data.AUTOTUNE)
    return dataset.apply(tf.data.experimental.assert_cardinality(-(-n // batch_size)))


def picture_ids(info: DatasetInfo, split: str, limit: int | None = None) -> list[bytes]:
    """Where the pictures of `evaluation_batches` came from, in the same order."""
    chosen = _first(info.require(split), limit)
    dataset = tf.data.TFRecordDataset([str(info.path / file) for file in chosen.files]).take(chosen.n)
    return list(dataset.map(decode_id).as_numpy_iterator())


def steps_per_epoch(info: DatasetInfo, split: str, batch_size: int, limit: int | None = None) -> int:
    """How many full batches the split, or the first `limit` pictures of it, gives.

    Raises:
        InputError: no such split, or not even one batch.
    """
    n = _first(info.require(split), limit).n
    if n < batch_size:
        raise InputError(f"{n} pictures in {split} of {info.path} are less than one batch of {batch_size}")
    return n // batch_size


def class_weights(info: DatasetInfo, split: str) -> dict[int, float]:
    """A weight for each class index, inverse to its frequency in the split; the mean over the pictures is 1."""
    counts = [info.require(split).counts[name] for name in info.classes]
    present = sum(count > 0 for count in counts)
    return {i: sum(counts) / (present * count) if count else 0.0 for i, count in enumerate(counts)}


def _first(split: Split, limit: int | None) -> Split:
    """The split cut to its first `limit` records, a fair sample since they are in random order."""
    if limit is None or limit >= split.n:
        return split
    files, left = {}, limit
    for file, length in split.files.items():
        if left > 0:
            files[file] = min(length, left)
            left -= length
    return dataclasses.replace(split, n=limit, bytes=split.bytes * limit // split.n, files=files)


def _check_labels(info: DatasetInfo, labels: str) -> None:
    if labels == "distribution" and not info.distributions:
        raise InputError(f"{info.path} ({info.name}) has no label distributions, only hard labels")


def decode(encoded: tf.Tensor) -> tf.Tensor:
    """A picture as it is stored: (height, width, 3) uint8 RGB; greys get three equal channels."""
    return tf.io.decode_image(encoded, channels=3, expand_animations=False)
