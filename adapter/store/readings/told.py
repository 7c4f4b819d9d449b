"""Readings that crews took or people entered, as rows of reports."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

import apsw
import msgspec

from adapter.commands.calls import ReadingKind
from adapter.engine.readings.reports import Origin, ValueRow, Wanted
from adapter.errors import InvalidRequest
from adapter.model.device import Device
from adapter.model.measurement import Entered
from adapter.readings.normalise import text_of
from adapter.store import rows
from adapter.store.commands import queries
from adapter.store.readings import reported

_MOST_DIGITS: Final = 60
_decode: Final = msgspec.json.Decoder(Entered).decode


def after(db: apsw.Connection, wanted: Wanted, key: str) -> Iterator[tuple[str, ValueRow]]:
    """(key, row) of each that `wanted` means, of any component, by device and time, after a key.

    Raises InvalidRequest where there is no such key.
    """
    if key and db.execute(reported.TOLD_KEY, (key,)).get is None:
        raise InvalidRequest("cursor", "must be `next` of the page before")
    query = reported.told(device=wanted.device is not None, resumed=bool(key))
    values = {
        "device": wanted.device,
        "start": rows.micros(wanted.start),
        "end": rows.micros(wanted.end),
        "key": key,
    }
    known: Device | None = None
    found = db.execute(query, {name: v for name, v in values.items() if f":{name}" in query})
    for id_, device, body in found:
        if known is None or known.id != device:
            stored = db.execute(queries.DEVICE, (device,)).get
            known = None if stored is None else rows.decode_device(stored)
        yield id_, _row(device, known, _decode(body))


def _row(device: str, known: Device | None, told: Entered) -> ValueRow:
    """A crew's is told by its report, which gives the reading its id."""
    components = () if known is None else known.components
    component = next((each for each in components if each.id == told.component), None)
    entered = told.entered_at is not None
    return ValueRow(
        device=device,
        endpoint=(known.endpoint or "") if known is not None else "",
        component=told.component,
        kind=ReadingKind.REGISTER.value,
        quantity=component.quantity if component is not None else "",
        source="",
        seconds=0,
        unit=component.unit if component is not None else "",
        tou="",
        sqi="",
        start=None,
        at=rows.micros(told.at),
        value=_text_of(told.value),
        external=None,
        condition=told.condition,
        statuses="",
        conversion="",
        load=0,
        number=0,
        payload=0,
        origin=Origin.ENTERED.value if entered else Origin.CREW.value,
        told_by=told.by if entered else told.id.removesuffix(f"/{told.component}"),
        entered_at=rows.micros_or_none(told.entered_at),
    )


def _text_of(value: Decimal) -> str:
    """Written out, but for absurd exponents, which nobody refused: 1e999999 is a megabyte."""
    return text_of(value) if abs(value.adjusted()) <= _MOST_DIGITS else str(value)
