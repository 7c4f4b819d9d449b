"""How tests look at every module: with the collector at rest, and nothing kept after them."""

import gc
from collections.abc import Iterator

import pytest

from tests.architecture.sources import tree_of


@pytest.fixture(scope="package", autouse=True)
def trees() -> Iterator[None]:
    """A million nodes without a circle: to look for one takes longer than the tests."""
    gc.disable()
    yield
    tree_of.cache_clear()
    gc.enable()
