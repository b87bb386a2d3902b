"""IR-50, the face recognition network that POSTER V2 reads pictures with, cut after its third stage.

ArcFace (https://arxiv.org/abs/1801.07698), section 3.2: residual blocks of the "improved residual" kind.
"""

import keras

from keras_fer.layers import batch_norm, conv, prelu
from keras_fer.registry import register_backbone

STEM_CHANNELS = 64
WIDTHS = (64, 128, 256)
DEPTHS = (3, 4, 14)


@register_backbone(size_step=16)
def ir50(x, prefix=""):
    """Three maps at strides 4, 8 and 16 with 64, 128 and 256 channels: 17.6M parameters, 5.5 GMACs at 224.

    Args:
        x: normalised picture `(batch, height, width, 3)`.
        prefix: put before all layer names, when the backbone is part of a larger state_dict.
    """
    x = every_second_pixel(x, name=f"{prefix}halved")
    x = conv(x, STEM_CHANNELS, 3, name=f"{prefix}input_layer.0")
    x = prelu(batch_norm(x, name=f"{prefix}input_layer.1"), name=f"{prefix}input_layer.2")
    maps = []
    for stage, (width, depth) in enumerate(zip(WIDTHS, DEPTHS), start=1):
        for block in range(depth):
            x = _block(x, width, 2 if block == 0 else 1, name=f"{prefix}body{stage}.{block}")
        # No norm and no activation: a stage ends with a sum.
        maps.append(x)
    return maps


def every_second_pixel(x, name=None):
    """Halves height and width as the authors' nearest resize does, which keeps the pixels of even index."""
    return keras.layers.MaxPooling2D(1, 2, name=name)(x)


def _block(x, width, strides, name):
    """Norm, convolution, PReLU, strided convolution, norm; no norm between the convolutions."""
    residual = f"{name}.res_layer"
    y = conv(batch_norm(x, name=f"{residual}.0"), width, 3, name=f"{residual}.1")
    y = prelu(y, name=f"{residual}.2")
    y = batch_norm(conv(y, width, 3, strides, name=f"{residual}.3"), name=f"{residual}.4")
    if x.shape[-1] != width:
        shortcut = conv(x, width, 1, strides, name=f"{name}.shortcut_layer.0")
        shortcut = batch_norm(shortcut, name=f"{name}.shortcut_layer.1")
    elif strides > 1:
        shortcut = every_second_pixel(x)
    else:
        shortcut = x
    return keras.layers.Add(name=name)([y, shortcut])
