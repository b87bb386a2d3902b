"""Weights between a Keras model and a PyTorch state_dict, by rule.

Every layer with weights is named by its path in the authors' code, so the torch name of a weight follows from the
names of its layer and of the weight itself; only the order of the axes differs. Our own layers hold one parameter each
and are named by its full name.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import keras
import numpy as np

from keras_fer.errors import InputError

SUFFIXES = {
    "kernel": "weight",
    "gamma": "weight",
    "alpha": "weight",
    "bias": "bias",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
"""What PyTorch calls the weights of the layers that it shares with Keras."""

KERNEL_AXES = {
    keras.layers.Conv2D: (3, 2, 0, 1),
    # (height, width, channel, multiplier) to (channel, multiplier, ...): torch's output o reads input o // multiplier.
    keras.layers.DepthwiseConv2D: (2, 3, 0, 1),
    keras.layers.Dense: (1, 0),
}
"""The axes of a Keras kernel in PyTorch's order."""

SHARED_LAYERS = (
    *KERNEL_AXES,
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.PReLU,
)

BOOKKEEPING = ("num_batches_tracked", "relative_position_index")
"""Entries that hold no weights: a counter, and a table that follows from the size of a window."""

POSTER_DEAD = (
    "VIT.patch_embed.",
    "VIT.eca_block.",
    "VIT.CON1.",
    "VIT.IRLinear1.",
    "VIT.IRLinear2.",
    "VIT.blocks.0.conv.",
    "VIT.blocks.1.conv.",
    "ir_back.output_layer.",
    "face_landback.output_layer.",
)
DEAD = {
    "mit_b0": ("head.",),
    "mit_fusion": ("backbone.head.",),
    "ir50": ("output_layer.",),
    "mobilefacenet": ("output_layer.",),
    "poster_v2": POSTER_DEAD,
    "btn": POSTER_DEAD,
}
"""By model: how the names of entries begin that the authors' files hold but that have no part in its output."""


class Entry(NamedTuple):
    """One weight of a Keras model as an entry of a state_dict."""

    variable: keras.Variable
    axes: tuple[int, ...]
    shape: tuple[int, ...]

    def to_torch(self) -> np.ndarray:
        """The weight in PyTorch's layout."""
        return keras.ops.convert_to_numpy(self.variable).transpose(self.axes).reshape(self.shape)

    def assign(self, array: np.ndarray) -> None:
        """Set the weight from an array in PyTorch's layout."""
        array = array.reshape([self.variable.shape[axis] for axis in self.axes])
        self.variable.assign(array.transpose(np.argsort(self.axes)))

    def fits(self, array: object) -> bool:
        """Whether `array` can be this weight. A matrix may be written as a 1x1 convolution and the other way round."""
        return isinstance(array, np.ndarray) and _matrix_shape(array.shape) == _matrix_shape(self.shape)


class Loaded(NamedTuple):
    """What `load_state_dict` did: names that it set, names dropped as dead, names whose weights kept their value."""

    matched: list[str]
    dropped: list[str]
    fresh: list[str]


def load_state_dict(
    model: keras.Model,
    state_dict: Mapping[str, np.ndarray],
    is_fresh: Callable[[str], bool] = lambda name: False,
) -> Loaded:
    """Set a model's weights from a state_dict of the authors' code.

    Strict: every weight must be there with its shape, and nothing else besides bookkeeping and the dead entries that
    the authors' code is known to store. When anything is wrong the model stays as it was.

    Args:
        model: from `create_model` or `create_backbone`.
        state_dict: arrays by torch name, with or without DataParallel's `module.` before each name.
        is_fresh: says for the torch name of a weight whether the state_dict may lack it; it then keeps its value.

    Raises:
        InputError: entries are missing, unexpected or of another shape (shapes as PyTorch writes them).
    """
    wanted = torch_entries(model)
    given = without_bookkeeping(state_dict)
    dropped = [name for name in given if name.startswith(DEAD.get(model.name, ())) and name not in wanted]
    for name in dropped:
        del given[name]
    matched = [name for name in wanted if name in given and wanted[name].fits(given[name])]
    misshaped = [name for name in wanted if name in given and not wanted[name].fits(given[name])]
    absent = [name for name in wanted if name not in given]
    fresh = [name for name in absent if is_fresh(name)]
    missing = [name for name in absent if not is_fresh(name)]
    unexpected = [name for name in given if name not in wanted]
    if missing or unexpected or misshaped:
        shapes = [f"{name} is {_describe(given[name])}, not {wanted[name].shape}" for name in misshaped]
        raise InputError(
            f"the weights do not fit {model.name}: {len(matched)} of {len(wanted)} entries match"
            + _listed("missing", missing)
            + _listed("unexpected", unexpected)
            + _listed("mis-shaped", shapes)
            + _explained(model, [(wanted[name].shape, np.shape(given[name])) for name in misshaped])
        )

    for name in matched:
        wanted[name].assign(given[name])
    return Loaded(matched, dropped, fresh)


def to_state_dict(model: keras.Model) -> dict[str, np.ndarray]:
    """The inverse of `load_state_dict`: the model's weights under their torch names, in PyTorch's layout."""
    return {name: entry.to_torch() for name, entry in torch_entries(model).items()}


def without_bookkeeping(state_dict: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The entries that hold weights, under names without `module.`, which DataParallel puts before them."""
    return {k.removeprefix("module."): v for k, v in state_dict.items() if not k.endswith(BOOKKEEPING)}


def torch_entries(model: keras.Model) -> dict[str, Entry]:
    """The model's weights by torch name; `.shape` of an entry is its shape in PyTorch."""
    return {_torch_name(layer, w): _entry(layer, w) for layer in model.layers for w in layer.weights}


def _torch_name(layer: keras.Layer, weight: keras.Variable) -> str:
    if isinstance(layer, SHARED_LAYERS):
        return f"{layer.name}.{SUFFIXES[weight.name]}"
    if len(layer.weights) > 1:
        raise TypeError(f"{layer.name} ({type(layer).__name__}) has several weights: there is no rule for their names")
    return layer.name


def _entry(layer: keras.Layer, weight: keras.Variable) -> Entry:
    axes = KERNEL_AXES[type(layer)] if weight.name == "kernel" else tuple(range(len(weight.shape)))
    shape = tuple(weight.shape[axis] for axis in axes)
    if isinstance(layer, keras.layers.DepthwiseConv2D) and weight.name == "kernel":
        channels, multiplier, *size = shape
        shape = (channels * multiplier, 1, *size)
    if isinstance(layer, keras.layers.PReLU):
        shape = (weight.shape[-1],)
    return Entry(weight, axes, shape)


def _matrix_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[:2] if len(shape) == 4 and shape[2:] == (1, 1) else shape


def _describe(value: object) -> str:
    return str(value.shape) if isinstance(value, np.ndarray) else f"no tensor ({value!r:.60})"


def _listed(what: str, names: Sequence[str], limit: int = 8) -> str:
    if not names:
        return ""
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f"; {len(names)} {what}: {', '.join(names[:limit])}{rest}"


def _explained(model: keras.Model, shapes: Sequence[tuple[tuple, tuple]]) -> str:
    """What the usual reasons for other shapes look like: another class count, a stem for grey pictures."""
    reasons = ""
    classes = model.outputs[-1].shape[-1]
    shapes = [(wanted, found) for wanted, found in shapes if len(wanted) == len(found)]
    counts = {found[0] for wanted, found in shapes if wanted[0] == classes and wanted[1:] == found[1:]}
    if len(counts) == 1:
        count = counts.pop()
        reasons += f". The weights are for {count} classes, the model has {classes}: num_classes is to be {count}"
    if any(wanted[1:2] == (3,) and found[1:2] == (1,) and wanted[2:] == found[2:] for wanted, found in shapes):
        reasons += ". The weights are for grey pictures (one channel), the model takes RGB"
    return reasons
