"""Pictures of a test split that were trained on all the same, and the second figure that leaves them out."""

import functools

import cv2
import numpy as np
import pytest
import tensorflow as tf

from keras_fer.classifier import Classifier, softmax
from keras_fer.expressions import EXPRESSIONS
from train import evaluate, leaks
from train.data import evaluation_batches
from train.preparation import prepare
from train.prepared import decode_id
from train.sources import Record, Source

CLASSES = EXPRESSIONS[:3]


def png(pixels):
    return cv2.imencode(".png", pixels)[1].tobytes()


def test_a_second_figure_leaves_them_out(tmp_path):
    """Seven of `public` are copies from `train`, two from `val`, as `prepare` finds and counts them."""
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (8, 8, 3)).astype(np.uint8) for _ in range(50)]
    places = [*(("train", i) for i in range(20)), *(("val", i) for i in range(20, 30))]
    places += [("public", i) for i in (*range(7), 20, 29, *range(30, 50))]
    records = [
        Record(f"{split} {i}", split, CLASSES[i % 3], functools.partial(png, pictures[i])) for split, i in places
    ]
    info = prepare(Source("leaky", CLASSES, records, len(records)), tmp_path / "data")
    assert info.leaks == {"train/public": 7, "val/public": 2}
    assert [leaks.known(info, split) for split in info.splits] == [split == "public" for split in info.splits]

    model = Classifier("colours", CLASSES, 8, 1.0, 0.4, lambda crops: softmax(np.mean(crops, axis=(1, 2)) / 8))
    files = [str(info.path / file) for file in info.splits["public"].files]
    ids = [decode_id(record).numpy().decode() for record in tf.data.TFRecordDataset(files)]
    unseen = np.array([int(id.split()[1]) >= 30 for id in ids])
    np.testing.assert_array_equal(leaks.trained_on(info, "public"), ~unseen)

    ((crops, labels),) = evaluation_batches(info, "public", batch_size=99, input_size=8)
    right = model.run(crops.numpy()).argmax(axis=1) == labels.numpy().argmax(axis=1)
    result = evaluate.measure(model, info, "public")
    assert result["accuracy"] == pytest.approx(right.mean())
    assert result["without_leaks"]["n"] == unseen.sum() == 20
    assert result["without_leaks"]["accuracy"] == pytest.approx(right[unseen].mean())
    assert "without the 9 pictures that are in train too: accuracy" in evaluate.summary(result)
    assert evaluate.measure(model, info, "public", limit=10)["without_leaks"]["n"] == unseen[:10].sum()
    assert "without_leaks" not in evaluate.measure(model, info, "val")
