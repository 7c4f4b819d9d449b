"""The lookups that a site may extend: what the gateway comes with, and the site's own values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from adapter.orders.elements import ELEMENTS, ActivityElement


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLookups:
    """`elements` are those of an orchestration activity."""

    elements: Mapping[str, ActivityElement] = field(default_factory=lambda: ELEMENTS)


BASE: Final = OrderLookups()
