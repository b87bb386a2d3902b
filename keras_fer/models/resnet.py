"""ResNet-50 as EfficientFace's label distribution generator (LDG).

Zhao, Liu, Zhou: "Robust Lightweight Facial Expression Recognition Network with Label Distribution Training", AAAI 2021.
"""

import keras

from keras_fer.layers import batch_norm, conv
from keras_fer.registry import register_model

STEM_CHANNELS = 64
WIDTHS = (64, 128, 256, 512)
DEPTHS = (3, 4, 6, 3)
EXPANSION = 4


@register_model(size_step=16)
def ldg_resnet50(x, num_classes):
    """The teacher of label distribution training: 23.5M parameters, 4.09 GMACs at 224.

    It is torchvision's ResNet-50 ("v1.5"), with the stride on the 3x3 convolution; `keras.applications` puts it on the
    first 1x1, which gives other features from the same weights.

    Args:
        x: normalised picture `(batch, size, size, 3)`.
        num_classes: length of the logits.
    """
    # --- Stem ---
    x = _relu(batch_norm(conv(x, STEM_CHANNELS, 7, 2, name="conv1"), name="bn1"))
    # The map is not negative here, so zero padding pools as PyTorch's minus infinity does.
    x = keras.layers.MaxPooling2D(3, 2, name="maxpool")(keras.layers.ZeroPadding2D(1)(x))

    # --- Stages ---
    for stage, (width, depth) in enumerate(zip(WIDTHS, DEPTHS), start=1):
        for block in range(depth):
            strides = 2 if stage > 1 and block == 0 else 1
            x = _bottleneck(x, width, strides, name=f"layer{stage}.{block}")

    # --- Head ---
    x = keras.layers.GlobalAveragePooling2D(name="pooled")(x)
    return keras.layers.Dense(num_classes, name="fc")(x)


def _bottleneck(x, width, strides, name):
    shortcut = x
    if x.shape[-1] != EXPANSION * width:
        shortcut = conv(x, EXPANSION * width, 1, strides, name=f"{name}.downsample.0")
        shortcut = batch_norm(shortcut, name=f"{name}.downsample.1")
    x = _relu(batch_norm(conv(x, width, 1, name=f"{name}.conv1"), name=f"{name}.bn1"))
    x = _relu(batch_norm(conv(x, width, 3, strides, name=f"{name}.conv2"), name=f"{name}.bn2"))
    x = batch_norm(conv(x, EXPANSION * width, 1, name=f"{name}.conv3"), name=f"{name}.bn3")
    return _relu(keras.layers.Add()([shortcut, x]), name=name)


def _relu(x, name=None):
    return keras.layers.ReLU(name=name)(x)
