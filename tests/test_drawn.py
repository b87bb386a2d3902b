"""Drawn faces: the same for the same arguments, different for different expressions, moved by their action units."""

import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_fer.errors import InputError
from keras_fer.expressions import EXPRESSIONS
from train.drawn import contact_sheet, draw, scene
from train.drawn.__main__ import main
from train.drawn.actions import PROTOTYPES, UNITS, sample_actions, shape
from train.drawn.person import sample_identity

ANYBODY = sample_identity(np.random.default_rng(5))
RIGHT = 1  # the picture's right side, where x grows outwards


def full(expression: str) -> dict[int, float]:
    return {unit: high for unit, (_, high) in PROTOTYPES[expression].items()}


def test_the_expressions_are_the_project_s():
    assert tuple(PROTOTYPES) == EXPRESSIONS
    with pytest.raises(InputError, match=r"'happy'.*happiness"):
        draw(0, "happy")


@pytest.mark.parametrize("hard", [False, True])
def test_the_arguments_alone_decide_the_picture(hard):
    first = [draw(seed, "fear", hard=hard) for seed in range(3)]
    again = [draw(seed, "fear", hard=hard) for seed in reversed(range(3))]
    for one, other in zip(first, reversed(again)):
        np.testing.assert_array_equal(one, other)
    for one, other in itertools.combinations(first, 2):
        assert np.abs(one.astype(int) - other).mean() > 5


@pytest.mark.parametrize("size", [48, 65])
def test_size_changes_the_resolution_and_not_the_face(size):
    small = draw(3, "surprise", size=size)
    assert small.shape == (size, size, 3)
    assert small.dtype == np.uint8
    large, other = (
        cv2.resize(draw(seed, "surprise", size=3 * size), (size, size), interpolation=cv2.INTER_AREA) for seed in (3, 4)
    )
    assert np.abs(large.astype(int) - small).mean() < 6 < 18 < np.abs(other.astype(int) - small).mean()


def test_one_seed_is_one_person_whose_expressions_differ():
    for one, other in itertools.combinations(EXPRESSIONS, 2):
        faces = [np.concatenate(list(shape(ANYBODY, full(expression)).values()), axis=1) for expression in (one, other)]
        assert np.linalg.norm(faces[0] - faces[1], axis=-1).max() > 0.05, (one, other)  # a tenth of an eye's width
        assert (draw(3, one) != draw(3, other)).any()


@pytest.mark.parametrize(
    ("unit", "part", "point", "axis", "direction"),
    [
        (1, "brow", 0, "y", -1),
        (2, "brow", 2, "y", -1),
        (4, "brow", 0, "y", 1),
        (4, "brow", 0, "x", -1),
        (5, "upper_lid", 2, "y", -1),
        (6, "lower_lid", 2, "y", -1),
        (7, "upper_lid", 2, "y", 1),
        (7, "lower_lid", 2, "y", -1),
        (9, "wing", 1, "y", -1),
        (10, "lip_top", 1, "y", -1),
        (12, "lip_top", 3, "y", -1),
        (12, "lip_top", 3, "x", 1),
        (14, "lip_top", 3, "x", 1),
        (15, "lip_top", 3, "y", 1),
        (16, "lip_bottom", 0, "y", 1),
        (17, "lip_bottom", 0, "y", -1),
        (20, "lip_top", 3, "x", 1),
        (23, "lip_top", 3, "x", -1),
        (23, "lip_bottom", 0, "y", -1),
        (25, "seam_bottom", 0, "y", 1),
        (26, "jaw", 0, "y", 1),
        (43, "upper_lid", 2, "y", 1),
    ],
)
def test_a_unit_moves_its_part(unit, part, point, axis, direction):
    rest, moved = shape(ANYBODY, {}), shape(ANYBODY, {unit: 1.0})
    change = (moved[part] - rest[part])[RIGHT, point, "xy".index(axis)]
    assert change * direction > 0.015
    upper, lower = {"brow", "upper_lid", "lower_lid"}, {"lip_top", "seam_top", "seam_bottom", "lip_bottom", "jaw"}
    untouched = lower if unit in (1, 2, 4, 5, 7, 43) else upper if unit in (10, 14, 15, 16, 17, 20, 23, 25, 26) else ()
    for name in untouched:
        np.testing.assert_array_equal(moved[name], rest[name])


def test_raised_and_drawn_brows_slant_as_neither_does_alone():
    def slant(*units: int) -> float:
        inner, _, _, tail = shape(ANYBODY, dict.fromkeys(units, 1.0))["brow"][RIGHT, :, 1]
        return tail - inner

    assert slant(1, 4) > slant() + 0.08 > slant(4) + 0.08


intensities = st.fixed_dictionaries({unit: st.tuples(*[st.floats(0, 1)] * 2).map(np.array) for unit in UNITS})


@given(intensities, st.integers(0, 1000))
def test_any_mix_of_units_leaves_a_face(actions, seed):
    parts = shape(sample_identity(np.random.default_rng(seed)), actions)
    assert (parts["upper_lid"][..., 1] <= parts["lower_lid"][..., 1]).all()
    assert (parts["seam_top"][..., 1] <= parts["seam_bottom"][..., 1]).all()
    for name in ("lip_top", "seam_top", "seam_bottom", "lip_bottom", "jaw"):
        left, right = parts[name][:, 0]
        np.testing.assert_array_equal(left, right)  # the halves meet
        assert left[0] == 0


@pytest.mark.parametrize("side", [0, 1])
def test_contempt_stays_on_one_side(side):
    actions = {12: np.eye(2)[side], 14: np.eye(2)[side]}
    change = shape(ANYBODY, actions)["lip_top"][:, 3] - shape(ANYBODY, {})["lip_top"][:, 3]
    assert np.abs(change[side]).min() > 0.1
    np.testing.assert_array_equal(change[1 - side], 0)
    drawn = [sample_actions(np.random.default_rng(seed), "contempt", 1.0)[12] for seed in range(20)]
    assert {int(intensity.argmax()) for intensity in drawn} == {0, 1}
    assert all(intensity.min() < 0.2 < intensity.max() for intensity in drawn)


def test_a_scene_says_where_its_faces_are():
    expressions = ("anger", "happiness", "sadness")
    picture, faces = scene(2, size=(240, 320), faces=expressions)
    assert picture.shape == (240, 320, 3)
    np.testing.assert_array_equal(picture, scene(2, size=(240, 320), faces=expressions)[0])
    assert tuple(face.expression for face in faces) == expressions
    for face in faces:
        left, top, right, bottom = face.box
        assert 0 <= left < face.right_eye[0] < face.left_eye[0] < right <= 320
        assert 0 <= top < face.right_eye[1] < bottom <= 240
        skin = picture[int(face.right_eye[1] + 0.2 * (bottom - top)), int(face.right_eye[0])].sum()
        for x, y in (face.left_eye, face.right_eye):  # a dark pupil near the middle of each eye
            reach = int(0.06 * (right - left)) + 1
            eye = picture[int(y) - reach : int(y) + reach + 1, int(x) - reach : int(x) + reach + 1]
            assert eye.sum(axis=-1).min() < 0.6 * skin


def test_the_sheet_is_small_enough_for_a_readme(tmp_path, monkeypatch, capsys):
    out = tmp_path / "faces.png"
    monkeypatch.setattr("sys.argv", ["train.drawn", str(out)])
    main()
    assert str(out) in capsys.readouterr().out
    assert out.stat().st_size < 400_000
    assert [path.name for path in tmp_path.iterdir()] == ["faces.png"]
    height, width, _ = cv2.imread(str(out)).shape
    assert height == 80 * len(EXPRESSIONS)
    contact_sheet(out, easy=(1,), hard=(), size=40)
    assert cv2.imread(str(out)).shape == (40 * len(EXPRESSIONS), width - 11 * 80 + 40, 3)


def test_command_draws_a_scene(tmp_path):
    main([str(tmp_path / "people.png"), "--scene", "happiness", "anger", "--seed", "3"])
    drawn, _ = scene(3, faces=["happiness", "anger"])
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "people.png"))[..., ::-1], drawn)


@pytest.mark.slow
def test_pixels_alone_do_not_separate_hard_faces():
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    labels = np.arange(6000) % 7
    faces = [draw(seed, EXPRESSIONS[label], size=48, hard=True) for seed, label in enumerate(labels)]
    grey = np.reshape([cv2.cvtColor(face, cv2.COLOR_RGB2GRAY) for face in faces], (6000, -1))
    pixels = StandardScaler().fit_transform(grey)
    classifiers = [LogisticRegression(C=c, tol=1e-2, max_iter=1000) for c in (1e-4, 1e-2)]
    accuracies = [c.fit(pixels[:5000], labels[:5000]).score(pixels[5000:], labels[5000:]) for c in classifiers]
    assert max(accuracies) < 0.70
