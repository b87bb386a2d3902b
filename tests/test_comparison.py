"""The paired bootstrap, against one that draws pictures one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train import metrics
from train.comparison import RATES, compare


def predictions(seed, n, classes, models=2):
    """Labels, and models that are right on half of the pictures or more."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    votes = rng.random((models, n, classes)) + rng.random((models, 1, 1)) * np.eye(classes)[labels]
    return labels, [rows / rows.sum(axis=1, keepdims=True) for rows in votes]


def rates(probabilities, labels, classes):
    result = metrics.report(probabilities, labels, [str(i) for i in range(classes)])
    return np.array([result[name] for name in RATES])


def rates_by_hand(probabilities, labels):
    predicted = probabilities.argmax(axis=1)
    recall, f1 = [], []
    for c in np.unique(labels):
        right = np.sum((predicted == c) & (labels == c))
        recall.append(right / np.sum(labels == c))
        f1.append(2 * right / (np.sum(labels == c) + np.sum(predicted == c)))
    return np.array([np.mean(predicted == labels), np.mean(recall), np.mean(f1)])


def values(entry, key):
    return np.array([entry[name][key] for name in RATES])


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 120), st.integers(2, 8))
def test_differences_are_those_of_the_reports(seed, n, classes):
    labels, (first, second) = predictions(seed, n, classes)
    same, other = compare([first, second], labels, classes, resamples=200)
    assert {value for entry in same.values() for value in entry.values()} == {0}
    expected = rates(second, labels, classes) - rates(first, labels, classes)
    np.testing.assert_allclose(values(other, "difference"), expected, atol=1e-12)
    assert (values(other, "low") <= values(other, "high")).all()


@settings(max_examples=3)
@given(st.integers(0, 2**32 - 1))
def test_intervals_are_those_of_drawn_pictures(seed):
    labels, (first, second) = predictions(seed, 60, 3)
    rng = np.random.default_rng(1)
    drawn = []
    for _ in range(1500):
        sample = rng.integers(0, 60, 60)
        drawn.append(rates_by_hand(second[sample], labels[sample]) - rates_by_hand(first[sample], labels[sample]))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    (_, found) = compare([first, second], labels, 3)
    # A quantile of so many samples is known to about a twelfth of the interval.
    np.testing.assert_allclose(values(found, "low"), low, atol=(high - low).max() / 8)
    np.testing.assert_allclose(values(found, "high"), high, atol=(high - low).max() / 8)


def test_pairing_narrows_the_interval():
    labels, (first, _) = predictions(0, 2000, 3)
    second = first.copy()
    second[:20] = np.eye(3)[labels[:20]]
    (_, found) = compare([first, second], labels, 3)
    width = found["accuracy"]["high"] - found["accuracy"]["low"]
    assert found["accuracy"]["low"] >= 0
    assert width < 0.5 * 3.9 * np.sqrt(0.25 / 2000)


def test_the_same_seed_gives_the_same_interval():
    labels, models = predictions(3, 50, 4)
    assert compare(models, labels, 4, seed=5) == compare(models, labels, 4, seed=5)
    assert compare(models, labels, 4, seed=5) != compare(models, labels, 4, seed=6)


def test_memory_is_bounded_by_cells_at_once(monkeypatch):
    labels, models = predictions(3, 50, 4)
    whole = compare(models, labels, 4, resamples=100)
    monkeypatch.setattr("train.comparison.CELLS_AT_ONCE", 1)
    for name, entry in compare(models, labels, 4, resamples=100)[1].items():
        assert entry == pytest.approx(whole[1][name])
