"""One part of a payload, an element that is whole, to seeds: by position, else by local name."""

import re
from collections.abc import Callable
from datetime import UTC
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Final, TypeVar

from lxml import etree

from adapter.commands.calls import ReadingKind
from adapter.errors import ContractViolation
from adapter.model.date_time import is_unset, read_date_time
from adapter.model.whole_numbers import XS_INTEGERS, read_whole
from adapter.readings.seeds import BadPart, EventSeed, Part, Seed
from adapter.wire.runs import numbers_of, restored
from adapter.wire.xml import XSI, local_name, namespace, where

PART_NAMES: Final = ("ReadData", "MeterException", "EventLog")
"""EventLog by itself is a part where no ReadData is around it: the content of EventsArrived."""

_NAMESPACES: Final = frozenset(
    {
        "http://www.itron.com/ami/2008/10/data",
        "http://www.itron.com/ami/2008/10/events",
        "http://www.itron.com/ami/2009/08/subscriptions",
        "http://www.itron.com/ami/2009/08/subscribers",
    }
)
_NIL: Final = f"{{{XSI}}}nil"
_NAMES_BESIDE: Final = ("{*}Identifier", "{*}ElectronicSerialNumber", "{*}DeviceSerialNumber")
_TRUE: Final = ("true", "1")
_SCALED: Final = MappingProxyType({"None": False, "Scaled": True})
_ONE: Final = re.compile(r"[+]?0*1(\.0*)?", re.ASCII)
_LONGEST_TEXT: Final = 4096
KEPT_XML: Final = 64 * 1024
"""So much is kept of the XML of a bad part."""
_REASONS: Final = 20
"""So many bad pieces of a part are told by themselves."""
_PLACES: Final = 5
T = TypeVar("T")


class _Pieces:
    """Reads the pieces of one part. One that is nil or bad is left out and kept among `reasons`
    with its place: `LoadProfileChannel[2]/IntervalValue[3]: is nil`."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def read(self, make: Callable[[], T], at: str, otherwise: T) -> T:
        try:
            return make()
        except ContractViolation as error:
            self.reasons.append(f"{at}/{_in_short(error)}")
            return otherwise

    def all(
        self, make: Callable[[etree._Element, str], T], of: list[etree._Element], at: str
    ) -> list[T]:
        """`make` is given each item that is not nil, and its place."""
        nil = [number for number, item in enumerate(of, 1) if _is_nil(item)]
        self.lost(at, nil, "is nil")
        found = (
            self.read(partial(make, item, f"{at}[{number}]"), f"{at}[{number}]", None)
            for number, item in enumerate(of, 1)
            if not _is_nil(item)
        )
        return [item for item in found if item is not None]

    def lost(self, at: str, numbers: list[int], why: str) -> None:
        """One reason for all of a list that are lost for the same."""
        if numbers:
            places = ", ".join(f"[{number}]" for number in numbers[:_PLACES])
            more = f" and {len(numbers) - _PLACES} more" if len(numbers) > _PLACES else ""
            self.reasons.append(f"{at}{places}{more}: {why}")

    def bad(
        self, element: etree._Element, index: int, position: int, identifier: str, serial: str
    ) -> tuple[BadPart, ...]:
        reasons = self.reasons[:_REASONS]
        if len(self.reasons) > _REASONS:
            reasons.append(f"and {len(self.reasons) - _REASONS} more pieces that cannot be read")
        return tuple(
            BadPart(
                index=index,
                position=position,
                reason=reason,
                xml=b"" if number else kept_xml(element),
                identifier=identifier,
                serial=serial,
            )
            for number, reason in enumerate(reasons)
        )


def kept_xml(element: etree._Element) -> bytes:
    """What is kept of a part that cannot be read as a whole."""
    return etree.tostring(restored(element), with_tail=False)[:KEPT_XML]


def read_part(element: etree._Element, *, index: int, position: int) -> Part:
    """Raises ContractViolation naming what is missing or wrong of the part itself; then none of it
    is taken. What is nil or wrong further in costs the smallest piece it stands in: an interval,
    a channel, a register, an event, the block info. See `Part.bad`."""
    if namespace(element) not in _NAMESPACES:
        raise ContractViolation(f"{element.tag[:200]} is in no namespace of the contract")
    if _is_nil(element):
        raise ContractViolation("is nil", at=local_name(element))
    return _READERS[local_name(element)](element, index, position)


def _read_data(element: etree._Element, index: int, position: int) -> Part:
    fields, pieces = _fields(element), _Pieces()
    block, blocks = pieces.read(lambda: _block(fields), "ReadData/BlockInfo", (0, 0))

    def beside(name: str) -> str:
        return pieces.read(lambda: _text(fields, name), "ReadData", "")

    head = _Head(
        identifier=_text(fields, "Identifier") or _text(fields, "ElectronicSerialNumber"),
        serial=beside("DeviceSerialNumber"),
        device_class=beside("DeviceClass"),
        scaling=beside("ScalingType"),
        block=block,
        blocks=blocks,
        position=position,
    )
    if not head.identifier and not head.serial:
        raise ContractViolation("is missing", at="ReadData/Identifier")
    channels, registers = _items(fields, "LoadProfileChannels"), _items(fields, "RegisterValues")
    seeds = pieces.all(partial(_channel, head, pieces), channels, "LoadProfileChannel")
    seeds += pieces.all(partial(_register, head), registers, "RegisterValue")
    log = fields.get("EventLog")
    device = (head.identifier, head.serial, head.device_class)
    return Part(
        index=index,
        position=position,
        identifier=head.identifier,
        seeds=tuple(seeds),
        events=() if log is None else _events(log, device, position, pieces),
        unreported=0 if log is None else _unreported(log, pieces),
        bad=pieces.bad(element, index, position, head.identifier, head.serial),
    )


def _block(fields: "dict[str, etree._Element]") -> tuple[int, int]:
    """(number, of how many); 0 of 0 where the part is no block."""
    info = fields.get("BlockInfo")
    if info is None or not len(info):
        return 0, 0
    numbers = _fields(info)
    return _count(numbers, "Block"), _count(numbers, "TotalBlocks")


class _Head:
    """What all seeds of one ReadData share."""

    __slots__ = ("block", "blocks", "device_class", "identifier", "position", "scaling", "serial")

    def __init__(
        self,
        *,
        identifier: str,
        serial: str,
        device_class: str,
        scaling: str,
        block: int,
        blocks: int,
        position: int,
    ) -> None:
        self.identifier = identifier
        self.serial = serial
        self.device_class = device_class
        self.scaling = scaling
        self.block = block
        self.blocks = blocks
        self.position = position


def _channel(head: _Head, pieces: _Pieces, element: etree._Element, place: str) -> Seed:
    fields, lost = _fields(element), dict[str, list[int]]()
    texts, statuses = _values(fields.get("IntervalValues"), lost)
    seed = Seed(
        identifier=head.identifier,
        serial=head.serial,
        device_class=head.device_class,
        kind=ReadingKind.INTERVAL,
        quantity=_needed(fields, "Quantity"),
        at=_needed(fields, "TimeDataEnd"),
        minutes=_count(fields, "IntervalLength", "unsignedShort"),
        pulse=_text(fields, "PulseMultiplier"),
        scaled=_is_scaled(head, fields),
        texts=texts,
        statuses=statuses,
        block=head.block,
        blocks=head.blocks,
        position=head.position,
    )
    for why, numbers in lost.items():
        pieces.lost(f"{place}/IntervalValue", numbers, why)
    return seed


def _is_scaled(head: _Head, fields: "dict[str, etree._Element]") -> bool:
    """Whether the multiplier is in the values already. Where nobody says so, it has to be 1."""
    scaled = _SCALED.get(head.scaling)
    if scaled is None and _ONE.fullmatch(_text(fields, "PulseMultiplier")) is None:
        word = f"{head.scaling[:60]!r} is unknown" if head.scaling else "is missing"
        raise ContractViolation(f"{word}: nobody knows whether these are pulses", at="ScalingType")
    return scaled is not False


def _values(
    values: etree._Element | None, lost: dict[str, list[int]]
) -> tuple[tuple[str, ...], dict[int, tuple[str, ...]]]:
    """The values, and the statuses of those that have any; an empty list of statuses is normal
    (inferred). What follows alike is taken at once, see `runs`: this is the hot path.

    An interval without a value keeps its place as "", and is in `lost` under why.
    """
    texts: list[str] = []
    statuses: dict[int, tuple[str, ...]] = {}
    words: tuple[str, ...] = ()
    for interval in () if values is None else values:
        number = len(texts)
        alike = numbers_of(interval)
        if alike is not None:
            texts += alike
        else:
            text, why = _value_by_name(interval)
            texts.append(text)
            words = () if why or not any(map(len, interval)) else _statuses(interval)
            if why:
                lost.setdefault(why, []).append(number + 1)
        if words:
            statuses.update(dict.fromkeys(range(number, len(texts)), words))
    return tuple(texts), statuses


def _value_by_name(interval: etree._Element) -> tuple[str, str]:
    """(value, why there is none)."""
    if _name_of(interval.tag) != "IntervalValue":
        raise ContractViolation("is no IntervalValue", at=where(interval))
    if interval.attrib and _is_nil(interval):
        return "", "is nil"
    try:
        return _needed(_fields(interval), "ChannelValue"), ""
    except ContractViolation as error:
        return "", _in_short(error)


def _statuses(interval: etree._Element) -> tuple[str, ...]:
    return tuple(
        (word.text or "").strip()
        for item in interval
        if len(item) and local_name(item) in ("ProfileStatuses", "ExtendedProfileStatuses")
        for word in item
        if not _is_nil(word)
    )


def _register(head: _Head, element: etree._Element, place: str) -> Seed:
    fields = _fields(element)
    status = _items(fields, "Status")
    words = tuple((item.text or "").strip() for item in status if not _is_nil(item))
    return Seed(
        identifier=head.identifier,
        serial=head.serial,
        device_class=head.device_class,
        kind=ReadingKind.REGISTER,
        quantity=_needed(fields, "Quantity"),
        source=_text(fields, "Source"),
        at=_needed(fields, "Timestamp"),
        texts=(_text(fields, "Value"),),
        statuses={0: words} if words else {},
        block=head.block,
        blocks=head.blocks,
        position=head.position,
    )


# ---------------------------------------------------------------- events


def _event_log(element: etree._Element, index: int, position: int) -> Part:
    """The content of EventsArrived: the device stands beside the log (inferred)."""
    beside = _beside(element)
    identifier = _text(beside, "Identifier") or _text(beside, "ElectronicSerialNumber")
    if not identifier:
        raise ContractViolation("is missing", at="Identifier")
    pieces, device = _Pieces(), (identifier, _text(beside, "DeviceSerialNumber"), "")
    return Part(
        index=index,
        position=position,
        identifier=identifier,
        events=_events(element, device, position, pieces),
        unreported=_unreported(element, pieces),
        bad=pieces.bad(element, index, position, identifier, device[1]),
    )


def _unreported(log: etree._Element, pieces: _Pieces) -> int:
    """A negative count says nothing."""
    fields = _fields(log)
    return max(pieces.read(lambda: _count(fields, "UnreportedEventCount"), "EventLog", 0), 0)


def _events(
    log: etree._Element, device: tuple[str, str, str], position: int, pieces: _Pieces
) -> tuple[EventSeed, ...]:
    """`device` is (identifier, serial number, device class)."""
    items = _items(_fields(log), "MeterEvents")
    return tuple(pieces.all(partial(_event, device, position), items, "MeterEvent"))


def _event(
    device: tuple[str, str, str], position: int, item: etree._Element, place: str
) -> EventSeed:
    fields = _fields(item)
    return EventSeed(
        identifier=device[0],
        serial=device[1],
        device_class=device[2],
        at=_needed_time(fields, "Timestamp"),
        category=_text(fields, "Category"),
        log_type=_text(fields, "LogType"),
        name=_text(fields, "Name"),
        number=_count(fields, "ID") if "ID" in fields else None,
        source=_text(fields, "Source"),
        sequence=_count(fields, "SequenceNumber") if "SequenceNumber" in fields else None,
        arguments=_arguments(fields),
        position=position,
    )


def _exception(element: etree._Element, index: int, position: int) -> Part:
    fields = _fields(element)
    identifier = _needed(fields, "ElectronicSerialNumber")
    received = _time(fields, "ReceivedWhen")
    at = _time(fields, "Timestamp") or received
    if not at:
        raise ContractViolation("is missing", at="MeterException/Timestamp")
    if not _is_time(at) and not _is_time(received):
        raise ContractViolation(f"{at[:40]!r} is no time", at="MeterException/Timestamp")
    event = EventSeed(
        identifier=identifier,
        exception=True,
        at=at,
        received=received,
        category=_text(fields, "ExceptionCategory"),
        name=_text(fields, "Name"),
        number=_count(fields, "ID") if "ID" in fields else None,
        sequence=_count(fields, "SequenceNumber") if "SequenceNumber" in fields else None,
        arguments=_arguments(fields),
        position=position,
    )
    return Part(index=index, position=position, identifier=identifier, events=(event,))


def _arguments(fields: "dict[str, etree._Element]") -> tuple[tuple[str, str], ...]:
    found = (_fields(item) for item in _items(fields, "Arguments") if not _is_nil(item))
    return tuple((_text(item, "Name"), _text(item, "Value")) for item in found)


def identifier_of(element: etree._Element) -> str:
    """Whose part it is, as far as that can be read in one that is bad."""
    return _first_text(element, ("Identifier", "ElectronicSerialNumber"))


def serial_of(element: etree._Element) -> str:
    """Likewise the serial number, which names the device where nothing else does."""
    return _first_text(element, ("DeviceSerialNumber",))


def _first_text(element: etree._Element, names: tuple[str, ...]) -> str:
    for fields in (_fields(element), _beside(element)):
        for name in names:
            text = (fields[name].text or "").strip() if name in fields else ""
            if text and len(text) <= _LONGEST_TEXT:
                return text
    return ""


_READERS: Final = MappingProxyType[str, Callable[[etree._Element, int, int], Part]](
    {"ReadData": _read_data, "MeterException": _exception, "EventLog": _event_log}
)

# ---------------------------------------------------------------- children


def _fields(element: etree._Element) -> "dict[str, etree._Element]":
    """The children by local name; the first of a name counts, nil ones are left out."""
    found: dict[str, etree._Element] = {}
    for child in element:
        if not child.attrib or not _is_nil(child):
            found.setdefault(_name_of(child.tag), child)
    return found


@lru_cache(maxsize=256)
def _name_of(tag: object) -> str:
    """The local name; none of a processing instruction, whose tag is no text."""
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def _beside(log: etree._Element) -> "dict[str, etree._Element]":
    """The names of a device beside a log of its own; nothing beside another part is its own.

    There may be thousands of siblings for each of thousands: libxml2 looks through them.
    """
    parent = log.getparent() if local_name(log) == "EventLog" else None
    found: dict[str, etree._Element] = {}
    for child in () if parent is None else parent.iterchildren(*_NAMES_BESIDE):
        if not _is_nil(child):
            found.setdefault(local_name(child), child)
    return found


def _is_nil(element: etree._Element) -> bool:
    return bool(element.attrib) and element.get(_NIL, "").strip() in _TRUE


def _in_short(error: ContractViolation) -> str:
    """By the element's own name: whoever reads it in a piece knows what is above it."""
    return str(error)[error.at.rfind("/") + 1 :]


def _items(fields: "dict[str, etree._Element]", name: str) -> list[etree._Element]:
    element = fields.get(name)
    return [] if element is None else list(element)


def _text(fields: "dict[str, etree._Element]", name: str) -> str:
    element = fields.get(name)
    if element is None:
        return ""
    if len(element):
        raise ContractViolation("has elements where text belongs", at=where(element))
    text = (element.text or "").strip()
    if len(text) > _LONGEST_TEXT:
        raise ContractViolation(f"is longer than {_LONGEST_TEXT} characters", at=where(element))
    return text


def _needed(fields: "dict[str, etree._Element]", name: str) -> str:
    text = _text(fields, name)
    if not text:
        raise ContractViolation("is missing", at=name)
    return text


def _time(fields: "dict[str, etree._Element]", name: str) -> str:
    """A time that nobody set is absent."""
    text = _text(fields, name)
    return "" if is_unset(text) else text


def _is_time(text: str) -> bool:
    try:
        read_date_time(text, UTC)
    except (ValueError, OverflowError):
        return False
    return True


def _needed_time(fields: "dict[str, etree._Element]", name: str) -> str:
    text = _needed(fields, name)
    if is_unset(text):
        raise ContractViolation(f"nobody set it: {text}", at=name)
    return text


def _count(fields: "dict[str, etree._Element]", name: str, kind: str = "int") -> int:
    """A number of the contract's type; 0 where it is absent."""
    try:
        text = _text(fields, name)
        return _whole(text, kind) if text else 0
    except ValueError as error:
        raise ContractViolation(str(error), at=name) from None


@lru_cache(maxsize=256)
def _whole(text: str, kind: str) -> int:
    return read_whole(text, XS_INTEGERS[kind])
