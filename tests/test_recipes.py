"""Recipes: the papers' numbers, and settings from the command line."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny

from keras_fer import InputError
from train import recipes
from train.optim import SGDL2, learning_rate, make_optimizer
from train.recipes import Recipe


@pytest.mark.parametrize("name", recipes.list_recipes())
def test_every_recipe_survives_json_and_trains_a_model(name):
    recipe = recipes.load(name)
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    assert recipe.input_size % 8 == 0
    make_optimizer(recipe, keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]), steps_per_epoch=10)


@pytest.mark.parametrize(
    ("name", "facts"),
    {
        "mit_fusion": {"batch_size": 48, "epochs": 50, "early_stopping": 8, "decay_epochs": 2, "weight_decay": 1e-3},
        "efficientface": {"batch_size": 128, "epochs": 100, "learning_rate": 0.1, "decay_epochs": 30},
        "efficientface_affectnet7": {"epochs": 20, "decay_epochs": 5, "decay_factor": 0.1, "weight_decay": 1e-4},
        "efficientface_caer_s": {"epochs": 400, "decay_epochs": 50, "decay_factor": 0.5, "momentum": 0.9},
    }.items(),
)
def test_papers(name, facts):
    recipe = recipes.load(name)
    assert recipe.input_size == 224
    assert {key: getattr(recipe, key) for key in facts} == facts


def test_override_parses_by_the_kind_of_the_key():
    recipe = Recipe().override(
        [
            "epochs=3",
            "learning_rate=1e-2",
            "nesterov=true",
            "schedule=step",
            "mean=0.5,0.25,0.125",
            "augment.rotation=15",
            "augment.scale=0.9,1.2",
            "model_options.dropout=0.1",
        ]
    )
    assert (recipe.epochs, recipe.learning_rate, recipe.nesterov, recipe.schedule) == (3, 1e-2, True, "step")
    assert recipe.mean == (0.5, 0.25, 0.125)
    assert (recipe.augment.rotation, recipe.augment.scale, recipe.augment.flip) == (15.0, (0.9, 1.2), 0.0)
    assert recipe.model_options == {"dropout": 0.1}
    assert Recipe().model_options == {}


@pytest.mark.parametrize(
    ("assignment", "message"),
    {
        "epoch=3": r"--set epoch: no such key; known are input_size, .*epochs, .*augment\.flip, .*model_options\.NAME",
        "augment.spin=3": r"--set augment\.spin: no such key",
        "augment=3": "--set augment: no such key",
        "epochs": "expected key=value",
        "epochs=many": "--set epochs=many: expected a whole number",
        "epochs=0": "epochs is 0; expected more than 0",
        "nesterov=1": "expected true or false",
        "mean=1,2": "expected 3 numbers with commas between",
        "optimizer=lion": "optimizer is 'lion'; expected one of ",
        "ema=1": "ema is 1.0; expected at least 0 and less than 1",
    }.items(),
)
def test_override_refuses(assignment, message):
    with pytest.raises(InputError, match=message):
        Recipe().override([assignment])


def test_warmup_without_cosine_is_refused():
    with pytest.raises(InputError, match="warmup goes with the cosine schedule only"):
        Recipe(schedule="step", warmup=0.1)


def test_unknown_recipe_names_the_closest():
    with pytest.raises(InputError, match="did you mean mit_fusion"):
        recipes.load("mit_fuson")


@given(warmup=st.floats(0, 0.9), epochs=st.integers(1, 50), steps=st.integers(1, 30))
def test_cosine_rises_to_the_peak_and_falls_to_zero(warmup, epochs, steps):
    schedule = learning_rate(Recipe(learning_rate=0.5, epochs=epochs, warmup=warmup), steps)
    total = epochs * steps
    rates = np.array([float(schedule(step)) for step in {0, int(warmup * total), total // 2, total}])
    assert ((rates >= 0) & (rates <= 0.5 + 1e-6)).all()
    assert float(schedule(int(warmup * total))) == pytest.approx(0.5)
    assert float(schedule(total)) == pytest.approx(0, abs=1e-6)


def test_step_schedule_is_the_authors():
    schedule = learning_rate(recipes.load("efficientface"), steps_per_epoch=4)
    assert [float(schedule(4 * epoch)) for epoch in (0, 29, 30, 59, 60, 90)] == pytest.approx(
        [0.1, 0.1, 0.01, 0.01, 0.001, 0.0001]
    )


def test_l2_follows_pytorch():
    """`buf = momentum * buf + (grad + l2 * w); w -= rate * buf`, after clipping by the global norm."""
    gradients = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    weight, buffer = np.ones(3, "float32"), np.zeros(3, "float32")
    variable = keras.Variable(weight)
    optimizer = SGDL2(0.1, l2=0.5, momentum=0.9, global_clipnorm=1.0)
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        gradient = gradient * min(1, 1 / np.linalg.norm(gradient))
        buffer = 0.9 * buffer + gradient + 0.5 * weight
        weight = weight - 0.1 * buffer
    np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), weight, rtol=1e-5)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("all_weights", [False, True])
def test_decay_leaves_norms_and_biases_alone_unless_told(optimizer, all_weights):
    recipe = Recipe(
        optimizer=optimizer,
        learning_rate=0.1,
        schedule="constant",
        weight_decay=0.1,
        decay_norms_and_biases=all_weights,
    )
    picture = keras.Input((32, 32, 3))
    model = keras.Model(picture, tiny(picture, 7))
    optimizer = make_optimizer(recipe, model, 1)
    before = [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]
    # With a gradient of zero all that moves is decay.
    optimizer.apply([keras.ops.zeros_like(v) for v in model.trainable_variables], model.trainable_variables)
    for variable, old in zip(model.trainable_variables, before):
        expected = old * (1 - 0.1 * 0.1) if all_weights or variable.name == "kernel" else old
        np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), expected, rtol=1e-5, err_msg=variable.path)
