"""Every part of the bench runs to its end: small, in one round, figures not looked at."""

from math import isfinite

import pytest

from bench.__main__ import PARTS
from bench.rounds import Options

_SMALL = Options(rounds=1, scale=0.02, open=2_000)


@pytest.mark.soak
@pytest.mark.seconds(1_200)
@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_the_bench_comes_to_figures(part: str) -> None:
    found = PARTS[part](_SMALL)
    assert found.figures
    assert all(isfinite(figure.value) for figure in found.figures)
