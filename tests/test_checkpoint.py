"""Checkpoint files: every format gives back what was written, and no file gets anything to run."""

import pickle
import sys
from collections import OrderedDict
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch_files import STORAGES, WRITERS, Call, Name, Raw, pickled, write_stream, write_tar, write_zip

from keras_fer.convert import read_checkpoint
from keras_fer.errors import InputError

CONTENT = {
    "epoch": 7,
    "state_dict": OrderedDict(weight=np.arange(6, dtype=np.float32).reshape(2, 3), bias=np.float32([1, -1])),
    "best_acc": 0.5,
    "optimizer": {"state": {0: {"step": 3}}, "param_groups": [{"lr": 1e-3, "amsgrad": False, "params": [0, 1]}]},
    "recorder": Call(Name("__main__", "RecorderMeter"), (), None, {"total_epoch": 200}),
}


def assert_same(read, written):
    """Equal in structure, values and type of element; bfloat16 is read as float32."""
    if isinstance(written, Call | Name):
        name = written.function if isinstance(written, Call) else written
        assert read == f"<{name.module}.{name.name}>"
    elif isinstance(written, dict):
        assert type(read) is dict
        assert list(read) == list(written)
        for key, value in written.items():
            assert_same(read[key], value)
    elif isinstance(written, list | tuple):
        assert type(read) is list
        assert len(read) == len(written)
        for r, w in zip(read, written):
            assert_same(r, w)
    elif isinstance(written, np.ndarray):
        dtype = np.dtype(np.float32) if written.dtype == ml_dtypes.bfloat16 else written.dtype
        assert type(read) is np.ndarray
        assert read.dtype == dtype
        np.testing.assert_array_equal(read, written.astype(dtype), strict=True)
    else:
        assert type(read) is type(written)
        assert read == written


@st.composite
def tensors(draw):
    """Arrays of every type of element, also as views: turned, cut, widened."""
    dtype = np.dtype(draw(st.sampled_from(sorted(STORAGES))))
    shape = draw(arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    values = np.random.default_rng(draw(st.integers(0, 99))).integers(-99, 99, shape)
    array = np.array(values).astype(dtype)
    if draw(st.booleans()):
        array = array.T
    if array.ndim and draw(st.booleans()):
        array = array[1:][..., ::2]
    if draw(st.booleans()):
        array = np.broadcast_to(array, (2, *array.shape))
    return array


@pytest.mark.parametrize("kind", WRITERS)
@settings(max_examples=40)
@given(state_dict=st.dictionaries(st.text("abc.", min_size=1), tensors(), max_size=3))
def test_tensors_come_back(kind, state_dict, tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "model.pth"
    # A second view of each array shares its storage.
    content = {"state_dict": OrderedDict(state_dict), "turned": {name: a.T for name, a in state_dict.items()}}
    WRITERS[kind](path, content)
    assert_same(read_checkpoint(path), content)


@pytest.mark.parametrize("kind", WRITERS)
def test_only_plain_data_comes_out(kind, tmp_path):
    WRITERS[kind](tmp_path / "model.pth.tar", CONTENT)
    assert_same(read_checkpoint(tmp_path / "model.pth.tar"), CONTENT)


def test_parameters_and_rare_tensors(tmp_path):
    """Parameters, tensors with attributes, tensors whose type has no storage class, sizes, big-endian files."""
    weight = np.arange(6, dtype=np.float32).reshape(2, 3)
    rebuild = Name("torch._utils", "_rebuild_parameter")
    file = tmp_path / "model.pth"
    write_zip(file, {"p": Call(rebuild, (weight, True, OrderedDict())), "size": Call(Name("torch", "Size"), ((2, 3),))})
    assert_same(read_checkpoint(file), {"p": weight, "size": [2, 3]})

    from_type = Name("torch._tensor", "_rebuild_from_type_v2")
    write_zip(file, {"p": Call(from_type, (rebuild, Name("torch", "Tensor"), (weight, True, OrderedDict()), {}))})
    assert_same(read_checkpoint(file), {"p": weight})

    write_zip(file, {"p": weight}, byte_order="big")
    assert_same(read_checkpoint(file), {"p": weight})


def test_safetensors_and_npz(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    state_dict = {"a.weight": np.arange(6, dtype=np.float16).reshape(2, 3), "n": np.array(3)}
    safetensors.save_file(state_dict, tmp_path / "model.safetensors")
    assert_same(dict(sorted(read_checkpoint(tmp_path / "model.safetensors").items())), state_dict)
    np.savez(tmp_path / "model.npz", **state_dict)
    assert_same(read_checkpoint(tmp_path / "model.npz"), state_dict)


# --- Nothing runs ---


class Fuse:
    """Leaves a mark wherever a pickle may call a class: on creation, on a state, on items."""

    def __new__(cls, path=None, **kwargs):
        if path := path or kwargs.get("path"):
            Path(path).touch()
        return super().__new__(cls)

    def __setstate__(self, path):
        Path(path).touch()

    def __setitem__(self, key, path):
        Path(path).touch()

    def extend(self, paths):
        Path(paths[0]).touch()


def attacks(mark):
    """Opcodes that create the file `mark` when a common unpickler reads them, by the opcode that does it."""
    text = pickled(str(mark))[2:-1]
    command = pickled(f"touch '{mark}'")[2:-1]
    system = b"cos\nsystem\n"
    nested = b"\x8c\x06shutil\x8c\x09os.system\x93"
    fuse = f"c{__name__}\nFuse\n".encode()
    return {
        "REDUCE": system + b"(" + command + b"tR",
        "STACK_GLOBAL": b"\x8c\x02os\x8c\x06system\x93" + b"(" + command + b"tR",
        "nested name": nested + b"(" + command + b"tR",
        "INST": b"(" + command + b"ios\nsystem\n",
        "OBJ": b"(" + system + command + b"o",
        "NEWOBJ": fuse + b"(" + text + b"t\x81",
        "NEWOBJ_EX": fuse + b")}(" + pickled("path")[2:-1] + text + b"u\x92",
        "BUILD": fuse + b")R" + text + b"b",
        "SETITEMS": fuse + b")R(K\x00" + text + b"u",
        "APPENDS": fuse + b")R(" + text + b"e",
        "getattr": b"cbuiltins\ngetattr\n(" + b"cos\n__dict__\n" + pickled("get")[2:-1] + b"tR("
        + pickled("system")[2:-1] + b"tR(" + command + b"tR",
    }  # fmt: skip


@pytest.mark.parametrize("opcode", attacks(""))
def test_no_opcode_runs_anything(opcode, tmp_path):
    mark = tmp_path / "mark"
    attack = attacks(mark)[opcode]
    pickle.loads(b"\x80\x04" + attack + b".")
    assert mark.exists(), "the attack is none"
    mark.unlink()

    weight = np.ones(3, np.float32)
    file = tmp_path / "model.pth"
    for write in WRITERS.values():
        write(file, {"state_dict": {"weight": weight}, "recorder": Raw(attack)})
        read_or_refuse(file)
        assert not mark.exists()
    write_stream(file, {"weight": weight}, platform=Raw(attack))
    read_or_refuse(file)
    write_stream(file, {"weight": weight}, keys=Raw(attack))
    read_or_refuse(file)
    assert not mark.exists()


def read_or_refuse(file):
    try:
        return read_checkpoint(file)
    except InputError:
        return None


def test_foreign_calls_become_their_name(tmp_path):
    for write in (write_zip, write_stream, write_tar):
        write(tmp_path / "model.pth", {"a": Call(Name("torch.x.os", "system"), ("true",)), "b": Name("os", "system")})
        assert read_checkpoint(tmp_path / "model.pth") == {"a": "<torch.x.os.system>", "b": "<os.system>"}


def test_nothing_is_imported(tmp_path):
    write_zip(tmp_path / "model.pth", {"a": Call(Name("antigravity", "geohash"), (1,))})
    read_checkpoint(tmp_path / "model.pth")
    assert "antigravity" not in sys.modules


def test_reader_cannot_be_altered(tmp_path):
    """BUILD would set attributes of what find_class gave, were that to allow it."""
    bad, good = tmp_path / "bad.pth", tmp_path / "good.pth"
    write_zip(good, CONTENT)
    for name in (Name("collections", "OrderedDict"), Name("torch._utils", "_rebuild_tensor_v2")):
        state = pickled((None, {"path": "collections.OrderedDict", "__new__": Name("os", "system")}))[2:-1]
        write_zip(bad, {"a": Raw(f"c{name.module}\n{name.name}\n".encode() + state + b"b")})
        with pytest.raises(InputError):
            read_checkpoint(bad)
        assert_same(read_checkpoint(good), CONTENT)


# --- Broken files ---


@pytest.mark.parametrize("kind", WRITERS)
def test_cut_files_are_refused_in_one_line(kind, tmp_path):
    path = tmp_path / "model.pth"
    WRITERS[kind](path, CONTENT)
    data = path.read_bytes()
    # A tar file ends in padding, which nobody misses.
    end = len(data) if kind != "tar" else data.rindex(b".\0") + 1
    for size in range(0, end, 7):
        path.write_bytes(data[:size])
        with pytest.raises(InputError) as refusal:
            read_checkpoint(path)
        assert str(path) in str(refusal.value)
        assert "\n" not in str(refusal.value)


def test_changed_zip_files_are_noticed(tmp_path):
    path = tmp_path / "model.pth"
    write_zip(path, {"weight": np.full(1000, 3, np.float32)})
    data = bytearray(path.read_bytes())
    position = data.index(np.full(1000, 3, np.float32).tobytes())
    data[position + 77] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("args", "message"),
    [((-1, (2,), (1,)), "negative"), ((0, (2, 4), (3, 1)), "beyond"), ((5, (2,), (1,)), "beyond")],
)
def test_tensors_stay_within_their_storage(args, message, tmp_path):
    write_zip(tmp_path / "model.pth", Call(Name("torch._utils", "_rebuild_tensor"), (np.arange(6.0), *args)))
    with pytest.raises(InputError, match=message):
        read_checkpoint(tmp_path / "model.pth")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("page.pth", b"<!DOCTYPE html><html>quota exceeded</html>", "DOCTYPE html"),
        ("plain.pkl", pickle.dumps({"a": 1}), "no checkpoint"),
        ("empty.pth", b"", "no checkpoint"),
        ("damaged.safetensors", b"\x10\0\0\0\0\0\0\0{", "damaged"),
    ],
)
def test_other_files_are_refused(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_checkpoint(tmp_path / name)


def test_other_contents_are_refused(tmp_path):
    write_zip(tmp_path / "model.pth", Call(Name("models.poster", "Net"), (), None, {"training": True}))
    with pytest.raises(InputError, match=r"holds <models.poster.Net>; expected a dict of tensors"):
        read_checkpoint(tmp_path / "model.pth")
    np.savez(tmp_path / "objects.npz", a=np.array([{}]))
    with pytest.raises(InputError, match="damaged"):
        read_checkpoint(tmp_path / "objects.npz")
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path / "none.pth")


# --- Beside PyTorch, where a developer has it ---


@pytest.mark.parametrize("as_zip", [True, False])
def test_equals_torch(as_zip, tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not needed here; with it, both readers are compared")
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.PReLU(4))
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.rand(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    base = torch.arange(24.0).reshape(4, 6)
    # PyTorch cannot read its own older files with the types that have no storage class.
    types = [getattr(torch, name) for name in STORAGES] + [torch.complex64] + [torch.uint16] * as_zip
    content = {
        "state_dict": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "best_acc": torch.tensor(92.2),
        "parameters": list(net.parameters()),
        "views": [base.T, base[1:, ::2], base[2, 3], base.expand(2, 4, 6), base.to(torch.bfloat16).T, base[:0]],
        "types": [torch.tensor([0, 1, 2]).to(dtype) for dtype in types],
    }
    path = tmp_path / "model.pth"
    torch.save(content, path, _use_new_zipfile_serialization=as_zip)
    assert_same(read_checkpoint(path), _as_arrays(torch, torch.load(path, weights_only=False)))


@pytest.mark.parametrize("kind", ["zip", "stream"])
def test_torch_reads_our_files(kind, tmp_path):
    """The files that the other tests write are what PyTorch takes them for."""
    torch = pytest.importorskip("torch", reason="PyTorch is not needed here; with it, it reads the files of the tests")
    content = {key: value for key, value in CONTENT.items() if key != "recorder"}
    WRITERS[kind](tmp_path / "model.pth", content)
    loaded = torch.load(tmp_path / "model.pth", weights_only=False, map_location="cpu")
    assert_same(_as_arrays(torch, loaded), _as_arrays(torch, content))


def _as_arrays(torch, value):
    if isinstance(value, torch.Tensor):
        value = value.detach()
        return (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    if isinstance(value, dict):
        return {k: _as_arrays(torch, v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_as_arrays(torch, v) for v in value]
    return value
