"""Golden vectors for the Android app: what Python says, for Kotlin to say the same.

`python -m tests.android_golden DIR [MODEL.tflite ...]` writes them: JSON with the numbers, and beside it the pixels as
raw bytes. Kotlin's tests read them: android_demo/core those of its parts, android_demo/litert-jvm what whole models say
of whole frames. Faces are drawn; ../shared/data/sample_faces are used too where they are.
"""

import itertools
import json
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np

from export import android, card
from keras_fer import blazeface, crop, tracking
from keras_fer.faces import Face
from keras_fer.images import read_rgb
from keras_fer.predict import PICTURE_LEVELS
from keras_fer.recognition import FaceExpression, Recognition
from keras_fer.recognizer import Recognizer
from train.drawn import scene

CLASSES = ("anger", "happiness", "neutral")
DRAWN = (("happiness",), ("neutral", "surprise"), ("sadness", "anger", "fear"), ("disgust",))


SAMPLES = Path(__file__).resolve().parents[2] / "shared/data/sample_faces"


def main(folder: Path, models: list[str]) -> None:
    """Write all vectors."""
    folder.mkdir(parents=True, exist_ok=True)
    write = {"frames": frames, "crops": crops, "detections": detections, "tracks": tracks}
    for name, make in write.items():
        (folder / f"{name}.json").write_text(json.dumps(make(folder)))
    cards(folder / "cards")
    if models:
        end_to_end(folder / "end_to_end", models)


def frames(folder: Path) -> list[dict]:
    """Frames of both kinds in every turn, with padded strides, odd sizes and crop rects, and the upright picture."""
    cases = []
    layouts = {
        # name: size, crop rect, padding of the rows of Y and of the chroma, pixel stride of the chroma, full range
        "plain": ((96, 128), (0, 0, 128, 96), (0, 0), 1, True),
        "interleaved": ((96, 128), (0, 0, 128, 96), (32, 16), 2, True),
        "cropped": ((97, 131), (13, 7, 101, 83), (29, 5), 2, True),
        "even crop": ((96, 128), (2, 4, 63, 41), (0, 9), 1, True),
        "limited": ((96, 128), (5, 3, 110, 90), (12, 0), 2, False),
    }
    for (name, layout), rotation, mirrored in itertools.product(layouts.items(), (0, 90, 180, 270), (False, True)):
        (height, width), rect, padding, stride, full = layout
        picture, _ = scene(len(cases) // 8, size=(height, width), faces=("happiness",))
        where = {"rotation": rotation, "mirrored": mirrored, "crop": rect}
        stem = f"{name.replace(' ', '_')}_{rotation}_{mirrored}"
        yuv = to_yuv(picture, full)
        planes = [pad(yuv[0], 1, padding[0]), *(pad(plane, stride, padding[1]) for plane in yuv[1:])]
        for plane, (content, _) in zip("yuv", planes):
            (folder / f"{stem}.{plane}").write_bytes(content)
        (folder / f"{stem}.yuv_upright").write_bytes(upright(from_yuv(yuv, full), **where).tobytes())
        (folder / f"{stem}.rgba").write_bytes(pad(picture, 4, padding[0])[0])
        (folder / f"{stem}.rgba_upright").write_bytes(upright(picture, **where).tobytes())
        strides = {"y": planes[0][1], "chroma": planes[1][1], "rgba": width * 4 + padding[0]}
        cases.append(where | {"stem": stem, "strides": strides, "chroma_pixel": stride, "full": full})
    return cases


def to_yuv(picture: np.ndarray, full: bool) -> list[np.ndarray]:
    """Planes Y (h, w), U and V (half of it, rounded up) of an RGB picture."""
    height, width = picture.shape[:2]
    even = cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    if full:
        y, v, u = cv2.split(cv2.cvtColor(even, cv2.COLOR_RGB2YCrCb))
        u, v = (plane.reshape(len(plane) // 2, 2, -1, 2).mean(axis=(1, 3)).round().astype(np.uint8) for plane in (u, v))
    else:
        flat = cv2.cvtColor(even, cv2.COLOR_RGB2YUV_I420).reshape(-1)
        y, u, v = np.split(flat, [even[..., 0].size, even[..., 0].size * 5 // 4])
        y, u, v = y.reshape(even.shape[:2]), *(plane.reshape(len(even) // 2, -1) for plane in (u, v))
    return [y[:height, :width], u, v]


def from_yuv(planes: list[np.ndarray], full: bool) -> np.ndarray:
    """The RGB picture that OpenCV makes of the planes."""
    y, u, v = planes
    if not full:
        flat = np.concatenate([plane.reshape(-1) for plane in planes])
        return cv2.cvtColor(flat.reshape(-1, y.shape[1]), cv2.COLOR_YUV2RGB_I420)
    u, v = (plane.repeat(2, axis=0).repeat(2, axis=1)[: y.shape[0], : y.shape[1]] for plane in (u, v))
    return cv2.cvtColor(np.dstack([y, v, u]), cv2.COLOR_YCrCb2RGB)


def pad(plane: np.ndarray, pixel: int, padding: int) -> tuple[bytes, int]:
    """A plane's bytes with noise between its samples and behind its rows, and its row stride."""
    rng = np.random.default_rng(0)
    samples = plane.reshape(*plane.shape[:2], -1)
    height, width, channels = samples.shape
    spread = rng.integers(0, 256, (height, width, pixel), np.uint8)
    spread[..., :channels] = samples
    rows = rng.integers(0, 256, (height, width * pixel + padding), np.uint8)
    rows[:, : width * pixel] = spread.reshape(height, -1)
    # Android's last row ends with its last sample.
    end = rows.size - padding - (pixel - channels)
    return rows.tobytes()[:end], width * pixel + padding


def upright(picture: np.ndarray, crop: tuple[int, int, int, int], rotation: int, mirrored: bool) -> np.ndarray:
    """The picture cropped, turned and mirrored by OpenCV."""
    left, top, width, height = crop
    turns = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
    picture = picture[top : top + height, left : left + width]
    picture = cv2.rotate(picture, turns[rotation]) if rotation else picture
    return cv2.flip(picture, 1) if mirrored else np.ascontiguousarray(picture)


def crops(folder: Path) -> list[dict]:
    """Faces of tests/golden_crop.npz and of a large drawn scene, reduced up to ten times."""
    with np.load(Path(__file__).parent / "golden_crop.npz") as file:
        golden = dict(file)
    faces = [("golden", golden["picture"], row.tolist()) for row in golden["faces"]]
    large, people = scene(3, size=(700, 901))
    for person, size in itertools.product(people, (16, 48, 112, 224)):
        left, top, right, bottom = person.box
        box = (left, top, right - left, bottom - top)
        faces.append(("large", large, [*person.left_eye, *person.right_eye, *box, 1.13, 0.39, size]))
        faces.append(("large", large, [*person.right_eye, *person.left_eye, *box, 2.5, 0.45, size]))
    cases = []
    for index, (name, picture, row) in enumerate(faces):
        (folder / f"{name}.rgb").write_bytes(picture.tobytes())
        left_eye, right_eye, box, (margin, eye_height, size) = np.split(np.array(row), [2, 4, 8])
        cut = crop.crop(picture, left_eye, right_eye, box, size=int(size), margin=margin, eye_height=eye_height)
        if name == "golden":
            np.testing.assert_array_equal(cut, golden[f"crop_{index}"])
        (folder / f"crop_{index}.rgb").write_bytes(cut.tobytes())
        cases.append({"picture": name, "width": picture.shape[1], "height": picture.shape[0], "face": row})
    return cases


def detections(folder: Path) -> list[dict]:
    """BlazeFace's raw outputs, its own on drawn scenes and drawn ones with many overlaps, and the faces in them."""
    rng = np.random.default_rng(0)
    outputs = []
    detector = blazeface.BlazeFace()
    for seed in range(4):
        picture, _ = scene(seed, size=(128, 128), faces=("neutral", "fear")[: seed % 3])
        detector(picture)
        outputs.append([detector._model.get_tensor(index)[0] for index in (detector._values, detector._logits)])
    for spread in (2, 10, 200):
        values = rng.normal(0, 20, (896, 16)).astype(np.float32)
        outputs.append([values, rng.normal(-spread / 2, spread, (896, 1)).astype(np.float32)])
    cases = []
    for index, (values, logits) in enumerate(outputs):
        (folder / f"values_{index}.f32").write_bytes(values.astype("<f4").tobytes())
        (folder / f"logits_{index}.f32").write_bytes(logits.astype("<f4").tobytes())
        rows, scores = blazeface.decode(values.astype(np.float64), logits[:, 0].astype(np.float64))
        faces = blazeface.blend(rows, scores)
        cases.append({"decoded": np.column_stack([rows, scores]).tolist(), "faces": faces.tolist()})
    return cases


def tracks(_: Path) -> list[dict]:
    """Faces that move, cross, vanish and return, with the numbers and the smoothed probabilities of `Tracker`."""
    rng = np.random.default_rng(1)
    tracker, seconds, frames = tracking.Tracker(), 0.0, []
    places = rng.uniform(0, 300, (4, 2))
    for _ in range(60):
        seconds += rng.choice([0.03, 0.05, 0.2, 0.7], p=[0.5, 0.3, 0.15, 0.05])
        places += rng.normal(0, 12, places.shape)
        seen = rng.permutation(4)[: rng.integers(0, 5)]
        faces = []
        for place in places[seen]:
            box = (*place.tolist(), *rng.uniform(60, 110, 2).tolist())
            row = rng.dirichlet(np.ones(len(CLASSES))).astype(np.float32).tolist()
            face = Face(box, (0, 0), (1, 0), (0, 1), (1, 1), 0.9)
            faces.append(FaceExpression(face, dict(zip(CLASSES, row)), np.empty(0)))
        tracked = tracker(Recognition(tuple(faces), "test", CLASSES, {}), seconds)
        frames.append(
            {
                "seconds": seconds,
                "boxes": [face.face.box for face in faces],
                "probabilities": [list(face.probabilities.values()) for face in faces],
                "tracks": [face.track for face in tracked.faces],
                "smoothed": [list(face.probabilities.values()) for face in tracked.faces],
            }
        )
    return frames


def cards(folder: Path) -> None:
    """Files with the archive that `export.card` appends, whole and broken in every way that one thinks of."""
    folder.mkdir(exist_ok=True)
    whole = {
        "model": "mit_fusion",
        "name": "MiT-fusion",
        "version": "2",
        "classes": ["anger", "happiness", "neutral"],
        "input_size": 64,
        "crop": {"margin": 1.2, "eye_height": 0.4},
        "quantization": {"scheme": "int8"},
        "metrics": {"data": "fer2013", "split": "public", "file": {"accuracy": 0.66}},
        "licence": "test",
        "limits": "An expression is not an emotion.",
    }
    texts = {
        "whole": json.dumps(whole),
        "least": json.dumps({key: whole[key] for key in ("model", "classes", "input_size")}),
        "no_json": "{",
        "list": "[]",
        "no_classes": json.dumps({"model": "m", "input_size": 64}),
        "classes_twice": json.dumps(whole | {"classes": ["a", "a"]}),
        "classes_numbers": json.dumps(whole | {"classes": [1, 2]}),
        "classes_text": json.dumps(whole | {"classes": "anger"}),
        "size_text": json.dumps(whole | {"input_size": "large"}),
        "size_huge": json.dumps(whole | {"input_size": 100000}),
        "margin_negative": json.dumps(whole | {"crop": {"margin": -1}}),
        "margin_text": json.dumps(whole | {"crop": {"margin": "wide"}}),
    }
    model = bytes(range(256)) * 40
    for name, text in texts.items():
        path = folder / f"{name}.tflite"
        path.write_bytes(model)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("labels.txt", "anger\n")
            archive.writestr(card.MEMBER, text)
    (folder / "no_archive.tflite").write_bytes(model)
    (folder / "empty.tflite").write_bytes(b"")
    (folder / "cut_off.tflite").write_bytes((folder / "whole.tflite").read_bytes()[:-200])
    with zipfile.ZipFile(folder / "no_card.tflite", "w") as archive:
        archive.writestr("labels.txt", "anger\n")


def end_to_end(folder: Path, models: list[str]) -> None:
    """The app's assets with the models; frames and pictures; and what `keras_fer.Recognizer` says of each."""
    folder.mkdir(exist_ok=True)
    entries = android.write_assets(models, None, folder / "assets")
    pictures = {f"drawn_{seed}": scene(seed, faces=faces)[0] for seed, faces in enumerate(DRAWN)}
    pictures["noise"] = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    pictures |= {path.stem: read_rgb(path) for path in sorted(SAMPLES.glob("*.jpg"))}
    turns, cases = itertools.cycle(itertools.product((0, 90, 180, 270), (False, True))), []
    for name, picture in pictures.items():
        height, width = picture.shape[:2]
        turn = dict(zip(("rotation", "mirrored"), next(turns)))
        # The sensor's picture is the one that the turn makes upright.
        sensor = picture[:, ::-1] if turn["mirrored"] else picture
        sensor = np.ascontiguousarray(np.rot90(sensor, turn["rotation"] // 90))
        where = turn | {"crop": (0, 0, sensor.shape[1], sensor.shape[0])}
        yuv = to_yuv(sensor, True)
        for plane, content in zip("yuv", yuv):
            (folder / f"{name}.{plane}").write_bytes(pad(content, 1, 0)[0])
        (folder / f"{name}.rgb").write_bytes(picture.tobytes())
        seen = {"frame": upright(from_yuv(yuv, True), **where), "picture": picture}
        cases.append(where | {"name": name, "width": width, "height": height, "frame": {}, "picture": {}, "seen": seen})
    for entry in entries:
        path = folder / f"assets/models/{entry['id']}.tflite"
        for kind, levels in (("frame", 1), ("picture", PICTURE_LEVELS)):
            recognize = Recognizer(path, levels=levels)
            for case in cases:
                case[kind][entry["id"]] = [as_json(face) for face in recognize(case["seen"][kind]).faces]
    for case in cases:
        del case["seen"]
    (folder / "cases.json").write_text(json.dumps(cases))


def as_json(found: FaceExpression) -> dict:
    """A face's numbers in the order of Kotlin's."""
    face = found.face
    points = [face.right_eye, face.left_eye, face.nose, face.mouth]
    return {
        "numbers": [*face.box, *itertools.chain(*points), face.score],
        "probabilities": list(found.probabilities.values()),
        "expression": found.expression,
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
