"""Recognises whose checkpoint a file is, and puts its entries under the names of our models.

Our models have the authors' names, so most of a file needs no renaming; what differs is how it is wrapped, which parts
it lacks on purpose (a new head), and the names in files of other projects.
"""

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from keras_fer.convert.checkpoint import read_checkpoint
from keras_fer.convert.state_dict import without_bookkeeping
from keras_fer.errors import InputError
from keras_fer.layers import BATCH_NORM_EPSILON

POSTER_PARTS = {"ir50": "ir_back.", "mobilefacenet": "face_landback."}
PARTS = {"mit_fusion": {"mit_b0": "backbone."}, "poster_v2": POSTER_PARTS, "btn": POSTER_PARTS}
"""By model: the backbones whose files can start a part of it, and how the names of that part begin."""

KNOWN_BY = {
    "mit_b0": "block1.0.attn.q.weight",
    "ir50": "body1.0.res_layer.1.weight",
    "mobilefacenet": "conv_6_sep.conv.weight",
}
"""An entry by which the file of a backbone is known."""

PRETRAINING_CLASSES = {1000: "ImageNet", 12666: "MS-Celeb-1M"}
"""By length of the classifier: what EfficientFace and its LDG are pre-trained on."""

IR50_STAGES = {0: "body1", 3: "body2", 7: "body3"}
IR50_END = 21
"""ArcFace numbers the blocks through; POSTER V2 has three stages of them and leaves the fourth out."""


class Source(NamedTuple):
    """A checkpoint under the names of one of our models.

    layout: what it was recognised as, for people.
    entries: arrays by torch name.
    dropped: names in the file that were left out on purpose.
    part: how the names of the model's entries begin that the file must hold; "" means all.
    fresh: how those begin that it lacks nevertheless.
    """

    layout: str
    entries: dict[str, np.ndarray]
    dropped: list[str] = []
    part: str = ""
    fresh: tuple[str, ...] = ()

    def leaves(self, name: str) -> bool:
        """Whether the model's entry `name` is not among what such a file holds."""
        return not name.startswith(self.part) or name.startswith(self.fresh)

    @property
    def has_classifier(self) -> bool:
        return not self.part and not self.fresh


def read_source(model: str, path: str | os.PathLike) -> Source:
    """Read a checkpoint file for the model or backbone of that name.

    Known are files of the authors of every model (with their wrapping, and pre-training files whose classifier does not
    fit), files of the backbones MiT-B0 (also as Hugging Face has it), IR-50 (both ways to number its blocks) and
    MobileFaceNet (also with folded batch norms) for the models that contain them, and torchvision's ImageNet files of
    ShuffleNetV2 x1.0 for `efficientface` and of ResNet-50 for `ldg_resnet50`. Whether all entries fit is left to
    `load_state_dict`.

    Raises:
        InputError: see `read_checkpoint`; or the file holds no weights.
    """
    entries, dropped = _in_authors_names(_unwrap(read_checkpoint(path), path))
    for backbone, prefix in PARTS.get(model, {}).items():
        if KNOWN_BY[backbone] in entries:
            prefixed = {f"{prefix}{name}": array for name, array in entries.items()}
            return Source(f"weights of {backbone}, for {prefix}*", prefixed, dropped, part=prefix)
    if model == "efficientface" and _is_shufflenet(entries):
        # EfficientFace's stem has 29 channels, not 24, so the stem and the unit behind it cannot start from ImageNet.
        source = Source("ImageNet weights of ShuffleNetV2 x1.0", entries, dropped)
        return _without(source, ("conv1.", "stage2.0.", "fc."), lacking=("local.", "modulator."))
    if model in ("efficientface", "ldg_resnet50"):
        origin = PRETRAINING_CLASSES.get(len(entries.get("fc.weight", ())))
        if origin:
            return _without(Source(f"weights of {model}, pre-trained on {origin}", entries, dropped), ("fc.",))
    return Source(f"weights of {model}", entries, dropped)


def _unwrap(checkpoint: dict, path: str | os.PathLike) -> dict[str, np.ndarray]:
    entries = checkpoint.get("state_dict", checkpoint)
    if isinstance(entries, dict) and any(isinstance(value, np.ndarray) for value in entries.values()):
        return without_bookkeeping({str(name): array for name, array in entries.items()})
    if {"param_groups", "optimizer"} & checkpoint.keys():
        raise InputError(
            f"{path} holds only optimiser state and no weights: POSTER V2's code writes that, by mistake, into the file"
            " it calls best; use the file of the same run without `best` in its name"
        )
    raise InputError(f"{path} holds no weights; its entries are {', '.join(map(str, list(checkpoint)[:8])) or 'none'}")


def _without(source: Source, prefixes: tuple[str, ...], lacking: tuple[str, ...] = ()) -> Source:
    kept = {name: array for name, array in source.entries.items() if not name.startswith(prefixes)}
    dropped = [*source.dropped, *(name for name in source.entries if name not in kept)]
    return source._replace(entries=kept, dropped=dropped, fresh=prefixes + lacking)


def _is_shufflenet(entries: Mapping[str, np.ndarray]) -> bool:
    return "stage2.0.branch1.0.weight" in entries and not any(name.startswith("modulator.") for name in entries)


# --- Names of other projects ---


def _in_authors_names(entries: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], list[str]]:
    """The entries under the names of the authors' code, and the names of those that have no counterpart there."""
    if any("patch_embeddings.0." in name for name in entries):
        return _from_hugging_face(entries), []
    if "body.0.res_layer.1.weight" in entries:
        return _from_numbered_ir50(entries)
    if "conv1.conv.weight" in entries and "conv1.bias" in entries:
        return _from_folded(entries), []
    return entries, []


def _from_hugging_face(entries: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Hugging Face's SegFormer counts stages from 0 and has keys and values apart, which the authors have in one."""
    stages = {"patch_embeddings": "patch_embed", "block": "block", "layer_norm": "norm"}
    rest = {
        "layer_norm_": "norm",
        "layer_norm": "norm",
        "attention.output.dense": "attn.proj",
        "attention.self": "attn",
        "query": "q",
        "key": "k",
        "value": "v",
        "mlp.dense": "mlp.fc",
        "classifier": "head",
    }
    renamed = {}
    for name, array in entries.items():
        name = name.removeprefix("segformer.").removeprefix("encoder.")
        name = re.sub(r"^(\w+)\.(\d)\.", lambda m: f"{stages.get(m[1], m[1])}{int(m[2]) + 1}.", name)
        for theirs, ours in rest.items():
            name = name.replace(theirs, ours)
        renamed[name] = array
    for name in [name for name in renamed if ".attn.k." in name]:
        key, value = renamed.pop(name), renamed.pop(name.replace(".k.", ".v."), np.empty(0, np.float32))
        renamed[name.replace(".k.", ".kv.")] = np.concatenate([key, value]) if key.ndim == value.ndim else key
    return renamed


def _from_numbered_ir50(entries: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], list[str]]:
    renamed, dropped = {}, []
    for name, array in entries.items():
        numbered = re.match(r"body\.(\d+)\.(.*)", name)
        if not numbered:
            renamed[name] = array
        elif int(numbered[1]) >= IR50_END:
            dropped.append(name)
        else:
            first = max(start for start in IR50_STAGES if start <= int(numbered[1]))
            renamed[f"{IR50_STAGES[first]}.{int(numbered[1]) - first}.{numbered[2]}"] = array
    return renamed, dropped


def _from_folded(entries: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Batch norms that went into the convolutions before them, as norms that only add the bias that is left of them."""
    unfolded = {}
    for name, array in entries.items():
        module, _, last = name.rpartition(".")
        if last == "shift":
            unfolded |= _batch_norm(module, entries[f"{module}.scale"], array)
        elif last == "bias" and f"{module}.conv.weight" in entries:
            unfolded |= _batch_norm(f"{module}.bn", np.ones_like(array), array)
        elif last != "scale":
            unfolded[name] = array
    return unfolded


def _batch_norm(name: str, scale: np.ndarray, shift: np.ndarray) -> dict[str, np.ndarray]:
    """Entries of a batch norm that computes `scale * x + shift`."""
    scale, shift = scale.astype(np.float32), shift.astype(np.float32)
    return {
        f"{name}.weight": scale * np.sqrt(np.float32(1 + BATCH_NORM_EPSILON)),
        f"{name}.bias": shift,
        f"{name}.running_mean": np.zeros_like(shift),
        f"{name}.running_var": np.ones_like(shift),
    }
