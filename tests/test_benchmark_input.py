"""`train.benchmark_input` on a tiny model."""

import re

import pytest
import tiny

from train import benchmark_input


def test_both_speeds_and_their_ratio_are_printed(tmp_path, tiny_model, capsys):
    tiny.write_data(tmp_path / "data", train=40)
    settings = [word for setting in ("input_size=32", "batch_size=8", "jit=off") for word in ("--set", setting)]
    command = ["--data", str(tmp_path / "data"), "--model", "tiny", "--recipe", "drawn", "--seconds", "0.2", *settings]
    benchmark_input.main(command)
    *_, row = capsys.readouterr().out.splitlines()
    match = re.fullmatch(r"tiny +drawn +32 +8 +(\d+) +([\d.]+) +([\d.]+)  (good|below 3: .*)", row)
    pipeline, step, ratio = map(float, match.groups()[:3])
    assert ratio == pytest.approx(pipeline / step, rel=0.1)
    assert (ratio >= 3) == (match[4] == "good")
