"""Reads checkpoint files into plain data, without PyTorch and without running anything that a file names.

A PyTorch checkpoint is a pickle, and a pickle is a program: it names functions and has them called. Here every name
that a pickle asks for becomes an inert record of that name and its arguments; nothing is imported or called. Only then
are the few records that mean a tensor turned into arrays, and any other becomes a string.
"""

import functools
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from keras_fer.errors import InputError

MAGIC_NUMBER = (0x1950A86A20F9469CFC6C).to_bytes(10, "little")
"""What files of PyTorch before 1.6 begin with, as a pickled integer."""

BFLOAT16 = "bfloat16"

STORAGES = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "BFloat16Storage": BFLOAT16,
    "ComplexFloatStorage": "c8",
    "ComplexDoubleStorage": "c16",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
    "UntypedStorage": "u1",
}
"""PyTorch's storage classes and the types of their elements, as numpy writes them. It has no bfloat16."""

UNTYPED = {"torch.uint16": "u2", "torch.uint32": "u4", "torch.uint64": "u8"}
"""The types that have no storage class of their own: their tensors name the type beside an untyped storage."""

SCALARS = (str, int, float, type(None))


def read_checkpoint(path: str | os.PathLike) -> dict:
    """Read a PyTorch checkpoint (`.pth`, `.pt`, `.tar`, `.bin`), a `.safetensors` file or an `.npz` archive.

    PyTorch's zip files, its older files and the tar files of its first releases are told apart by their contents. No
    code from the file runs.

    Returns:
        What the file holds, made of dicts, lists, numbers, strings, `None` and arrays alone. bfloat16 becomes float32.
        Objects of any other class (a training recorder, say) become the string `<module.Class>`.

    Raises:
        InputError: the file is damaged, no checkpoint, or holds something else than a dict.
        OSError: it cannot be opened.
    """
    path = Path(path)
    try:
        content = _read(path)
    except (InputError, OSError):
        raise
    except Exception as error:  # A broken pickle can fail in any way.
        raise InputError(f"{path} is damaged, or no checkpoint ({type(error).__name__}: {error})") from error
    if not isinstance(content, dict):
        what = content if isinstance(content, str) else f"a {type(content).__name__}"
        raise InputError(f"{path} holds {what}; expected a dict of tensors (a state_dict)")
    return content


def _read(path: Path) -> object:
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith(".npy") for name in archive.namelist()):
                with np.load(path) as arrays:
                    return dict(arrays)
            return _read_zip(archive)
    if tarfile.is_tarfile(path):
        with tarfile.open(path) as archive:
            return _read_tar(archive)
    return _read_stream(path)


def _read_safetensors(path: Path) -> dict:
    try:
        from safetensors import numpy as safetensors
    except ImportError as error:
        raise InputError(f"{path} needs the safetensors package: pip install safetensors") from error
    arrays = safetensors.load_file(path)
    return {name: a.astype(np.float32) if a.dtype.name == BFLOAT16 else a for name, a in arrays.items()}


# --- PyTorch's three formats ---


def _read_zip(archive: zipfile.ZipFile) -> object:
    """Since PyTorch 1.6: `NAME/data.pkl`, and a member `NAME/data/KEY` for each storage."""
    members = archive.namelist()
    folder = next((name.removesuffix("data.pkl") for name in members if name.endswith("/data.pkl")), None)
    if folder is None:
        raise InputError(f"{archive.filename} is a zip archive without a data.pkl: no PyTorch checkpoint")
    if f"{folder}constants.pkl" in members:
        raise InputError(f"{archive.filename} is a TorchScript program; expected a state_dict saved by torch.save")
    big_endian = f"{folder}byteorder" in members and archive.read(f"{folder}byteorder") == b"big"

    @functools.cache
    def storage(key: str, element: str) -> np.ndarray:
        return _elements(archive.read(f"{folder}data/{key}"), element, ">" if big_endian else "<")

    with archive.open(f"{folder}data.pkl") as file:
        content = _Unpickler(file).load()
    return _plain(content, lambda persistent_id: storage(persistent_id[2], _element_type(persistent_id[1])))


def _read_stream(path: Path) -> object:
    """Before PyTorch 1.6: five pickles (magic number, version, platform, content, keys), then the storages' bytes."""
    with path.open("rb") as file:
        _check_start(file)
        for _ in ("magic number", "version", "platform"):
            _Unpickler(file).load()
        unpickler = _Unpickler(file)
        content = unpickler.load()
        kinds = {key: kind for what, kind, key, *_ in unpickler.persistent_ids if what == "storage"}
        storages = {key: _read_storage(file, kinds[key]) for key in _Unpickler(file).load()}

    def storage(persistent_id: tuple) -> np.ndarray:
        _, _, key, _, _, view = persistent_id
        if view is None:
            return storages[key]
        _, offset, size = view
        return storages[key][offset : offset + size]

    return _plain(content, storage)


def _check_start(file: BinaryIO) -> None:
    start = file.peek()[:40]
    if start.startswith(b"PK"):
        raise InputError(f"{file.name} is a zip file that lacks its end (a broken download?)")
    if MAGIC_NUMBER not in start:
        raise InputError(f"{file.name} is no checkpoint: it begins with {start!r}")


def _read_tar(archive: tarfile.TarFile) -> object:
    """PyTorch's first releases: `storages`, `tensors` made of them, and a `pickle` that refers to both by number."""
    known = {}
    with archive.extractfile("storages") as file:
        for _ in range(_Unpickler(file).load()):
            key, _, kind = _Unpickler(file).load()
            known[key] = _read_storage(file, kind)
        for key, root, offset, size in _Unpickler(file).load():
            known[key] = known[root][offset : offset + size]
    with archive.extractfile("tensors") as file:
        for _ in range(_Unpickler(file).load()):
            key, storage, _ = _Unpickler(file).load()
            axes, *_ = struct.unpack("<i4x", file.read(8))
            shape, strides, (offset,) = (struct.unpack(f"<{n}q", file.read(8 * n)) for n in (axes, axes, 1))
            known[key] = _tensor(known[storage], offset, shape, strides)
    with archive.extractfile("pickle") as file:
        content = _Unpickler(file).load()
    return _plain(content, lambda persistent_id: known[int(persistent_id)])


def _read_storage(file: BinaryIO, kind: type) -> np.ndarray:
    """A storage as the older formats write it: its length, then its elements."""
    (length,) = struct.unpack("<Q", file.read(8))
    element = _element_type(kind)
    size = length * (2 if element == BFLOAT16 else np.dtype(element).itemsize)
    data = file.read(size)
    if len(data) < size:
        raise EOFError(f"a storage of {size} bytes ends after {len(data)}")
    return _elements(data, element)


# --- Tensors ---


def _element_type(kind: type) -> str:
    package, _, name = kind.path.rpartition(".")
    if not package.startswith("torch") or name not in STORAGES:
        raise TypeError(f"elements of {kind.path} are not supported")
    return STORAGES[name]


def _elements(data: bytes, element: str, byte_order: str = "<") -> np.ndarray:
    if element == BFLOAT16:
        # It is the upper half of a float32.
        return (np.frombuffer(data, f"{byte_order}u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(data, np.dtype(element).newbyteorder(byte_order))


def _tensor(elements: np.ndarray, offset: int, shape: Sequence[int], strides: Sequence[int]) -> np.ndarray:
    """A copy of the part of a storage that a tensor shows. Offset and strides count elements."""
    if min(offset, *shape, *strides, 0) < 0:
        raise ValueError("a tensor has a negative offset, size or stride")
    if offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) >= len(elements) and 0 not in shape:
        raise ValueError("a tensor reaches beyond its storage")
    strides = [s * elements.itemsize for s in strides]
    view = np.lib.stride_tricks.as_strided(elements[offset:], shape, strides, writeable=False)
    return view.astype(elements.dtype.newbyteorder("="))


# --- Pickles ---


class _Record:
    """What a pickle gets in place of anything that it names: it notes its arguments and items, and does nothing."""

    __slots__ = ("args", "items")
    path = ""

    def __new__(cls, *args, **kwargs):
        record = super().__new__(cls)
        record.args, record.items = args, {}
        return record

    def __setitem__(self, key, value):
        self.items[key] = value

    def __setstate__(self, state):
        """The state of a foreign object is of no use here."""

    append = extend = add = __setstate__


class _Reference:
    """What a pickle gets in place of data that is stored outside of it."""

    __slots__ = ("persistent_id",)

    def __init__(self, persistent_id):
        self.persistent_id = persistent_id


class _Unpickler(pickle.Unpickler):
    """Yields numbers, strings, lists, tuples, dicts, sets, references, and records of everything else.

    Whatever opcode imports something comes through `find_class`, and whatever opcode calls something can only call what
    that returned.
    """

    def __init__(self, file: BinaryIO):
        # Files of Python 2 hold byte strings; Latin-1 reads any byte.
        super().__init__(file, encoding="latin1")
        self.persistent_ids = []

    def find_class(self, module: str, name: str) -> type[_Record]:
        return type("_Record", (_Record,), {"__slots__": (), "path": f"{module}.{name}"})

    def persistent_load(self, persistent_id: object) -> _Reference:
        self.persistent_ids.append(persistent_id)
        return _Reference(persistent_id)


def _plain(content: object, load: Callable[[object], np.ndarray]) -> object:
    """Replace the records in what a pickle gave: tensors by arrays, anything unknown by its name.

    Args:
        content: from `_Unpickler`.
        load: the array that a persistent id stands for.
    """
    finished = {}

    def plain(value):
        if isinstance(value, SCALARS):
            return value
        # The same object again gives the same result. The value is kept so that its id stays its own.
        if id(value) not in finished:
            finished[id(value)] = value, convert(value)
        return finished[id(value)][1]

    def convert(value):
        if isinstance(value, _Reference):
            return load(value.persistent_id)
        if isinstance(value, _Record):
            return rebuild(value.path, value.args, value.items)
        if isinstance(value, dict):
            return {key if isinstance(key, SCALARS) else str(key): plain(v) for key, v in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [plain(v) for v in value]
        return f"<{value.path}>" if isinstance(value, type) else f"<{type(value).__name__}>"

    def rebuild(path, args, items):
        match path:
            case "collections.OrderedDict":
                return plain(dict(*args) | items)
            case "torch.Size":
                return plain(*args)
            case "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2":
                storage, offset, shape, strides, *_ = args
                return _tensor(plain(storage), offset, shape, strides)
            case "torch._utils._rebuild_tensor_v3":
                storage, offset, shape, strides, _, _, element, *_ = args
                return _tensor(plain(storage).view(UNTYPED[element.path]), offset, shape, strides)
            case "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state":
                return plain(args[0])
            case "torch._tensor._rebuild_from_type_v2":
                function, _, arguments, _ = args
                return rebuild(function.path, arguments, {})
            case _:
                return f"<{path}>"

    return plain(content)
