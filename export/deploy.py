"""A model rewritten for phones: the same function, with fewer instructions.

`deployable` returns an equal model (to rounding); the models themselves stay as the papers draw them. What each rewrite
saves is measured by `export.phone_cost`:

- the temperature of the model's card (`train.calibrate`) goes into the head, whose logits are calibrated then;
- batch norms go into the convolution before them, the factor of attention into the queries or keys;
- a layer norm's gamma and beta go into the layers behind it. What feeds only layer norms can be shifted by any number
  that is the same for all channels, so the layers that write it are given weights whose mean over the output channels
  is 0: such a norm needs no mean, and one pass less over the map;
- a first convolution of stride 4 reads four pixels as twelve channels, and normalisation takes whole rows;
- a max pooling of single pixels, which XNNPACK lacks, is a depthwise convolution;
- channel shuffles are done once, to the weights. Channels stay where they were computed, and every layer knows their
  order.
"""

import keras
import numpy as np
from keras import layers

from export.layers import Affine, Centre, Normalize, PadRows, Scale
from export.shuffle import without_shuffles
from export.wiring import Wiring, like, rebuild, with_weights
from keras_fer.classifier import temperature
from keras_fer.errors import InputError
from keras_fer.layers import ChannelSplit, MatMul, WindowMerge, WindowPartition
from keras_fer.layers import Normalize as ModelNormalize

LINEAR = (layers.Conv2D, layers.Dense, layers.DepthwiseConv2D)
GROUP = 4
"""Pixels that a first convolution takes at once: twelve channels fill three words of int8, three waste a fourth."""


def deployable(model: keras.Model) -> keras.Model:
    """An equal model for inference with new layers (names stay), which share no weights with `model`.

    Raises:
        InputError: the model is calibrated, and no linear layer makes its logits.
    """
    softened = temperature(getattr(model, "card", {}))
    model = _without_batch_norms(model)
    wiring = Wiring(model)
    if softened != 1:
        _divide_logits(wiring, softened)
    _fold_attention_scales(wiring)
    plain = _fold_affines(wiring)
    model = _replace_norms(model, plain, *_centre_streams(wiring))
    return without_shuffles(_skip_by_convolution(_narrow_pads(_widen_picture(model))))


# --- Batch norms ---


def _without_batch_norms(model):
    """A copy without dropout and without batch norms behind linear layers, whose linear layers all have a bias."""
    wiring = Wiring(model)

    norms = {
        layer: wiring.only_user(layer)
        for layer in wiring.of_type(*LINEAR)
        if isinstance(wiring.only_user(layer), layers.BatchNormalization)
    }

    def call(layer, *tensors):
        if isinstance(layer, layers.Dropout) or layer in norms.values():
            return tensors[0]
        if not isinstance(layer, LINEAR):
            return like(layer, layer.get_weights(), *tensors)
        kernel, bias = kernel_and_bias(layer)
        if norm := norms.get(layer):
            factor, shift = _as_affine(norm)
            kernel, bias = _times_outputs(layer, kernel, factor), bias * factor + shift
        return like(layer, [kernel, bias], *tensors, use_bias=True)

    return rebuild(model, call)


def kernel_and_bias(layer):
    """The weights of a linear layer; a bias of zeros where it has none."""
    kernel = layer.kernel.numpy()
    outputs = kernel.shape[-2] * kernel.shape[-1] if isinstance(layer, layers.DepthwiseConv2D) else kernel.shape[-1]
    return kernel, layer.bias.numpy() if layer.use_bias else np.zeros(outputs, "float32")


def _as_affine(norm):
    """The factor and the shift that a batch norm is at inference."""
    factor = 1 / np.sqrt(norm.moving_variance.numpy().astype("float64") + norm.epsilon)
    if norm.scale:
        factor = factor * norm.gamma.numpy()
    shift = -norm.moving_mean.numpy() * factor
    if norm.center:
        shift = shift + norm.beta.numpy()
    return factor.astype("float32"), shift.astype("float32")


def _times_outputs(layer, kernel, factor):
    if isinstance(layer, layers.DepthwiseConv2D):
        factor = factor.reshape(kernel.shape[-2:])
    return kernel * factor


def _divide_logits(wiring, divisor):
    (head,) = (layer for layer in wiring.layers if None in wiring.users[layer])
    if not isinstance(head, LINEAR):
        raise InputError(
            f"{head.name} ({type(head).__name__}) makes the logits; a temperature takes a linear layer there"
        )
    head.set_weights([weight / divisor for weight in head.get_weights()])


# --- Attention ---


def _fold_attention_scales(wiring):
    """Scale the weights of the queries, or of the keys where the queries have none, instead of all the scores."""
    for product in wiring.of_type(MatMul):
        writers = (_writer(wiring, product, operand) for operand in range(2))
        if product.scale != 1 and (found := next(filter(None, writers), None)):
            layer, channels = found
            kernel, bias = layer.get_weights()
            factor = np.ones_like(bias)
            factor[channels] = product.scale
            layer.set_weights([kernel * factor, bias * factor])
            product.scale = 1.0


def _writer(wiring, reader, place):
    """The dense layer or convolution, and the slice of its channels, that the input `place` of `reader` is moved from.

    None if there is none, or if anything else reads it.
    """
    source, output = wiring.sources[reader][place], wiring.outputs[reader][place]
    users = set(wiring.users[source]) - {None}
    read = [o for user in users for s, o in zip(wiring.sources[user], wiring.outputs[user]) if s is source]
    if read.count(output) > 1 or None in wiring.users[source]:
        return None
    match source:
        case layers.Permute() | layers.Reshape() | WindowMerge() | WindowPartition():
            return _writer(wiring, source, 0)
        case ChannelSplit() if found := _writer(wiring, source, 0):
            layer, _ = found
            width = layer.bias.shape[0] // source.parts
            return (layer, slice(output * width, (output + 1) * width)) if wiring.sources[source][0] is layer else None
        case layers.Dense() | layers.Conv2D():
            return source, slice(None)
    return None


# --- Layer norms ---


def _fold_affines(wiring):
    """Give gamma and beta to the layers behind; returns the norms that have neither any more."""
    plain = set()
    for norm in wiring.of_type(layers.LayerNormalization):
        behind = _linear_users(wiring, norm)
        if behind:
            gamma, beta = norm.get_weights()
            for layer in behind:
                kernel, bias = layer.get_weights()
                places = tuple(range(kernel.ndim - 1))
                layer.set_weights([kernel * gamma[:, None], bias + (kernel * beta[:, None]).sum(places)])
            norm.set_weights([np.ones_like(gamma), np.zeros_like(beta)])
            plain.add(norm)
    return plain


def _linear_users(wiring, layer):
    """The dense layers and convolutions (without padding) that alone read `layer`; none if anything else reads it."""
    behind = []
    for user in wiring.users[layer]:
        if isinstance(user, WindowPartition):
            found = _linear_users(wiring, user)
            if not found:
                return []
            behind += found
        elif isinstance(user, layers.Dense) or (isinstance(user, layers.Conv2D) and user.padding == "valid"):
            behind.append(user)
        else:
            return []
    return behind


def _centre_streams(wiring):
    """Centre what feeds only layer norms, and the sums of a transformer's stream, which layer norms read.

    Returns:
        The layers whose output is to be centred, for want of weights that could do it; and all whose output is then.
    """
    norms = set(wiring.of_type(layers.LayerNormalization))
    stream = set(wiring.of_type(layers.Add))

    def within(layer):
        return set(wiring.users[layer]) <= norms | stream

    while outside := {s for s in stream if not all(map(within, [s, *wiring.sources[s]]))}:
        stream -= outside
    writers = {source for layer in stream for source in wiring.sources[layer]} - stream
    linear = {layer for layer in wiring.of_type(layers.Conv2D, layers.Dense) if wiring.users[layer] and within(layer)}
    for layer in linear:
        kernel, bias = layer.get_weights()
        layer.set_weights([kernel - kernel.mean(axis=-1, keepdims=True), bias - bias.mean()])
    return writers - linear, stream | writers | linear


def _replace_norms(model, plain, to_centre, centred):
    wiring = Wiring(model)

    def call(layer, *tensors):
        x = _norm(layer, *tensors) if isinstance(layer, layers.LayerNormalization) else layer(*tensors)
        return Centre(name=f"{layer.name}.centre")(x) if layer in to_centre else x

    def _norm(norm, x):
        if wiring.sources[norm][0] not in centred:
            x = Centre(name=f"{norm.name}.mean")(x)
        x = Scale(norm.epsilon, name=norm.name)(x)
        return x if norm in plain else with_weights(Affine(name=f"{norm.name}.affine"), norm.get_weights(), x)

    return rebuild(model, call)


# --- The picture ---


def _widen_picture(model):
    """Normalise whole rows, and let a first convolution of stride 4 read each 4 pixels as twelve channels."""
    wiring = Wiring(model)
    stems = {layer for layer in wiring.of_type(layers.Conv2D) if _can_widen(wiring, layer)}
    pads = {wiring.sources[stem][0] for stem in stems}

    def call(layer, *tensors):
        if isinstance(layer, ModelNormalize):
            scale, offset = [1 / (255 * s) for s in layer.std], [-m / s for m, s in zip(layer.mean, layer.std)]
            return Normalize(scale, offset, name=layer.name)(*tensors)
        if layer in pads:
            return tensors[0]
        return _widened(layer, wiring.sources[layer][0], *tensors) if layer in stems else layer(*tensors)

    return rebuild(model, call)


def _can_widen(wiring, conv):
    pad = wiring.sources[conv][0]
    if not isinstance(pad, layers.ZeroPadding2D) or wiring.only_user(pad) is not conv:
        return False
    _, _, width, channels = pad.input.shape
    return channels == 3 and width % GROUP == 0 and conv.strides[1] == GROUP


def _widened(conv, pad, x):
    """The convolution over groups of pixels. They lie in memory as they did, so the reshape is free."""
    _, height, width, channels = x.shape
    (top, bottom), (left, _) = pad.padding
    kernel, bias = conv.get_weights()
    rows, columns, _, filters = kernel.shape
    # An output sees the pixels from -left to columns - left, counted from the first of its group.
    before, after = -(-left // GROUP), (columns - left - 1) // GROUP
    wide = np.zeros((rows, (before + 1 + after) * GROUP, channels, filters), "float32")
    start = before * GROUP - left
    wide[:, start : start + columns] = kernel
    wide = wide.reshape(rows, before + 1 + after, GROUP * channels, filters)

    x = layers.Reshape((height, width // GROUP, GROUP * channels), name=f"{conv.name}.groups")(x)
    x = layers.ZeroPadding2D(((top, bottom), (before, after)), name=pad.name)(x)
    return like(conv, [wide, bias], x, kernel_size=wide.shape[:2], strides=(conv.strides[0], 1))


# --- Pooling ---


def _narrow_pads(model):
    """Pad for max pooling only where a window looks, and whole rows at once."""
    wiring = Wiring(model)

    def call(layer, *tensors):
        pool = wiring.only_user(layer)
        if isinstance(layer, layers.ZeroPadding2D) and isinstance(pool, layers.MaxPooling2D):
            sides = zip(tensors[0].shape[1:3], layer.padding, pool.pool_size, pool.strides)
            return PadRows([_needed(*side) for side in sides], name=layer.name)(*tensors)
        return layer(*tensors)

    return rebuild(model, call)


def _needed(length, padding, window, stride):
    """The part of the padding, before and behind, that a pooling window of full size covers."""
    before, behind = padding
    places = (before + length + behind - window) // stride + 1
    return before, max(0, (places - 1) * stride + window - before - length)


def _skip_by_convolution(model):
    """Leave pixels out by depthwise convolutions of one pixel."""

    def call(layer, *tensors):
        if not isinstance(layer, layers.MaxPooling2D) or layer.pool_size != (1, 1) or layer.strides == (1, 1):
            return layer(*tensors)
        channels = tensors[0].shape[-1]
        identity = [np.ones((1, 1, channels, 1)), np.zeros(channels)]
        return with_weights(layers.DepthwiseConv2D(1, layer.strides, name=layer.name), identity, *tensors)

    return rebuild(model, call)
