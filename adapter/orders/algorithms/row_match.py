"""Which row of a list a service point is in: the first that matches."""

from collections.abc import Sequence

from adapter.orders.algorithms.rows import Row
from adapter.orders.order import View


def first_match(rows: Sequence[Row], view: View) -> Row | None:
    """The first row all of whose conditions hold; a row of another category never matches."""
    return next((row for row in rows if matches(row, view)), None)


def matches(row: Row, view: View) -> bool:
    point = view.service_point
    return (
        row.connected in (None, point.connected)
        and row.disconnect_location in (None, point.disconnect_location)
        and row.device_installed in (None, view.device_installed)
        and row.status in (None, view.status)
        and row.category in (None, point.category)
        and row.sp_type in ("", point.sp_type)
    )
