"""The counts of `keras_fer.inspect` against the authors' PyTorch code, and against a model counted by hand."""

import functools
import json

import keras
import pytest
from keras import layers

from keras_fer import create_backbone, inspect, list_backbones, list_models
from keras_fer.layers import MatMul, WindowPartition

# Counted on the authors' code (../shared/reference/figures.json) at 224 pixels, mobilefacenet at 112: parameters that
# run; MACs of convolutions, linear layers and attention; fvcore's total, thop's total, thop's parameters.
AUTHORS = {
    "efficientface": (1275293, 149720088, 8792, 0, 154159278, 158589676, 1275293),
    "ldg_resnet50": (23522375, 4087136256, 14336, 0, 4109478912, 4131708928, 23522375),
    "mit_b0": (3319392, 102208512, 311894016, 38108672, 458169600, 418869248, 3319392),
    "mit_fusion": (3452519, 108631040, 311895808, 38108672, 464593920, 425293568, 3452519),
    "ir50": (17611968, 5467979776, 0, 0, 5478253312, 5492014080, 17611968),
    "mobilefacenet": (1007248, 220899840, 69632, 0, 227284736, 236551712, 1007248),
    "poster_v2": (43849957, 6233188864, 2202281216, 157028864, 8612845056, 8482266176, 43724311),
}


@functools.cache
def measured(name):
    """The costs, and the layers with a kernel for which no rule counts anything."""
    model = inspect.create(name)
    calls, _ = inspect.trace(model)
    kernels = [call for call in calls if any(weight.name.endswith("kernel") for weight in call.layer.weights)]
    return inspect.inspect(model), [c.layer.name for c in kernels if not sum(inspect.count_macs([c]).values())]


def costs_of(name):
    return measured(name)[0]


@functools.cache
def landmark_head():
    """What the authors' MobileFaceNet runs behind the maps, and POSTER V2 throws away. fvcore traces past dead ends."""
    whole = inspect.inspect(create_backbone("mobilefacenet", 112, landmarks=True))
    *macs, fvcore, thop, thop_parameters = (a - b for a, b in zip(counts(whole), counts(costs_of("mobilefacenet"))))
    return (*macs, 0, thop, thop_parameters)


def counts(costs):
    macs = costs.macs
    convolutions = macs["conv"] + macs["depthwise"]
    return (
        *(costs.parameters_at_inference, convolutions, macs["dense"], macs["attention"]),
        *(costs.fvcore, costs.thop, costs.thop_parameters),
    )


@pytest.mark.parametrize("name", AUTHORS)
def test_counts_equal_the_authors_code(name):
    ours = counts(costs_of(name))
    if name in ("mobilefacenet", "poster_v2"):
        ours = tuple(a + b for a, b in zip(ours, landmark_head()))
    assert ours == AUTHORS[name]


def test_trained_parameters_leave_out_the_frozen_landmark_stream():
    costs = costs_of("poster_v2")
    assert costs.parameters - costs.parameters_trained == costs_of("mobilefacenet").parameters


def test_btn_is_poster_v2_at_inference():
    btn, poster = costs_of("btn"), costs_of("poster_v2")
    assert btn.parameters > btn.parameters_at_inference == poster.parameters_at_inference
    assert (btn.macs, btn.activation_bytes) == (poster.macs, poster.activation_bytes)


@pytest.mark.parametrize("name", [*list_models(), *list_backbones()])
def test_whole_registry(name):
    costs, uncounted = measured(name)
    assert not uncounted
    assert costs.macs_total == sum(costs.macs.values()) > 0
    assert costs.parameters >= costs.parameters_trained > 0
    assert costs.activation_bytes > 0


def test_a_model_counted_by_hand():
    """A 4x4 picture, convolved by a model inside of the model, cut into 4 windows whose tokens attend to each other."""
    inner_input = keras.Input((4, 4, 3))
    inner = keras.Model(inner_input, layers.Conv2D(8, 3, padding="same")(inner_input))
    picture = keras.Input((4, 4, 3))
    x = inner(picture)
    x = layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x))
    x = layers.Reshape((4, 8))(WindowPartition(2)(x))
    x = layers.Dropout(0.5)(MatMul(transpose_b=True)(x, x))
    model = keras.Model(picture, layers.Dense(5, use_bias=False)(x))

    calls, outputs = inspect.trace(model)
    assert outputs[0].shape == (4, 4, 5)
    assert inspect.count_parameters(model.weights) == (3 * 3 * 3 * 8 + 8) + 3 * 3 * 8 + 2 * 8 + 4 * 5
    assert inspect.count_macs(calls) == {
        "conv": 4 * 4 * 8 * 3 * 3 * 3,
        "depthwise": 4 * 4 * 8 * 3 * 3,
        "dense": 4 * 4 * 5 * 4,
        "attention": 4 * 4 * 4 * 8,
    }
    # Two maps of 8 channels, one read and one written; from the windows on, tensors are smaller.
    assert inspect.peak_activation_bytes(calls, outputs) == 2 * (4 * 4 * 8) * 4


def test_activations_of_a_skip_and_of_outputs_stay_alive():
    picture = keras.Input((2, 2, 1))
    first = layers.ReLU()(picture)
    second = layers.ReLU()(layers.ReLU()(first))
    skip = keras.Model(picture, layers.Add()([first, second]))
    assert inspect.peak_activation_bytes(*inspect.trace(skip)) == 3 * 4 * 4
    every_map = keras.Model(picture, [first, second, layers.ReLU()(second)])
    assert inspect.peak_activation_bytes(*inspect.trace(every_map)) == 3 * 4 * 4


def test_the_command_prints_the_papers_figures_and_writes_exact_counts(tmp_path, capsys):
    out = tmp_path / "costs.json"
    inspect.main(["efficientface", "mobilefacenet", "--markdown", "--json", str(out)])
    printed = capsys.readouterr().out
    assert "| 1.28M / 154.18M |     fvcore | 1.28M / 154.16M |" in printed
    efficientface, mobilefacenet = json.loads(out.read_text())
    assert efficientface["fvcore"] == AUTHORS["efficientface"][4]
    assert mobilefacenet["input_size"] == 112


def test_the_papers_figures_are_of_224_pixels_only(capsys):
    inspect.main(["efficientface", "--input-size", "64"])
    assert "154.18M" not in capsys.readouterr().out
