"""`train.prepare`: what goes in comes out, once, in random order, and what goes wrong loses nothing."""

import io
import re
import resource
import subprocess
import sys
from contextlib import contextmanager

import cv2
import numpy as np
import pytest
import tensorflow as tf
import trees
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from keras_fer.crop import crop
from keras_fer.errors import InputError
from keras_fer.faces import FaceFinder
from train import preparation
from train.drawn import scene
from train.preparation import VAL_SHARE, Unreadable, check_picture, prepare
from train.prepare import main
from train.prepared import INFO_FILE, read_info
from train.sources import Record, drawn_faces, open_source


def records(info, split):
    """Every stored record of a split, in the order of its files, as {feature: value}."""
    features = {
        "image": tf.io.FixedLenFeature((), tf.string),
        "label": tf.io.FixedLenFeature((), tf.int64),
        "id": tf.io.FixedLenFeature((), tf.string),
    }
    files = [str(info.path / file) for file in info.splits[split].files]
    found = [tf.io.parse_single_example(record, features) for record in tf.data.TFRecordDataset(files)]
    return [{key: value.numpy() for key, value in record.items()} for record in found]


def ids(info, split):
    return [record["id"].decode() for record in records(info, split)]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@contextmanager
def largest_file(size):
    """Files cannot grow beyond `size` bytes: to a writer, a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def faces(tmp_path):
    return trees.class_folders(
        tmp_path / "faces", {"train/happy": 120, "train/sad": 60, "train/angry": 20, "test/sad": 7}
    )


def test_everything_arrives_once_with_its_label(faces, tmp_path):
    info = prepare(open_source("folder", faces), tmp_path / "out")
    assert info == read_info(tmp_path / "out")
    assert info.classes == ("happiness", "sadness", "anger")
    assert {name: split.counts for name, split in info.splits.items()} == {
        "train": {"happiness": 108, "sadness": 54, "anger": 18},
        "val": {"happiness": 12, "sadness": 6, "anger": 2},
        "test": {"happiness": 0, "sadness": 7, "anger": 0},
    }
    stored = [record for split in info.splits for record in records(info, split)]
    expressions = {"happy": 0, "sad": 1, "angry": 2}
    for record in stored:
        path = faces / record["id"].decode()
        assert record["image"] == path.read_bytes()
        assert record["label"] == expressions[path.parent.name]
    assert sorted(record["id"].decode() for record in stored) == sorted(
        str(path.relative_to(faces)) for path in faces.rglob("*.png")
    )
    assert {path.name for path in info.path.iterdir()} == {
        INFO_FILE,
        *(file for split in info.splits.values() for file in split.files),
    }


def test_the_seed_fixes_order_and_tenth(faces, tmp_path):
    first, same, other = (
        prepare(open_source("folder", faces), tmp_path / name, seed=seed)
        for name, seed in (("first", 3), ("same", 3), ("other", 4))
    )
    assert contents(first.path) == contents(same.path)
    assert ids(first, "train") != ids(other, "train")
    assert set(ids(first, "val")) != set(ids(other, "val"))


def test_records_are_in_random_order_over_all_shards(faces, tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "PICTURES_PER_SHARD", 50)
    info = prepare(open_source("folder", faces), tmp_path / "out")
    assert list(info.splits["train"].files.values()) == [45, 45, 45, 45]
    labels = np.array([record["label"] for record in records(info, "train")])
    assert all(12 <= (part == 0).sum() <= 40 for part in labels.reshape(4, 45))  # 27 expected


def test_distributions_are_stored(tmp_path):
    trees.fer2013_csv(tmp_path / "fer2013.csv", [(0, "Training")] * 3)
    votes = "neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
    row = "Training,fer.png,0,0,6,0,4,0,0,0,0,0\n"
    trees.write(tmp_path, {"fer2013new.csv": f"Usage,Image name,{votes}\n" + row * 3})
    info = prepare(open_source("ferplus", tmp_path), tmp_path / "out")
    assert info.distributions
    (file, *_) = info.splits["train"].files
    example = tf.train.Example.FromString(next(iter(tf.data.TFRecordDataset(str(info.path / file)))).numpy())
    expected = {"surprise": 0.6, "anger": 0.4}
    assert example.features.feature["distribution"].float_list.value == pytest.approx(
        [expected.get(name, 0) for name in info.classes]
    )


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 40)), min_size=1, max_size=300), st.integers(0, 9))
def test_the_tenth_is_stratified_and_keeps_copies_together(pictures, seed):
    labels, digests = (np.array(column) for column in zip(*pictures))
    chosen = preparation._stratified_tenth(labels, digests, np.random.default_rng(seed))
    assert not set(digests[chosen]) & set(digests[~chosen])
    assert not chosen.all()
    if len(set(digests)) == len(digests):
        for label in set(labels):
            of_class = labels == label
            n = of_class.sum()
            assert chosen[of_class].sum() == (max(1, round(VAL_SHARE * n)) if n > 1 else 0)


def test_identical_pictures_across_splits(tmp_path):
    """Identical by pixels: the file formats differ."""
    faces = trees.class_folders(tmp_path / "faces", {"train/happy": 20, "val/happy": 3, "test/happy": 3})
    for i in (2, 5):
        trees.write(faces, {f"test/happy/copy{i}.bmp": trees.encoded(i, ".bmp")})
    trees.write(faces, {"val/happy/copy2.png": trees.encoded(2)})
    kept = prepare(open_source("folder", faces), tmp_path / "kept")
    assert kept.leaks == {"train/val": 1, "train/test": 2, "val/test": 1}
    assert {name: split.n for name, split in kept.splits.items()} == {"train": 20, "val": 4, "test": 5}
    dropped = prepare(open_source("folder", faces), tmp_path / "dropped", drop_leaks=True)
    assert dropped.leaks == kept.leaks
    assert {name: split.n for name, split in dropped.splits.items()} == {"train": 18, "val": 4, "test": 5}
    assert set(ids(kept, "train")) - set(ids(dropped, "train")) == {f"train/happy/000{i}.png" for i in (2, 5)}


def test_few_unreadable_pictures_are_listed(tmp_path):
    faces = trees.class_folders(tmp_path / "faces", {"happy": 150, "sad": 250})
    whole = trees.encoded(5, ".jpg", side=64)
    trees.write(faces, {"sad/empty.png": b"", "sad/text.png": "no picture"})
    trees.write(faces, {"sad/cut.jpg": whole[: len(whole) // 2], "sad/end.jpg": whole[:-2]})
    info = prepare(open_source("folder", faces), tmp_path / "out")
    assert {entry["id"]: entry["reason"] for entry in info.unreadable} == {
        "sad/empty.png": "the file is empty",
        "sad/cut.jpg": "Truncated File Read",
        "sad/end.jpg": "jpeg::Uncompress failed. Invalid JPEG data or crop window.",
        "sad/text.png": "it is no picture of a known format",
    }
    assert sum(split.n for split in info.splits.values()) == 400


def test_many_unreadable_pictures_are_an_error_and_the_old_data_stays(tmp_path):
    faces = trees.class_folders(tmp_path / "faces", {"happy": 100})
    out = prepare(open_source("folder", faces), tmp_path / "out").path
    before = contents(out)
    trees.write(faces, {"happy/a.png": b"", "happy/b.png": b""})
    with pytest.raises(InputError, match=r"2 of 102 pictures are unreadable, more than 1 %; first happy/a.png"):
        prepare(open_source("folder", faces), out)
    assert contents(out) == before
    assert {path.name for path in tmp_path.iterdir()} == {"faces", "out"}


def test_out_is_never_somebodys_folder(faces):
    before = sorted(faces.rglob("*"))
    with pytest.raises(InputError, match="holds no prepared data"):
        prepare(open_source("folder", faces), faces)
    assert sorted(faces.rglob("*")) == before


@pytest.mark.parametrize("suffix", [".bmp", ".tiff", ".webp", ".gif"])
def test_other_formats_become_png(suffix):
    stream = io.BytesIO()
    Image.new("RGB", (5, 7), trees.colour(77)).save(
        stream, suffix[1:], **({"lossless": True} if suffix == ".webp" else {})
    )
    picture = check_picture(Record("a", "train", "fear", stream.getvalue))
    assert picture.encoded.startswith(b"\x89PNG")
    assert trees.number(tf.io.decode_image(picture.encoded).numpy()) == 77


def test_pictures_that_lie_on_their_side_are_set_upright():
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, :8] = 255
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # to be turned clockwise
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", exif=exif)
    upright = tf.io.decode_image(check_picture(Record("a", "train", "fear", stream.getvalue)).encoded).numpy()
    assert upright.shape == (16, 8, 3)
    assert upright[:7].min() > 200
    assert upright[9:].max() < 50


@pytest.mark.parametrize(("shape", "size", "expected"), [((40, 60), 20, (20, 30)), ((40, 60), 40, (40, 60))])
def test_size_shrinks_and_never_enlarges(shape, size, expected):
    encoded = cv2.imencode(".png", np.full((*shape, 3), 128, np.uint8))[1].tobytes()
    stored = check_picture(Record("a", "train", "fear", lambda: encoded), size).encoded
    assert tf.io.decode_image(stored).shape == (*expected, 3)
    assert (stored == encoded) == (expected == shape)


def test_a_missing_file_is_unreadable(tmp_path):
    with pytest.raises(Unreadable, match="No such file"):
        check_picture(Record("a", "train", "fear", (tmp_path / "a.png").read_bytes))


def test_aligned_faces_are_the_crops_that_a_model_is_given(tmp_path):
    """To the last grey level, of the largest face; what shows none is left out and listed."""
    photos, written = tmp_path / "photos", {}
    for seed, name in enumerate(("happy/a.png", "happy/b.png", "sad/c.png")):
        written[name], _ = scene(seed, size=(200, 200), faces=["happiness"])
    small, _ = scene(7, size=(100, 100), faces=["sadness"])
    written["sad/d.png"] = np.concatenate([np.pad(small, ((0, 100), (0, 0), (0, 0))), written["sad/c.png"]], axis=1)
    written["sad/wall.png"] = np.full((120, 120, 3), 90, np.uint8)
    for name, pixels in written.items():
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(photos / name)
    info = prepare(open_source("folder", photos), tmp_path / "out", align=True, size=48)

    assert [entry["id"] for entry in info.unreadable] == ["sad/wall.png"]
    assert "faces cut out to 48 pixels; 1 pictures show none" in info.notes
    found = {}
    for file in sorted(info.path.glob("*.tfrecord")):
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            feature = tf.train.Example.FromString(record).features.feature
            pixels = tf.io.decode_png(feature["image"].bytes_list.value[0]).numpy()
            found[feature["id"].bytes_list.value[0].decode()] = pixels
    assert set(found) == set(written) - {"sad/wall.png"}
    find = FaceFinder()
    for name, pixels in found.items():
        face = max(find(written[name]), key=lambda face: face.box[2])
        expected = crop(written[name], face.left_eye, face.right_eye, face.box, size=48)
        np.testing.assert_array_equal(pixels, expected)
    assert len(find(written["sad/d.png"])) == 2


@pytest.mark.parametrize("failing", ["_fill_spool", "_write_split"])
def test_a_full_disk_loses_nothing(faces, tmp_path, monkeypatch, failing):
    out = prepare(open_source("folder", faces), tmp_path / "out").path
    before = contents(out)
    step = getattr(preparation, failing)

    def on_a_full_disk(*args):
        with largest_file(4096):
            return step(*args)

    monkeypatch.setattr(preparation, failing, on_a_full_disk)
    with pytest.raises(OSError, match=r"cannot write .*File too large"):
        prepare(open_source("folder", faces), out, seed=1)
    assert contents(out) == before
    assert {path.name for path in tmp_path.iterdir()} == {"faces", "out"}


def test_drawn_faces(tmp_path):
    info = prepare(drawn_faces(70, size=48), tmp_path / "out")
    assert {name: set(split.counts.values()) for name, split in info.splits.items()} == {
        "train": {8},
        "val": {1},
        "test": {1},
    }
    assert not info.leaks
    again = prepare(drawn_faces(70, size=48), tmp_path / "again")
    assert contents(info.path) == contents(again.path)
    other = prepare(drawn_faces(70, size=48, seed=1), tmp_path / "other", seed=0)
    assert not {record["image"] for record in records(other, "train")} & {
        record["image"] for record in records(info, "train")
    }


def test_fer2013_from_its_official_csv(shared, tmp_path, capsys):
    table = tmp_path / "fer2013.csv"
    subprocess.run([sys.executable, shared / "tools" / "fer2013_csv.py", table, "--limit", "200"], check=True)
    main(["fer2013", str(table), "--out", str(tmp_path / "out")])
    info = read_info(tmp_path / "out")
    assert {name: split.n for name, split in info.splits.items()} == {"train": 180, "val": 20, "public": 200}
    assert info.require("test") is info.splits["public"]
    faces = np.load(shared / "data" / "fer2013" / "public.npz")
    for record in records(info, "public")[:20]:
        row = int(record["id"].decode().removeprefix("row ")) - 200
        np.testing.assert_array_equal(tf.io.decode_png(record["image"])[..., 0], faces["images"][row])
        numbers = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
        assert info.classes[record["label"]] == numbers[faces["labels"][row]]
    printed = capsys.readouterr().out
    assert re.search(r"train +val +public", printed)
    assert "val is a stratified tenth of train" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["folder"], "needs a SOURCE"),
        (["drawn", "somewhere"], "takes no SOURCE"),
        (["folder", "somewhere", "--hard"], "for drawn"),
        (["drawn", "--count", "0"], "--count is 0"),
    ],
)
def test_command_line_mistakes(arguments, message, tmp_path):
    with pytest.raises(InputError, match=message):
        main([*arguments, "--out", str(tmp_path / "out")])
