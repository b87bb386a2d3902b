"""MobileFaceNet, trained to find facial landmarks: what POSTER V2 asks where to look.

MobileFaceNets (https://arxiv.org/abs/1804.07573); the variant is pytorch_face_landmark's.
"""

import keras

from keras_fer.errors import InputError
from keras_fer.layers import batch_norm, conv, depthwise_conv, prelu
from keras_fer.registry import register_backbone

LANDMARKS = 68
LANDMARK_INPUT = 112
LANDMARK_MAP = (7, 7)


@register_backbone(size_step=16)
def mobilefacenet(x, landmarks=False, trainable=True, prefix=""):
    """Three maps at strides 4, 8 and 16 with 64, 128 and 512 channels: 1.0M parameters, 0.22 GMACs at 112.

    Args:
        x: normalised picture `(batch, height, width, 3)`.
        landmarks: whether to return the 68 landmarks too, after the maps: `(batch, 136)`, the numbers x and y of each
            in 0..1 of the picture's side. Only for pictures of 112 pixels.
        trainable: False freezes all weights and the statistics of the batch norms. The authors freeze the weights, but
            their statistics drift, since PyTorch updates those of frozen layers too.
        prefix: put before all layer names, when the backbone is part of a larger state_dict.

    Raises:
        InputError: landmarks of a picture whose size is not 112.
    """

    # --- Maps ---
    x = conv(x, 64, 3, 2, name=f"{prefix}conv1.conv", trainable=trainable)
    x = _norm_prelu(x, f"{prefix}conv1", trainable)
    x = depthwise_conv(x, 3, name=f"{prefix}conv2_dw.conv", trainable=trainable)
    x = _norm_prelu(x, f"{prefix}conv2_dw", trainable)
    x = _bottleneck(x, 64, 128, 2, f"{prefix}conv_23", trainable)
    x = low = _residuals(x, 4, 128, f"{prefix}conv_3", trainable)
    x = _bottleneck(x, 128, 256, 2, f"{prefix}conv_34", trainable)
    x = middle = _residuals(x, 6, 256, f"{prefix}conv_4", trainable)
    x = _bottleneck(x, 128, 512, 2, f"{prefix}conv_45", trainable)
    x = _residuals(x, 2, 256, f"{prefix}conv_5", trainable)
    x = conv(x, 512, 1, name=f"{prefix}conv_6_sep.conv", trainable=trainable)
    high = _norm_prelu(x, f"{prefix}conv_6_sep", trainable)
    if not landmarks:
        return [low, middle, high]

    # --- Landmarks: a depthwise convolution as large as the map, then a linear map ---
    _, height, width, _ = high.shape
    if (height, width) != LANDMARK_MAP:
        raise InputError(
            f"landmarks need a picture of {LANDMARK_INPUT} pixels: the last map is {height}x{width}, not 7x7"
        )
    head = f"{prefix}output_layer"
    x = depthwise_conv(high, 7, padding=0, name=f"{head}.conv_6_dw.conv", trainable=trainable)
    x = keras.layers.Flatten()(batch_norm(x, name=f"{head}.conv_6_dw.bn", trainable=trainable))
    x = keras.layers.Dense(2 * LANDMARKS, use_bias=False, name=f"{head}.linear", trainable=trainable)(x)
    return [low, middle, high, batch_norm(x, name=f"{head}.bn", trainable=trainable)]


def _residuals(x, repeats, expanded, name, trainable):
    for i in range(repeats):
        block = f"{name}.model.{i}"
        x = keras.layers.Add(name=block)([x, _bottleneck(x, x.shape[-1], expanded, 1, block, trainable)])
    return x


def _bottleneck(x, filters, expanded, strides, name, trainable):
    """MobileNetV2's inverted bottleneck with PReLU: expand, filter each channel, project."""
    x = conv(x, expanded, 1, name=f"{name}.conv.conv", trainable=trainable)
    x = _norm_prelu(x, f"{name}.conv", trainable)
    x = depthwise_conv(x, 3, strides, name=f"{name}.conv_dw.conv", trainable=trainable)
    x = _norm_prelu(x, f"{name}.conv_dw", trainable)
    x = conv(x, filters, 1, name=f"{name}.project.conv", trainable=trainable)
    return batch_norm(x, name=f"{name}.project.bn", trainable=trainable)


def _norm_prelu(x, name, trainable):
    return prelu(batch_norm(x, name=f"{name}.bn", trainable=trainable), name=f"{name}.prelu", trainable=trainable)
