"""A plain convolutional network for faces of 48 pixels; ours.

No new idea: two 3x3 convolutions a block, as VGG has them, with batch normalisation, ReLU and max pooling. At the size
of FER2013's pictures it learns more in a core-hour than any model of the papers, which are made for 224 pixels, and
each of its layers is one that phones run fastest.
"""

import keras

from keras_fer.layers import batch_norm, conv
from keras_fer.registry import register_model

BLOCKS = 4


@register_model(size_step=8)
def plain_cnn(x, num_classes, width=24, dropout=0.2):
    """0.66M parameters, 0.07 GMACs at 48 pixels.

    Args:
        x: normalised picture `(batch, size, size, 3)`.
        num_classes: length of the logits.
        width: channels of the first block; each later block has twice as many at half the side.
        dropout: share of the pooled features that training leaves out.
    """
    for block in range(BLOCKS):
        if block:
            x = keras.layers.MaxPooling2D(2, name=f"block{block}.pool")(x)
        for i in (1, 2):
            name = f"block{block + 1}.conv{i}"
            x = batch_norm(conv(x, int(width) * 2**block, 3, name=name), name=f"block{block + 1}.bn{i}")
            x = keras.layers.ReLU(name=f"block{block + 1}.relu{i}")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pooled")(x)
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    return keras.layers.Dense(num_classes, name="fc")(x)
