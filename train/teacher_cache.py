"""Teachers' answers on disk, for training whose pictures come back the same: as they are, or as their mirror images.

One file a teacher, `DIR/KEY.npz`; KEY is a hash of everything that decides its content, so another teacher, data set,
split or size is another file. What is damaged is made again.
"""

import dataclasses
import hashlib
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from keras_fer.errors import InputError
from keras_fer.files import replacing
from train import run
from train.augment import Augment
from train.data import DatasetInfo, evaluation_batches, picture_ids
from train.recipes import Recipe
from train.run import Config
from train.teacher import Teacher

FORMAT = 1
BATCH = 64


def check(recipe: Recipe) -> None:
    """Refuse a recipe whose training asks teachers for more than the file can hold.

    Raises:
        InputError: pictures that change by more than a flip, or maps.
    """
    still = dataclasses.replace(Augment(), flip=recipe.augment.flip)
    changing = [
        field.name
        for field in dataclasses.fields(Augment)
        if not field.name.startswith(("erasing_", "crop_ratio"))
        and getattr(recipe.augment, field.name) != getattr(still, field.name)
    ]
    if changing:
        raise InputError(
            f"--cache keeps what teachers say of a picture and its mirror image, but augment.{changing[0]} makes a new "
            f"picture each time; leave --cache out, or switch off {', '.join(f'augment.{name}' for name in changing)}"
        )
    if recipe.feature_weight:
        raise InputError("--cache keeps logits and no maps; leave it out, or set feature_weight=0")


def known_logits(
    teachers: Sequence[Teacher], config: Config, info: DatasetInfo
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """The teachers' logits of the training pictures as a function for `train.data.training_batches`.

    Args:
        teachers: those of `config.distill`.
        config: of the student's run.
        info: the data it learns from.

    Returns:
        `(id, whether it is the mirror image) -> (teachers, classes)`.

    Raises:
        InputError: two pictures of one id, so that there is no telling them apart.
    """
    ids = picture_ids(info, "train", config.limit)
    if len(set(ids)) < len(ids):
        raise InputError(f"{info.path} has several pictures of one id, so --cache cannot tell them apart")
    mirrored = config.recipe.augment.flip > 0
    stored = [
        _read_or_make(weights, teach, config, info, len(ids), mirrored)
        for weights, teach in zip(config.distill, teachers)
    ]
    logits = tf.constant(np.stack(stored, axis=2))
    keys = tf.lookup.KeyValueTensorInitializer(tf.constant(ids), tf.range(len(ids)))
    rows = tf.lookup.StaticHashTable(keys, default_value=-1)

    def known(id, is_mirrored):
        # gather, unlike indexing, refuses the -1 of a picture that is not there.
        return tf.gather(logits, rows.lookup(id))[tf.cast(is_mirrored, tf.int32)]

    return known


def _read_or_make(weights, teach, config, info, n, mirrored):
    """`(n, views, classes)` float32."""
    description = {
        "format": FORMAT,
        "teacher": run.weights_hash(weights),
        "data": run.fingerprint(info),
        "files": info.require("train").files,
        "n": n,
        "classes": info.classes,
        "input_size": config.recipe.input_size,
        "mirrored": mirrored,
    }
    key = hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:16]
    path = Path(config.cache, f"{key}.npz")
    shape = (n, 1 + mirrored, len(info.classes))
    if path.exists():
        try:
            with path.open("rb") as opened, np.load(opened) as file:
                stored_key, logits = str(file["key"]), file["logits"]
            if stored_key == key and logits.shape == shape and np.isfinite(logits).all():
                print(f"what {weights} says of {n} pictures: from {path}")
                return logits
            reason = "it holds something else"
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            reason = str(error) or type(error).__name__
        print(f"{path} is damaged ({reason}); it is made again")
    logits = _ask(weights, teach, config, info, mirrored)
    with replacing(path) as temporary:
        np.savez(temporary, key=np.array(key), logits=logits)
    print(f"what {weights} says of {n} pictures: kept in {path}")
    return logits


def _ask(weights, teach, config, info, mirrored):
    batches = evaluation_batches(
        info, "train", batch_size=BATCH, input_size=config.recipe.input_size, limit=config.limit
    )
    answer = tf.function(lambda pictures: teach(pictures)[0], reduce_retracing=True)
    rows = []
    for pictures, _ in tqdm(batches, desc=f"asking {weights}", unit="batch", leave=False, disable=None):
        views = [pictures, tf.reverse(pictures, axis=[2])] if mirrored else [pictures]
        rows.append(np.stack([answer(view) for view in views], axis=1))
    return np.concatenate(rows)
