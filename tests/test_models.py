"""Every model of the registry: equal to the authors' code, trainable in every weight, saved and loaded.

A new model is covered the day it is registered; `stages.py` says which of its layers the goldens name.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from authors_weights import draw_weights
from keras import ops
from stages import BUILD, STAGES, in_golden_layout

import keras_fer
from keras_fer.convert import load_state_dict

TOLERANCE = 1e-4
"""Relative to the largest value of a tensor. What the models reach is about 1e-6; the README has the table."""

PARAMETERS = {
    "efficientface": 1_275_293,
    "ldg_resnet50": 23_522_375,
    "mit_fusion": 3_452_519,
    "mit_b0": 3_319_392,
    "mobilefacenet": 1_007_248,  # with the landmark head, which POSTER V2 does not need
}
"""Trainable parameters as the papers' code has them."""

PROBE = Path(__file__).parent / "probe.npz"


def build(golden):
    """The model of a golden, with the weights that the rule draws for it."""
    model = BUILD[golden]()
    load_state_dict(model, draw_weights(model))
    return model


def relative_error(found, expected):
    return float(np.abs(np.asarray(found) - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("golden", BUILD)
def test_equals_the_authors_code_on_the_probe(golden):
    probe = np.load(PROBE)
    model = build(golden)
    outputs = model(probe[f"picture_{model.input_shape[1]}"])
    if f"{golden}.logits" in probe:
        assert relative_error(outputs, probe[f"{golden}.logits"]) < TOLERANCE
        return
    maps = [output for output in outputs if len(output.shape) == 4]
    for i, feature_map in enumerate(maps, start=1):
        sample = ops.transpose(feature_map, (0, 3, 1, 2)).numpy().ravel()[:: int(probe[f"{golden}.{i}.step"])]
        assert relative_error(sample, probe[f"{golden}.{i}"]) < TOLERANCE


@pytest.mark.parametrize("golden", BUILD)
def test_every_stage_equals_the_authors_code(golden, shared):
    folder = shared / "reference" / golden
    tensors = json.loads((folder / "golden.json").read_text())["tensors"]
    stored = np.load(folder / "golden.npz")
    model = build(golden)
    stages = STAGES[golden]
    assert set(stages) == {stage for stage in tensors if not stage.startswith("probe.")}

    inner = keras.Model(model.input, {stage: model.get_layer(layer).output for stage, layer in stages.items()})
    for stage, array in inner(stored["input_uint8"]).items():
        sample = in_golden_layout(array, tensors[stage]).ravel()[:: tensors[stage]["step"]]
        assert relative_error(sample, stored[f"{stage}.sample"]) < TOLERANCE, stage
    if "logits" in stored:
        assert relative_error(model(stored["input_uint8"]), stored["logits"]) < TOLERANCE


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_count(name):
    assert sum(w.value.shape.num_elements() for w in BUILD[name]().trainable_weights) == PARAMETERS[name]


def test_plain_cnn():
    """Ours, so no authors' code counts it: two 3x3 convolutions a block, each with a norm, and one dense layer."""
    model = keras_fer.create_model("plain_cnn", input_size=48)
    widths = (24, 48, 96, 192)
    kernels = sum(9 * (before * width + width * width) for before, width in zip((3, *widths), widths))
    assert model.count_params() == kernels + sum(2 * 4 * width for width in widths) + (192 + 1) * 7
    assert [model.get_layer(f"block{i}.relu2").output.shape[1:] for i in (1, 2, 3, 4)] == [
        (48, 48, 24),
        (24, 24, 48),
        (12, 12, 96),
        (6, 6, 192),
    ]
    wider = keras_fer.create_model("plain_cnn", input_size=40, width=32)
    assert wider.get_layer("block4.relu2").output.shape == (None, 5, 5, 256)


def test_epsilons():
    """Outputs hardly depend on these, so parity would not notice a wrong one."""
    mit = keras_fer.create_model("mit_fusion", input_size=32)
    norms = {layer.name: layer.epsilon for layer in mit.layers if isinstance(layer, keras.layers.LayerNormalization)}
    assert len(norms) == 4 + 6 + 16 + 4
    for name, epsilon in norms.items():
        assert epsilon == (1e-5 if "patch_embed" in name or "attn.norm" in name else 1e-6), name


@pytest.mark.parametrize("name", keras_fer.list_models())
def test_batch_norm_is_pytorchs(name):
    for layer in keras_fer.create_model(name).layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            assert (layer.epsilon, layer.momentum) == (1e-5, 0.9), layer.name


@pytest.mark.parametrize("name", keras_fer.list_models())
def test_every_weight_gets_a_gradient(name, pictures):
    import tensorflow as tf

    model = keras_fer.create_model(name, input_size=pictures.shape[1])
    with tf.GradientTape() as tape:
        # Not as in training, where drop path may drop a branch for both pictures.
        loss = ops.mean(ops.square(model(pictures) - 1.0))
    gradients = tape.gradient(loss, [w.value for w in model.trainable_weights])
    for weight, gradient in zip(model.trainable_weights, gradients, strict=True):
        assert gradient is not None, weight.path
        gradient = tf.convert_to_tensor(gradient).numpy()  # that of an embedding is sparse
        assert np.isfinite(gradient).all(), weight.path
        assert np.abs(gradient).max() > 0, weight.path


@pytest.mark.parametrize("name", keras_fer.list_models())
def test_saves_and_loads(name, pictures, tmp_path):
    size = pictures.shape[1]
    model = keras_fer.create_model(name, num_classes=8, input_size=size)
    card = {"model": name, "classes": keras_fer.EXPRESSIONS, "input_size": size}
    keras_fer.save(model, tmp_path / "model.keras", card)
    loaded = keras_fer.load(tmp_path / "model.keras")
    np.testing.assert_array_equal(model(pictures), loaded(pictures))
    assert loaded.classes == keras_fer.EXPRESSIONS
    assert [w.path for w in loaded.trainable_weights] == [w.path for w in model.trainable_weights]


@pytest.mark.parametrize("name", keras_fer.list_models())
def test_uint8_and_float_pictures_give_the_same(name, pictures):
    model = keras_fer.create_model(name, input_size=pictures.shape[1])
    np.testing.assert_array_equal(model(pictures), model(pictures.astype("float32")))


@pytest.mark.parametrize("name", keras_fer.list_models())
def test_no_tensor_has_more_than_four_axes(name, pictures):
    """Mobile runtimes handle five poorly or not at all."""
    import tensorflow as tf

    model = keras_fer.create_model(name, input_size=pictures.shape[1])
    graph = tf.function(model).get_concrete_function(tf.TensorSpec((1, *pictures.shape[1:]), "float32")).graph
    for operation in graph.get_operations():
        for tensor in operation.outputs:
            assert tensor.shape.rank is None or tensor.shape.rank <= 4, (operation.name, tensor.shape)


@pytest.mark.parametrize("name", ["efficientface", "mit_fusion", "plain_cnn"])
@pytest.mark.parametrize("size", [32, 96, 160])
def test_smaller_sizes(name, size):
    model = keras_fer.create_model(name, num_classes=3, input_size=size)
    assert model(np.zeros((2, size, size, 3), "uint8")).shape == (2, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "mit_fuson"}, "unknown model 'mit_fuson'.*did you mean mit_fusion"),
        ({"name": "mit_fusion", "input_size": 100}, "input_size is 100; expected a multiple of 32"),
        ({"name": "mit_fusion", "num_classes": 1}, "at least 2"),
    ],
)
def test_names_what_is_wrong(options, message):
    with pytest.raises(keras_fer.InputError, match=message):
        keras_fer.create_model(**options)


def test_another_backend_without_tensorflow():
    """The package runs on JAX where TensorFlow cannot be imported: equal logits, and a step lowers the loss."""
    script = Path(__file__).with_name("other_backend.py")
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    result = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    errors = dict(line.split() for line in result.stdout.splitlines())
    assert set(errors) == {"efficientface", "mit_fusion"}
    assert max(map(float, errors.values())) < TOLERANCE
