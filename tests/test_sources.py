"""Every reader, on a small tree in each layout that its data set comes in."""

import cv2
import numpy as np
import pytest
import trees
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_fer.errors import InputError
from keras_fer.expressions import DATASET_LABELS, EXPRESSIONS
from train.sources import open_source

USAGES = ("Training", "PublicTest", "PrivateTest")
VOTES = "neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
LIST = "train_00001.jpg 5\ntrain_00002.jpg 7\ntest_0001.jpg 1\n"
RAF_DB = {("train_00001", "train", "sadness"), ("train_00002", "train", "neutral"), ("test_0001", "test", "surprise")}
AFFECTNET = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal\n"


def read(dataset, path):
    """{(id, split, expression)}, after a look at each picture."""
    records = list(open_source(dataset, path).records)
    assert all(cv2.imdecode(np.frombuffer(record.load(), np.uint8), cv2.IMREAD_COLOR) is not None for record in records)
    assert len({record.id for record in records}) == len(records)
    return {(record.id, record.split, record.expression) for record in records}


@pytest.mark.parametrize("dataset", DATASET_LABELS)
def test_each_label_is_an_expression_of_its_own(dataset):
    names = list(DATASET_LABELS[dataset].values())
    classes = 8 if dataset in ("affectnet8", "ferplus") else 7
    assert sorted(names) == sorted(EXPRESSIONS[:classes])


def test_fer2013_csv(tmp_path):
    path = trees.fer2013_csv(tmp_path / "fer2013.csv", [(6, "Training"), (3, "PublicTest"), (0, "PrivateTest")])
    expected = {("row 0", "train", "neutral"), ("row 1", "public", "happiness"), ("row 2", "private", "anger")}
    assert read("fer2013", path) == read("fer2013", tmp_path) == expected
    assert open_source("fer2013", path).aliases == {"test": "private"}


def test_fer2013_test_is_public_without_private(tmp_path):
    path = trees.fer2013_csv(tmp_path / "fer2013.csv", [(6, "Training"), (3, "PublicTest")])
    assert open_source("fer2013", path).aliases == {"test": "public"}


def test_fer2013_pixels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (48, 48))
    text = f"emotion, Usage, pixels\n1,Training,{' '.join(map(str, pixels.ravel()))}\n"  # icml_face_data.csv's columns
    trees.write(tmp_path, {"icml_face_data.csv": text})
    (record,) = open_source("fer2013", tmp_path / "icml_face_data.csv").records
    assert record.expression == "disgust"
    np.testing.assert_array_equal(cv2.imdecode(np.frombuffer(record.load(), np.uint8), cv2.IMREAD_UNCHANGED), pixels)


@settings(max_examples=60)
@given(cut=st.integers(0, 3 * 2304))
def test_a_csv_cut_off_within_a_row_is_never_taken_for_whole(tmp_path_factory, cut):
    folder = tmp_path_factory.mktemp("cut")
    path = trees.fer2013_csv(folder / "fer2013.csv", [(0, "Training")])
    text = path.read_text()
    path.write_text(text + text.splitlines()[1][:cut])
    whole = cut == 0 or cut >= len(text.splitlines()[1])
    if whole:
        assert len(list(open_source("fer2013", path).records)) == 1 + (cut > 0)
    else:
        with pytest.raises(InputError, match="row 1"):
            open_source("fer2013", path)


@pytest.mark.parametrize("pixels", ["256", "-1", "x"])
def test_fer2013_bad_pixels_are_unreadable(tmp_path, pixels):
    path = trees.write(tmp_path, {"f.csv": f"emotion,pixels,Usage\n0,{pixels}{' 0' * 2303},Training\n"}) / "f.csv"
    (record,) = open_source("fer2013", path).records
    with pytest.raises(ValueError):
        record.load()


def test_fer2013_kaggle_folders(tmp_path):
    trees.class_folders(tmp_path, {"train/angry": 1, "train/happy": 1, "test/fear": 1})
    assert {row[1:] for row in read("fer2013", tmp_path)} == {
        ("train", "anger"),
        ("train", "happiness"),
        ("test", "fear"),
    }
    assert open_source("fer2013", tmp_path).classes == EXPRESSIONS[:7]


def test_ferplus(tmp_path):
    votes = {"Training": ["0,0,7,0,0,0,1,2,0,0", "0,1,0,0,0,0,0,0,0,9"], "PublicTest": ["1,0,0,0,0,0,0,0,9,0"]}
    trees.fer2013_csv(tmp_path / "fer2013.csv", [(0, usage) for usage, rows in votes.items() for _ in rows])
    rows = [f"{usage},fer.png,{row}" for usage, rows in votes.items() for row in rows]
    trees.write(tmp_path, {"fer2013new.csv": "\n".join([f"Usage,Image name,{VOTES}", *rows, ""])})
    source = open_source("ferplus", tmp_path)
    first, third = source.records
    assert source.classes == EXPRESSIONS
    assert (first.id, first.split, first.expression) == ("row 0 fer.png", "train", "surprise")
    assert dict(zip(EXPRESSIONS, first.distribution)) == pytest.approx(
        dict.fromkeys(EXPRESSIONS, 0) | {"surprise": 0.7, "fear": 0.1, "contempt": 0.2}
    )
    assert (third.id, third.split, third.expression) == ("row 2 fer.png", "public", "neutral")  # row 1 is no face


def test_fer2013_with_ferplus_votes_beside_its_labels(tmp_path):
    table = trees.fer2013_csv(tmp_path / "fer2013.csv", [(0, "Training"), (3, "Training"), (6, "PublicTest")])
    rows = ["Training,a.png,0,0,7,0,0,0,1,2,0,0", "Training,,0,0,0,0,0,0,0,0,1,9", "PublicTest,,0,0,0,0,0,0,0,0,0,0"]
    trees.write(tmp_path, {"fer2013new.csv": "\n".join([f"Usage,Image name,{VOTES}", *rows, ""])})
    source = open_source("fer2013", table, tmp_path / "fer2013new.csv")
    records = list(source.records)
    assert (source.classes, source.votes) == (EXPRESSIONS[:7], (*EXPRESSIONS, "unknown", "NF"))
    assert not source.distributions
    # The labels are FER2013's own, and no row is left out.
    assert [record.expression for record in records] == ["anger", "happiness", "neutral"]
    shares = [{name: share for name, share in zip(source.votes, record.votes) if share} for record in records]
    assert shares == [{"surprise": 0.7, "fear": 0.1, "contempt": 0.2}, {"unknown": 0.1, "NF": 0.9}, {}]


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("dataset", ["ferplus", "fer2013"])
def test_ferplus_tables_must_match(tmp_path, dataset, rows):
    trees.fer2013_csv(tmp_path / "fer2013.csv", [(0, "Training")] * 2)
    row = "Training,fer.png,9,0,0,0,0,0,0,0,0,0\n"
    trees.write(tmp_path, {"fer2013new.csv": f"Usage,Image name,{VOTES}\n" + row * rows})
    votes = tmp_path / "fer2013new.csv" if dataset == "fer2013" else None
    with pytest.raises(InputError, match="row"):
        list(open_source(dataset, tmp_path, votes).records)


def test_votes_need_both_tables(tmp_path):
    trees.class_folders(tmp_path, {"train/angry": 1, "test/fear": 1})
    with pytest.raises(InputError, match=r"there is no .*new\.csv; expected FER\+'s"):
        open_source("fer2013", tmp_path, tmp_path / "new.csv")
    trees.write(tmp_path, {"new.csv": f"Usage,Image name,{VOTES}\n"})
    with pytest.raises(InputError, match=r"holds no fer2013\.csv"):
        open_source("fer2013", tmp_path, tmp_path / "new.csv")


@pytest.mark.parametrize(
    ("table", "train", "test"),
    [
        ("EmoLabel/list_patition_label.txt", "Image/aligned", "Image/aligned"),
        ("list_patition_label.txt", "train", "valid"),
        ("EmoLabel/list_patition_label.txt", "train", "test"),
    ],
)
def test_raf_db_lists(tmp_path, table, train, test):
    trees.write(tmp_path, {table: LIST})
    for i, (name, split, _) in enumerate(RAF_DB):
        trees.write(tmp_path, {f"{train if split == 'train' else test}/{name}_aligned.jpg": trees.encoded(i, ".jpg")})
    found = read("raf-db", tmp_path)
    assert {(id.split("/")[-1].removesuffix("_aligned.jpg"), *rest) for id, *rest in found} == RAF_DB


def test_raf_db_class_folders(tmp_path):
    trees.class_folders(tmp_path, {"train/1": 1, "train/7": 1, "valid/6": 1})
    source = open_source("raf-db", tmp_path)
    assert {(record.split, record.expression) for record in source.records} == {
        ("train", "surprise"),
        ("train", "neutral"),
        ("test", "anger"),
    }
    assert any("valid/ is RAF-DB's test set" in note for note in source.notes)


def test_raf_db_without_its_list(tmp_path):
    trees.write(tmp_path, {"train/train_00001_aligned.jpg": trees.encoded(0, ".jpg"), "valid/a.jpg": b""})
    with pytest.raises(InputError, match=r"list_patition_label\.txt"):
        open_source("raf-db", tmp_path)


@pytest.mark.parametrize(("dataset", "classes"), [("affectnet7", 7), ("affectnet8", 8)])
def test_affectnet_annotations(tmp_path, dataset, classes):
    for folder in ("train_set", "val_set"):
        (tmp_path / folder / "annotations").mkdir(parents=True)
        for i in range(11):
            np.save(tmp_path / folder / "annotations" / f"{i}_exp.npy", np.array(str(i)))
            np.save(tmp_path / folder / "annotations" / f"{i}_aro.npy", np.array("0.1"))
            trees.write(tmp_path, {f"{folder}/images/{i}.jpg": trees.encoded(i, ".jpg")})
    assert read(dataset, tmp_path) == {
        (f"{folder}/images/{i}.jpg", split, EXPRESSIONS[i])
        for folder, split in (("train_set", "train"), ("val_set", "test"))
        for i in range(classes)
    }


@pytest.mark.parametrize("header", [AFFECTNET, ""])
def test_affectnet_lists_and_face_boxes(tmp_path, header):
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[10:30, 20:50] = 200
    trees.write(
        tmp_path / "Manually_Annotated_Images",
        {name: cv2.imencode(".png", picture)[1].tobytes() for name in ("103/a.png", "9/b.png", "9/c.png")},
    )
    trees.write(
        tmp_path / "Manually_Annotated_file_lists",
        {
            "training.csv": AFFECTNET + "103/a.png,20,10,30,20,1;2;3,1,0.5,0.5\n9/c.png,0,0,9,9,1;2,10,-2,-2\n",
            "validation.csv": header + "9/b.png,-5,-5,25,25,1;2;3,7,0.5,0.5\n",
        },
    )
    train, test = open_source("affectnet8", tmp_path).records
    assert (train.id, train.split, train.expression) == ("103/a.png", "train", "happiness")
    assert (test.id, test.split, test.expression) == ("9/b.png", "test", "contempt")
    face = cv2.imdecode(np.frombuffer(train.load(), np.uint8), cv2.IMREAD_COLOR)
    assert face.shape == (20, 30, 3)
    assert abs(face.astype(int) - 200).max() < 10
    assert cv2.imdecode(np.frombuffer(test.load(), np.uint8), cv2.IMREAD_COLOR).shape == (20, 20, 3)


def test_caer_s(tmp_path):
    folders = [f"{split}/{name}" for split in ("train", "test") for name in DATASET_LABELS["caer-s"]]
    trees.class_folders(tmp_path, dict.fromkeys(folders, 1))
    assert {row[1:] for row in read("caer-s", tmp_path)} == {
        (split, name) for split in ("train", "test") for name in EXPRESSIONS[:7]
    }


def test_folder_without_splits(tmp_path):
    trees.class_folders(tmp_path, {"Surprised": 2, "sad": 1})
    trees.write(tmp_path, {"sad/notes.txt": "no picture", "sad/.thumb.png": b"", ".cache/x.png": b""})
    assert read("folder", tmp_path) == {
        ("Surprised/0000.png", "train", "surprise"),
        ("Surprised/0001.png", "train", "surprise"),
        ("sad/0000.png", "train", "sadness"),
    }
    assert open_source("folder", tmp_path).classes == ("sadness", "surprise")


@pytest.mark.parametrize("dataset", ["folder", "fer2013", "caer-s"])
def test_an_unknown_class_folder_is_an_error_that_names_the_known_ones(tmp_path, dataset):
    trees.class_folders(tmp_path, {"train/happy": 1, "train/bored": 1, "test/sad": 1})
    with pytest.raises(InputError, match=r"bored is no class of .*known names are .*happy.*angry"):
        open_source(dataset, tmp_path)


def test_a_class_that_the_set_does_not_have(tmp_path):
    trees.class_folders(tmp_path, {"train/happy": 1, "train/contempt": 1})
    with pytest.raises(InputError, match="contempt is no class of caer-s"):
        open_source("caer-s", tmp_path)


@pytest.mark.parametrize("dataset", ["fer2013", "ferplus", "raf-db", "affectnet7", "affectnet8", "caer-s", "folder"])
def test_nothing_and_the_wrong_thing(tmp_path, dataset):
    with pytest.raises(InputError, match="there is no"):
        open_source(dataset, tmp_path / "missing")
    with pytest.raises(InputError):
        list(open_source(dataset, trees.write(tmp_path / "empty", {"readme.txt": "nothing"})).records)
    with pytest.raises(InputError):
        list(open_source(dataset, trees.write(tmp_path, {"file": bytes(range(256))}) / "file").records)
