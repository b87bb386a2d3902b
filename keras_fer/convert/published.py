"""What the authors' published classifiers were trained with: their order of classes and their normalisation.

A checkpoint says neither. The orders are those of the authors' folders: EfficientFace's read me numbers them, POSTER V2
takes each data set's own numbers.
"""

from collections.abc import Sequence
from typing import NamedTuple

from keras_fer.errors import InputError
from keras_fer.expressions import DATASET_LABELS, EXPRESSIONS
from keras_fer.layers import IMAGENET_MEAN, IMAGENET_STD


class Convention(NamedTuple):
    """Names of the logits in order, and mean and deviation of RGB in 0..1."""

    classes: tuple[str, ...]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD


EFFICIENTFACE = {
    "raf-db": Convention(EXPRESSIONS[:7], (0.57535914, 0.44928582, 0.40079932), (0.20735591, 0.18981615, 0.18132027)),
    "affectnet7": Convention(
        EXPRESSIONS[:7], (0.55391484, 0.43522123, 0.3821877), (0.24837189, 0.21625527, 0.20221159)
    ),
    "caer-s": Convention(EXPRESSIONS[:7], (0.35964426, 0.22359873, 0.19040863), (0.15188067, 0.11678473, 0.1103445)),
}
POSTER = {data: Convention(tuple(DATASET_LABELS[data].values())) for data in ("raf-db", "affectnet7", "affectnet8")}

PUBLISHED = {"efficientface": EFFICIENTFACE, "ldg_resnet50": EFFICIENTFACE, "poster_v2": POSTER, "btn": POSTER}
"""By model and data set; the first is the default."""


def convention(
    model: str,
    has_classifier: bool,
    data: str | None = None,
    num_classes: int | None = None,
    classes: Sequence[str] | None = None,
) -> Convention:
    """What to take a checkpoint of `model` for.

    Args:
        model: name of the model.
        has_classifier: whether the checkpoint holds one; without, nothing depends on the authors' order.
        data: the set that it was trained on; by default the first one with `num_classes` that the authors published.
        num_classes: length of the logits.
        classes: their names in order, where the checkpoint is nobody's publication.

    Raises:
        InputError: the authors published nothing for `data`, or the class counts contradict each other.
    """
    published = PUBLISHED.get(model, {})
    if data is not None and data not in published:
        known = f"known are {', '.join(published)}" if published else "none was published"
        raise InputError(f"no order of classes is known for {model} trained on {data} ({known}): give it by --classes")
    count = num_classes or (len(classes) if classes else None)
    fitting = [c for c in published.values() if has_classifier and count in (None, len(c.classes))]
    found = published[data] if data else next(iter(fitting), Convention(EXPRESSIONS[: count or 7]))
    if classes:
        found = found._replace(classes=tuple(classes))
    if len(set(found.classes)) < len(found.classes):
        raise InputError(f"the classes are {', '.join(found.classes)}; expected each one once")
    if num_classes and len(found.classes) != num_classes:
        raise InputError(f"{num_classes} classes are asked for, but there are names for {len(found.classes)}")
    return found
