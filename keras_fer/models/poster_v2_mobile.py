"""POSTER V2 for phones: a student of `poster_v2` that keeps its idea, drawn anew for int8 arithmetic.

What is kept of POSTER V2 (https://arxiv.org/abs/2301.12149): an image stream and a landmark stream; at three levels the
landmark map asks (it is the query, without weights of its own) and the picture's map answers; a feed-forward block
behind each crossing; two transformer blocks over the tokens of all levels. What differs, and why:

- Image stream: 3x3 convolutions with ReLU in the place of IR-50, those that keep the map's size beside an identity.
  Dense convolutions gain most from int8 dot products, and learn fast from little data. A deployed graph can add the
  identity to the kernel's centre, as RepVGG does (https://arxiv.org/abs/2101.03697, section 3.3): a plain chain then.
- Landmark stream: MobileFaceNet's inverted bottlenecks, two a level behind a stem of a quarter of its channels, and
  ReLU instead of PReLU, which is no int8 operator of XNNPACK. The original takes 0.10 GMACs for the first level alone.
  This one starts from scratch; what makes it a landmark stream is a teacher whose landmark maps it is to match.
- Crossing: one window, as POSTER V2 has at 224 pixels, but keys and values are means of cells, none larger than stride
  32: 7x7 of them at 224, as in PVT v2's linear attention (https://arxiv.org/abs/2106.13797, section 3.2). At 28x28
  that is a sixteenth of the products. Position bias and position embedding are left out: zero padding gives positions
  away (SegFormer, https://arxiv.org/abs/2105.15203, section 3.1). So nothing is gathered, and weights fit every size.
- Norms: every convolution has a batch norm behind it, and there are no others. These fold into the weights; layer norms
  would stay float arithmetic. LeViT (https://arxiv.org/abs/2104.01136, section 4.2) trains attention and MLPs so, the
  MLPs twice as wide as the stream. ReLU, unlike GELU or LeViT's hard-swish, costs nothing behind a convolution.
- Tokens: patches of one place at stride 32 (kernel equals stride, so every number is read once), 128 channels instead
  of 768, and the mean of all tokens instead of a class token with a gate.

Maps for a distiller, shapes at 224 pixels (places correspond, as all convolutions pad as POSTER V2's do):

| here        | poster_v2                       | shape      |
|-------------|---------------------------------|------------|
| `landmark1` | `face_landback.conv_3.model.3`  | 28x28x64   |
| `landmark2` | `face_landback.conv_4.model.5`  | 14x14x128  |
| `landmark3` | `last_face_conv`                | 7x7x256    |
| `fusion1`   | `ffn1`                          | 28x28x64   |
| `fusion2`   | `ffn2`                          | 14x14x128  |
| `fusion3`   | `ffn3`                          | 7x7x256    |
"""

import keras

from keras_fer.errors import InputError
from keras_fer.layers import ChannelSplit, attention, batch_norm, conv, dense, depthwise_conv
from keras_fer.registry import register_model

STREAMS = ("both", "image", "landmark")

DIMS = (64, 128, 256)
HEADS = (2, 4, 8)
STRIDES = (8, 16, 32)
MLP_RATIO = 2

IMAGE_STEM = (16, 32)
IMAGE_DEPTHS = (1, 2, 2)
LANDMARK_STEM = 16
LANDMARK_EXPANSION = 2

KEY_SIDE = 8
"""Places a side up to which a map is not pooled for its keys, so that small pictures have enough of them."""

TOKEN_DIM = 128
TOKEN_HEADS = 4
TOKEN_DEPTH = 2


@register_model
def poster_v2_mobile(x, num_classes, streams="both", dropout=0.2):
    """2.4M parameters, 0.40 GMACs at 224, the landmark stream included. All weights fit every input size.

    Args:
        x: normalised picture `(batch, size, size, 3)`.
        num_classes: length of the logits.
        streams: "both", or one alone, "image" or "landmark", which then asks and answers: it shows what the other is
            worth.
        dropout: before the classifier.

    Raises:
        InputError: no such stream.
    """
    return transformer(cross_fusion(x, streams), num_classes, dropout)


def cross_fusion(x, streams="both"):
    """Maps at strides 8, 16 and 32 with 64, 128 and 256 channels: the picture, looked at where the landmarks are."""
    if streams not in STREAMS:
        raise InputError(f"streams is {streams!r}; expected one of {', '.join(STREAMS)}")
    pictures = image_stream(x) if streams != "landmark" else None
    faces = landmark_stream(x) if streams != "image" else pictures
    levels = enumerate(zip(pictures or faces, faces), start=1)
    return [_fusion(picture, face, HEADS[i - 1], STRIDES[i - 1], name=f"fusion{i}") for i, (picture, face) in levels]


# --- Streams ---


def image_stream(x):
    """What the face looks like: three maps `image1` to `image3`, not negative, 0.21 GMACs at 224."""
    for i, filters in enumerate(IMAGE_STEM):
        x = _relu(_conv_norm(x, filters, 3, 2, name=f"image.stem.{i}"))
    maps = []
    for i, (filters, depth) in enumerate(zip(DIMS, IMAGE_DEPTHS), start=1):
        for j in range(depth):
            x = _relu(keras.layers.Add()([x, _conv_norm(x, x.shape[-1], 3, name=f"image.stage{i}.{j}")]))
        x = _relu(_conv_norm(x, filters, 3, 2, name=f"image.stage{i}.down"), name=f"image{i}")
        maps.append(x)
    return maps


def landmark_stream(x):
    """Where the face's parts are: three maps `landmark1` to `landmark3`, 0.06 GMACs at 224.

    As in POSTER V2 it sees the picture at half its size. Pixels are averaged: XNNPACK has no pooling that picks one.
    """
    x = keras.layers.AveragePooling2D(2, name="landmark.half")(x)
    x = _relu(_conv_norm(x, LANDMARK_STEM, 3, 2, name="landmark.stem"))
    maps = []
    for i, filters in enumerate(DIMS, start=1):
        x = _inverted_bottleneck(x, filters, 2, name=f"landmark.stage{i}.0")
        branch = _inverted_bottleneck(x, filters, 1, name=f"landmark.stage{i}.1")
        x = keras.layers.Add(name=f"landmark{i}")([x, branch])
        maps.append(x)
    return maps


def _inverted_bottleneck(x, filters, strides, name):
    """Expand, filter each channel, project (MobileNetV2, https://arxiv.org/abs/1801.04381, section 3.3)."""
    x = _relu(_conv_norm(x, LANDMARK_EXPANSION * x.shape[-1], 1, name=f"{name}.expand"))
    x = depthwise_conv(x, 3, strides, name=f"{name}.depthwise.conv")
    x = _relu(batch_norm(x, name=f"{name}.depthwise.bn"))
    return _conv_norm(x, filters, 1, name=f"{name}.project")


# --- Cross-fusion ---


def _fusion(picture, face, heads, stride, name):
    """Adds to the picture's map what the landmarks ask of it, then a feed-forward block; same shape."""
    dim = picture.shape[-1]
    source = _pooled_keys(picture, STRIDES[-1] // stride)
    key, value = ChannelSplit()(_conv_norm(source, 2 * dim, 1, name=f"{name}.attn.kv"))
    crossed = attention(face, key, value, heads, name=f"{name}.attn")
    return _feed_forward(picture, crossed, name)


def _pooled_keys(x, largest):
    """Means of the smallest square cells that leave `KEY_SIDE` places a side; of cells of side `largest` at most."""
    cell = next(cell for cell in (1, 2, 4) if x.shape[1] // cell <= KEY_SIDE or cell == largest)
    return keras.layers.AveragePooling2D(cell)(x) if cell > 1 else x


def _feed_forward(x, attended, name):
    """Adds the projected attention to the map, and a two-layer perceptron to their sum, which is called `name`."""
    dim = x.shape[-1]
    x = keras.layers.Add()([x, _conv_norm(attended, dim, 1, name=f"{name}.attn.proj")])
    branch = _relu(_conv_norm(x, MLP_RATIO * dim, 1, name=f"{name}.mlp.fc1"))
    branch = _conv_norm(branch, dim, 1, name=f"{name}.mlp.fc2")
    return keras.layers.Add(name=name)([x, branch])


# --- Transformer ---


def transformer(maps, num_classes, dropout):
    """Logits from three maps: all become tokens at stride 32, which two blocks let attend to each other.

    The tokens stay a map, one level below the other, so that their linear maps are 1x1 convolutions.
    """
    tokens = []
    for i, (x, stride) in enumerate(zip(maps, STRIDES), start=1):
        patch = STRIDES[-1] // stride
        x = conv(x, TOKEN_DIM, patch, patch, padding=0, name=f"tokens.{i}.conv")
        tokens.append(batch_norm(x, name=f"tokens.{i}.bn"))
    x = keras.layers.Concatenate(axis=1, name="tokens")(tokens)
    for i in range(TOKEN_DEPTH):
        name = f"transformer.{i}"
        query, key, value = ChannelSplit(3)(_conv_norm(x, 3 * TOKEN_DIM, 1, name=f"{name}.attn.qkv"))
        x = _feed_forward(x, attention(query, key, value, TOKEN_HEADS, name=f"{name}.attn"), name)
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    return dense(keras.layers.Dropout(dropout)(x), num_classes, "head")


def _conv_norm(x, filters, size, strides=1, *, name):
    return batch_norm(conv(x, filters, size, strides, name=f"{name}.conv"), name=f"{name}.bn")


def _relu(x, name=None):
    return keras.layers.ReLU(name=name)(x)
