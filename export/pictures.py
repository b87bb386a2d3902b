"""Faces for calibration and for the checks of an export: from a prepared data set, or drawn."""

from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from keras_fer.errors import InputError
from train.data import DatasetInfo, evaluation_batches
from train.drawn import draw

VERIFICATION_FACES = 8
"""For each class."""


def stratified(info: DatasetInfo, split: str, per_class: int, input_size: int) -> np.ndarray:
    """The first `per_class` pictures of every class in a split, whose records lie in an order drawn once by seed.

    Returns:
        (n, input_size, input_size, 3) uint8 RGB; n is smaller than classes x per_class where a class is rarer.

    Raises:
        InputError: no such split, or a split without pictures.
    """
    return stratified_with_labels(info, split, per_class, input_size)[0]


def stratified_with_labels(
    info: DatasetInfo, split: str, per_class: int, input_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """The pictures of `stratified`, and their labels: (n,) indices into the data's classes."""
    wanted = {i: min(per_class, info.require(split).counts[name]) for i, name in enumerate(info.classes)}
    chosen, labels = [], []
    batches = evaluation_batches(info, split, batch_size=64, input_size=input_size)
    with tqdm(total=sum(wanted.values()), desc=f"{info.name} {split}", unit="face", leave=False, disable=None) as bar:
        for pictures, targets in batches:
            for picture, label in zip(pictures.numpy(), targets.numpy().argmax(axis=1)):
                if wanted[label]:
                    wanted[label] -= 1
                    chosen.append(np.rint(picture).astype(np.uint8))
                    labels.append(label)
                    bar.update()
            if not any(wanted.values()):
                break
    if not chosen:
        raise InputError(f"{split} of {info.path} holds no pictures")
    return np.stack(chosen), np.array(labels)


def for_verification(info: DatasetInfo | None, classes: Sequence[str], input_size: int) -> np.ndarray:
    """Faces that nothing was calibrated on, where the data has such; drawn ones without data."""
    if info is None:
        return drawn(classes, VERIFICATION_FACES, input_size)
    split = next((name for name in info.splits if name != "train"), "train")
    return stratified(info, split, VERIFICATION_FACES, input_size)


def drawn(classes: Sequence[str], per_class: int, input_size: int) -> np.ndarray:
    """The same many drawn faces of every class, each of a person of its own: (n, input_size, input_size, 3) uint8."""
    expressions = [name for name in classes for _ in range(per_class)]
    return np.stack([draw(seed, name, size=input_size) for seed, name in enumerate(expressions)])
