"""Metrics, against numbers worked out by hand and rules that hold for all predictions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from train import metrics, plots

CLASSES = ("neutral", "happiness", "sadness")


def one_hot_probabilities(predicted, confidence=0.8):
    probabilities = np.full((len(predicted), 3), (1 - confidence) / 2)
    probabilities[np.arange(len(predicted)), predicted] = confidence
    return probabilities


def test_by_hand():
    labels = np.array([0, 0, 0, 1, 1])
    result = metrics.report(one_hot_probabilities([0, 0, 1, 1, 1]), labels, CLASSES)
    assert result["n"] == 5
    assert result["accuracy"] == pytest.approx(4 / 5)
    assert result["confusion"] == [[2, 1, 0], [0, 2, 0], [0, 0, 0]]
    assert result["mean_class_accuracy"] == pytest.approx((2 / 3 + 1) / 2)  # sadness does not occur
    assert result["macro_f1"] == pytest.approx((0.8 + 0.8) / 2)
    assert result["per_class"]["happiness"] == pytest.approx({"precision": 2 / 3, "recall": 1.0, "f1": 0.8, "n": 2})
    assert result["ece"] == pytest.approx(0, abs=1e-12)  # 80 % sure, 80 % right
    assert result["nll"] == pytest.approx(-(4 * np.log(0.8) + np.log(0.1)) / 5)


def test_ece_sees_overconfidence():
    probabilities = one_hot_probabilities([0, 0, 0, 0], confidence=0.9)
    assert metrics.expected_calibration_error(probabilities, np.array([0, 0, 1, 1])) == pytest.approx(0.4)


@given(st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_rules(n, seed):
    rng = np.random.default_rng(seed)
    probabilities = softmax(rng.normal(size=(n, 3)), axis=1)
    labels = rng.integers(0, 3, n)
    result = metrics.report(probabilities, labels, CLASSES)
    confusion = np.array(result["confusion"])
    assert confusion.sum() == n
    assert result["accuracy"] == pytest.approx(np.trace(confusion) / n)
    assert [row["n"] for row in result["per_class"].values()] == np.bincount(labels, minlength=3).tolist()
    assert 0 <= result["ece"] <= 1
    # The order of the classes is a name for the columns and nothing else.
    order = rng.permutation(3)
    renamed = metrics.report(probabilities[:, order], np.argsort(order)[labels], [CLASSES[i] for i in order])
    assert renamed["per_class"] == result["per_class"]
    assert renamed["macro_f1"] == pytest.approx(result["macro_f1"])
    assert renamed["nll"] == pytest.approx(result["nll"])


@given(st.floats(0.2, 5), st.integers(0, 2**32 - 1))
def test_softening_is_dividing_the_logits(temperature, seed):
    logits = np.random.default_rng(seed).normal(0, 4, (9, 5))
    probabilities = softmax(logits, axis=1)
    softened = metrics.soften(probabilities, temperature)
    np.testing.assert_allclose(softened, softmax(logits / temperature, axis=1), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(metrics.soften(softened, 1 / temperature), probabilities, rtol=1e-6, atol=1e-12)
    np.testing.assert_array_equal(softened.argmax(axis=1), probabilities.argmax(axis=1))


def test_softening_of_certainty():
    np.testing.assert_allclose(metrics.soften(np.array([[1.0, 0.0]]), 2), [[1, 0]], atol=1e-100)


def test_table_and_pictures(tmp_path):
    result = metrics.report(one_hot_probabilities([0, 1, 2, 2]), np.array([0, 1, 2, 0]), CLASSES)
    assert "accuracy 75.00 %" in metrics.table(result)
    assert all(name in metrics.table(result) for name in CLASSES)
    plots.confusion(result, tmp_path / "confusion.png")
    row = {"loss": 2.0, "val_loss": 2.1, "accuracy": 0.2, "val_accuracy": 0.3, "learning_rate": 0.1}
    plots.curves([{"epoch": 1, **row}, {"epoch": 2, **row}], tmp_path / "curves.png")
    assert {path.name for path in tmp_path.iterdir()} == {"confusion.png", "curves.png"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.iterdir())
