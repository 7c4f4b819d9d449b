"""One load's rows: devices and channels found, repeats and revisions told apart, all hidden yet."""

from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from typing import Final

import msgspec

from adapter.commands.calls import ReadingKind
from adapter.commands.completion import components_for, same_quantity
from adapter.engine.readings.ports import Batch, Counts, LoadId, PayloadId
from adapter.model.device import Device
from adapter.model.ids import DeviceId, EndpointId
from adapter.model.values import replace
from adapter.readings.components import fitting, of_component_that_disagrees
from adapter.readings.conditions import DAYLIGHT
from adapter.readings.life import Life, in_which_pass, life_of, within_life
from adapter.readings.lookups import IdType, Lookups
from adapter.readings.normalise import (
    FIRST,
    NOT_TOLD,
    SECOND,
    at_second_time,
    at_unsure_time,
    moment_of,
    receipt_words,
    second_moment_of,
    seed_of,
)
from adapter.readings.seeds import (
    DoubtedEvent,
    EventSeed,
    Normal,
    RejectedSeed,
    Row,
    Unmapped,
)
from adapter.store.connection import SqlConnection
from adapter.store.readings import device_days, queries
from adapter.store.rows import decode_device

_MOST_CACHED: Final = 4_000
_MOST_CANDIDATES: Final = 10
"""Devices of one name that an error record tells."""
_DAY: Final = 86_400_000_000
_ENCODE: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class _Channel:
    """`disagrees` says how what comes here is not what the component is said to measure."""

    number: int
    disagrees: str = ""


@dataclass(frozen=True, slots=True)
class _Filtered:
    """The device has no measuring component for this."""


@dataclass(frozen=True, slots=True)
class NoDevice:
    """Nobody has the name, or nobody can tell which of the `candidates` is meant."""

    candidates: tuple[DeviceId, ...] = ()


_Found = _Channel | _Filtered | NoDevice
_Before = tuple[int, int, str | None, str | None, int, str]
"""(load, n, value, head_end_value, condition, statuses) of the revision that counts until now."""


class Staging:
    """Puts the values of one load into the file of measurements, one batch after the other.

    What a device is configured for is looked up once, while it is remembered.
    """

    def __init__(self, payload: PayloadId, load: LoadId, lookups: Lookups) -> None:
        self.load = load
        self._payload = payload
        self._lookups = lookups
        self._begun = False
        self._channels: dict[tuple[str, str, str, str, str, int, str], _Found] = {}
        self._devices: dict[tuple[str, str], Device | NoDevice] = {}
        self._conversions: dict[str, int] = {}
        self._shown: dict[int, bool] = {load: True}
        self._lives: dict[DeviceId | None, Life] = {}

    def put(self, db: SqlConnection, gateway: SqlConnection, batch: Batch) -> tuple[Counts, Batch]:
        """What became of everything in the batch, and what is left of it for `put_rest`.

        `gateway` reads loads and devices; it may be the same connection.
        """
        if not self._begun:
            # A gateway's file restored from a backup counts loads again that are here already.
            device_days.forget_from(db, self.load)
            db.execute(queries.FORGET_LOADS, (self.load,))
            self._begun = True
        counts = Counts(
            parts=batch.parts,
            errors=len(batch.rejected),
            bad_parts=len(batch.bad),
            unreported=batch.unreported,
        )
        counts.rejected += sum(len(rejected.seed.texts) for _, rejected in batch.rejected)
        unknown: list[tuple[int, RejectedSeed]] = []
        for normal in batch.normals:
            rejected = self._put(db, gateway, normal, counts)
            if rejected is not None:
                unknown.append((normal.part, rejected))
        events, doubted = self._believed(gateway, batch)
        counts.errors += len(unknown) + len(doubted)
        counts.events = len(events)
        rejected_now = (*unknown, *batch.rejected)
        rest = replace(
            batch,
            normals=(),
            rejected=rejected_now,
            events=events,
            event_parts=(),
            doubted=doubted,
        )
        return counts, rest

    # ------------------------------------------------------------ values

    def _put(
        self, db: SqlConnection, gateway: SqlConnection, normal: Normal, counts: Counts
    ) -> RejectedSeed | None:
        """The seed again, where its device is not known, or its component disagrees."""
        found = self._channel(db, gateway, normal)
        if isinstance(found, NoDevice):
            counts.rejected += len(normal.rows)
            detail = f"{normal.identifier or '-'} / {normal.serial or '-'}"
            if found.candidates:
                detail += f": may be {', '.join(found.candidates)}"
            return RejectedSeed(why=Unmapped.DEVICE, detail=detail, seed=seed_of(normal))
        if isinstance(found, _Filtered):
            counts.filtered += len(normal.rows)
        elif normal.rows:
            life = self._life(gateway, normal.identifier, normal.serial)
            believed = within_life(normal, life)
            if found.disagrees:
                believed = of_component_that_disagrees(believed, found.disagrees)
            settled = self._settled(db, gateway, found.number, believed)
            if settled is None:
                counts.rejected += len(normal.rows)
                detail = f"{normal.at[:40]} comes twice, and other values have both times"
                return RejectedSeed(why=Unmapped.TIME, detail=detail, seed=seed_of(normal))
            self._insert(db, gateway, found.number, settled, counts)
        counts.values += len(normal.rows)
        if isinstance(found, _Channel) and found.disagrees and normal.rows:
            return RejectedSeed(
                why=Unmapped.DISAGREES, detail=found.disagrees, seed=seed_of(normal)
            )
        return None

    # ------------------------------------------------------------ times that are not believed

    def _life(self, gateway: SqlConnection, identifier: str, serial: str) -> Life:
        device = self._device(gateway, identifier, serial)
        name = None if isinstance(device, NoDevice) else device.id
        if name not in self._lives:
            if len(self._lives) >= _MOST_CACHED:
                self._lives.clear()
            received = gateway.execute(queries.RECEIVED, (self._payload,)).get
            installed = gateway.execute(queries.FIRST_INSTALLED, (name,)).get
            self._lives[name] = life_of(installed=installed, received=received)
        return self._lives[name]

    def _believed(
        self, gateway: SqlConnection, batch: Batch
    ) -> tuple[tuple[tuple[int, EventSeed], ...], tuple[DoubtedEvent, ...]]:
        """The events that are told, and those of whose time there is a doubt. An exception of that
        kind is told under the time at which the head end received it."""
        events: list[tuple[int, EventSeed]] = []
        doubted: list[DoubtedEvent] = []
        parts = batch.event_parts or (0,) * len(batch.events)
        for part, (at, seed) in zip(parts, batch.events, strict=True):
            life = self._life(gateway, seed.identifier, seed.serial)
            doubt = life.doubt(at)
            if not doubt:
                when, known = self._pass(at, seed, life)
                events.append((when, _of_two(seed, at, when, known)))
                if not known:
                    detail = (
                        f"event {seed.name[:60]!r}: {seed.at[:40]} comes twice; told as the first"
                    )
                    doubted.append(DoubtedEvent(part=part, detail=detail, seed=seed))
                continue
            here = self._lookups.zone_of("")
            received = moment_of(seed.received, here)
            told = received is not None and not life.doubt(received)
            if told and received is not None:
                words = receipt_words(seed.received, here)
                events.append((received, replace(seed, conversion=words)))
            detail = f"event {seed.name[:60]!r}: {seed.at[:40]} {doubt}"
            detail += "; told under the time of its receipt" if told else ""
            doubted.append(DoubtedEvent(part=part, detail=detail, seed=seed))
        return tuple(events), tuple(doubted)

    # ------------------------------------------------------------ the hour that comes twice

    def _pass(self, at: int, seed: EventSeed, life: Life) -> tuple[int, bool]:
        """See `in_which_pass`. A receipt whose own time comes twice tells nothing."""
        zone, here = self._lookups.zone_of(seed.device_class), self._lookups.zone_of("")
        second = second_moment_of(seed.at, zone)
        if second is None or moment_of(seed.at, zone) != at:
            return at, True
        told = moment_of(seed.received, here)
        if second_moment_of(seed.received, here) is not None:
            told = None
        return in_which_pass(at, second, told=told, life=life)

    def _settled(
        self, db: SqlConnection, gateway: SqlConnection, channel: int, normal: Normal
    ) -> Normal | None:
        """Which of two times the values are of. Nothing is revised on a guess.

        A device that says elsewhere when it is daylight saving time means what it says (inferred).
        Else whatever comes first is the first; that it is not told says the condition.
        """
        if not normal.later:
            return normal
        interval = normal.kind is ReadingKind.INTERVAL
        if interval and normal.doubtful and self._flags(db, gateway, channel, normal):
            return at_second_time(normal)
        second = at_unsure_time(at_second_time(normal))
        first = at_unsure_time(normal) if normal.doubtful else normal
        return next(
            (each for each in (first, second) if self._is_free(db, gateway, channel, each)), None
        )

    def _flags(
        self, db: SqlConnection, gateway: SqlConnection, channel: int, normal: Normal
    ) -> bool:
        """Whether the device has said of the day before that it was daylight saving time."""
        end = normal.end + normal.later
        span = {"channel": channel, "start": normal.start - _DAY, "end": end, "word": DAYLIGHT}
        return any(self._is_shown(gateway, load) for (load,) in db.execute(queries.FLAGGED, span))

    def _is_free(
        self, db: SqlConnection, gateway: SqlConnection, channel: int, normal: Normal
    ) -> bool:
        """Whether no time of it has another value."""
        known = self._known(db, gateway, channel, normal.rows)
        return all(
            at not in known or known[at][3] == external for at, _, external, _, _ in normal.rows
        )

    # ------------------------------------------------------------ revisions

    def _insert(
        self,
        db: SqlConnection,
        gateway: SqlConnection,
        channel: int,
        normal: Normal,
        counts: Counts,
    ) -> None:
        rows, load = normal.rows, self.load
        conversion = self._conversion(db, normal.conversion)
        known = self._known(db, gateway, channel, rows)
        if not known and _distinct(rows):
            counts.new += len(rows)
            whole = len(rows) - len(rows) % queries.ROWS_AT_ONCE
            for start in range(0, whole, queries.ROWS_AT_ONCE):
                some = rows[start : start + queries.ROWS_AT_ONCE]
                db.execute(queries.INSERT_ROWS, (channel, load, conversion, *chain(*some)))
            db.executemany(
                queries.INSERT_MEASURED,
                [
                    (channel, at, load, 0, value, head_end_value, condition, statuses, conversion)
                    for at, value, head_end_value, condition, statuses in rows[whole:]
                ],
            )
            return
        made = []
        for at, value, head_end_value, condition, statuses in rows:
            before = known.get(at)
            number = 0
            if before is not None:
                if _same(before[2:], (value, head_end_value, condition, statuses)):
                    counts.repeated += 1
                    continue
                counts.revised += 1
                number = before[1] + 1 if before[0] == load else 0
            else:
                counts.new += 1
            told = (value, head_end_value, condition, statuses)
            made.append((channel, at, load, number, *told, conversion))
            known[at] = (load, number, *told)
        db.executemany(queries.INSERT_MEASURED, made)

    def _known(
        self, db: SqlConnection, gateway: SqlConnection, channel: int, rows: list[Row]
    ) -> dict[int, _Before]:
        """The latest revision of each time that is seen, or is of this load."""
        span = {"channel": channel, "start": rows[0][0], "end": rows[-1][0]}
        return {
            row[0]: row[1:]
            for row in db.execute(queries.KNOWN, span)
            if self._is_shown(gateway, row[1])
        }

    def _is_shown(self, gateway: SqlConnection, load: int) -> bool:
        shown = self._shown.get(load)
        if shown is None:
            state = gateway.execute(queries.STATE_OF_LOAD, (load,)).get
            shown = self._shown[load] = state == "loaded"
        return shown

    def _conversion(self, db: SqlConnection, words: str) -> int:
        number = self._conversions.get(words)
        if number is None:
            number = db.execute(queries.CONVERSION, (words,)).get
            if number is None:
                number = db.execute(queries.INSERT_CONVERSION, (words,)).get
            self._conversions[words] = number
        return number

    # ------------------------------------------------------------ devices and channels

    def _channel(self, db: SqlConnection, gateway: SqlConnection, normal: Normal) -> _Found:
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
            found = self._channels[key] = self._find_channel(db, gateway, normal)
        return found

    def _find_channel(self, db: SqlConnection, gateway: SqlConnection, normal: Normal) -> _Found:
        device = self._device(gateway, normal.identifier, normal.serial)
        if isinstance(device, NoDevice):
            return device
        quantity = same_quantity(normal.quantity)
        found = components_for(device, quantity, normal.kind)
        component, disagrees = f"{device.id}:{quantity}", ""
        if found:
            fits, disagrees = fitting(found, unit=normal.unit, seconds=normal.seconds)
            component = fits.id
        elif device.components and not self._lookups.keep_all:
            return _Filtered()
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
        number = db.execute(queries.CHANNEL, key).get
        if number is None:
            words = (normal.quantity, normal.tou, normal.sqi)
            number = db.execute(queries.INSERT_CHANNEL, (*key, *words)).get
        return _Channel(number, disagrees)

    def _device(self, gateway: SqlConnection, identifier: str, serial: str) -> Device | NoDevice:
        key = (identifier, serial)
        if key not in self._devices:
            if len(self._devices) >= _MOST_CACHED:
                self._devices.clear()
            self._devices[key] = find_device(gateway, identifier, serial, self._lookups.ids)
        return self._devices[key]


# ---------------------------------------------------------------- the rest, in the gateway's file


def put_rest(db: SqlConnection, payload: PayloadId, load: LoadId, batch: Batch) -> None:
    """Error records, bad parts, blocks and events of a batch."""
    key = (load, payload)
    for part, rejected in batch.rejected:
        seed = rejected.seed
        endpoint, detail = _identified(db, seed.identifier, seed.serial, rejected.detail)
        words = (rejected.why.value, detail, _ENCODE(seed))
        db.execute(queries.INSERT_ERROR, (*key, part, seed.position, endpoint, *words))
    for event in batch.doubted:
        told = event.seed
        endpoint, detail = _identified(db, told.identifier, told.serial, event.detail)
        words = (Unmapped.DOUBTFUL.value, detail, _ENCODE(told))
        db.execute(queries.INSERT_ERROR, (*key, event.part, told.position, endpoint, *words))
    for bad in batch.bad:
        endpoint, detail = _identified(db, bad.identifier, bad.serial, bad.reason)
        words = (Unmapped.PART.value, detail, bad.xml)
        db.execute(queries.INSERT_ERROR, (*key, bad.index, bad.position, endpoint, *words))
    db.executemany(queries.INSERT_BLOCK, [(load, *block) for block in batch.blocks])
    db.executemany(
        queries.INSERT_EVENT,
        [
            (load, EndpointId(seed.identifier), at, seed.exception, seed.name, _ENCODE(seed))
            for at, seed in batch.events
        ],
    )


def _identified(
    gateway: SqlConnection, identifier: str, serial: str, detail: str
) -> tuple[str, str]:
    """The endpoint and the detail of an error record: where only a serial number names the device,
    both say whose it is. The endpoint is the registry's, where one device alone has the number."""
    if identifier or not serial:
        return identifier, detail
    found = _named(gateway, IdType.SERIAL, serial)
    endpoint = found[0].endpoint if len(found) == 1 else None
    told = detail if serial in detail else f"{detail}; serial number {serial[:100]}"
    return endpoint or "", told


def find_device(
    gateway: SqlConnection, identifier: str, serial: str, ids: tuple[IdType, ...]
) -> Device | NoDevice:
    """The device that a payload names. `ids` say by what, in this order: the first name that is
    given decides, and is never replaced by another one that somebody knows.

    No device where several have the name, or where an ESN and a serial number contradict each
    other.
    """
    names = {IdType.ESN: identifier, IdType.SERIAL: serial}
    given = [kind for kind in ids if names[kind]]
    if not given:
        return NoDevice()
    found = _named(gateway, given[0], names[given[0]])
    if len(found) != 1:
        return NoDevice(candidates=tuple(each.id for each in found))
    (device,) = found
    if given[0] is IdType.ESN and len(given) > 1:
        others = _named(gateway, given[1], names[given[1]])
        if others and device.id not in {each.id for each in others}:
            return NoDevice(candidates=(device.id, *(each.id for each in others)))
    return device


def _named(gateway: SqlConnection, kind: IdType, name: str) -> list[Device]:
    """The devices of this name that are not removed; where there are none, those that were."""
    query = queries.DEVICES_OF_ESN if kind is IdType.ESN else queries.DEVICES_OF_SERIAL
    rows = list(gateway.execute(query, (name, _MOST_CANDIDATES)))
    there = [body for body, removed in rows if not removed]
    return [decode_device(body) for body in there or [body for body, _ in rows]]


def _of_two(seed: EventSeed, first: int, at: int, known: bool) -> EventSeed:
    """With what is known of which of two such times it is of; the first is the usual one."""
    if known and at == first:
        return seed
    words = (FIRST if at == first else SECOND) + ("" if known else NOT_TOLD)
    return replace(seed, conversion=seed.conversion + words)


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
