"""MiT-B0 (the SegFormer encoder) and MiT-fusion, which classifies expressions from all of its scales.

SegFormer: https://arxiv.org/abs/2105.15203. MiT-fusion: Safavi, Patel, Vinjamuri, "Towards Efficient Deep Learning
Models for Facial Expression Recognition using Transformers", 2023 (its Table I says 128 channels in stage 3; its
published 3.45M parameters need 160, as here).
"""

import keras
import numpy as np

from keras_fer.layers import ChannelSplit, attention, conv, dense, depthwise_conv, drop_path, gelu, layer_norm
from keras_fer.registry import register_backbone, register_model

DIMS = (32, 64, 160, 256)
HEADS = (1, 2, 5, 8)
REDUCTIONS = (8, 4, 2, 1)
DEPTHS = (2, 2, 2, 2)
MLP_RATIO = 4

# The authors' code mixes two epsilons: 1e-6 where it passes one, PyTorch's default elsewhere.
BLOCK_EPSILON = 1e-6
EMBEDDING_EPSILON = 1e-5


@register_backbone
def mit_b0(x, drop_path_rate=0.1, prefix=""):
    """Four maps at strides 4, 8, 16 and 32 with 32, 64, 160 and 256 channels, each after its stage norm.

    Args:
        x: normalised picture `(batch, height, width, 3)`.
        drop_path_rate: of the last block; rates rise linearly from 0.
        prefix: put before all layer names, when the backbone is part of a larger state_dict.
    """
    rates = iter(np.linspace(0, drop_path_rate, sum(DEPTHS)).tolist())
    maps = []
    for stage, (dim, heads, reduction, depth) in enumerate(zip(DIMS, HEADS, REDUCTIONS, DEPTHS), start=1):
        size, strides = (7, 4) if stage == 1 else (3, 2)
        embed = f"{prefix}patch_embed{stage}"
        x = conv(x, dim, size, strides, use_bias=True, name=f"{embed}.proj")
        x = layer_norm(x, EMBEDDING_EPSILON, name=f"{embed}.norm")
        for block in range(depth):
            x = _block(x, heads, reduction, next(rates), name=f"{prefix}block{stage}.{block}")
        x = layer_norm(x, BLOCK_EPSILON, name=f"{prefix}norm{stage}")
        maps.append(x)
    return maps


@register_model
def mit_fusion(x, num_classes, dropout=0.4, drop_path_rate=0.1):
    """MiT-B0 whose four maps meet at stride 32: 3.45M parameters, 0.46 GMACs at 224.

    The first three maps are max-pooled to the fourth's size, all four are joined and mixed by a 1x1 convolution to
    F_R, and the classifier sees the mean of `F4 + F4 * F_R`.

    Args:
        x: normalised picture `(batch, size, size, 3)`.
        num_classes: length of the logits.
        dropout: before the classifier.
        drop_path_rate: of the backbone's last block.
    """
    # --- Backbone ---
    *lower, top = mit_b0(x, drop_path_rate, prefix="backbone.")

    # --- Fusion ---
    pooled = [
        keras.layers.MaxPooling2D(pool, name=f"pool{i}")(m) for i, (m, pool) in enumerate(zip(lower, (8, 4, 2)), 1)
    ]
    joined = keras.layers.Concatenate(name="concat")([*pooled, top])
    mixed = conv(joined, DIMS[-1], 1, use_bias=True, name="fuse")
    fused = keras.layers.Add(name="fused")([top, keras.layers.Multiply()([top, mixed])])

    # --- Head ---
    features = keras.layers.GlobalAveragePooling2D(name="pooled")(fused)
    features = keras.layers.Dropout(dropout)(features)
    return keras.layers.Dense(num_classes, name="fc")(features)


def _block(x, heads, reduction, drop_rate, name):
    """Efficient self-attention, then Mix-FFN, each on the normalised map and added to it (SegFormer, section 3.1)."""
    branch = layer_norm(x, BLOCK_EPSILON, name=f"{name}.norm1")
    branch = _attention(branch, heads, reduction, name=f"{name}.attn")
    x = keras.layers.Add()([x, drop_path(branch, drop_rate)])
    branch = layer_norm(x, BLOCK_EPSILON, name=f"{name}.norm2")
    branch = _mix_ffn(branch, name=f"{name}.mlp")
    return keras.layers.Add(name=name)([x, drop_path(branch, drop_rate)])


def _attention(x, heads, reduction, name):
    """Multi-head attention whose keys and values come from a map that is `reduction` times smaller (equation 2)."""
    dim = x.shape[-1]
    query = dense(x, dim, f"{name}.q")
    if reduction > 1:
        # Kernel and stride are equal, so there is nothing to pad.
        x = conv(x, dim, reduction, reduction, padding=0, use_bias=True, name=f"{name}.sr")
        x = layer_norm(x, EMBEDDING_EPSILON, name=f"{name}.norm")
    key, value = ChannelSplit()(dense(x, 2 * dim, f"{name}.kv"))
    x = attention(query, key, value, heads, name)
    return dense(x, dim, f"{name}.proj")


def _mix_ffn(x, name):
    """Dense, 3x3 depthwise convolution (which gives the position away through its zero padding), GELU, dense."""
    dim = x.shape[-1]
    x = dense(x, MLP_RATIO * dim, f"{name}.fc1")
    x = depthwise_conv(x, 3, use_bias=True, name=f"{name}.dwconv.dwconv")
    x = keras.layers.Activation(gelu)(x)
    return dense(x, dim, f"{name}.fc2")
