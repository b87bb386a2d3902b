"""From a source's records to a prepared folder, in two passes that hold no pictures in memory.

The first pass reads and checks every picture, in parallel, and appends the good ones to one spool file. Only then are
the labels and the pixels' hashes of all pictures known, which is what it takes to set a stratified tenth aside and to
find pictures that occur in two splits. The second pass copies the spool into the shards in random order.
"""

import contextlib
import dataclasses
import hashlib
import io
import itertools
import threading
from array import array
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import tensorflow as tf
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from keras_fer import images
from keras_fer.crop import crop
from keras_fer.errors import InputError
from keras_fer.faces import FaceFinder
from keras_fer.files import replacing
from train.parallel import map_ahead
from train.prepared import INFO_FILE, DatasetInfo, Split, encode_example, write_info
from train.sources import Record, Source

SPLITS = ("train", "val", "public", "private", "test")
VAL_SHARE = 0.1
UNREADABLE_LIMIT = 0.01
"""The share of unreadable pictures above which something must be wrong with the source as a whole."""
PICTURES_PER_SHARD = 2048
ALIGNED_SIZE = 224
"""Side of the faces that are cut out, unless told (pixels)."""
JPEG_QUALITY = 95


class Picture(NamedTuple):
    """A picture that the training pipeline can decode."""

    encoded: bytes
    digest: int
    """A 64-bit hash of the decoded pixels, equal for identical pictures however they are stored."""


class Unreadable(Exception):
    """The picture cannot be decoded; the message says why."""


class NoFace(Unreadable):
    """The picture is sound and shows no face."""


class Spool(NamedTuple):
    """One row for each good picture, in the source's order."""

    splits: np.ndarray
    """Indices into SPLITS."""
    labels: np.ndarray
    digests: np.ndarray
    offsets: np.ndarray
    """Where its record starts in the spool file (bytes)."""
    sizes: np.ndarray


def prepare(
    source: Source,
    out: str | Path,
    *,
    seed: int = 0,
    drop_leaks: bool = False,
    size: int | None = None,
    align: bool = False,
) -> DatasetInfo:
    """Write the prepared folder `out`. Prepared data that was there is replaced at the very end, or not at all.

    Args:
        seed: of the order of the records and of the choice of the validation tenth.
        drop_leaks: leave out of `train` what is in another split too, pixel by pixel.
        size: shrink pictures whose shorter side is longer than this (pixels).
        align: find the largest face of each picture and cut it out as docs/crop.md says, to `size` pixels (or 224).
            Pictures without a face are left out.

    Raises:
        InputError: `out` holds something else than prepared data, over 1 % of the pictures are unreadable, or there
            is none.
        OSError: the disk is full.
    """
    out = Path(out)
    if out.exists() and not (out.is_dir() and ((out / INFO_FILE).exists() or not any(out.iterdir()))):
        raise InputError(f"{out} exists and holds no prepared data; it would be replaced, so choose another --out")
    rng = np.random.default_rng(seed)
    with _disk_errors(out), replacing(out) as folder:
        folder.mkdir()
        spool, unreadable, faceless = _fill_spool(source, folder / "spool", size, align)
        leaks = _count_leaks(spool)
        rows, notes = _choose_splits(spool, drop_leaks, rng)
        if align:
            notes.append(f"faces cut out to {size or ALIGNED_SIZE} pixels; {len(faceless)} pictures show none")
        if not any(chosen.size for chosen in rows.values()):
            raise InputError(f"{source.name}: there is no picture in it")
        with (folder / "spool").open("rb") as file, _progress("writing", spool.labels.size) as bar:
            written = {
                name: _write_split(folder, name, file, spool, rng.permutation(chosen), source.classes, bar)
                for name, chosen in rows.items()
                if chosen.size
            }
        (folder / "spool").unlink()
        info = DatasetInfo(
            path=folder,
            name=source.name,
            classes=source.classes,
            splits=written,
            aliases=dict(source.aliases),
            distributions=source.distributions,
            seed=seed,
            notes=[*source.notes, *notes],
            unreadable=[*unreadable, *faceless],
            leaks=leaks,
            votes=source.votes,
        )
        write_info(info)
    return dataclasses.replace(info, path=out)


def _fill_spool(
    source: Source, path: Path, size: int | None, align: bool
) -> tuple[Spool, list[dict[str, str]], list[dict[str, str]]]:
    """Check every picture and append the record of each good one to the file `path`.

    Returns:
        The spool, what could not be read, and what shows no face.
    """
    columns = Spool(array("B"), array("B"), array("Q"), array("Q"), array("Q"))
    unreadable, faceless = [], []
    cut = FaceCutter(size or ALIGNED_SIZE) if align else None

    def look(record: Record) -> Picture | Unreadable:
        try:
            return check_picture(record, size, cut)
        except Unreadable as error:
            return error

    with path.open("wb") as file, ThreadPoolExecutor() as pool:
        for record, picture in map_ahead(pool, look, _progress("reading", source.total, source.records)):
            if isinstance(picture, NoFace):
                faceless.append({"id": record.id, "reason": str(picture)})
                continue
            if isinstance(picture, Unreadable):
                unreadable.append({"id": record.id, "reason": str(picture)})
                _check_share(unreadable, source.total)
                continue
            label = source.classes.index(record.expression)
            example = encode_example(picture.encoded, label, record.id, record.distribution, record.votes)
            row = (SPLITS.index(record.split), label, picture.digest, file.tell(), len(example))
            for column, value in zip(columns, row):
                column.append(value)
            file.write(example)
    _check_share(unreadable, len(columns.labels) + len(unreadable) + len(faceless))
    return Spool(*(np.array(column) for column in columns)), unreadable, faceless


def _check_share(unreadable: list[dict[str, str]], total: int) -> None:
    if len(unreadable) > UNREADABLE_LIMIT * total:
        first = "; ".join(f"{entry['id']}: {entry['reason']}" for entry in unreadable[:3])
        raise InputError(f"{len(unreadable)} of {total} pictures are unreadable, more than 1 %; first {first}")


class FaceCutter:
    """The largest face of an encoded picture, cut out as docs/crop.md says: `FaceCutter(size)(encoded) -> PNG`.

    May be called in any thread: each has a detector of its own.
    """

    def __init__(self, size: int):
        self._size = size
        self._local = threading.local()
        FaceFinder()  # fails here and now if the detector is not installed

    def __call__(self, encoded: bytes) -> bytes:
        """Raises `NoFace` where there is none."""
        if not hasattr(self._local, "find"):
            self._local.find = FaceFinder()
        picture = images.decode_rgb(io.BytesIO(encoded))
        faces = self._local.find(picture)
        if not faces:
            raise NoFace("no face was found")
        largest = max(faces, key=lambda face: face.box[2] * face.box[3])
        pixels = crop(picture, largest.left_eye, largest.right_eye, largest.box, size=self._size)
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        return stream.getvalue()


def check_picture(record: Record, size: int | None = None, cut: Callable[[bytes], bytes] | None = None) -> Picture:
    """Read a record's picture and make sure that the training pipeline can decode it.

    JPEG and PNG are kept byte for byte. Other formats, pictures that a camera left lying on their side (EXIF), and
    pictures with a shorter side over `size` pixels are encoded again.

    Args:
        cut: gives the picture to keep in place of all that (`FaceCutter`).

    Raises:
        Unreadable: there is no such file, or it holds no whole picture.
        NoFace: by `cut`.
    """
    try:
        encoded = record.load()
    except (OSError, ValueError) as error:
        raise Unreadable(getattr(error, "strerror", None) or str(error)) from error
    if not encoded:
        raise Unreadable("the file is empty")
    try:
        encoded = cut(encoded) if cut else _upright_and_small(encoded, size)
        pixels = tf.io.decode_image(encoded, channels=3, expand_animations=False).numpy()
    except UnidentifiedImageError as error:
        raise Unreadable("it is no picture of a known format") from error
    except tf.errors.InvalidArgumentError as error:
        raise Unreadable(error.message.partition("}} ")[2].partition(" [Op")[0]) from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Unreadable(str(error)) from error
    return Picture(encoded, digest(pixels))


def digest(pixels: np.ndarray) -> int:
    """A 64-bit hash of a picture's pixels."""
    content = pixels.tobytes() + str(pixels.shape).encode()
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def _upright_and_small(encoded: bytes, size: int | None) -> bytes:
    with Image.open(io.BytesIO(encoded)) as image:
        format = image.format if image.format in ("JPEG", "PNG") else None
        sideways = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        factor = min(1.0, size / min(image.size)) if size else 1.0
        if format and not sideways and factor == 1.0:
            return encoded
        image = ImageOps.exif_transpose(image).convert("RGB")
        image = image.resize([max(1, round(side * factor)) for side in image.size], Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    image.save(stream, format or "PNG", quality=JPEG_QUALITY)
    return stream.getvalue()


def _count_leaks(spool: Spool) -> dict[str, int]:
    """{"train/test": pictures of test that are in train too} for each two splits that share any."""
    digests = {name: spool.digests[spool.splits == index] for index, name in enumerate(SPLITS)}
    shared = {f"{a}/{b}": int(np.isin(digests[b], digests[a]).sum()) for a, b in itertools.combinations(SPLITS, 2)}
    return {pair: n for pair, n in shared.items() if n}


def _choose_splits(spool: Spool, drop_leaks: bool, rng: np.random.Generator) -> tuple[dict[str, np.ndarray], list[str]]:
    """The rows of the spool that each split gets, and what was decided on the way."""
    notes = []
    rows = {name: np.flatnonzero(spool.splits == index) for index, name in enumerate(SPLITS)}
    if drop_leaks:
        elsewhere = spool.digests[spool.splits != SPLITS.index("train")]
        leaked = np.isin(spool.digests[rows["train"]], elsewhere)
        rows["train"] = rows["train"][~leaked]
        notes.append(f"{leaked.sum()} pictures of train that are in another split too were dropped")
    if rows["train"].size and not rows["val"].size:
        chosen = _stratified_tenth(spool.labels[rows["train"]], spool.digests[rows["train"]], rng)
        rows["train"], rows["val"] = rows["train"][~chosen], rows["train"][chosen]
        notes.append("val is a stratified tenth of train, fixed by the seed")
    return rows, notes


def _stratified_tenth(labels: np.ndarray, digests: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which of the pictures to set aside: a tenth of each class, and all copies of a picture or none."""
    _, first, group = np.unique(digests, return_index=True, return_inverse=True)
    sizes = np.bincount(group)
    chosen = np.zeros(len(first), dtype=bool)
    for label in np.unique(labels[first]):
        members = rng.permutation(np.flatnonzero(labels[first] == label))
        if len(members) > 1:
            taken = np.cumsum(sizes[members])
            chosen[members[taken <= max(1, round(VAL_SHARE * taken[-1]))]] = True
    return chosen[group]


def _write_split(
    folder: Path, name: str, spool_file: BinaryIO, spool: Spool, rows: np.ndarray, classes: tuple[str, ...], bar: tqdm
) -> Split:
    """Copy `rows` of the spool, in their order, into the shards of one split."""
    shards = -(-len(rows) // PICTURES_PER_SHARD)
    files = {}
    for number, part in enumerate(np.array_split(rows, shards)):
        file = f"{name}-{number:05d}-of-{shards:05d}.tfrecord"
        files[file] = len(part)
        with tf.io.TFRecordWriter(str(folder / file)) as writer:
            for row in part:
                spool_file.seek(spool.offsets[row])
                writer.write(spool_file.read(spool.sizes[row]))
                bar.update()
    counts = np.bincount(spool.labels[rows], minlength=len(classes)).tolist()
    return Split(len(rows), dict(zip(classes, counts)), int(spool.sizes[rows].sum()), files)


def _progress(what: str, total: int, items: Iterable | None = None) -> tqdm:
    return tqdm(items, what, total, unit=" pictures", disable=None)


@contextlib.contextmanager
def _disk_errors(out: Path) -> Iterator[None]:
    """Say where a disk was full; to TensorFlow's writer that is no OSError."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        if getattr(error, "filename", None):
            raise
        reason = error.strerror if isinstance(error, OSError) else error.message
        raise OSError(f"cannot write {out}: {reason}; what was there before is unchanged") from error
