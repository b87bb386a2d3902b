"""Where the goldens' stage tensors are in our graphs.

`STAGES[golden][tensor]` is the name of the layer whose output holds the tensor; `BUILD[golden]` is what builds the
model. `in_golden_layout` turns a layer's output into what `golden_io.Golden.check` takes.
"""

import numpy as np

import keras_fer

BUILD = {
    "efficientface": lambda: keras_fer.create_model("efficientface"),
    "ldg_resnet50": lambda: keras_fer.create_model("ldg_resnet50"),
    "mit_b0": lambda: keras_fer.create_backbone("mit_b0"),
    "mit_fusion": lambda: keras_fer.create_model("mit_fusion"),
    "ir50": lambda: keras_fer.create_backbone("ir50"),
    "mobilefacenet": lambda: keras_fer.create_backbone("mobilefacenet", input_size=112, landmarks=True),
    "poster_v2_7": lambda: keras_fer.create_model("poster_v2", num_classes=7),
    "poster_v2_8": lambda: keras_fer.create_model("poster_v2", num_classes=8),
}

_IR50 = {"ir1": "body1.2", "ir2": "body2.3", "ir3": "body3.13"}
_FACE = {"face1": "conv_3.model.3", "face2": "conv_4.model.5", "face3": "conv_6_sep.prelu"}
_POSTER_V2 = {
    "face_in": "face_in",
    **{tensor: f"face_landback.{layer}" for tensor, layer in _FACE.items()},
    "face3_conv": "last_face_conv",
    **{tensor: f"ir_back.{layer}" for tensor, layer in _IR50.items()},
    **{f"conv{i}": f"conv{i}" for i in (1, 2, 3)},
    **{f"norm{i}": f"window{i}.norm" for i in (1, 2, 3)},
    **{f"attn{i}": f"attn{i}.proj" for i in (1, 2, 3)},
    **{f"ffn{i}": f"ffn{i}" for i in (1, 2, 3)},
    "tokens": "tokens",
    "vit_block0": "VIT.blocks.0",
    "vit_block1": "VIT.blocks.1",
    "vit_norm": "VIT.norm",
    "se": "VIT.se_block",
}

STAGES = {
    "efficientface": {
        "conv1": "conv1",
        "maxpool": "maxpool",
        "stage2": "stage2.3",
        "channel_att": "modulator.channel_att",
        "spatial_att": "modulator.spatial_att.gate_s.gate_s_conv_final",
        "modulated": "modulator",
        "local": "local",
        "fused": "fused",
        "stage3": "stage3.7",
        "stage4": "stage4.3",
        "conv5": "conv5",
        "pooled": "pooled",
    },
    "ldg_resnet50": {
        "bn1": "bn1",
        "maxpool": "maxpool",
        "layer1_0": "layer1.0",
        "layer1": "layer1.2",
        "layer2": "layer2.3",
        "layer3": "layer3.5",
        "layer4": "layer4.2",
        "pooled": "pooled",
    },
    "mit_b0": {
        **{f"patch{i}": f"patch_embed{i}.norm" for i in (1, 2, 3, 4)},
        "block1_0_attn": "block1.0.attn.proj",
        "block1_0_dwconv": "block1.0.mlp.dwconv.dwconv",
        "block1_0": "block1.0",
        **{f"block{i}_1": f"block{i}.1" for i in (1, 2, 3, 4)},
        **{f"F{i}": f"norm{i}" for i in (1, 2, 3, 4)},
    },
    "mit_fusion": {
        **{f"F{i}": f"backbone.norm{i}" for i in (1, 2, 3, 4)},
        **{f"P{i}": f"pool{i}" for i in (1, 2, 3)},
        "concat": "concat",
        "F_R": "fuse",
        "pooled": "pooled",
    },
    "ir50": {
        "input_layer": "input_layer.2",
        "body1_0": "body1.0",
        "body1_1": "body1.1",
        "body2_0": "body2.0",
        "body3_0": "body3.0",
        "body1": _IR50["ir1"],
        "body2": _IR50["ir2"],
        "body3": _IR50["ir3"],
    },
    "mobilefacenet": {
        "conv1": "conv1.prelu",
        "conv2_dw": "conv2_dw.prelu",
        "conv_23": "conv_23.project.bn",
        "conv_3_0": "conv_3.model.0",
        "conv_34": "conv_34.project.bn",
        "conv_45": "conv_45.project.bn",
        "conv_5": "conv_5.model.1",
        "landmarks": "output_layer.bn",
        "out1": _FACE["face1"],
        "out2": _FACE["face2"],
        "out3": _FACE["face3"],
    },
    "poster_v2_7": _POSTER_V2,
    "poster_v2_8": _POSTER_V2,
}


def in_golden_layout(array: np.ndarray, tensor: dict) -> np.ndarray:
    """A layer's output (NHWC, or fewer axes) as the golden stores it; `tensor` is its entry in golden.json."""
    array = np.asarray(array)
    if tensor["layout"] == "NCHW":
        array = array.transpose(0, 3, 1, 2)
    return array.reshape(tensor["shape"])
