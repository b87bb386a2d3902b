"""Reading pictures of every kind."""

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_fer.errors import InputError
from keras_fer.images import read_rgb

COLOUR = (200, 100, 40)


def picture(mode: str = "RGB", size: tuple[int, int] = (6, 4)) -> Image.Image:
    return Image.new("RGB", size, COLOUR).convert(mode, palette=Image.Palette.ADAPTIVE)


@pytest.mark.parametrize(
    ("name", "mode"),
    [("a.png", "RGB"), ("a.jpg", "RGB"), ("a.jpg", "CMYK"), ("a.tif", "CMYK"), ("a.webp", "RGBA"), ("a.gif", "P")],
)
def test_colours_survive_every_mode(tmp_path, name, mode):
    picture(mode).save(tmp_path / name)
    pixels = read_rgb(tmp_path / name)
    assert pixels.shape == (4, 6, 3)
    assert pixels.dtype == np.uint8
    np.testing.assert_allclose(pixels, np.broadcast_to(COLOUR, (4, 6, 3)), atol=4)


def test_grey_of_1_8_and_16_bits(tmp_path):
    ramp = np.array([[0, 1000, 32768, 65535]], np.uint16)
    Image.fromarray(ramp).save(tmp_path / "16.png")
    Image.fromarray((ramp > 30000).astype(np.uint8) * 255).convert("1").save(tmp_path / "1.png")
    picture("L").save(tmp_path / "8.png")
    np.testing.assert_array_equal(read_rgb(tmp_path / "16.png"), np.array([[[0] * 3, [4] * 3, [128] * 3, [255] * 3]]))
    np.testing.assert_array_equal(read_rgb(tmp_path / "1.png")[0, :, 0], [0, 0, 255, 255])
    assert (np.ptp(read_rgb(tmp_path / "8.png"), axis=-1) == 0).all()


def test_transparency_shows_white(tmp_path):
    Image.fromarray(np.array([[[*COLOUR, 255], [*COLOUR, 0], [0, 0, 0, 127]]], np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.array([[[0, 0], [0, 255]]], np.uint8), mode="LA").save(tmp_path / "la.png")
    palette = Image.new("P", (2, 1), 0)
    palette.putpalette([*COLOUR, 10, 20, 30])
    palette.putpixel((1, 0), 1)
    palette.save(tmp_path / "p.png", transparency=0)
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png"), [[COLOUR, (255, 255, 255), (128, 128, 128)]])
    np.testing.assert_array_equal(read_rgb(tmp_path / "la.png"), [[(255, 255, 255), (0, 0, 0)]])
    np.testing.assert_array_equal(read_rgb(tmp_path / "p.png"), [[(255, 255, 255), (10, 20, 30)]])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(tmp_path, orientation):
    upright = np.random.default_rng(0).integers(0, 256, (3, 5, 3), np.uint8)
    turns = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90"}
    turns |= {7: "TRANSVERSE", 8: "ROTATE_270"}  # what a camera held like that stores
    stored = Image.fromarray(upright)
    if orientation > 1:
        stored = stored.transpose(Image.Transpose[turns[orientation]])
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png"), upright)


def test_what_is_no_picture_is_said_in_one_line(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("a\nb")
    Image.fromarray(np.zeros((2, 2), np.float32)).save(tmp_path / "float.tif")
    for name in ("empty.png", "text.jpg", "float.tif", "missing.png", "."):
        with pytest.raises(InputError, match=r"\A[^\n]+\Z"):
            read_rgb(tmp_path / name)


@settings(max_examples=60)
@given(data=st.data(), kind=st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"]))
def test_a_damaged_file_is_an_input_error_or_a_picture(tmp_path_factory, data, kind):
    buffer = io.BytesIO()
    picture(size=(40, 30)).save(buffer, kind)
    content = bytearray(buffer.getvalue())
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=8)):
        content[position] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("damaged") / "a"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with contextlib.suppress(InputError):
        assert read_rgb(path).dtype == np.uint8
