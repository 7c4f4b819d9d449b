"""A body to batches of normalised rows, small enough to be stored between two other writes."""

from collections.abc import Collection, Iterable, Iterator

from adapter.engine.readings.ports import Batch
from adapter.model.values import replace
from adapter.readings.blocks import span_of
from adapter.readings.lookups import Lookups
from adapter.readings.normalise import (
    moment_of,
    moment_or_problem,
    normalise,
    receipt_words,
    zone_words,
)
from adapter.readings.seeds import BadPart, EventSeed, Normal, Part, RejectedSeed, Seed
from adapter.wire.stream import USUAL, PartBounds, parts

_VALUES = 300
_RECORDS = 64


def batches(
    pieces: Iterable[bytes],
    lookups: Lookups,
    *,
    bounds: PartBounds = USUAL,
    only: Collection[int] = (),
) -> Iterator[Batch]:
    """Of all parts; or of those numbers `only`, each as a batch of its own, and no further.

    Raises wire.stream.Broken where the body cannot be read on.
    """
    made = _Making(lookups)
    if only:
        for part in parts(pieces, bounds):
            if part.index in only:
                made.add(part)
                yield made.take()
            if part.index >= max(only):
                return
        return
    for part in parts(pieces, bounds):
        made.add(part)
        if made.full:
            yield made.take()
    yield made.take()


def of_seeds(seeds: Iterable[tuple[int, Seed]], lookups: Lookups) -> Batch:
    """One batch of seeds that were kept, each with the index of its part."""
    made = _Making(lookups)
    for index, seed in seeds:
        made.add_seed(index, seed)
    return made.take()


def of_event(index: int, event: EventSeed, lookups: Lookups) -> Batch:
    """One batch of an event that was kept."""
    made = _Making(lookups)
    made.add_event(event, index=index, position=event.position)
    return made.take()


class _Making:
    def __init__(self, lookups: Lookups) -> None:
        self._lookups = lookups
        self._clear()

    def _clear(self) -> None:
        self._parts = 0
        self._normals: list[Normal] = []
        self._rejected: list[tuple[int, RejectedSeed]] = []
        self._bad: list[BadPart] = []
        self._events: list[tuple[int, EventSeed]] = []
        self._event_parts: list[int] = []
        self._blocks: list[tuple[str, int, int, int, int]] = []
        self._unreported = 0
        self._weight = 0

    @property
    def full(self) -> bool:
        return self._weight >= _VALUES

    def take(self) -> Batch:
        batch = Batch(
            parts=self._parts,
            normals=tuple(self._normals),
            rejected=tuple(self._rejected),
            bad=tuple(self._bad),
            events=tuple(self._events),
            event_parts=tuple(self._event_parts),
            blocks=tuple(self._blocks),
            unreported=self._unreported,
        )
        self._clear()
        return batch

    def add(self, part: Part | BadPart) -> None:
        self._parts += 1
        if isinstance(part, BadPart):
            self._bad.append(part)
            self._weight += _VALUES // _RECORDS
            return
        self._bad.extend(part.bad)
        if part.seeds or part.events or part.bad:  # one that is empty is only counted
            self._weight += _VALUES // _RECORDS
        normals = [self.add_seed(part.index, seed) for seed in part.seeds]
        self._blocks += span_of(part, [item for item in normals if item is not None])
        self._unreported += part.unreported
        for event in part.events:
            self.add_event(event, index=part.index, position=part.position)

    def add_seed(self, index: int, seed: Seed) -> Normal | None:
        found = normalise(seed, self._lookups, part=index)
        self._weight += len(seed.texts)
        if isinstance(found, RejectedSeed):
            self._rejected.append((index, found))
            return None
        self._normals.append(found)
        return found

    def add_event(self, event: EventSeed, *, index: int, position: int) -> None:
        zone, here = self._lookups.zone_of(event.device_class), self._lookups.zone_of("")
        found = moment_or_problem(event.at, zone)
        at = None if isinstance(found, str) else found
        conversion = zone_words(event.at, zone)
        if at is None:
            at = moment_of(event.received, here)
            conversion = receipt_words(event.received, here)
            reason = f"event {event.name[:60]!r} has no time: {event.at[:40]!r}"
            reason += str(found).removeprefix(event.at.strip()[:40])
            reason += "" if at is None else "; told under the time of its receipt"
            self._bad.append(
                BadPart(
                    index=index,
                    position=position,
                    reason=reason,
                    xml=b"",
                    identifier=event.identifier,
                    serial=event.serial,
                )
            )
        if at is None:
            return
        if conversion != event.conversion:
            event = replace(event, conversion=conversion)
        self._events.append((at, event))
        self._event_parts.append(index)
        self._weight += 4
