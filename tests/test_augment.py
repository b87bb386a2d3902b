"""The augmentations: their ranges, their geometry, and that nothing asked for is nothing done."""

import functools
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_fer.errors import InputError
from train.augment import Augment, augment_picture, resize

EVERYTHING = Augment(
    flip=0.5,
    rotation=20,
    scale=(0.8, 1.2),
    shift=0.1,
    crop_scale=(0.5, 1.0),
    brightness=0.4,
    contrast=0.4,
    saturation=0.4,
    erasing=0.5,
)
SIDES = st.integers(2, 40)
SIZES = st.sampled_from((3, 16, 33))


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@functools.cache
def compiled(augment, size):
    seeds = tf.TensorSpec((None, 2), tf.int64)

    @tf.function(input_signature=(tf.TensorSpec((None, None, 3), tf.uint8), seeds))
    def versions(image, seeds):
        picture = tf.TensorSpec((size, size, 3), tf.float32)
        return tf.map_fn(lambda seed: augment_picture(image, seed, size, augment), seeds, fn_output_signature=picture)

    return versions


def draw(image, augment, count, size=None):
    """`count` versions of a picture, (count, size, size, 3)."""
    seeds = np.stack([np.full(count, 7), np.arange(count)], axis=1)
    return compiled(augment, size or image.shape[0])(image, seeds).numpy()


def place(pictures):
    """The centre of the light in each picture, (count, 2) as x and y in pixels from the middle."""
    light = pictures.mean(axis=-1)
    axis = np.arange(light.shape[1]) - (light.shape[1] - 1) / 2
    mass = light.sum(axis=(1, 2))
    return (
        np.stack([(light.sum(axis=1) * axis).sum(axis=1), (light.sum(axis=2) * axis).sum(axis=1)], axis=1)
        / mass[:, None]
    )


def spot(x, y, side=65):
    """A bright spot on black, x and y pixels from the middle."""
    axis = np.arange(side) - (side - 1) / 2
    light = 255 * np.exp(-((axis[None] - x) ** 2 + (axis[:, None] - y) ** 2) / 8)
    return np.repeat(light[..., None], 3, axis=-1).astype(np.uint8)


@settings(max_examples=40)
@given(SIDES, SIDES, SIZES)
def test_nothing_is_the_resizing_of_evaluation(height, width, size):
    image = noise(height, width)
    np.testing.assert_array_equal(draw(image, Augment(), 1, size)[0], resize(image, size))


@settings(max_examples=40)
@given(SIDES, SIDES, SIZES)
def test_a_still_warp_is_the_resizing_of_evaluation(height, width, size):
    """The path that moves pixels, with a movement too small to see."""
    image = noise(height, width)
    moved = draw(image, Augment(shift=1e-9), 1, size)[0]
    np.testing.assert_allclose(moved, resize(image, size), atol=0.05)


def test_the_own_size_is_left_alone():
    np.testing.assert_array_equal(draw(noise(24, 24), Augment(), 1)[0], noise(24, 24))


def test_shrinking_averages():
    """Without antialiasing a fine checkerboard would come out black or white."""
    board = np.repeat(255 * (np.indices((64, 64)).sum(axis=0) % 2)[..., None], 3, axis=-1).astype(np.uint8)
    for augment in (Augment(), Augment(rotation=1)):
        middle = draw(board, augment, 1, 16)[0][4:-4, 4:-4]
        np.testing.assert_allclose(middle, 127.5, atol=12)


@pytest.mark.parametrize(
    "augment", [Augment(), Augment(rotation=20, scale=(0.8, 1.2), shift=0.1), Augment(crop_scale=(0.1, 1.0))]
)
def test_flips_are_exact_mirror_images(augment):
    never, always = (draw(noise(20, 20), Augment(**{**vars(augment), "flip": p}), 4) for p in (0.0, 1.0))
    np.testing.assert_allclose(always, never[:, :, ::-1], atol=1e-2 if augment.rotation else 0)


def test_flip_probability():
    flipped = draw(spot(8, 0), Augment(flip=0.3), 400)
    assert (place(flipped)[:, 0] < 0).mean() == pytest.approx(0.3, abs=4 * math.sqrt(0.3 * 0.7 / 400))


def test_rotation_turns_by_up_to_its_degrees():
    points = place(draw(spot(12, 0), Augment(rotation=30), 300))
    angles = np.degrees(np.arctan2(points[:, 1], points[:, 0]))
    np.testing.assert_allclose(np.hypot(*points.T), 12, atol=0.3)
    assert_fills(angles, -30, 30, 0.5)


def test_rotation_of_a_tall_picture_turns_the_resized_one():
    tall = np.repeat(spot(12, 0), 2, axis=0)
    points = place(draw(tall, Augment(rotation=30), 100, 65))
    np.testing.assert_allclose(np.hypot(*points.T), 12, atol=0.5)


def test_scale_above_one_enlarges():
    x = place(draw(spot(10, 0), Augment(scale=(0.8, 1.3)), 300))[:, 0]
    assert_fills(x / 10, 0.8, 1.3, 0.03)


def test_shift_is_a_share_of_the_side():
    points = place(draw(spot(0, 0), Augment(shift=0.2), 300))
    for axis in points.T:
        assert_fills(axis / 65, -0.2, 0.2, 0.01)
    assert abs(np.corrcoef(points.T)[0, 1]) < 0.25


def assert_fills(values, low, high, tolerance):
    """That draws are uniform over low .. high."""
    assert values.min() >= low - tolerance
    assert values.max() <= high + tolerance
    quarters, _ = np.histogram(values, 4, (low, high))
    assert quarters.min() > len(values) / 4 - 4 * math.sqrt(len(values) * 3 / 16)


def crops(height, width, augment, count=300):
    """(top, left, height, width) of each crop in pixels, read from a picture that holds its own coordinates."""
    y, x = np.indices((height, width))
    image = np.stack([x, y, x], axis=-1).astype(np.uint8)
    pictures = draw(image, augment, count, 32)
    # Resizing n pixels to 32 puts the outermost samples (n / 32 - 1) / 2 pixels inside, where n is larger.
    low, high = pictures[:, 8, 8, :2], pictures[:, 23, 23, :2]
    side = (high - low) * 32 / 15
    start = (low + high) / 2 + 0.5 - side / 2
    return np.concatenate([start[:, ::-1], side[:, ::-1]], axis=1)


def test_random_crops_have_torchvisions_area_ratio_and_place():
    top, left, height, width = crops(100, 200, Augment(crop_scale=(0.1, 0.5))).T
    area, ratio = height * width / 20_000, width / height
    assert area.min() > 0.095
    assert area.max() < 0.51
    assert_fills(area, 0.1, 0.5, 0.02)
    assert_fills(np.log(ratio), math.log(3 / 4), math.log(4 / 3), 0.06)
    for start, length, whole in ((top, height, 100), (left, width, 200)):
        assert start.min() > -0.6
        assert (start + length).max() < whole + 0.6
        assert_fills(start / (whole - length), 0, 1, 0.05)


def test_a_crop_that_never_fits_is_the_largest_in_the_middle():
    top, left, height, width = crops(20, 200, Augment(crop_scale=(0.9, 1.0)), 5).T
    np.testing.assert_allclose(height, 20, atol=1)
    np.testing.assert_allclose(width, 20 * 4 / 3, atol=1.5)
    np.testing.assert_allclose(left, (200 - 20 * 4 / 3) / 2, atol=1.5)


def patches(pictures, fill):
    """(height, width) of the rectangle of that colour in each picture, after a check that it is one."""
    sides = []
    for blank in np.all(np.isclose(pictures, fill), axis=-1):
        rows, columns = blank.any(axis=1), blank.any(axis=0)
        assert blank.sum() == rows.sum() * columns.sum()
        sides.append((rows.sum(), columns.sum()))
    return np.array(sides)


def test_erasing_blanks_one_rectangle_of_torchs_area_and_ratio():
    image = np.full((100, 100, 3), 200, np.uint8)
    fill = (10.0, 20.0, 30.0)
    pictures = draw(image, Augment(erasing=1.0, erasing_scale=(0.02, 0.1), erasing_fill=fill), 300)
    height, width = patches(pictures, fill).T
    assert_fills(height * width / 10_000, 0.02, 0.1, 0.005)
    assert_fills(np.log(height / width), math.log(0.3), math.log(3.3), 0.1)
    blank = np.all(np.isclose(pictures, fill), axis=-1)
    np.testing.assert_array_equal(pictures[~blank], 200)
    assert (blank.mean(axis=0) > 0).mean() > 0.95  # everywhere


def test_erasing_probability_and_fixed_area():
    pictures = draw(np.full((60, 60, 3), 200, np.uint8), Augment(erasing=0.5, erasing_scale=(0.05, 0.05)), 300)
    erased = (pictures != 200).any(axis=(1, 2, 3))
    assert erased.mean() == pytest.approx(0.5, abs=0.12)
    areas = (pictures[erased] != 200).any(axis=-1).mean(axis=(1, 2))
    np.testing.assert_allclose(areas, 0.05, atol=0.006)


def test_a_patch_that_never_fits_is_left_out():
    image = noise(16, 16)
    augment = Augment(erasing=1.0, erasing_scale=(0.9, 1.0), erasing_ratio=(9.0, 10.0))
    np.testing.assert_array_equal(draw(image, augment, 3), np.repeat(image[None], 3, axis=0))


def test_brightness_multiplies():
    values = draw(np.full((4, 4, 3), 100, np.uint8), Augment(brightness=0.3), 300)
    assert np.ptp(values, axis=(1, 2, 3)).max() < 1e-3
    assert_fills(values[:, 0, 0, 0] / 100, 0.7, 1.3, 1e-3)


def test_contrast_stretches_around_the_mean():
    image = np.full((4, 4, 3), 80, np.uint8)
    image[:2] = 120
    values = draw(image, Augment(contrast=0.5), 300)
    np.testing.assert_allclose(values.mean(axis=(1, 2, 3)), 100, atol=0.01)
    assert_fills((values[:, 0, 0, 0] - values[:, 3, 3, 0]) / 40, 0.5, 1.5, 1e-3)


def test_saturation_leaves_greys_alone_and_keeps_the_luma():
    grey = np.full((4, 4, 3), 90, np.uint8)
    np.testing.assert_allclose(draw(grey, Augment(saturation=0.9), 10), 90, atol=1e-3)
    image = np.full((4, 4, 3), (120, 90, 100), np.uint8)
    values = draw(image, Augment(saturation=0.5), 300)[:, 0, 0]
    np.testing.assert_allclose(values @ (0.299, 0.587, 0.114), image[0, 0] @ (0.299, 0.587, 0.114), atol=0.01)
    assert_fills((values[:, 0] - values[:, 1]) / 30, 0.5, 1.5, 1e-3)


@settings(max_examples=20)
@given(SIDES, SIDES, SIZES)
def test_any_picture_gives_one_of_the_right_shape_and_range(height, width, size):
    pictures = draw(noise(height, width), EVERYTHING, 8, size)
    assert pictures.shape == (8, size, size, 3)
    assert pictures.dtype == np.float32
    assert pictures.min() >= 0
    assert pictures.max() <= 255


def test_equal_seeds_give_equal_pictures_and_others_others():
    image = noise(32, 32)
    first, second = (draw(image, EVERYTHING, 8) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert len({picture.tobytes() for picture in first}) == 8


@pytest.mark.parametrize("wrong", [{"flip": 1.5}, {"erasing": -0.1}, {"scale": (1.2, 0.8)}, {"crop_ratio": (0.0, 1.0)}])
def test_impossible_settings_are_errors(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Augment(**wrong)
