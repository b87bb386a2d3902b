"""Weights drawn by a rule, so that two implementations of a model can be compared without storing any.

Each entry of a state_dict is drawn from its own generator, seeded by its name. The authors' code was run with the same
weights; what it computed stands in `tests/probe.npz` (one synthetic picture) and in ../shared/reference.
"""

import zlib

import keras
import numpy as np

from keras_fer.convert.state_dict import torch_entries

GAINS = {"efficientface": 1.3, "ldg_resnet50": 1.05}
"""Factors on all kernels, which keep the activations of these models from dying out; 1 elsewhere."""


def draw_weights(model: keras.Model, seed: str = "public") -> dict[str, np.ndarray]:
    """A state_dict for `model`: `{torch name: array}`."""
    shapes = {name: entry.shape for name, entry in torch_entries(model).items()}
    gain = GAINS.get(model.name, 1.0)
    return {name: _draw(name, shape, shapes, seed, gain).astype(np.float32) for name, shape in shapes.items()}


def _draw(name, shape, shapes, seed, gain):
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(f"{seed}:{name}".encode())))
    module, _, last = name.rpartition(".")
    is_norm = len(shapes.get(f"{module}.weight", ())) == 1
    if last in ("running_var", "gamma1", "gamma2") or (last == "weight" and is_norm and f"{module}.bias" in shapes):
        return rng.uniform(0.8, 1.2, shape)
    values = rng.standard_normal(shape)
    if last == "running_mean":
        return values * 0.05
    if last == "weight" and is_norm:  # PReLU
        return 0.25 + values * 0.02
    if last == "weight":
        return values * (gain * np.sqrt(1 / np.prod(shape[1:])))
    return values * 0.02  # biases and embeddings
