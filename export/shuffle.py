"""Channel shuffles done once, to the weights, instead of to every picture.

ShuffleNet's shuffles, splits and joins of channels only say which channels a layer reads. Here they move nothing: a
`Mix` keeps track of where the channels of a map lie, and the next convolution has its kernel's inputs put into that
order. Only the channels that a convolution reads are brought together. Where such a map meets another, in a sum or a
product, the other is computed in the same order, by the weights that it comes from.
"""

from dataclasses import dataclass
from typing import NamedTuple

import keras
import numpy as np
from keras import layers

from export.layers import Channels
from export.wiring import Wiring, like, rebuild, with_weights
from keras_fer.layers import ChannelShuffle, ChannelSplit

CHANNELWISE = (
    layers.Activation,
    layers.Add,
    layers.Concatenate,
    layers.Cropping2D,
    layers.GlobalAveragePooling2D,
    layers.MaxPooling2D,
    layers.Multiply,
    layers.ReLU,
    layers.Reshape,
    layers.ZeroPadding2D,
)
"""Layers that treat all channels alike, so that their order does not matter. (Concatenate: along another axis.)"""

MOST_PARTS = 5
"""XNNPACK joins no more maps at once."""


def without_shuffles(model: keras.Model) -> keras.Model:
    """An equal model without channel shuffles; all linear layers of `model` have a bias."""
    if not any(isinstance(layer, ChannelShuffle) for layer in model.layers):
        return model
    absorber = _Absorber(Wiring(model))
    return rebuild(model, absorber.call, lambda x: absorber.in_order(x, "in_order"))


class Piece(NamedTuple):
    """The channels `start` to `stop` of a map."""

    tensor: keras.KerasTensor
    start: int
    stop: int

    def take(self, name):
        whole = self.stop - self.start == self.tensor.shape[-1]
        return self.tensor if whole else Channels(self.start, self.stop, name=name)(self.tensor)


@dataclass(eq=False)
class Mix:
    """A map whose channels lie in `pieces`: the one at place i of them all is channel `order[i]` of the map."""

    pieces: list[Piece]
    order: np.ndarray

    @classmethod
    def of(cls, x) -> "Mix":
        """A tensor as what it is, in its own order."""
        return x if isinstance(x, Mix) else cls([Piece(x, 0, x.shape[-1])], np.arange(x.shape[-1]))

    def gather(self, name):
        """The channels in one tensor, in the order of the pieces; layers that this takes are called after `name`."""
        parts = [piece.take(f"{name}.part{i}") for i, piece in enumerate(self.pieces)]
        while len(parts) > MOST_PARTS:
            # The first are the oldest, of which the fewest channels are left.
            first = min(MOST_PARTS, len(parts) - MOST_PARTS + 1)
            parts = [layers.Concatenate(name=f"{name}.first{len(parts)}")(parts[:first]), *parts[first:]]
        whole = layers.Concatenate(name=f"{name}.parts")(parts) if len(parts) > 1 else parts[0]
        self.pieces = [Piece(whole, 0, len(self.order))]
        return whole

    def part(self, start, stop):
        """The map of the channels `start` to `stop` alone."""
        pieces, place = [], 0
        for tensor, first, last in self.pieces:
            inside = [first + i for i, c in enumerate(self.order[place : place + last - first]) if start <= c < stop]
            for run in np.split(inside, np.flatnonzero(np.diff(inside) > 1) + 1) if inside else ():
                pieces.append(Piece(tensor, int(run[0]), int(run[-1]) + 1))
            place += last - first
        return Mix(pieces, np.array([c - start for c in self.order if start <= c < stop]))


class _Absorber:
    """Calls layers on tensors and mixes; remembers how tensors were made, to make them again in another order."""

    def __init__(self, wiring):
        self.wiring = wiring
        self.made = {}
        self.selected = {}

    def call(self, layer, *tensors):
        inputs = keras.tree.flatten(tensors)
        match layer:
            case ChannelShuffle():
                mix = Mix.of(inputs[0])
                group, place = np.divmod(mix.order, len(mix.order) // layer.groups)
                return Mix(mix.pieces, place * layer.groups + group)
            case ChannelSplit():
                mix = Mix.of(inputs[0])
                size = len(mix.order) // layer.parts
                return [mix.part(i * size, (i + 1) * size) for i in range(layer.parts)]
            case layers.Concatenate() if _joins_channels(layer):
                mixes = [Mix.of(x) for x in inputs]
                starts = np.cumsum([0, *(len(mix.order) for mix in mixes)])
                pieces = [piece for mix in mixes for piece in mix.pieces]
                return Mix(pieces, np.concatenate([mix.order + start for mix, start in zip(mixes, starts)]))
        mixes = [x for x in inputs if isinstance(x, Mix)]
        if mixes and isinstance(layer, layers.Dense | layers.Conv2D) and getattr(layer, "groups", 1) == 1:
            kernel, bias = layer.get_weights()
            return like(layer, [kernel[..., mixes[0].order, :], bias], mixes[0].gather(layer.name))
        if mixes and _keeps_channels(layer, inputs):
            order = mixes[0].order
            names = iter(f"{layer.name}.input{i}" for i in range(len(inputs)))
            tensors = keras.tree.map_structure(lambda x: self.select(x, order, next(names)), tensors)
            return Mix([Piece(_in_another_order(layer, order)(*tensors), 0, len(order))], order)
        names = iter(f"{layer.name}.input{i}" for i in range(len(inputs)))
        tensors = keras.tree.map_structure(lambda x: self.in_order(x, next(names)), tensors)
        output = layer(*tensors)
        for tensor in keras.tree.flatten(output):
            self.made[tensor] = layer, tensors
        return output

    def in_order(self, x, name):
        """A tensor with the channels of `x` in their own order."""
        return self.select(x, np.arange(len(x.order)), name) if isinstance(x, Mix) else x

    def select(self, x, order, name):
        """A tensor whose channel i is channel `order[i]` of `x`. (A single channel, which broadcasts, stays.)"""
        if isinstance(x, Mix):
            order = np.argsort(x.order)[order]
            x = x.gather(name)
        if x.shape[-1] == 1 or np.array_equal(order, np.arange(x.shape[-1])):
            return x
        key = x, order.tobytes()
        if key not in self.selected:
            self.selected[key] = self._select(x, order, name)
        return self.selected[key]

    def _select(self, x, order, name):
        layer, tensors = self.made.get(x, (None, ()))
        if layer is not None and self.wiring.only_user(layer):
            inputs = keras.tree.flatten(tensors)
            match layer:
                case layers.Dense() | layers.Conv2D(groups=1):
                    kernel, bias = layer.get_weights()
                    size = {"units" if isinstance(layer, layers.Dense) else "filters": len(order)}
                    return like(layer, [kernel[..., order], bias[order]], *tensors, **size)
                case layers.DepthwiseConv2D():
                    read = self.select(inputs[0], order // layer.depth_multiplier, name)
                    return _in_another_order(layer, order)(read)
            if _keeps_channels(layer, inputs):
                names = iter(f"{name}.{i}" for i in range(len(inputs)))
                read = keras.tree.map_structure(lambda t: self.select(t, order, next(names)), tensors)
                return layer(*read)
        # A gather of the fast kind: a dense layer that picks.
        pick = np.eye(x.shape[-1], dtype="float32")[:, order]
        return with_weights(layers.Dense(len(order), name=name), [pick, np.zeros(len(order), "float32")], x)


def _joins_channels(layer):
    return isinstance(layer, layers.Concatenate) and layer.axis in (-1, 3)


def _keeps_channels(layer, inputs):
    """Whether a layer has one output channel for each input channel, made from it alone."""
    if isinstance(layer, layers.DepthwiseConv2D):
        return layer.depth_multiplier == 1
    if isinstance(layer, layers.Reshape):
        return layer.target_shape[-1] == len(Mix.of(inputs[0]).order)
    return isinstance(layer, CHANNELWISE) and not _joins_channels(layer)


def _in_another_order(layer, order):
    """What to call instead of `layer` on inputs whose channels come in `order`."""
    if not isinstance(layer, layers.DepthwiseConv2D):
        return layer
    kernel, bias = layer.get_weights()
    kernel = kernel.reshape(*kernel.shape[:2], -1, 1)
    return lambda x: like(layer, [kernel[:, :, order], bias[order]], x, depth_multiplier=1)
