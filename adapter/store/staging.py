"""One load's rows: devices and channels found, repeats and revisions told apart, all hidden yet."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import apsw
import msgspec

from adapter.commands.completion import component_for, same_quantity
from adapter.engine.data_ports import Batch, Counts, LoadId, PayloadId
from adapter.model.device import Device, DeviceView
from adapter.model.ids import EndpointId
from adapter.readings.lookups import IdType, Lookups
from adapter.readings.normalise import seed_of
from adapter.readings.seeds import BadPart, EventSeed, Normal, Rejected, Row, Unmapped
from adapter.store import measured
from adapter.store.rows import decode_device

_MOST_CACHED: Final = 50_000
_ENCODE: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class _Channel:
    number: int


@dataclass(frozen=True, slots=True)
class _Filtered:
    """The device has no measuring component for this."""


@dataclass(frozen=True, slots=True)
class _NoDevice:
    pass


_Found = _Channel | _Filtered | _NoDevice
_Before = tuple[int, int, str | None, str | None, int, str]
"""(load, n, value, external, condition, statuses) of the revision that counts until now."""


class Staging:
    """Puts batches of one load. Used on the writing thread, one batch after the other.

    What a device is configured for is looked up once a load.
    """

    def __init__(self, payload: PayloadId, load: LoadId, lookups: Lookups) -> None:
        self.load = load
        self._payload = payload
        self._lookups = lookups
        self._channels: dict[tuple[str, str, str, str, str, int, str], _Found] = {}
        self._devices: dict[tuple[str, str], Device | None] = {}
        self._conversions: dict[str, int] = {}

    def put(self, db: apsw.Connection, batch: Batch) -> Counts:
        counts = Counts(
            parts=batch.parts,
            errors=len(batch.rejected),
            bad_parts=len(batch.bad),
            unreported=batch.unreported,
        )
        for normal in batch.normals:
            self._put(db, normal, counts)
        for part, rejected in batch.rejected:
            counts.values += len(rejected.seed.texts)
            self._put_error(db, part, rejected)
        for bad in batch.bad:
            self._put_bad(db, bad)
        blocks = [(self.load, *block) for block in batch.blocks]
        db.executemany(measured.INSERT_BLOCK, blocks)
        self._put_events(db, batch.events, counts)
        return counts

    # ------------------------------------------------------------ values

    def _put(self, db: apsw.Connection, normal: Normal, counts: Counts) -> None:
        counts.values += len(normal.rows)
        found = self._channel(db, normal)
        if isinstance(found, _Filtered):
            counts.filtered += len(normal.rows)
        elif isinstance(found, _NoDevice):
            counts.errors += 1
            detail = f"{normal.identifier or '-'} / {normal.serial or '-'}"
            rejected = Rejected(why=Unmapped.DEVICE, detail=detail, seed=seed_of(normal))
            self._put_error(db, normal.part, rejected)
        elif normal.rows:
            self._insert(db, found.number, normal, counts)

    def _insert(self, db: apsw.Connection, channel: int, normal: Normal, counts: Counts) -> None:
        rows, load = normal.rows, self.load
        conversion = self._conversion(db, normal.conversion)
        known = self._known(db, channel, rows)
        if not known and _distinct(rows):
            counts.new += len(rows)
            db.executemany(
                measured.INSERT_MEASURED,
                [
                    (channel, at, load, 0, value, external, condition, statuses, conversion)
                    for at, value, external, condition, statuses in rows
                ],
            )
            return
        made = []
        for at, value, external, condition, statuses in rows:
            before = known.get(at)
            number = 0
            if before is not None:
                if _same(before[2:], (value, external, condition, statuses)):
                    counts.repeated += 1
                    continue
                counts.revised += 1
                number = before[1] + 1 if before[0] == load else 0
            else:
                counts.new += 1
            told = (value, external, condition, statuses)
            made.append((channel, at, load, number, *told, conversion))
            known[at] = (load, number, *told)
        db.executemany(measured.INSERT_MEASURED, made)

    def _known(self, db: apsw.Connection, channel: int, rows: list[Row]) -> dict[int, _Before]:
        """The latest revision of each time that is seen, or is of this load."""
        span = {"channel": channel, "load": self.load, "start": rows[0][0], "end": rows[-1][0]}
        return {row[0]: row[1:] for row in db.execute(measured.KNOWN, span)}

    def _conversion(self, db: apsw.Connection, words: str) -> int:
        number = self._conversions.get(words)
        if number is None:
            number = db.execute(measured.CONVERSION, (words,)).get
            if number is None:
                number = db.execute(measured.INSERT_CONVERSION, (words,)).get
            self._conversions[words] = number
        return number

    # ------------------------------------------------------------ devices and channels

    def _channel(self, db: apsw.Connection, normal: Normal) -> _Found:
        key = (
            normal.identifier,
            normal.serial,
            normal.kind.value,
            normal.quantity,
            normal.source,
            normal.seconds,
            normal.unit,
        )
        found = self._channels.get(key)
        if found is None:
            if len(self._channels) >= _MOST_CACHED:
                self._channels.clear()
            found = self._channels[key] = self._find_channel(db, normal)
        return found

    def _find_channel(self, db: apsw.Connection, normal: Normal) -> _Found:
        device = self._device(db, normal.identifier, normal.serial)
        if device is None:
            return _NoDevice()
        quantity = same_quantity(normal.quantity)
        component = component_for(DeviceView(device=device), quantity, normal.kind)
        if component is None:
            if not self._lookups.keep_all:
                return _Filtered()
            component = f"{device.id}:{quantity}"
        endpoint = device.endpoint or normal.identifier
        key = (
            device.id,
            component,
            normal.kind.value,
            quantity,
            normal.source,
            normal.seconds,
            endpoint,
            normal.unit,
        )
        number = db.execute(measured.CHANNEL, key).get
        if number is None:
            words = (normal.quantity, normal.tou, normal.sqi)
            number = db.execute(measured.INSERT_CHANNEL, (*key, *words)).get
        return _Channel(number)

    def _device(self, db: apsw.Connection, identifier: str, serial: str) -> Device | None:
        key = (identifier, serial)
        if key not in self._devices:
            if len(self._devices) >= _MOST_CACHED:
                self._devices.clear()
            self._devices[key] = _find_device(db, identifier, serial, self._lookups.ids)
        return self._devices[key]

    # ------------------------------------------------------------ the rest

    def _put_error(self, db: apsw.Connection, part: int, rejected: Rejected) -> None:
        seed = rejected.seed
        values = (
            self.load,
            self._payload,
            part,
            seed.position,
            seed.identifier,
            rejected.why.value,
            rejected.detail,
            _ENCODE(seed),
        )
        db.execute(measured.INSERT_ERROR, values)

    def _put_bad(self, db: apsw.Connection, bad: BadPart) -> None:
        values = (
            self.load,
            self._payload,
            bad.index,
            bad.position,
            "",
            Unmapped.PART.value,
            bad.reason,
            bad.xml,
        )
        db.execute(measured.INSERT_ERROR, values)

    def _put_events(
        self, db: apsw.Connection, events: Iterable[tuple[int, EventSeed]], counts: Counts
    ) -> None:
        rows = [
            (self.load, EndpointId(seed.identifier), at, seed.exception, seed.name, _ENCODE(seed))
            for at, seed in events
        ]
        counts.events += len(rows)
        db.executemany(measured.INSERT_EVENT, rows)


def _find_device(
    db: apsw.Connection, identifier: str, serial: str, ids: tuple[IdType, ...]
) -> Device | None:
    for kind in ids:
        query, key = (
            (measured.DEVICE_OF_ESN, identifier)
            if kind is IdType.ESN
            else (measured.DEVICE_OF_SERIAL, serial)
        )
        body = db.execute(query, (key,)).get if key else None
        if body is not None:
            return decode_device(body)
    return None


def _distinct(rows: list[Row]) -> bool:
    """Interval rows rise by construction; several registers of one seed do not exist."""
    return len(rows) < 2 or rows[0][0] < rows[1][0]


def _same(
    one: tuple[str | None, str | None, int, str], other: tuple[str | None, str | None, int, str]
) -> bool:
    """Whether two rows say the same; numbers by what they are worth."""
    if one[2:] != other[2:] or (one[0] is None) != (other[0] is None):
        return False
    return one[0] == other[0] and _worth(one[1]) == _worth(other[1])


def _worth(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
