"""EfficientFace: ShuffleNetV2 with a local-feature extractor and a channel-spatial modulator.

Zhao, Liu, Zhou: "Robust Lightweight Facial Expression Recognition Network with Label Distribution Training", AAAI 2021.
"""

import keras

from keras_fer.layers import ChannelShuffle, ChannelSplit, batch_norm, conv, depthwise_conv
from keras_fer.registry import register_model

CHANNELS = (29, 116, 232, 464, 1024)
REPEATS = (4, 8, 4)
GATE_CHANNELS = 7
GATE_DILATION = 4


@register_model
def efficientface(x, num_classes):
    """1.28M parameters, 0.15 GMACs at 224. Spatial mean, no dropout.

    Args:
        x: normalised picture `(batch, size, size, 3)`.
        num_classes: length of the logits.
    """
    # --- Stem ---
    x = _relu(batch_norm(conv(x, CHANNELS[0], 3, 2, name="conv1.0"), name="conv1.1"), name="conv1")
    # The map is not negative here, so zero padding pools as PyTorch's minus infinity does.
    x = stem = keras.layers.MaxPooling2D(3, 2, name="maxpool")(keras.layers.ZeroPadding2D(1)(x))

    # --- Stages; global and local features meet after the first ---
    x = _stage(x, CHANNELS[1], REPEATS[0], name="stage2")
    x = keras.layers.Add(name="fused")([_modulator(x), _local_features(stem)])
    x = _stage(x, CHANNELS[2], REPEATS[1], name="stage3")
    x = _stage(x, CHANNELS[3], REPEATS[2], name="stage4")

    # --- Head ---
    x = _relu(batch_norm(conv(x, CHANNELS[4], 1, name="conv5.0"), name="conv5.1"), name="conv5")
    x = keras.layers.GlobalAveragePooling2D(name="pooled")(x)
    return keras.layers.Dense(num_classes, name="fc")(x)


def _stage(x, channels, repeats, name):
    x = _downsampling_unit(x, channels, f"{name}.0")
    for i in range(1, repeats):
        x = _unit(x, f"{name}.{i}")
    return x


def _unit(x, name):
    """ShuffleNetV2's basic unit (figure 3c): half of the channels pass, the other half is transformed."""
    passed, x = ChannelSplit()(x)
    x = _transform(x, passed.shape[-1], 1, f"{name}.branch2")
    return ChannelShuffle(name=name)(keras.layers.Concatenate()([passed, x]))


def _downsampling_unit(x, channels, name):
    """ShuffleNetV2's unit for spatial down-sampling (figure 3d): both branches halve the map."""
    half = channels // 2
    left = batch_norm(depthwise_conv(x, 3, 2, name=f"{name}.branch1.0"), name=f"{name}.branch1.1")
    left = _relu(batch_norm(conv(left, half, 1, name=f"{name}.branch1.2"), name=f"{name}.branch1.3"))
    right = _transform(x, half, 2, f"{name}.branch2")
    return ChannelShuffle(name=name)(keras.layers.Concatenate()([left, right]))


def _transform(x, channels, strides, name):
    x = _relu(batch_norm(conv(x, channels, 1, name=f"{name}.0"), name=f"{name}.1"))
    x = batch_norm(depthwise_conv(x, 3, strides, name=f"{name}.3"), name=f"{name}.4")
    return _relu(batch_norm(conv(x, channels, 1, name=f"{name}.5"), name=f"{name}.6"))


def _modulator(x):
    """Highlights salient channels and places (section 3.1): `x * sigmoid(channel * spatial)`.

    The product is the code's; the paper's equation 1 says sum.
    """
    gate = keras.layers.Multiply()([_channel_gate(x), _spatial_gate(x)])
    gate = keras.layers.Activation("sigmoid")(gate)
    return keras.layers.Multiply(name="modulator")([x, gate])


def _channel_gate(x):
    name = "modulator.channel_att.gate_c.gate_c"
    channels = x.shape[-1]
    gate = keras.layers.GlobalAveragePooling2D()(x)
    gate = keras.layers.Dense(GATE_CHANNELS, name=f"{name}_fc_0")(gate)
    gate = _relu(batch_norm(gate, name=f"{name}_bn_1"))
    gate = keras.layers.Dense(channels, name=f"{name}_fc_final")(gate)
    return keras.layers.Reshape((1, 1, channels), name="modulator.channel_att")(gate)


def _spatial_gate(x):
    name = "modulator.spatial_att.gate_s.gate_s"
    gate = conv(x, GATE_CHANNELS, 1, use_bias=True, name=f"{name}_conv_reduce0")
    gate = _relu(batch_norm(gate, name=f"{name}_bn_reduce0"))
    for i in range(2):
        gate = conv(gate, GATE_CHANNELS, 3, dilation=GATE_DILATION, use_bias=True, name=f"{name}_conv_di_{i}")
        gate = _relu(batch_norm(gate, name=f"{name}_bn_di_{i}"))
    return conv(gate, 1, 1, use_bias=True, name=f"{name}_conv_final")


def _local_features(x):
    """Two depthwise convolutions on each quarter of the stem's map (section 3.1), put together again.

    The quarters' numbering is the code's: 1 top left, 2 bottom left, 3 top right, 4 bottom right.
    """
    _, height, width, _ = x.shape
    top, left = height // 2, width // 2
    bottom, right = height - top, width - left
    rows = (0, bottom), (top, 0)
    columns = (0, right), (left, 0)
    quarters = [
        _local_branch(keras.layers.Cropping2D((row, column))(x), i)
        for i, (column, row) in enumerate(((c, r) for c in columns for r in rows), start=1)
    ]
    halves = [keras.layers.Concatenate(axis=1)(quarters[:2]), keras.layers.Concatenate(axis=1)(quarters[2:])]
    return keras.layers.Concatenate(axis=2, name="local")(halves)


def _local_branch(x, i):
    multiplier = CHANNELS[1] // CHANNELS[0]
    x = depthwise_conv(x, 3, 2, multiplier=multiplier, name=f"local.conv{i}_1")
    x = _relu(batch_norm(x, name=f"local.bn{i}_1"))
    x = depthwise_conv(x, 3, name=f"local.conv{i}_2")
    return _relu(batch_norm(x, name=f"local.bn{i}_2"))


def _relu(x, name=None):
    return keras.layers.ReLU(name=name)(x)
