"""Starting from trained weights: what fits by name is taken, and the rest is said to be new."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np

from keras_fer.errors import InputError


@dataclasses.dataclass(frozen=True)
class Transfer:
    """Names of the layers with weights: those that were taken, those that stay fresh, those without a counterpart."""

    taken: list[str]
    new: list[str]
    unused: list[str]

    def __str__(self):
        parts = [f"{len(self.taken)} of {len(self.taken) + len(self.new)} layers taken"]
        parts += [f"new: {', '.join(self.new)}"] if self.new else []
        parts += [f"not used: {', '.join(self.unused)}"] if self.unused else []
        return "; ".join(parts)


def transfer(source: keras.Model, target: keras.Model, classes: Sequence[str]) -> Transfer:
    """Copy weights between layers of the same name and shapes, whatever the two input sizes are.

    The classifier is taken when both recognise the same classes (its columns follow their names, not their order), and
    stays new otherwise.

    Args:
        source: trained, with `classes` (as `keras_fer.load` returns it).
        target: fresh; changed in place.
        classes: names of the target's logits.

    Raises:
        InputError: nothing fits.
    """
    head = target.outputs[0]._keras_history.operation.name
    theirs = {layer.name: layer for layer in source.layers if layer.weights}
    taken, new = [], []
    for layer in target.layers:
        if not layer.weights:
            continue
        weights = theirs[layer.name].get_weights() if layer.name in theirs else []
        if layer.name == head and weights:
            weights = _reorder(weights, source.classes, classes)
        if [w.shape for w in weights] == [v.shape for v in layer.weights]:
            layer.set_weights(weights)
            taken.append(layer.name)
        else:
            new.append(layer.name)
    if not set(taken) - {head}:
        raise InputError(f"no layer of {source.name} fits {target.name}: weights are matched by layer name and shape")
    return Transfer(taken, new, sorted(set(theirs) - set(taken) - set(new)))


def _reorder(weights, given, wanted):
    if set(given) != set(wanted):
        return []
    order = [list(given).index(name) for name in wanted]
    return [np.take(w, order, axis=-1) for w in weights]
