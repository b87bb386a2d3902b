"""Run by test_models in a process of its own, with KERAS_BACKEND=jax and TensorFlow out of reach."""

import sys
from pathlib import Path

sys.modules["tensorflow"] = None
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import jax  # noqa: E402
import numpy as np  # noqa: E402
from authors_weights import draw_weights  # noqa: E402
from keras import ops  # noqa: E402

import keras_fer  # noqa: E402
from keras_fer.convert import load_state_dict  # noqa: E402

probe = np.load(Path(__file__).with_name("probe.npz"))
picture = probe["picture_224"]
for name in ("efficientface", "mit_fusion"):
    model = keras_fer.create_model(name)
    load_state_dict(model, draw_weights(model))
    expected = probe[f"{name}.logits"]
    found = jax.jit(model)(picture.astype("float32"))
    print(name, float(np.abs(found - expected).max() / np.abs(expected).max()))

    model = keras_fer.create_model(name, input_size=32)
    frozen = [v.value for v in model.non_trainable_variables]

    def loss(weights, model=model, frozen=frozen):
        logits, _ = model.stateless_call(weights, frozen, picture[:, 80:112, 80:112].astype("float32"))
        return -ops.mean(ops.log_softmax(logits)[:, 3])

    weights = [v.value for v in model.trainable_variables]
    before, gradients = jax.jit(jax.value_and_grad(loss))(weights)
    after = jax.jit(loss)([w - 1e-3 * g for w, g in zip(weights, gradients)])
    assert after < before, f"{name}: the loss rose from {before} to {after}"
