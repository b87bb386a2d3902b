"""The face crop against its definition in docs/crop.md, written here a second time, pixel by pixel.

`python -m tests.test_crop` writes golden_crop.npz anew; other implementations are tested against that file.
"""

from math import ceil, floor, sqrt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keras_fer.crop import MARGIN, Window, crop, face_window, reduce, reduction, resample

GOLDEN = Path(__file__).parent / "golden_crop.npz"


def by_definition(image, left_eye, right_eye, box, size, margin, eye_height):
    """docs/crop.md in plain arithmetic, one pixel at a time."""
    height, width = image.shape[:2]
    side = margin * sqrt(box[2] * box[3])
    dx, dy = left_eye[0] - right_eye[0], left_eye[1] - right_eye[1]
    length = sqrt(dx * dx + dy * dy)
    ax, ay = (side * (dx / length), side * (dy / length)) if length else (side, 0.0)
    down = 0.5 - eye_height
    centre_x = (left_eye[0] + right_eye[0]) / 2 - down * ay
    centre_y = (left_eye[1] + right_eye[1]) / 2 + down * ax
    factor = max(1, floor(sqrt(ax * ax + ay * ay) / size))

    def cell(column, row):
        total = np.zeros(3, int)
        for y in range(row * factor, (row + 1) * factor):
            for x in range(column * factor, (column + 1) * factor):
                total += image[y, x].astype(int) if 0 <= x < width and 0 <= y < height else 128
        return (total + factor * factor // 2) // (factor * factor)

    result = np.empty((size, size, 3), np.uint8)
    for i in range(size):
        for j in range(size):
            u, v = (i + 0.5) / size - 0.5, (j + 0.5) / size - 0.5
            fixed_x = floor(((centre_x + (u * ax - v * ay)) / factor - 0.5) * 1024 + 0.5)
            fixed_y = floor(((centre_y + (u * ay + v * ax)) / factor - 0.5) * 1024 + 0.5)
            a, fx, b, fy = fixed_x >> 10, fixed_x & 1023, fixed_y >> 10, fixed_y & 1023
            upper = cell(a, b) * (1024 - fx) + cell(a + 1, b) * fx
            lower = cell(a, b + 1) * (1024 - fx) + cell(a + 1, b + 1) * fx
            result[j, i] = (upper * (1024 - fy) + lower * fy + 524288) >> 20
    return result


def test_golden_vectors():
    with np.load(GOLDEN) as file:
        golden = dict(file)
    for index, face in enumerate(golden["faces"]):
        left_eye, right_eye, box, (margin, eye_height, size) = np.split(face, [2, 4, 8])
        ours = crop(golden["picture"], left_eye, right_eye, box, size=int(size), margin=margin, eye_height=eye_height)
        np.testing.assert_array_equal(ours, golden[f"crop_{index}"])


coordinate = st.floats(-20, 60)


@settings(max_examples=30)
@given(
    seed=st.integers(0, 999),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    eyes=st.tuples(*4 * [coordinate]),
    side=st.tuples(*2 * [st.floats(0.5, 60)]),
    size=st.integers(1, 7),
    margin=st.floats(0.5, 2),
)
@example(seed=0, shape=(20, 30), eyes=(9.0, 9.0, 9.0, 9.0), side=(10, 10), size=4, margin=1.0)  # eyes at one place
def test_equals_the_definition_for_all_faces_and_sizes(seed, shape, eyes, side, size, margin):
    image = np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)
    face = (eyes[:2], eyes[2:], (0.0, 0.0, *side))
    ours = crop(image, *face, size=size, margin=margin, eye_height=0.4)
    np.testing.assert_array_equal(ours, by_definition(image, *face, size, margin, 0.4))


@pytest.mark.parametrize("roll", [0, 30, 90, 180, -120])
def test_eyes_are_level_and_in_their_place_whatever_the_roll(roll):
    across = 50 * np.array([np.cos(np.radians(roll)), np.sin(np.radians(roll))])
    right, left = np.array([200.0, 150.0]), np.array([200.0, 150.0]) + across
    window = face_window(left, right, (0, 0, 130, 130), margin=1.2, eye_height=0.4)
    placed = window.to_picture(np.array([[0.5 - 25 / 156, 0.4], [0.5 + 25 / 156, 0.4]]))
    np.testing.assert_allclose(placed, [right, left], atol=1e-9)


def test_turning_picture_and_face_together_changes_nothing():
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    right, left, box = (30.25, 25.5), (45.75, 27.0), (20, 12, 36, 36)
    turned = np.rot90(image)  # counter-clockwise: (x, y) comes to lie at (y, width - x)
    ours = crop(turned, (left[1], 80 - left[0]), (right[1], 80 - right[0]), box, size=32)
    difference = np.abs(ours.astype(int) - crop(image, left, right, box, size=32))
    assert difference.max() <= 1


def test_a_window_on_the_pixel_grid_is_the_picture():
    image = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
    np.testing.assert_array_equal(resample(image, Window((4.5, 4.5), (9.0, 0.0)), 9), image)
    np.testing.assert_array_equal(resample(image, Window((4.5, 4.5), (-9.0, 0.0)), 9), image[::-1, ::-1])


def test_shrinking_does_not_alias():
    """Stripes finer than the result's pixels become grey; picking single pixels would leave them."""
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    small = resample(stripes, Window((128.0, 128.0), (200.0, 37.0)), 32)
    assert np.abs(small.astype(int) - 128).max() <= 16


def test_growing_is_smooth():
    """A ramp stays a ramp: no steps, as nearest neighbours would leave, and no overshoot."""
    ramp = np.repeat(np.arange(0, 160, 10, dtype=np.uint8)[None, :, None], 16, axis=0).repeat(3, axis=2)
    row = resample(ramp, Window((8.0, 8.0), (10.0, 0.0)), 100)[50, :, 0].astype(int)
    assert set(np.diff(row)) <= {0, 1, 2}


def test_beyond_the_picture_is_grey():
    white = np.full((10, 10, 3), 255, np.uint8)
    assert (resample(white, Window((100.0, 5.0), (8.0, 0.0)), 4) == 128).all()
    left_half_outside = resample(white, Window((0.0, 5.0), (8.0, 0.0)), 8)
    assert (left_half_outside[:, :4] == 128).all()
    assert (left_half_outside[:, 4:] == 255).all()


def test_tiles_may_share_a_reduced_picture():
    """What the detector does: reduce once, then sample windows that are scaled alike."""
    image = np.random.default_rng(0).integers(0, 256, (301, 403, 3), np.uint8)
    window = Window((201.5, 150.5), (403.0, 0.0))
    factor = reduction(window, 128)
    assert factor == 3
    small = Window((201.5 / factor, 150.5 / factor), (403 / factor, 0.0))
    shared, alone = resample(reduce(image, factor), small, 128), resample(image, window, 128)
    assert np.abs(shared.astype(int) - alone).max() <= 1


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3))])
def test_refuses_what_is_no_rgb_picture(image):
    with pytest.raises(ValueError, match="expected a uint8 image"):
        resample(image, Window((2.0, 2.0), (4.0, 0.0)), 4)


def test_refuses_a_face_without_size():
    with pytest.raises(ValueError, match="positive side"):
        crop(np.zeros((4, 4, 3), np.uint8), (1, 1), (2, 1), (1, 1, 0, 3), size=4)


def write_golden() -> None:
    from train.drawn import scene

    picture, (face,) = scene(3, size=(150, 170), faces=["happiness"])
    left, top, right, bottom = face.box
    box = np.array([left, top, right - left, bottom - top])
    left_eye, right_eye = np.array(face.left_eye), np.array(face.right_eye)
    turn = np.array([[0.8, 0.6], [-0.6, 0.8]])
    faces = [
        (left_eye, right_eye, box, MARGIN, 0.39, 48),  # shrinks by less than 2
        (left_eye, right_eye, box, MARGIN, 0.39, 13),  # shrinks by more: cells of several pixels
        (left_eye, right_eye, box, 2.2, 0.45, 32),  # reaches beyond the picture
        (left_eye @ turn + 30, right_eye @ turn + 30, box, 0.7, 0.39, 40),  # turned, upscaled
        (left_eye, right_eye, box * 0.1, MARGIN, 0.39, 24),  # a tiny face
        (right_eye, left_eye, box, 1.0, 0.5, ceil(box[2])),  # upside down
    ]
    crops = {f"crop_{i}": by_definition(picture, *face[:3], face[5], *face[3:5]) for i, face in enumerate(faces)}
    table = np.array([np.concatenate([*face[:3], face[3:]]) for face in faces])
    np.savez_compressed(GOLDEN, picture=picture, faces=table, **crops)


if __name__ == "__main__":
    write_golden()
