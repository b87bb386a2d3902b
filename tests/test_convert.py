"""Weights from other people's files: every model, every layout, and what is said when something does not fit."""

import json
import re
from collections import OrderedDict

import keras
import numpy as np
import pytest
from authors_weights import draw_weights
from torch_files import WRITERS, Call, Name, write_stream, write_zip

import keras_fer
from keras_fer.command import run
from keras_fer.convert import load_state_dict, read_checkpoint
from keras_fer.convert.__main__ import main
from keras_fer.convert.layouts import IR50_STAGES, read_source
from keras_fer.convert.published import convention
from keras_fer.convert.state_dict import to_state_dict, torch_entries
from keras_fer.errors import InputError

INPUT_SIZE = 64


def build(name, **options):
    create = keras_fer.create_backbone if name in keras_fer.list_backbones() else keras_fer.create_model
    return create(name, input_size=INPUT_SIZE, **options)


def checkpoint(state_dict, prefix="module."):
    """As the authors' training scripts store a model: with counters, under a prefix, beside a recorder."""
    entries = OrderedDict((prefix + name, array) for name, array in state_dict.items())
    counters = {
        name.replace("running_var", "num_batches_tracked"): np.array(9) for name in entries if "running_var" in name
    }
    recorder = Call(Name("__main__", "RecorderMeter"), (), None, {"total_epoch": 200})
    return {"epoch": 3, "state_dict": OrderedDict(entries | counters), "best_acc": 0.9, "recorder": recorder}


def assert_holds(model, state_dict):
    found = to_state_dict(model)
    for name, array in state_dict.items():
        np.testing.assert_array_equal(found[name], array.reshape(found[name].shape), err_msg=name)


# --- Every model ---


@pytest.mark.parametrize("name", [*keras_fer.list_models(), *keras_fer.list_backbones()])
def test_checkpoint_of_every_model(name, tmp_path):
    model = build(name)
    weights = draw_weights(model)
    load_state_dict(model, weights)
    write_zip(tmp_path / "model.pth", checkpoint(to_state_dict(model)))

    source = read_source(name, tmp_path / "model.pth")
    other = build(name)
    loaded = load_state_dict(other, source.entries)
    assert (len(loaded.matched), loaded.dropped, loaded.fresh) == (len(weights), [], [])
    # Weights that are equal to the last bit compute the same.
    assert len(weights) == len(other.weights)
    assert_holds(other, weights)


DEAD = {
    # The authors' 18 dead parameters and 4 statistics of theirs, then the landmark head, which is not built.
    "poster_v2_7": (18 + 4, 10),
    "poster_v2_8": (18 + 4, 10),
    "ir50": (6 + 4, 0),
    "mobilefacenet": (0, 10),
    "efficientface": (0, 0),
    "ldg_resnet50": (0, 0),
    "mit_b0": (0, 0),
    "mit_fusion": (0, 0),
}


@pytest.mark.parametrize("reference", DEAD)
def test_loads_all_names_of_the_authors_code(reference, shared):
    manifest = json.loads((shared / "reference" / reference / "manifest.json").read_text())
    state_dict = {e["name"]: np.broadcast_to(np.float32(0.5), e["shape"]) for e in manifest["entries"]}
    name, _, classes = reference.removesuffix("_7").partition("_8")
    options = {"num_classes": 8} if reference.endswith("_8") else {}
    create = keras_fer.create_backbone if name in keras_fer.list_backbones() else keras_fer.create_model
    model = create(name, **options)
    loaded = load_state_dict(model, state_dict)
    assert len(loaded.dropped) == sum(DEAD[reference])
    assert len(loaded.matched) == len(torch_entries(model))


def test_axes():
    """Numbers that say where they come from land where Keras looks for them."""
    picture = keras.Input((5, 5, 3))
    x = keras.layers.DepthwiseConv2D((2, 3), depth_multiplier=4, use_bias=False, name="dw")(picture)
    x = keras.layers.Conv2D(6, (3, 2), groups=2, use_bias=False, name="conv")(x)
    x = keras.layers.Dense(2, use_bias=False, name="fc")(x)
    model = keras.Model(picture, x)
    shapes = {name: entry.shape for name, entry in torch_entries(model).items()}
    assert shapes == {"dw.weight": (12, 1, 2, 3), "conv.weight": (6, 6, 3, 2), "fc.weight": (2, 6)}
    weights = {name: np.arange(np.prod(shape), dtype=np.float32).reshape(shape) for name, shape in shapes.items()}
    # A linear layer may come as a 1x1 convolution.
    load_state_dict(model, weights | {"fc.weight": weights["fc.weight"][:, :, None, None]})
    dw, conv, fc = (model.get_layer(name).get_weights()[0] for name in ("dw", "conv", "fc"))
    assert dw[1, 2, 2, 3] == weights["dw.weight"][2 * 4 + 3, 0, 1, 2]
    assert conv[2, 1, 4, 5] == weights["conv.weight"][5, 4, 2, 1]
    assert fc[3, 1] == weights["fc.weight"][1, 3]


# --- What does not fit ---


@pytest.fixture(scope="module")
def small():
    model = build("efficientface")
    return model, draw_weights(model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fc.bias": None, "conv1.0.weight": None}, "348 of 350 entries match; 2 missing: conv1.0.weight, fc.bias"),
        ({"more": np.zeros(3)}, "1 unexpected: more"),
        ({"conv1.1.bias": np.zeros(7)}, r"1 mis-shaped: conv1.1.bias is \(7,\), not \(29,\)"),
        ({"fc.weight": np.zeros((8, 1024)), "fc.bias": np.zeros(8)}, "for 8 classes, the model has 7"),
        ({"conv1.0.weight": np.zeros((29, 1, 3, 3))}, "grey pictures"),
        ({"fc.bias": "<torch._utils._rebuild_qtensor>"}, "fc.bias is no tensor"),
    ],
)
def test_refuses_and_changes_nothing(small, change, message):
    model, weights = small
    before = to_state_dict(model)
    state_dict = {name: value for name, value in (weights | change).items() if value is not None}
    with pytest.raises(InputError, match=message):
        load_state_dict(model, state_dict)
    assert_holds(model, before)


def test_long_lists_are_cut(small):
    with pytest.raises(InputError) as refusal:
        load_state_dict(small[0], {})
    assert "0 of 350 entries match; 350 missing: conv1.0.weight" in str(refusal.value)
    assert "and 342 more" in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"state": {0: {"exp_avg": np.zeros(3)}}, "param_groups": [{"lr": 0.1}]}, "only optimiser state"),
        ({"epoch": 3, "optimizer": {"state": {}}}, "only optimiser state"),
        ({"epoch": 3, "arch": "resnet50"}, "holds no weights; its entries are epoch, arch"),
        ({"state_dict": {}}, "holds no weights"),
    ],
)
def test_files_without_weights(content, message, tmp_path):
    write_zip(tmp_path / "best.pth", content)
    with pytest.raises(InputError, match=message):
        read_source("poster_v2", tmp_path / "best.pth")


# --- Other layouts ---


@pytest.mark.parametrize("classes", [1000, 12666])
@pytest.mark.parametrize("name", ["efficientface", "ldg_resnet50"])
def test_pretraining_heads_are_dropped(name, classes, tmp_path):
    model = build(name)
    weights = draw_weights(model)
    width = weights["fc.weight"].shape[1]
    head = {"fc.weight": np.zeros((classes, width), np.float32), "fc.bias": np.zeros(classes, np.float32)}
    write_stream(tmp_path / "pretrained.tar", checkpoint(weights | head))

    source = read_source(name, tmp_path / "pretrained.tar")
    loaded = load_state_dict(model, source.entries, source.leaves)
    assert source.dropped == loaded.fresh == ["fc.weight", "fc.bias"]
    assert not source.has_classifier
    del weights["fc.weight"], weights["fc.bias"]
    assert_holds(model, weights)


def test_shufflenet_starts_efficientface(small, tmp_path):
    model, weights = small
    # torchvision's stem has 24 channels where EfficientFace has 29.
    theirs = {}
    for name, array in weights.items():
        if not name.startswith(("local.", "modulator.")):
            shape = [24 if n == 29 else n for n in array.shape]
            theirs[name] = np.full([1000, *shape[1:]] if name.startswith("fc.") else shape, 0.5, np.float32)
    write_zip(tmp_path / "shufflenetv2_x1.pth", OrderedDict(theirs))

    source = read_source("efficientface", tmp_path / "shufflenetv2_x1.pth")
    loaded = load_state_dict(model, source.entries, source.leaves)
    assert_holds(model, {name: theirs[name] for name in loaded.matched})
    assert {name.split(".")[0] for name in loaded.matched} == {"stage2", "stage3", "stage4", "conv5"}
    assert all(name.startswith(("conv1.", "stage2.0.", "local.", "modulator.", "fc.")) for name in loaded.fresh)
    assert len(source.dropped) + len(loaded.matched) == len(theirs)


def test_ir50_with_numbered_blocks(tmp_path):
    model = build("ir50")
    weights = draw_weights(model)
    theirs = {"output_layer.0.weight": np.zeros(512), "body.21.res_layer.0.weight": np.zeros(256)}
    first = {stage: start for start, stage in IR50_STAGES.items()}
    for name, array in weights.items():
        name = re.sub(r"(body\d)\.(\d+)", lambda m: f"body.{first[m[1]] + int(m[2])}", name)
        theirs[name] = array
    assert "body.20.res_layer.4.weight" in theirs
    write_zip(tmp_path / "ir50.pth", theirs)

    source = read_source("ir50", tmp_path / "ir50.pth")
    loaded = load_state_dict(model, source.entries, source.leaves)
    assert source.dropped == ["body.21.res_layer.0.weight"]
    assert loaded.dropped == ["output_layer.0.weight"]
    assert_holds(model, weights)


@pytest.mark.parametrize("suffix", [".bin", ".safetensors"])
def test_hugging_face_mit_b0(suffix, shared, tmp_path):
    model = build("mit_b0")
    weights = draw_weights(model)
    theirs = {"classifier.weight": np.zeros((1000, 256), np.float32), "classifier.bias": np.zeros(1000, np.float32)}
    for line in (shared / "reference/mit_b0/huggingface_names.txt").read_text().splitlines():
        if not line.startswith("#"):
            ours, names = line.split(" -> ")
            names = names.split(" + ")
            theirs |= dict(zip(names, np.split(weights[ours], len(names))))
    path = tmp_path / f"model{suffix}"
    if suffix == ".bin":
        write_zip(path, OrderedDict(theirs))
    else:
        pytest.importorskip("safetensors.numpy").save_file(theirs, path)

    source = read_source("mit_b0", path)
    loaded = load_state_dict(model, source.entries)
    assert set(loaded.dropped) == {"head.weight", "head.bias"}
    assert_holds(model, weights)


def fold(weights):
    """Batch norms folded into the convolutions before them, as the exported MobileFaceNet has them."""
    folded = {}
    for name in [name for name in weights if name.endswith("bn.weight")]:
        norm = name.removesuffix(".weight")
        scale = weights[name] / np.sqrt(weights[f"{norm}.running_var"] + 1e-5)
        shift = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
        module = norm.removesuffix(".bn")
        if f"{module}.conv.weight" in weights:
            folded[f"{module}.conv.weight"] = weights[f"{module}.conv.weight"] * scale[:, None, None, None]
            folded[f"{module}.bias"] = shift
        else:
            folded |= {f"{norm}.scale": scale, f"{norm}.shift": shift}
    return folded | {n: w for n, w in weights.items() if n.endswith(("prelu.weight", "linear.weight"))}


def test_mobilefacenet_with_folded_norms(tmp_path):
    model = keras_fer.create_backbone("mobilefacenet", input_size=112, landmarks=True)
    weights = draw_weights(model)
    picture = np.random.default_rng(0).uniform(0, 255, (1, 112, 112, 3)).astype("float32")
    load_state_dict(model, weights)
    expected = model(picture)
    np.savez(tmp_path / "folded.npz", **fold(weights))

    source = read_source("mobilefacenet", tmp_path / "folded.npz")
    loaded = load_state_dict(model, source.entries)
    assert not loaded.fresh
    for found, wanted in zip(model(picture), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


def test_the_folded_landmark_weights_load(shared):
    model = keras_fer.create_backbone("mobilefacenet", input_size=112, landmarks=True)
    file = shared / "weights" / "mobilefacenet_landmark_bnfolded_fp16.npz"
    loaded = load_state_dict(model, read_source("mobilefacenet", file).entries)
    assert (loaded.dropped, loaded.fresh) == ([], [])


@pytest.mark.slow
def test_backbones_start_models(tmp_path):
    """Both streams of POSTER V2 in one call, each from its own file."""
    weights = {}
    for name, prefix in (("ir50", "ir_back."), ("mobilefacenet", "face_landback.")):
        drawn = draw_weights(build(name))
        write_zip(tmp_path / f"{name}.pth", checkpoint(drawn, prefix=""))
        weights |= {prefix + key: array for key, array in drawn.items()}
    out = tmp_path / "start.keras"
    main(["poster_v2", str(tmp_path / "ir50.pth"), str(tmp_path / "mobilefacenet.pth"), "--out", str(out)])
    model = keras_fer.load(out)
    assert_holds(model, weights)
    assert set(model.card["fresh"]) == torch_entries(model).keys() - weights.keys()


# --- The command ---


def test_command(tmp_path, capsys):
    weights = draw_weights(build("mit_b0"))
    write_zip(tmp_path / "mit_b0.pth", OrderedDict(weights | {"head.weight": np.zeros((1000, 256), np.float32)}))
    out = tmp_path / "start.keras"
    main(["mit_fusion", str(tmp_path / "mit_b0.pth"), "--num-classes", "8", "--out", str(out)])
    said = capsys.readouterr().out
    assert "176 of 180 entries of mit_fusion matched" in said
    assert "1 dropped, which have no place in mit_fusion: backbone.head" in said
    assert "4 left as initialised, which such a file does not hold: fuse.weight, fuse.bias, fc.weight, fc.bias" in said
    model = keras_fer.load(out)
    assert model.classes == keras_fer.EXPRESSIONS
    assert model.card["converted_from"] == ["mit_b0.pth"]
    assert_holds(model, {f"backbone.{name}": array for name, array in weights.items()})


def test_command_refuses_in_one_line(small, tmp_path, capsys):
    write_zip(tmp_path / "model.pth", checkpoint(small[1]))
    for arguments, message in (
        (["--num-classes", "8"], "num_classes is to be 7"),
        (["--data", "sfew"], "no order of classes is known for efficientface trained on sfew"),
        (["--classes", "angry,smug"], "unknown expression 'smug'"),
        (["--classes", "angry,anger"], "expected each one once"),
        (["--data", "raf-db", "--num-classes", "8"], "8 classes are asked for"),
    ):
        arguments = ["efficientface", str(tmp_path / "model.pth"), "--out", str(tmp_path / "o.keras"), *arguments]
        with pytest.raises(SystemExit) as ended:
            run(lambda arguments=arguments: main(arguments))
        error = capsys.readouterr().err
        assert ended.value.code == 2
        assert message in error
        assert error.count("\n") == 1
    assert not (tmp_path / "o.keras").exists()


def test_published_conventions():
    """Each set's order is that of the authors' folders, and EfficientFace is normalised with the set's own colours."""
    raf_db = convention("poster_v2", True, "raf-db")
    assert raf_db.classes == ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
    assert convention("poster_v2", True) == raf_db
    eight = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
    assert convention("poster_v2", True, "affectnet8").classes == eight
    assert convention("poster_v2", True, num_classes=8).classes == eight
    assert convention("poster_v2", True, "affectnet7").classes == eight[:7]
    assert convention("efficientface", True).classes == eight[:7]
    assert convention("efficientface", True).mean == (0.57535914, 0.44928582, 0.40079932)
    assert convention("efficientface", False).mean == (0.485, 0.456, 0.406)
    assert convention("ldg_resnet50", True, "caer-s").std == (0.15188067, 0.11678473, 0.1103445)
    # A new head has no order yet.
    assert convention("poster_v2", False).classes == eight[:7]
    own = ["anger", "neutral"]
    assert convention("efficientface", True, classes=own).classes == tuple(own)


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_loads(kind, small, tmp_path):
    model, weights = small
    WRITERS[kind](tmp_path / "model.pth.tar", checkpoint(weights))
    load_state_dict(model, read_checkpoint(tmp_path / "model.pth.tar")["state_dict"])
    assert_holds(model, weights)
