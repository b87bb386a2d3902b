"""The page about the weights that ship: every one is there, with the figures of its card."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from export import results
from keras_fer import InputError, shipped
from train.prepared import DatasetInfo


def info(name, folder):
    classes = tuple(shipped.card(shipped.default())["classes"])
    return DatasetInfo(folder, name, classes, {}, {}, False, 0, [], [], {})


def test_the_page_has_every_weight(tmp_path, monkeypatch):
    """And a peer's, measured on the same split."""
    # Conversion, timing, counting and measuring have tests of their own.
    monkeypatch.setattr(results, "_cost_table", lambda cards: "the costs")
    asked = []

    def measure(classifier, data, split):
        asked.append((classifier, split))
        return shipped.card(shipped.default())["evaluation"]["int8"] | {"accuracy": 0.4321}

    monkeypatch.setattr(results.evaluate, "measure", measure)
    monkeypatch.setattr(results, "open_classifier", lambda path: SimpleNamespace(name=f"{path.stem}==1.0"))
    page = results.make(info("fer2013", tmp_path), tmp_path, [Path("peer.tflite")])
    assert asked == [(SimpleNamespace(name="peer==1.0"), "public")]
    (row,) = [row for row in page.splitlines() if row.startswith("| peer==1.0") and "43.21" in row]
    assert [cell.strip() for cell in row.split("|")][1:5] == ["peer==1.0", "", "", "43.21"]
    assert (tmp_path / "results.md").read_text() == page
    assert (tmp_path / "results.png").stat().st_size > 10_000
    rows = page.splitlines()
    for name in shipped.names():
        card = shipped.card(name)
        found = [row for row in rows if row.startswith(f"| {name}")]
        # Accuracy, recall in float and in int8, and the first of its stages.
        assert len(found) == 4
        for kind in ("float", "int8"):
            assert f"{100 * card['evaluation'][kind]['accuracy']:.2f}" in found[0]
        assert f"{100 * max(card['training']['stages'][0]['curve']['val_accuracy']):.2f}" in found[-1]


def test_other_data_are_refused(tmp_path):
    with pytest.raises(InputError, match="measured on fer2013 public 3589; expected one split of raf-db"):
        results.make(info("raf-db", tmp_path), tmp_path)
    assert not list(tmp_path.iterdir())
