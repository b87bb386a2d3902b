"""Channel shuffles done once, to the weights, instead of to every picture.

ShuffleNet's shuffles, splits and joins of channels only say which channels a layer reads. Here they move nothing: a
`Mix` keeps track of where the channels of a map lie, and the next convolution has its kernel's inputs put into that
order. Only the channels that a convolution reads are brought together.
"""

from dataclasses import dataclass
from typing import NamedTuple

import keras
import numpy as np
from keras import layers

from export.layers import Channels
from export.wiring import like, rebuild, with_weights
from keras_fer.layers import ChannelShuffle, ChannelSplit

CHANNELWISE = (layers.Activation, layers.GlobalAveragePooling2D, layers.MaxPooling2D, layers.ReLU, layers.ZeroPadding2D)
"""Layers that treat all channels alike, so that their order does not matter."""

MOST_PARTS = 5
"""XNNPACK joins no more maps at once."""


class Piece(NamedTuple):
    """The channels `start` to `stop` of a map."""

    tensor: keras.KerasTensor
    start: int
    stop: int

    def take(self, name):
        whole = self.stop - self.start == self.tensor.shape[-1]
        return self.tensor if whole else Channels(self.start, self.stop, name=name)(self.tensor)


@dataclass(frozen=True, eq=False)
class Mix:
    """A map whose channels lie in `pieces`: the one at place i of them all is channel `order[i]` of the map."""

    pieces: list[Piece]
    order: np.ndarray

    def gather(self, name):
        """The channels in one tensor, in the order of the pieces; layers that this takes are called after `name`."""
        parts = [piece.take(f"{name}.part{i}") for i, piece in enumerate(self.pieces)]
        while len(parts) > MOST_PARTS:
            # The first are the oldest, of which the fewest channels are left.
            first = min(MOST_PARTS, len(parts) - MOST_PARTS + 1)
            parts = [layers.Concatenate(name=f"{name}.first{len(parts)}")(parts[:first]), *parts[first:]]
        return layers.Concatenate(name=f"{name}.parts")(parts) if len(parts) > 1 else parts[0]

    def part(self, start, stop):
        """The map of the channels `start` to `stop` alone."""
        pieces, place = [], 0
        for tensor, first, last in self.pieces:
            inside = [first + i for i, c in enumerate(self.order[place : place + last - first]) if start <= c < stop]
            for run in np.split(inside, np.flatnonzero(np.diff(inside) > 1) + 1) if inside else ():
                pieces.append(Piece(tensor, int(run[0]), int(run[-1]) + 1))
            place += last - first
        return Mix(pieces, np.array([c - start for c in self.order if start <= c < stop]))


def without_shuffles(model: keras.Model) -> keras.Model:
    """An equal model without channel shuffles."""
    if not any(isinstance(layer, ChannelShuffle) for layer in model.layers):
        return model
    return rebuild(model, _call)


def _call(layer, *tensors):
    inputs = keras.tree.flatten(tensors)
    match layer:
        case ChannelShuffle():
            mix = _mix(inputs[0])
            group, place = np.divmod(mix.order, len(mix.order) // layer.groups)
            return Mix(mix.pieces, place * layer.groups + group)
        case ChannelSplit():
            size = len(_mix(inputs[0]).order) // layer.parts
            return [_mix(inputs[0]).part(i * size, (i + 1) * size) for i in range(layer.parts)]
        case layers.Concatenate() if layer.axis in (-1, 3):
            mixes = [_mix(x) for x in inputs]
            starts = np.cumsum([0, *(len(mix.order) for mix in mixes)])
            pieces = [piece for mix in mixes for piece in mix.pieces]
            return Mix(pieces, np.concatenate([mix.order + start for mix, start in zip(mixes, starts)]))
    if not any(isinstance(x, Mix) for x in inputs):
        return layer(*tensors)
    if len(inputs) == 1:
        mix, x = inputs[0], inputs[0].gather(layer.name)
        match layer:
            case layers.Dense() | layers.Conv2D(groups=1):
                kernel, bias = layer.get_weights()
                return like(layer, [kernel[..., mix.order, :], bias], x)
            case layers.DepthwiseConv2D(depth_multiplier=1):
                kernel, bias = layer.get_weights()
                return _one(like(layer, [kernel[:, :, mix.order], bias[mix.order]], x), mix.order)
            case _ if isinstance(layer, CHANNELWISE):
                return _one(layer(x), mix.order)
    names = iter(f"{layer.name}.input{i}" for i in range(len(inputs)))
    return layer(*keras.tree.map_structure(lambda x: _in_order(x, next(names)), tensors))


def _mix(x):
    return x if isinstance(x, Mix) else _one(x, np.arange(x.shape[-1]))


def _one(tensor, order):
    return Mix([Piece(tensor, 0, tensor.shape[-1])], order)


def _in_order(x, name):
    """A tensor with its channels in their own order, by a convolution that picks them: a gather of the fast kind."""
    if not isinstance(x, Mix):
        return x
    gathered, channels = x.gather(name), len(x.order)
    if (x.order == np.arange(channels)).all():
        return gathered
    pick = np.zeros((1, 1, channels, channels), "float32")
    pick[0, 0, np.arange(channels), x.order] = 1
    return with_weights(layers.Conv2D(channels, 1, name=name), [pick, np.zeros(channels, "float32")], gathered)
