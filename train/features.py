"""The last features of a model in the plane, by t-SNE: whether the classes lie apart before the classifier cuts them.

van der Maaten, Hinton: "Visualizing Data using t-SNE", JMLR 9, 2008; scikit-learn's.
"""

import os
from pathlib import Path

import keras
import numpy as np
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

import keras_fer
from keras_fer.errors import InputError
from train.data import DatasetInfo, evaluation_batches
from train.subset import Subset

PERPLEXITY = 30
SEED = 0


def embed(
    weights: str | os.PathLike,
    info: DatasetInfo,
    split: str,
    count: int,
    batch_size: int = 64,
    subset: Subset | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """What the classifier's last layer reads of the first `count` pictures (their order is random), in two dimensions.

    Args:
        weights: a run folder or a `.keras` file.

    Returns:
        Points (n, 2) and labels (n,), indices into `info.classes`; always the same for the same weights and pictures.

    Raises:
        InputError: weights of another kind, or fewer than four pictures.
    """
    if Path(weights).suffix in (".tflite", ".onnx"):
        raise InputError(f"{weights} gives probabilities only; t-SNE needs the features of a run or a .keras file")
    model = last_features(keras_fer.load(weights))
    part = {"chosen": subset.chosen & (np.cumsum(subset.chosen) <= count)} if subset else {"limit": count}
    batches = evaluation_batches(info, split, batch_size=batch_size, input_size=model.input_shape[1], **part)
    rows, labels = zip(*((model.predict_on_batch(x.numpy()), y.numpy().argmax(axis=1)) for x, y in batches))
    rows, labels = np.concatenate(rows), np.concatenate(labels)
    if len(rows) < 4:
        raise InputError(f"t-SNE of {len(rows)} pictures; expected 4 or more")
    tsne = TSNE(perplexity=min(PERPLEXITY, (len(rows) - 1) / 3), init="pca", random_state=SEED)
    with threadpool_limits(1):  # threads would add up forces in any order, and give another picture each time
        return tsne.fit_transform(rows), labels


def last_features(model: keras.Model) -> keras.Model:
    """The same model up to what its last layer reads: (batch, features)."""
    features = keras.Model(model.input, model.outputs[0]._keras_history.operation.input)
    features.jit_compile = False
    return features
