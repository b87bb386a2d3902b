"""The input pipeline: which pictures an epoch holds, in which order, and that it always comes out the same."""

import numpy as np
import pytest
import tensorflow as tf
import trees
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_fer.errors import InputError
from train import data, preparation
from train.augment import Augment
from train.data import evaluation_batches, read_info, steps_per_epoch, training_batches
from train.preparation import prepare
from train.prepared import INFO_FILE
from train.sources import Record, Source, open_source

N = 90
CLASSES = ("neutral", "happiness", "fear")
MOVED = Augment(flip=0.5, rotation=20, shift=0.1, brightness=0.2)


@pytest.fixture(scope="module", autouse=True)
def small_shards():
    """Many files, and several shuffled blocks in an epoch, with few pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparation, "PICTURES_PER_SHARD", 16)
        patch.setattr(data, "SHUFFLE_BYTES", 3000)
        yield


@pytest.fixture(scope="module")
def info(tmp_path_factory):
    """90 pictures to train on, each of a colour of its own; picture i is of class i % 3."""
    folders = [("neutral", "happiness", "fear")[i % 3] for i in range(N)]
    root = tmp_path_factory.mktemp("faces")
    trees.write(root, {f"train/{folder}/{i:02d}.png": trees.encoded(i) for i, folder in enumerate(folders)})
    trees.write(root, {f"val/{folder}/{i:02d}.png": trees.encoded(200 + i) for i, folder in enumerate(folders[:20])})
    return prepare(open_source("folder", root), tmp_path_factory.mktemp("out") / "data")


def batches(info, split="train", **options):
    defaults = {"batch_size": 16, "input_size": 8, "augment": Augment(), "seed": 0, "epochs": 1}
    return list(training_batches(info, split, **(defaults | options)).as_numpy_iterator())


def numbers(batches):
    """Which pictures they hold."""
    return [trees.number(picture) for pictures, _ in batches for picture in pictures]


def equal(one, other):
    return len(one) == len(other) and all(
        np.array_equal(a, b) for first, second in zip(one, other) for a, b in zip(first, second)
    )


def test_an_epoch_is_full_batches_of_different_pictures(info):
    epoch = batches(info)
    assert len(epoch) == steps_per_epoch(info, "train", 16) == N // 16
    assert all(pictures.shape == (16, 8, 8, 3) and targets.shape == (16, 3) for pictures, targets in epoch)
    assert len(set(numbers(epoch))) == N // 16 * 16


def test_pictures_keep_their_targets(info):
    for pictures, targets in batches(info, augment=Augment(flip=0.5), batch_size=30):
        assert pictures.dtype == targets.dtype == np.float32
        np.testing.assert_array_equal(targets, np.eye(3)[[trees.number(picture) % 3 for picture in pictures]])
        assert pictures.max() > 1


def test_what_an_epoch_leaves_over_comes_in_others(info):
    assert set(numbers(batches(info, epochs=6))) == set(range(N))


@settings(max_examples=5)
@given(st.sampled_from((1, 7, 16, 45)), st.integers(0, 2**31), st.integers(0, 5), st.integers(1, 3))
def test_an_epoch_is_a_function_of_seed_and_number(info, batch_size, seed, first_epoch, count):
    """So a resumed run sees what an unbroken one would have seen, whatever else has drawn random numbers."""
    options = {"batch_size": batch_size, "seed": seed, "augment": MOVED}
    tf.random.set_seed(seed + 1)
    unbroken = batches(info, epochs=first_epoch + count, **options)
    tf.random.set_seed(seed + 2)
    resumed = batches(info, epochs=first_epoch + count, first_epoch=first_epoch, **options)
    assert equal(resumed, unbroken[first_epoch * (N // batch_size) :])


@pytest.mark.parametrize("threads", [1, 7])
def test_threads_do_not_matter(info, threads):
    options = tf.data.Options()
    options.threading.private_threadpool_size = threads
    dataset = training_batches(info, "train", batch_size=8, input_size=16, augment=MOVED, seed=3, epochs=2)
    assert equal(list(dataset.with_options(options).as_numpy_iterator()), list(dataset.as_numpy_iterator()))


def test_epochs_and_seeds_differ(info):
    whole = {"batch_size": N}
    orders = [
        numbers(batches(info, seed=seed, first_epoch=epoch, epochs=epoch + 1, **whole))
        for seed, epoch in ((0, 0), (0, 1), (1, 0))
    ]
    assert len({tuple(order) for order in orders}) == 3
    assert all(sorted(order) == list(range(N)) for order in orders)


def test_the_order_is_spread_over_the_whole_set(info):
    """Neighbours in an epoch come from all files, not from one after another."""
    stored = numbers(evaluation_batches(info, "train", batch_size=N, input_size=8).as_numpy_iterator())
    places = [stored.index(number) for number in numbers(batches(info, batch_size=N))]
    assert np.abs(np.diff(places)).mean() > N / 6  # a third of N for a fair shuffle, 1 for none
    assert abs(np.corrcoef(places, np.arange(N))[0, 1]) < 0.5


def test_pictures_of_a_batch_are_drawn_one_by_one(tmp_path):
    """Equal pictures come out different, within a batch and from epoch to epoch."""
    ramp = tf.io.encode_png(np.tile(np.arange(0, 240, 10, np.uint8)[None, :, None], (24, 1, 3))).numpy()
    same = [Record(str(i), "train", CLASSES[i % 2], lambda: ramp) for i in range(32)]
    info = prepare(Source("same", CLASSES, [*same, Record("v", "val", "fear", lambda: ramp)], 33), tmp_path / "same")
    pictures = np.concatenate([x for x, _ in batches(info, augment=Augment(rotation=20), input_size=24, epochs=2)])
    assert len({picture.tobytes() for picture in pictures}) == len(pictures) == 64


def test_limit_is_the_same_pictures_in_each_epoch(info):
    first, second = (
        set(numbers(batches(info, limit=40, batch_size=20, first_epoch=epoch, epochs=epoch + 1))) for epoch in (0, 1)
    )
    assert first == second
    assert len(first) == 40
    assert steps_per_epoch(info, "train", 20, limit=40) == 2
    assert steps_per_epoch(info, "train", 20, limit=10**6) == N // 20


def test_evaluation_is_in_order_and_whole(info):
    first, second = (
        list(evaluation_batches(info, "val", batch_size=8, input_size=8).as_numpy_iterator()) for _ in range(2)
    )
    assert equal(first, second)
    assert [len(pictures) for pictures, _ in first] == [8, 8, 4]
    assert sorted(numbers(first)) == list(range(200, 220))
    limited = evaluation_batches(info, "val", batch_size=8, input_size=8, limit=9).as_numpy_iterator()
    assert numbers(limited) == numbers(first)[:9]


def test_greys_get_three_channels_and_the_input_size(tmp_path):
    trees.fer2013_csv(tmp_path / "fer2013.csv", [(i % 7, "Training") for i in range(40)])
    info = prepare(open_source("fer2013", tmp_path), tmp_path / "out")
    ((pictures, targets), *_) = batches(info, input_size=20)
    assert pictures.shape == (16, 20, 20, 3)
    assert targets.shape == (16, 7)
    np.testing.assert_array_equal(pictures, pictures[..., :1].repeat(3, axis=-1))


def test_distributions(tmp_path):
    votes = (0.0, 0.75, 0.25)
    picture = trees.encoded(1)
    records = [Record(str(i), "train" if i < 16 else "val", "happiness", lambda: picture, votes) for i in range(20)]
    info = prepare(Source("votes", CLASSES, records, 20, distributions=True), tmp_path / "out")
    ((_, targets),) = batches(info, labels="distribution")
    np.testing.assert_array_equal(targets, np.tile(np.float32(votes), (16, 1)))
    ((_, targets),) = evaluation_batches(info, "val", batch_size=4, input_size=8)
    np.testing.assert_array_equal(targets, np.tile([0, 1, 0], (4, 1)))


def test_votes_beside_the_labels(tmp_path):
    picture, choices = trees.encoded(1), ("happiness", "fear", "neither")
    shares = [(i / 32, 1 - i / 32, 0.0) for i in range(20)]
    records = [
        Record(str(i), "train" if i < 16 else "val", "happiness", lambda: picture, votes=shares[i]) for i in range(20)
    ]
    info = prepare(Source("votes", CLASSES, records, 20, votes=choices), tmp_path / "out")
    assert read_info(info.path) == info
    ((_, targets),) = batches(info, votes=True)
    np.testing.assert_array_equal(targets["labels"], np.tile([0, 1, 0], (16, 1)))
    np.testing.assert_array_equal(np.sort(targets["votes"], axis=0)[:, 0], np.float32([i / 32 for i in range(16)]))
    np.testing.assert_array_equal(targets["votes"].sum(axis=1), np.ones(16))
    ((_, targets),) = batches(info)
    assert targets.shape == (16, 3)


def test_aliases_are_splits(tmp_path):
    rows = [(0, "Training")] * 20 + [(1, "PublicTest"), (2, "PrivateTest"), (3, "PrivateTest")]
    info = prepare(open_source("fer2013", trees.fer2013_csv(tmp_path / "fer2013.csv", rows)), tmp_path / "out")
    assert sum(len(pictures) for pictures, _ in evaluation_batches(info, "test", batch_size=8, input_size=8)) == 2


def test_missing_things_are_named(info, tmp_path):
    with pytest.raises(InputError, match="has no split 'test'; it has train, val"):
        evaluation_batches(info, "test", batch_size=8, input_size=8)
    with pytest.raises(InputError, match="no votes beside its labels"):
        batches(info, votes=True)
    with pytest.raises(InputError, match="no label distributions"):
        batches(info, labels="distribution")
    with pytest.raises(InputError, match=r"90 pictures .* less than one batch of 91"):
        batches(info, batch_size=91)
    with pytest.raises(InputError, match="no prepared data set"):
        read_info(tmp_path)
    with pytest.raises(InputError, match="no prepared data set"):
        read_info(tmp_path / "missing")


def test_damaged_folders_are_errors(info, tmp_path):
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in info.path.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    assert read_info(folder).splits == info.splits
    lost = next(iter(info.splits["val"].files))
    (folder / lost).unlink()
    with pytest.raises(InputError, match=lost):
        read_info(folder)
    (folder / INFO_FILE).write_text((info.path / INFO_FILE).read_text()[:50])
    with pytest.raises(InputError, match="is damaged"):
        read_info(folder)
