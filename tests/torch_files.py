"""Writes PyTorch's checkpoint formats without PyTorch, pickles included, so that tests can put anything into them."""

import io
import pickle
import struct
import tarfile
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import numpy as np

STORAGES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}


class Name(NamedTuple):
    """Something that unpickling imports."""

    module: str
    name: str


class Call(NamedTuple):
    """The result of a call; `items` are set and `state` is given to it afterwards."""

    function: Name
    args: tuple = ()
    items: dict | None = None
    state: object = None


class Persistent(NamedTuple):
    """A reference to data outside of the pickle."""

    id: object


class Raw(NamedTuple):
    """Opcodes as they are."""

    opcodes: bytes


def pickled(value) -> bytes:
    return b"\x80\x04" + _opcodes(value) + b"."


def _opcodes(value) -> bytes:
    match value:
        case Raw(opcodes):
            return opcodes
        case Name(module, name):
            return f"c{module}\n{name}\n".encode()
        case Call(function, args, items, state):
            opcodes = _opcodes(function) + _opcodes(args) + b"R"
            opcodes += _items(items) if items else b""
            return opcodes + (_opcodes(state) + b"b" if state is not None else b"")
        case Persistent(persistent_id):
            return _opcodes(persistent_id) + b"Q"
        case OrderedDict():
            return _opcodes(Call(Name("collections", "OrderedDict"), (), dict(value)))
        case dict():
            return b"}" + _items(value)
        case list():
            return b"](" + b"".join(map(_opcodes, value)) + b"e"
        case tuple():
            return b"(" + b"".join(map(_opcodes, value)) + b"t"
        case _:
            return pickle.dumps(value, 2)[2:-1]


def _items(items) -> bytes:
    return b"(" + b"".join(_opcodes(key) + _opcodes(value) for key, value in items.items()) + b"u"


def write_zip(path, content, byte_order="little"):
    """As `torch.save` writes since 1.6."""
    storages = _Storages(lambda key, kind, base: ("storage", kind, key, "cpu", base.size))
    swapped = byte_order == "big"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(storages.put(content)))
        archive.writestr("archive/byteorder", byte_order)
        for key, base in storages.bases.items():
            archive.writestr(f"archive/data/{key}", (base.byteswap() if swapped else base).tobytes())
        archive.writestr("archive/version", "3\n")


def write_stream(path, content, platform=None, keys=None):
    """As `torch.save` writes before 1.6."""
    storages = _Storages(lambda key, kind, base: ("storage", kind, key, "cuda:0", base.size, None))
    content = storages.put(content)
    keys = list(storages.bases) if keys is None else keys
    with Path(path).open("wb") as file:
        for value in (0x1950A86A20F9469CFC6C, 1001, platform or {"little_endian": True}, content, keys):
            file.write(pickled(value))
        for base in storages.bases.values():
            file.write(struct.pack("<q", base.size) + base.tobytes())


def write_tar(path, content):
    """As PyTorch 0.1 wrote."""
    tensors = []

    def reference(array):
        tensors.append(array)
        return Persistent(str(100 + len(tensors)))

    members = {"pickle": pickled(_replace(content, reference))}
    storages = _Storages(lambda key, kind, base: kind)
    calls = [storages.tensor(array) for array in tensors]

    file = io.BytesIO()
    file.write(pickled(len(storages.bases)))
    for key, base in storages.bases.items():
        file.write(pickled((int(key), "cpu", storages.kinds[key])))
        file.write(struct.pack("<q", base.size) + base.tobytes())
    file.write(pickled([]))
    members["storages"] = file.getvalue()

    file = io.BytesIO()
    file.write(pickled(len(tensors)))
    for i, (array, call) in enumerate(zip(tensors, calls), start=101):
        _, offset, shape, strides, *_ = call.args
        file.write(pickled((i, int(storages.key(array)), Name("torch", "FloatTensor"))))
        # The upper half of the number of axes held anything.
        file.write(struct.pack("<iI", array.ndim, 0xFFFFFFFF))
        file.write(struct.pack(f"<{2 * array.ndim + 1}q", *shape, *strides, offset))
    members["tensors"] = file.getvalue()

    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


WRITERS = {"zip": write_zip, "stream": write_stream, "tar": write_tar}


class _Storages:
    """Gives every block of memory one storage, so that views of one array share theirs as tensors do."""

    def __init__(self, persistent_id):
        self.persistent_id = persistent_id
        self.bases = {}
        self.kinds = {}

    def put(self, content):
        return _replace(content, self.tensor)

    def tensor(self, array):
        base, key = _base(array), self.key(array)
        self.bases[key] = base
        self.kinds[key] = Name("torch", STORAGES[base.dtype.name])
        offset = (array.__array_interface__["data"][0] - base.__array_interface__["data"][0]) // array.itemsize
        strides = tuple(s // array.itemsize for s in array.strides)
        storage = Persistent(self.persistent_id(key, self.kinds[key], base))
        args = (storage, offset, array.shape, strides, False, OrderedDict())
        return Call(Name("torch._utils", "_rebuild_tensor_v2"), args)

    def key(self, array):
        return str(id(_base(array)))


def _base(array):
    while array.base is not None:
        array = array.base
    return array


def _replace(value, tensor):
    match value:
        case np.ndarray():
            return tensor(value)
        case OrderedDict() | dict():
            return type(value)((k, _replace(v, tensor)) for k, v in value.items())
        case Call():
            return Call(*(_replace(v, tensor) if isinstance(v, tuple | dict | list) else v for v in value))
        case Name() | Raw() | Persistent():
            return value
        case list() | tuple():
            return type(value)(_replace(v, tensor) for v in value)
        case _:
            return value
