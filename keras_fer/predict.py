"""Find faces and recognise their expressions: `python -m keras_fer.predict IMAGE|FOLDER|VIDEO|camera`."""

import argparse
import collections
import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from keras_fer import images, shipped, video
from keras_fer.command import run
from keras_fer.draw import annotate, percent
from keras_fer.errors import InputError
from keras_fer.files import replacing
from keras_fer.optional import need
from keras_fer.recognition import Recognition
from keras_fer.recognizer import Recognizer
from keras_fer.tracking import Tracker

PICTURE_LEVELS, VIDEO_LEVELS = 3, 2
PREDICTIONS = "predictions.jsonl"

Report = Callable[[str, dict, Recognition], None]


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, recognise, print and write."""
    parser = argparse.ArgumentParser(
        prog="python -m keras_fer.predict",
        description="Find the faces in pictures or a video and recognise their expressions.",
        epilog="example: python -m keras_fer.predict photo.jpg --out answers",
    )
    parser.add_argument("source", help="a picture, a folder of pictures, a video, camera, or camera:1 for a second one")
    parser.add_argument(
        "--weights",
        metavar="W",
        help="a run folder, a .keras, .tflite or .onnx file, or weights that ship with the package "
        f"({', '.join(shipped.names()) or 'none in this version'}; default: the most accurate of these)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help=f"write annotated pictures or the video there, and {PREDICTIONS}"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object for each picture or frame")
    parser.add_argument("--detector", metavar="FILE", help="YuNet's .onnx, or BlazeFace's .tflite from elsewhere")
    parser.add_argument(
        "--levels",
        type=int,
        choices=range(1, 6),
        metavar="N",
        help="how small faces may be: 1 finds a sixth of the longer side, each further level half of that "
        f"(default: {PICTURE_LEVELS}, for videos {VIDEO_LEVELS})",
    )
    args = parser.parse_args(argv)

    camera, source = camera_number(args.source), Path(args.source)
    if camera is None and not source.exists():
        raise InputError(f"{source} does not exist; expected a picture, a folder, a video, or the word camera")
    moving = camera is not None or source.suffix.lower() in video.SUFFIXES
    levels = args.levels or (VIDEO_LEVELS if moving else PICTURE_LEVELS)
    recognizer = Recognizer(args.weights, detector=args.detector, levels=levels)
    with reporting(args.json, args.out) as report:
        if moving:
            show = camera is not None and not (args.json or args.out) and has_screen()
            predict_video(recognizer, source if camera is None else camera, args.out, report, show)
        else:
            predict_pictures(recognizer, list_pictures(source), args.out, report)


def camera_number(source: str) -> int | None:
    """0 for "camera", 1 for "camera:1", None for what is no camera."""
    name, _, number = source.partition(":")
    return int(number or 0) if name == "camera" and (not number or number.isdecimal()) else None


def list_pictures(source: Path) -> list[Path]:
    """The picture itself, or those of a folder by name.

    Raises:
        InputError: the folder holds no picture.
    """
    if source.is_file():
        return [source]
    pictures = sorted(path for path in source.iterdir() if path.suffix.lower() in images.SUFFIXES)
    if not pictures:
        raise InputError(f"{source} holds no picture ({', '.join(images.SUFFIXES)})")
    return pictures


def predict_pictures(recognizer: Recognizer, pictures: list[Path], out: Path | None, report: Report) -> None:
    """Recognise each picture; those that cannot be read are told at the end, when all others are done.

    Raises:
        InputError: pictures could not be read, or one would be overwritten.
    """
    stems = collections.Counter(path.stem for path in pictures)
    broken = []
    for path in tqdm(pictures, unit="picture", disable=None if len(pictures) > 1 else True):
        target = out / f"{path.stem if stems[path.stem] == 1 else path.name}.png" if out else None
        if target and target.exists() and target.samefile(path):
            raise InputError(f"{target} would overwrite the picture itself; choose another --out")
        try:
            image = images.read_rgb(path)
        except InputError as error:
            broken.append(str(error))
            continue
        recognition = recognizer(image)
        if target:
            with replacing(target) as temporary:
                need("PIL.Image").fromarray(annotate(image, recognition)).save(temporary)
        report(str(path), {}, recognition)
    if broken:
        more = f" (and {len(broken) - 1} more of {len(pictures)} pictures)" if len(broken) > 1 else ""
        raise InputError(broken[0] + more)


def predict_video(
    recognizer: Recognizer, source: Path | int, out: Path | None, report: Report, show: bool = False
) -> None:
    """Recognise each frame, smoothed from frame to frame, until the video ends or the user stops.

    Args:
        out: folder for the annotated video.
        show: in a window, which q closes.

    Raises:
        InputError: there is no such video or camera, or it cannot be read.
    """
    name = f"camera {source}" if isinstance(source, int) else str(source)
    target = out / f"{'camera' if isinstance(source, int) else source.stem}.mp4" if out else None
    if target and target.exists() and isinstance(source, Path) and target.samefile(source):
        raise InputError(f"{target} would overwrite the video itself; choose another --out")
    tracker = Tracker()
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(video.open_video(source))
        write = stack.enter_context(video.write_video(target, opened.rate)) if target else None
        count = 0
        try:
            for seconds, frame in tqdm(opened.frames, total=opened.length, unit="frame", disable=None):
                recognition = tracker(recognizer(frame), seconds)
                report(name, {"frame": count, "seconds": round(seconds, 3)}, recognition)
                count += 1
                if write or show:
                    picture = annotate(frame, recognition, columns=1)
                    if write:
                        write(picture)
                    if show and not display(picture):
                        break
        except KeyboardInterrupt:  # how one stops a camera: what was written so far is kept
            print(f"stopped after {count} frames", file=sys.stderr)
    if opened.length and count < 0.9 * opened.length:
        print(f"warning: {name} ends after {count} of {opened.length} frames", file=sys.stderr)


def has_screen() -> bool:
    """Whether a window can be opened. Without a screen, OpenCV would end the process."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY"))


def display(picture: np.ndarray) -> bool:
    """Show a frame in a window; False once the user has pressed q or Escape."""
    cv2 = need("cv2")
    cv2.imshow("keras_fer", np.ascontiguousarray(picture[..., ::-1]))
    return cv2.waitKey(1) & 0xFF not in (ord("q"), 27)


@contextlib.contextmanager
def reporting(as_json: bool, out: Path | None) -> Iterator[Report]:
    """A function that prints each answer, and adds it to `out`/predictions.jsonl at once: interruptions lose none."""
    with contextlib.ExitStack() as stack:
        file = None
        if out:
            out.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context((out / PREDICTIONS).open("w", encoding="utf-8", buffering=1))

        def report(source: str, place: dict, recognition: Recognition) -> None:
            line = json.dumps(as_plain(source, place, recognition), ensure_ascii=False)
            if file:
                file.write(line + "\n")
            tqdm.write(line if as_json else sentence(source, place, recognition), file=sys.stdout)

        yield report


def as_plain(source: str, place: dict, recognition: Recognition) -> dict:
    """The JSON object of a picture or frame."""
    faces = [
        {
            "box": _rounded(found.face.box),
            "score": round(found.face.score, 4),
            "landmarks": {
                name: _rounded(getattr(found.face, name)) for name in ("right_eye", "left_eye", "nose", "mouth")
            },
            "class": found.expression,
            "probabilities": {name: round(value, 6) for name, value in found.probabilities.items()},
        }
        | ({"track": found.track} if found.track else {})
        for found in recognition.faces
    ]
    milliseconds = {name: round(value, 2) for name, value in recognition.milliseconds.items()}
    return {"source": source, **place, "model": recognition.model, "milliseconds": milliseconds, "faces": faces}


def _rounded(values: tuple[float, ...]) -> list[float]:
    return [round(value, 2) for value in values]


def sentence(source: str, place: dict, recognition: Recognition) -> str:
    """The line of a picture or frame, for people."""
    where = f"{source} {place['seconds']:.2f} s" if place else source
    faces = ", ".join(f"{face.expression} {percent(face)}" for face in recognition.faces) or "no face"
    return f"{where}: {faces}  ({sum(recognition.milliseconds.values()):.0f} ms)"


if __name__ == "__main__":
    run(main)
