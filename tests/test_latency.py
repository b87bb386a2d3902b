"""`keras_fer.latency` measures what it says: in new processes, with the threads that were asked for."""

import pytest

from keras_fer import InputError, latency

pytestmark = pytest.mark.slow  # every measurement starts a process


def test_table_has_a_row_for_each_batch(capsys):
    latency.main(["efficientface", "--batch", "1", "2", "--input-size", "64", "--runs", "4"])
    _, *rows = capsys.readouterr().out.split("\n\n")[0].splitlines()
    assert [row.split()[:2] for row in rows] == [["efficientface", "1"], ["efficientface", "2"]]
    for row in rows:
        _, _, median, low, _, high, cpu, peak = row.split()
        assert 0 < float(low) <= float(median) <= float(high)
        assert float(cpu) > 0
        assert float(peak) > 100


def test_unknown_model_is_one_clear_error():
    with pytest.raises(InputError, match=r"mit_fusoin.*did you mean mit_fusion"):
        latency.main(["mit_fusoin"])
