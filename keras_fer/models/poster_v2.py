"""POSTER V2: an image stream and a landmark stream, crossed at three scales, then a small transformer over all of them.

Mao, Xu, Yin, Chang, Nie, Huang: "POSTER V2: A simpler and stronger facial expression recognition network",
https://arxiv.org/abs/2301.12149.
"""

import math

import keras

from keras_fer.errors import InputError
from keras_fer.layers import (
    TRUNCATED_NORMAL,
    ChannelSplit,
    ClassToken,
    LayerScale,
    PositionEmbedding,
    RelativePositionBias,
    WindowMerge,
    WindowPartition,
    attention,
    conv,
    dense,
    drop_path,
    gelu,
    layer_norm,
)
from keras_fer.models.ir import every_second_pixel, ir50
from keras_fer.models.mobilefacenet import mobilefacenet
from keras_fer.registry import register_model

DIMS = (64, 128, 256)
HEADS = (2, 4, 8)
WINDOWS = (28, 14, 7)
DROP_PATH_RATES = (0.0, 0.125, 0.25)
MLP_RATIO = 4
LAYER_SCALE = 1e-5

VIT_DIM = 768
VIT_DEPTH = 2
VIT_HEADS = 8
VIT_INITIALIZER = keras.initializers.TruncatedNormal(stddev=0.01)

# The authors' code mixes two epsilons: PyTorch's default in the cross-fusion, 1e-6 in the transformer.
FUSION_EPSILON = 1e-5
VIT_EPSILON = 1e-6


@register_model(size_step=16)
def poster_v2(x, num_classes, frozen_landmarks=True):
    """43.8M parameters (42.8M of them trained), 8.6 GMACs at 224.

    A map larger than its attention window (above 224 pixels) is cut into the fewest equal windows that are not larger;
    at multiples of 224 these are the paper's. The position embedding and the position bias tables follow the input
    size, all other weights do not.

    Args:
        x: normalised picture `(batch, size, size, 3)`; both streams see every second pixel of it.
        num_classes: length of the logits.
        frozen_landmarks: whether the landmark stream keeps its weights and statistics, as in the paper.

    Raises:
        InputError: a map cannot be cut into equal windows.
    """
    return transformer(cross_fusion(x, frozen_landmarks), num_classes)


def cross_fusion(x, frozen_landmarks):
    """Maps at strides 8, 16 and 32 with 64, 128 and 256 channels: the picture, looked at where the landmarks are.

    Their layers are called `ffn1`, `ffn2` and `ffn3`.
    """
    # --- Landmark stream ---
    face = every_second_pixel(x, name="face_in")
    *faces, face = mobilefacenet(face, trainable=not frozen_landmarks, prefix="face_landback.")
    faces.append(conv(face, DIMS[-1], 3, use_bias=True, name="last_face_conv"))

    # --- Image stream ---
    pictures = ir50(x, prefix="ir_back.")

    # --- Cross-fusion ---
    maps = []
    for i, (picture, face) in enumerate(zip(pictures, faces)):
        picture = conv(picture, DIMS[i], 3, 2, use_bias=True, name=f"conv{i + 1}")
        picture = layer_norm(picture, FUSION_EPSILON, name=f"window{i + 1}.norm")
        crossed = cross_attention(face, picture, HEADS[i], WINDOWS[i], name=f"attn{i + 1}")
        # The code adds to the normalised map; the paper's equation 5 adds to the map before the norm.
        maps.append(_feed_forward(crossed, picture, DROP_PATH_RATES[i], name=f"ffn{i + 1}"))
    return maps


def cross_attention(query, x, heads, window, name):
    """Window-based multi-head attention of one map to another of the same shape, `(batch, height, width, dim)`.

    The query is taken as it is: the code has no weights for it, though the paper's equation 4 has. Every window has
    `<name>.weights`, the attention `(batch * windows, heads, tokens, tokens)`.
    """
    _, height, width, dim = x.shape
    size = _window_size(height, window)
    key, value = ChannelSplit()(dense(x, 2 * dim, f"{name}.qkv"))
    if size < height:
        query, key, value = (WindowPartition(size)(t) for t in (query, key, value))
    bias = RelativePositionBias(name=f"{name}.relative_position_bias_table")
    x = attention(query, key, value, heads, name, bias)
    if size < height:
        x = WindowMerge(height, width)(x)
    return dense(x, dim, f"{name}.proj")


def _window_size(side, largest):
    """Side of the fewest equal windows, none above `largest`, that a map of this side is cut into."""
    windows = math.ceil(side / largest)
    if side % windows:
        raise InputError(
            f"a map of {side}x{side} cannot be cut into {windows}x{windows} equal windows; "
            "above 224 pixels use a multiple of 224, or 256, 320 or 384"
        )
    return side // windows


def _feed_forward(crossed, shortcut, drop_rate, name):
    """Adds the attention to the shortcut and a two-layer perceptron to their sum, both scaled by a learned factor.

    The factors start so small that the blocks begin as the shortcut alone.
    """
    branch = LayerScale(LAYER_SCALE, name=f"{name}.gamma1")(crossed)
    x = keras.layers.Add()([shortcut, drop_path(branch, drop_rate)])
    branch = _mlp(layer_norm(x, FUSION_EPSILON, name=f"{name}.norm"), f"{name}.mlp")
    branch = LayerScale(LAYER_SCALE, name=f"{name}.gamma2")(branch)
    return keras.layers.Add(name=name)([x, drop_path(branch, drop_rate)])


def transformer(maps, num_classes):
    """Logits from three maps: all become tokens of one scale, read by a class token through two ViT blocks."""
    # --- Tokens ---
    low, middle, high = maps
    low = conv(low, VIT_DIM, 3, 2, use_bias=True, name="embed_q.0")
    low = conv(low, VIT_DIM, 3, 2, use_bias=True, name="embed_q.1")
    middle = conv(middle, VIT_DIM, 3, 2, use_bias=True, name="embed_k.0")
    high = conv(high, VIT_DIM, 1, use_bias=True, name="embed_v.proj")
    tokens = [keras.layers.Reshape((-1, VIT_DIM))(t) for t in (low, middle, high)]
    x = keras.layers.Concatenate(axis=1, name="tokens")(tokens)
    x = PositionEmbedding(name="VIT.pos_embed")(ClassToken(name="VIT.cls_token")(x))

    # --- Blocks ---
    for i in range(VIT_DEPTH):
        x = _vit_block(x, name=f"VIT.blocks.{i}")
    x = layer_norm(x, VIT_EPSILON, name="VIT.norm")

    # --- Head: the class token, its channels gated by themselves ---
    x = keras.layers.Cropping1D((0, x.shape[1] - 1))(x)
    x = keras.layers.Flatten(name="features")(x)
    gate = keras.layers.ReLU()(dense(x, VIT_DIM, "VIT.se_block.linear1", VIT_INITIALIZER))
    gate = keras.layers.Activation("sigmoid")(dense(gate, VIT_DIM, "VIT.se_block.linear2", VIT_INITIALIZER))
    x = keras.layers.Multiply(name="VIT.se_block")([x, gate])
    return dense(x, num_classes, "VIT.head.linear", VIT_INITIALIZER)


def _vit_block(x, name):
    """Self-attention, then a perceptron, each on normalised tokens and added to them."""
    dim = x.shape[-1]
    branch = layer_norm(x, VIT_EPSILON, name=f"{name}.norm1")
    query, key, value = ChannelSplit(3)(dense(branch, 3 * dim, f"{name}.attn.qkv", VIT_INITIALIZER))
    branch = attention(query, key, value, VIT_HEADS, name=f"{name}.attn")
    x = keras.layers.Add()([x, dense(branch, dim, f"{name}.attn.proj", VIT_INITIALIZER)])
    branch = layer_norm(x, VIT_EPSILON, name=f"{name}.norm2")
    branch = _mlp(branch, f"{name}.mlp", VIT_INITIALIZER)
    return keras.layers.Add(name=name)([x, branch])


def _mlp(x, name, initializer=TRUNCATED_NORMAL):
    dim = x.shape[-1]
    x = dense(x, MLP_RATIO * dim, f"{name}.fc1", initializer)
    x = keras.layers.Activation(gelu)(x)
    return dense(x, dim, f"{name}.fc2", initializer)
