"""From a prepared folder to batches: tf.data, at any size of data set and in flat memory.

An epoch is a pure function of (seed, epoch): a run that goes on at epoch 7 sees what an unbroken one would have seen,
whatever the number of threads.
"""

import dataclasses
import functools

import tensorflow as tf

from keras_fer.errors import InputError
from train.augment import Augment, augment_picture, resize
from train.prepared import DatasetInfo, Split, decode_example, read_info

__all__ = [
    "DatasetInfo",
    "class_weights",
    "evaluation_batches",
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
) -> tf.data.Dataset:
    """The shuffled and augmented batches of the epochs first_epoch .. epochs - 1, one after another.

    Each epoch is `steps_per_epoch` full batches; what is left over is other pictures in the next epoch.

    Args:
        limit: use only this many pictures of the split, the same in each epoch.
        labels: "hard", or "distribution" for the taggers' votes.
        sampling: "natural" shows each picture once; "balanced" draws them with replacement, all classes equally often.

    Returns:
        A dataset of (pictures float32 (batch, input_size, input_size, 3) in 0..255, targets float32
        (batch, classes), a distribution over `info.classes`).

    Raises:
        InputError: no such split, no votes in the data, or not enough pictures for a batch.
    """
    chosen = _first(info.require(split), limit)
    _check_labels(info, labels)
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
        return augment_picture(_decode(encoded), tf.stack([seed, number]), input_size, augment), target

    dataset = tf.data.Dataset.range(first_epoch, epochs).flat_map(records)
    dataset = dataset.map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return dataset.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def evaluation_batches(
    info: DatasetInfo,
    split: str,
    *,
    batch_size: int,
    input_size: int,
    limit: int | None = None,
    labels: str = "hard",
) -> tf.data.Dataset:
    """The pictures of a split in the order of its files, only resized; the last batch may be smaller.

    Args, result and errors are those of `training_batches`.
    """
    chosen = _first(info.require(split), limit)
    _check_labels(info, labels)

    def example(record):
        encoded, target = decode_example(record, len(info.classes), labels)
        return resize(_decode(encoded), input_size), target

    dataset = tf.data.TFRecordDataset([str(info.path / file) for file in chosen.files]).take(chosen.n)
    dataset = dataset.map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    dataset = dataset.batch(batch_size).prefetch(tf.data.AUTOTUNE)
    return dataset.apply(tf.data.experimental.assert_cardinality(-(-chosen.n // batch_size)))


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


def _decode(encoded: tf.Tensor) -> tf.Tensor:
    """(height, width, 3) uint8 RGB; greys get three equal channels."""
    return tf.io.decode_image(encoded, channels=3, expand_animations=False)
