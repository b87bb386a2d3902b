"""From pictures, folders, videos and cameras to answers, with a model that one can foretell: `colour_models`."""

import json
import subprocess
import sys
from pathlib import Path

import colour_models
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from keras_fer import predict, video
from keras_fer.classifier import open_classifier
from keras_fer.crop import crop
from keras_fer.draw import COLOURS, annotate
from keras_fer.errors import InputError
from keras_fer.expressions import EXPRESSIONS
from keras_fer.faces import Face
from keras_fer.recognition import FaceExpression, Recognition
from keras_fer.recognizer import Recognizer
from keras_fer.tracking import LOST_AFTER, Tracker
from train.drawn import scene

TFLITE = str(colour_models.TFLITE)
TINTS = {"anger": (1, 0.3, 0.3), "disgust": (0.3, 1, 0.3), "sadness": (0.3, 0.3, 1)}


def tinted(expression: str) -> np.ndarray:
    """A drawn face in the colour that the model takes for that expression."""
    portrait, _ = scene(0, size=(200, 200), faces=["happiness"])
    return (portrait * TINTS[expression]).astype(np.uint8)


@pytest.fixture(scope="module")
def recognize() -> Recognizer:
    return Recognizer(TFLITE)


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Path:
    """A picture file with an angry face beside a sad one."""
    path = tmp_path_factory.mktemp("pair") / "pair.png"
    Image.fromarray(np.concatenate([tinted("anger"), tinted("sadness")], axis=1)).save(path)
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """A video of 6 frames at 10 a second: a sad face that moves to the right."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with video.write_video(path, 10) as write:
        for shift in range(6):
            write(np.roll(np.pad(tinted("sadness"), ((0, 0), (0, 56), (0, 0)), "edge"), 4 * shift, axis=1))
    return path


def json_lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


# The recogniser


@pytest.mark.parametrize("expression", TINTS)
def test_tells_what_a_face_shows(recognize, expression):
    (face,) = recognize(tinted(expression)).faces
    assert face.expression == expression
    assert sum(face.probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_every_format_gives_the_same_answer(recognize, tmp_path):
    crops = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
    expected = np.exp(crops.mean(axis=(1, 2)) / 32)
    expected /= expected.sum(axis=1, keepdims=True)
    files = [TFLITE, colour_models.write_onnx(tmp_path / "m.onnx"), colour_models.write_keras(tmp_path / "best.keras")]
    for path in [*files, tmp_path]:  # the last one as a run folder
        classifier = open_classifier(path)
        assert classifier.classes == ("anger", "disgust", "sadness")
        assert (classifier.name, classifier.input_size, classifier.margin) == ("colour", 16, 0.8)
        for some in (crops[:1], crops):
            np.testing.assert_allclose(classifier.run(some), expected[: len(some)], atol=1e-5)


def test_sees_the_crop_that_its_card_asks_for(recognize):
    picture = tinted("anger")
    (found,) = recognize(picture).faces
    face = found.face
    expected = crop(picture, face.left_eye, face.right_eye, face.box, size=16, margin=0.8)
    np.testing.assert_array_equal(found.crop, expected)


def test_a_path_is_as_good_as_an_array(recognize, pair):
    from_path = recognize(pair)
    assert from_path.faces == recognize(np.asarray(Image.open(pair))).faces
    assert {face.expression for face in from_path.faces} == {"anger", "sadness"}
    assert from_path.milliseconds.keys() == {"detect", "crop", "classify"}


def test_draws_what_it_recognises(recognize, pair):
    picture = np.asarray(Image.open(pair))
    for source in (pair, picture):
        drawn = np.asarray(recognize.draw(source))
        # All but the milliseconds, which are not drawn, is the same each time.
        np.testing.assert_array_equal(drawn, annotate(picture, recognize(picture)))
    assert not np.array_equal(drawn[:, : picture.shape[1]], picture)


def test_refuses_arrays_that_are_no_pictures(recognize):
    for array in (np.zeros((9, 9)), np.zeros((9, 9, 3)), np.zeros((0, 9, 3), np.uint8), np.zeros((9, 9, 4), np.uint8)):
        with pytest.raises(InputError, match="expected a uint8 picture"):
            recognize(array)


CARD = colour_models.CARD


@pytest.mark.parametrize(
    ("card", "complaint"),
    [
        (None, "carries no card"),
        ("{", "broken card"),
        ("[]", "expected a JSON object"),
        ({key: CARD[key] for key in ("model", "input_size")}, "broken card: it lacks classes"),
        (CARD | {"crop": {"margin": "wide"}}, "broken card"),
        (CARD | {"crop": 3}, "broken card"),
        (CARD | {"classes": ["anger", "disgust"]}, "3 outputs, the card 2 classes"),
        (CARD | {"input_size": 32}, "takes 16 x 16 pixels, the card says 32"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(tmp_path, card, complaint):
    with pytest.raises(InputError, match=complaint):
        open_classifier(colour_models.write_tflite(tmp_path / "m.tflite", card))
    if not isinstance(card, str):
        with pytest.raises(InputError, match=complaint):
            open_classifier(colour_models.write_onnx(tmp_path / "m.onnx", card))


def test_files_that_are_no_models_are_refused(tmp_path):
    for name in ("a.tflite", "a.onnx", "a.keras", "a.h5"):
        with pytest.raises(InputError, match=r"\A[^\n]+\Z"):
            open_classifier(tmp_path / name)
        (tmp_path / name).write_text("no\nmodel")
        with pytest.raises(InputError, match=r"\A[^\n]+\Z"):
            open_classifier(tmp_path / name)


# The command


def test_a_picture(pair, tmp_path, capsys):
    predict.main([str(pair), "--weights", TFLITE, "--json", "--out", str(tmp_path)])
    printed = capsys.readouterr().out
    assert (tmp_path / "predictions.jsonl").read_text() == printed
    (answer,) = json_lines(printed)
    assert (answer["source"], answer["model"]) == (str(pair), "colour")
    left, right = sorted(answer["faces"], key=lambda face: face["box"])
    assert (left["class"], right["class"]) == ("anger", "sadness")
    assert set(left["probabilities"]) == set(TINTS)
    assert set(left["landmarks"]) == {"right_eye", "left_eye", "nose", "mouth"}
    assert left["box"][0] + left["box"][2] < 200 < right["box"][0]
    drawing = np.asarray(Image.open(tmp_path / "pair.png"))
    assert drawing.shape[1] > 560  # the picture, and cards beside it


def test_no_face_is_an_answer(tmp_path, capsys):
    Image.new("RGB", (50, 40)).save(tmp_path / "wall.png")
    predict.main([str(tmp_path / "wall.png"), "--weights", TFLITE])
    predict.main([str(tmp_path / "wall.png"), "--weights", TFLITE, "--json", "--out", str(tmp_path / "out")])
    said, answer = capsys.readouterr().out.splitlines()
    assert "no face" in said
    assert json.loads(answer)["faces"] == []
    assert (tmp_path / "out" / "wall.png").is_file()


def test_a_folder_loses_nothing_to_a_broken_picture(tmp_path, capsys):
    for name in ("a.png", "a.jpg", "b.webp"):
        Image.fromarray(tinted("disgust")).save(tmp_path / name)
    (tmp_path / "a0.png").write_text("broken")
    (tmp_path / "notes.txt").touch()
    out = tmp_path / "out"
    with pytest.raises(InputError, match=r"a0\.png cannot be read as a picture"):
        predict.main([str(tmp_path), "--weights", TFLITE, "--out", str(out), "--json"])
    answers = json_lines(capsys.readouterr().out)
    assert [Path(answer["source"]).name for answer in answers] == ["a.jpg", "a.png", "b.webp"]
    assert [answer["faces"][0]["class"] for answer in answers] == 3 * ["disgust"]
    assert {path.name for path in out.iterdir()} == {"a.jpg.png", "a.png.png", "b.png", "predictions.jsonl"}


def test_a_picture_is_never_overwritten(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(tinted("anger")).save(path)
    before = path.read_bytes()
    with pytest.raises(InputError, match="would overwrite"):
        predict.main([str(path), "--weights", TFLITE, "--out", str(tmp_path)])
    assert path.read_bytes() == before


def test_a_video_is_tracked_and_annotated(film, tmp_path, capsys):
    predict.main([str(film), "--weights", TFLITE, "--out", str(tmp_path), "--json"])
    answers = json_lines(capsys.readouterr().out)
    assert [(answer["frame"], answer["seconds"]) for answer in answers] == [(i, i / 10) for i in range(6)]
    assert [[(face["track"], face["class"]) for face in answer["faces"]] for answer in answers] == 6 * [
        [(1, "sadness")]
    ]
    with video.open_video(tmp_path / "film.mp4") as drawn:
        frames = [frame for _, frame in drawn.frames]
        assert (len(frames), drawn.length, drawn.rate) == (6, 6, 10)
    assert frames[0].shape[1] > 560


def test_a_camera_is_a_video_that_the_user_stops(film, tmp_path, capsys, monkeypatch):
    """The film stands in for the camera; the user presses Ctrl-C in its fourth frame."""
    open_capture = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda source: open_capture(str(film) if source == 1 else source))
    annotated = []

    def stop_at_fourth(*args, **kwargs):
        if len(annotated) == 3:
            raise KeyboardInterrupt
        annotated.append(annotate(*args, **kwargs))
        return annotated[-1]

    monkeypatch.setattr(predict, "annotate", stop_at_fourth)
    predict.main(["camera:1", "--weights", TFLITE, "--out", str(tmp_path)])
    said = capsys.readouterr()
    assert said.out.startswith("camera 1 ")
    assert "stopped after 4 frames" in said.err
    with video.open_video(tmp_path / "camera.mp4") as drawn:
        assert len(list(drawn.frames)) == 3


def test_bad_input_is_one_line(tmp_path, capfd):
    (tmp_path / "broken.mp4").write_text("no video")
    (tmp_path / "empty").mkdir()
    cases = {
        str(tmp_path / "broken.mp4"): "cannot be read as a video",
        str(tmp_path / "missing.mp4"): "does not exist",
        str(tmp_path / "missing"): "does not exist",
        str(tmp_path / "empty"): "holds no picture",
        "camera:99": "camera 99 is not there",
    }
    for source, complaint in cases.items():
        with pytest.raises(InputError, match=rf"\A[^\n]*{complaint}[^\n]*\Z"):
            predict.main([source, "--weights", TFLITE])
    noise = [line for line in capfd.readouterr().err.splitlines() if "INFO" not in line]
    assert noise == []


def test_runs_without_tensorflow(pair, tmp_path):
    """As on a machine that has neither it nor Keras: importing them fails."""
    program = (
        "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None\n"
        "from keras_fer import predict\n"
        f"for model in {[TFLITE, str(colour_models.write_onnx(tmp_path / 'm.onnx'))]}:\n"
        f"    predict.main([{str(pair)!r}, '--weights', model, '--json'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    tflite, onnx = (answer["faces"] for answer in json_lines(done.stdout))
    assert tflite == onnx
    assert len(tflite) == 2


# Tracks and drawings


def answer(*faces: tuple[float, dict[str, float]]) -> Recognition:
    """Faces of 100 pixels at x, with probabilities."""
    found = []
    for x, probabilities in faces:
        face = Face((x, 0.0, 100.0, 100.0), (x + 30, 40.0), (x + 70, 40.0), (x + 50, 60.0), (x + 50, 80.0), 0.9)
        found.append(FaceExpression(face, probabilities, np.zeros((8, 8, 3), np.uint8)))
    return Recognition(tuple(found), "model", ("anger", "fear"), {"detect": 1.0})


ANGRY, AFRAID = {"anger": 1.0, "fear": 0.0}, {"anger": 0.0, "fear": 1.0}


def test_tracks_keep_their_number_and_smooth(recognize):
    tracker = Tracker()
    first = tracker(answer((0, ANGRY), (300, AFRAID)), 0.0)
    assert [(face.track, face.probabilities) for face in first.faces] == [(1, ANGRY), (2, AFRAID)]
    swapped = tracker(answer((310, ANGRY), (10, ANGRY)), 0.1)
    assert [face.track for face in swapped.faces] == [2, 1]
    assert swapped.faces[0].expression == "fear"  # one frame does not turn it
    for step in range(2, 12):
        last = tracker(answer((310, ANGRY)), step / 10)
    assert last.faces[0].expression == "anger"
    assert last.faces[0].track == 2


def test_a_lost_face_starts_anew():
    tracker = Tracker()
    tracker(answer((0, ANGRY)), 0.0)
    tracker(answer(), 0.1)
    (back,) = tracker(answer((5, ANGRY)), LOST_AFTER).faces
    assert back.track == 1
    (late,) = tracker(answer((5, AFRAID)), 2.1 * LOST_AFTER).faces
    assert (late.track, late.probabilities) == (2, AFRAID)
    (elsewhere,) = tracker(answer((500, ANGRY)), 2.2 * LOST_AFTER).faces
    assert (elsewhere.track, elsewhere.probabilities) == (3, ANGRY)


@given(st.lists(st.tuples(st.floats(0, 1), st.lists(st.tuples(st.floats(0, 400), st.floats(0, 1)), max_size=4))))
def test_tracks_are_distinct_and_probabilities_stay_probabilities(frames):
    tracker, now = Tracker(), 0.0
    for pause, faces in frames:
        now += pause
        smoothed = tracker(answer(*((x, {"anger": p, "fear": 1 - p}) for x, p in faces)), now).faces
        assert len({face.track for face in smoothed}) == len(faces)
        for face in smoothed:
            assert sum(face.probabilities.values()) == pytest.approx(1)
            assert min(face.probabilities.values()) >= 0


def test_drawings_of_a_video_are_of_one_even_size():
    picture = np.zeros((101, 333, 3), np.uint8)
    shapes = {annotate(picture, answer(*faces), columns=1).shape for faces in ((), [(0, ANGRY)], 3 * [(90, AFRAID)])}
    ((height, width, _),) = shapes
    assert height % 2 == width % 2 == 0


def test_boxes_beyond_the_picture_can_be_drawn():
    picture = np.zeros((60, 60, 3), np.uint8)
    for x in (-90.0, -50.0, 55.0):
        assert annotate(picture, answer((x, ANGRY))).shape == annotate(picture, answer((0, ANGRY))).shape


def test_every_expression_has_its_colour():
    assert set(COLOURS) == set(EXPRESSIONS)
    assert len(set(COLOURS.values())) == len(COLOURS)
