"""Memory stays flat as the data set grows."""

import pytest
import scale


@pytest.mark.slow
def test_memory_is_flat():
    """40,000 more pictures are 90 MB encoded and 276 MB decoded: none of that may stay in memory."""
    small, large = scale.measure(10_000), scale.measure(50_000)
    for step in ("prepare", "read"):
        assert large[step]["peak_mib"] < small[step]["peak_mib"] + 60
