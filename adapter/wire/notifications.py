"""What the head end tells us unasked: status callbacks, readings, events, exceptions.

The wrappers of DataArrived and EventsArrived are inferred, so messages are told apart by the local
name of their element in any namespace they may come in.
"""

from collections.abc import Mapping
from datetime import UTC, timedelta, tzinfo
from decimal import Context, Decimal
from types import MappingProxyType
from typing import Final

from adapter.commands.calls import Reading, ReadingKind, RequestStatus
from adapter.errors import ContractViolation
from adapter.model.decimals import read_decimal
from adapter.model.entered_value import is_bounded
from adapter.model.ids import EndpointId
from adapter.wire.catalog import HOSTED_HERE
from adapter.wire.codec import Codec, DecodedMessage, Direction, JsonValue
from adapter.wire.operations import STATUS_HAS, request_status
from adapter.wire.scalars import Fields, count, group, groups, instant, needed, text
from adapter.wire.xml import MAX_BYTES, Soap, local_name, open_envelope

STATUS_CHANGED: Final = "RequestStatusChangedService.StatusChanged"
DATA_ARRIVED: Final = "DataSubscriberService.DataArrived"
EVENTS_ARRIVED: Final = "EventSubscriberService.EventsArrived"
EXCEPTIONS_ARRIVED: Final = "ExceptionSubscriberService.ExceptionsArrived"

MAX_DATA_BYTES: Final = 16 * 1024 * 1024
"""The most DataArrived that is read in one piece; larger ones want a streaming reader."""

INBOUND_HAS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        STATUS_CHANGED: tuple(f"RequestStatus/{path}" for path in STATUS_HAS),
        DATA_ARRIVED: tuple(
            f"ReadDataCollection/{path}"
            for path in (
                "Identifier",
                "RegisterValues/Quantity",
                "RegisterValues/Source",
                "RegisterValues/Timestamp",
                "RegisterValues/Value",
                "LoadProfileChannels/Quantity",
                "LoadProfileChannels/IntervalLength",
                "LoadProfileChannels/TimeDataEnd",
                "LoadProfileChannels/IntervalValues/ChannelValue",
            )
        ),
    }
)
"""The paths below `input` that a contract must have for a command to be carried."""

_EXACT: Final = Context(prec=240)


def status_changed(codec: Codec, body: bytes, *, zone: tzinfo = UTC) -> RequestStatus:
    """Read one StatusChanged, whoever sent it. Raises WireError naming the element that is missing
    or wrong."""
    return status_told(codec.decode(body, max_bytes=MAX_BYTES, known=False), zone=zone)


def status_told(message: DecodedMessage, *, zone: tzinfo = UTC) -> RequestStatus:
    """What a decoded StatusChanged says. Raises WireError as `status_changed` does."""
    fields = _input(message, STATUS_CHANGED)
    return request_status(group(fields, "RequestStatus"), zone=zone)


def data_arrived(codec: Codec, body: bytes, *, zone: tzinfo = UTC) -> tuple[Reading, ...]:
    """Every register and interval value of one DataArrived, in the order of the message.

    Raises WireError naming the element that is missing or wrong; then none of it is taken.
    """
    fields = _input(codec.decode(body, max_bytes=MAX_DATA_BYTES), DATA_ARRIVED)
    return tuple(
        reading
        for device in groups(fields, "ReadDataCollection")
        for reading in readings(device, zone=zone)
    )


def readings(device: Fields, *, zone: tzinfo = UTC) -> list[Reading]:
    """The values of one dat:ReadData."""
    endpoint = EndpointId(needed(device, "Identifier"))
    scaled = text(device, "ScalingType") != "None"
    found = [_register(endpoint, register, zone) for register in groups(device, "RegisterValues")]
    for channel in groups(device, "LoadProfileChannels"):
        found += _intervals(endpoint, channel, scaled, zone)
    return found


def inbound_operation(codec: Codec, body: bytes, soap_action: str | None) -> str:
    """The key of the operation that `body` calls on us.

    Raises WireError for a message that is none of ours, and where the SOAPAction header, if there
    is one, names another operation; the service part of inferred actions is not compared.
    """
    content = open_envelope(body, max_bytes=MAX_DATA_BYTES).content
    key, direction = codec.recognise(content.tag)
    if key not in HOSTED_HERE or direction is not Direction.REQUEST:
        raise ContractViolation("is not an operation of this listener", at=local_name(content))
    action = (soap_action or "").strip().strip('"')
    named = action.rpartition("/")[2] == HOSTED_HERE[key]
    if action and not named and action != codec.catalog.spec(key).soap_action:
        raise ContractViolation(f"{action[:200]} does not name {HOSTED_HERE[key]}", at="SOAPAction")
    return key


def acknowledgement(codec: Codec, key: str, soap_version: Soap = Soap.V11) -> bytes:
    """The empty response that tells the head end its message was taken."""
    return codec.encode_response(key, {}, soap=soap_version)


def _input(message: DecodedMessage, key: str) -> Fields:
    if message.operation != key or message.direction is not Direction.REQUEST:
        raise ContractViolation(f"is not {key}")
    return group(message.body, "input")


def _register(endpoint: EndpointId, fields: Fields, zone: tzinfo) -> Reading:
    return Reading(
        endpoint=endpoint,
        kind=ReadingKind.REGISTER,
        quantity=text(fields, "Quantity") or "",
        source=text(fields, "Source") or "",
        at=instant(needed(fields, "Timestamp"), zone=zone),
        value=_number(group(fields, "Value").get("value")),
        statuses=_words(fields, "Status"),
    )


def _intervals(endpoint: EndpointId, channel: Fields, scaled: bool, zone: tzinfo) -> list[Reading]:
    """TimeDataEnd ends the last interval, values stand oldest first, lengths are minutes, raw
    values are multiplied where nothing scaled them (all inferred). A nil one keeps its place."""
    listed = channel.get("IntervalValues")
    values = listed if isinstance(listed, list) else []
    end = instant(needed(channel, "TimeDataEnd"), zone=zone)
    minutes = count(channel, "IntervalLength")
    if values and minutes <= 0:
        raise ContractViolation("needs a length in minutes", at="IntervalLength")
    factor = Decimal(1) if scaled else _pulse(channel)
    length = timedelta(minutes=minutes)
    try:
        ends = [end - length * ago for ago in reversed(range(len(values)))]
    except OverflowError:
        raise ContractViolation("leaves no time for its intervals", at="TimeDataEnd") from None
    return [
        Reading(
            endpoint=endpoint,
            kind=ReadingKind.INTERVAL,
            quantity=text(channel, "Quantity") or "",
            source="",
            at=at,
            value=_product(_number(fields.get("ChannelValue")), factor),
            seconds=minutes * 60,
            statuses=_words(fields, "ProfileStatuses") + _words(fields, "ExtendedProfileStatuses"),
        )
        for at, fields in zip(ends, values, strict=True)
        if isinstance(fields, dict)
    ]


def _pulse(channel: Fields) -> Decimal:
    factor = _number(channel.get("PulseMultiplier"))
    if factor is None or factor <= 0:
        raise ContractViolation("is not above zero", at="PulseMultiplier")
    return factor


def _number(value: JsonValue) -> Decimal | None:
    """The exact value of a number's text; None for text that is none (a date, a word, infinity)
    and for numbers too large to be a reading of anything."""
    try:
        number = read_decimal(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return number if number is not None and is_bounded(number) else None


def _product(value: Decimal | None, factor: Decimal) -> Decimal:
    if value is None:
        raise ContractViolation("is not a number", at="ChannelValue")
    return value if factor == 1 else _EXACT.multiply(value, factor)


def _words(fields: Fields, name: str) -> tuple[str, ...]:
    value = fields.get(name)
    return tuple(word for word in value if isinstance(word, str)) if isinstance(value, list) else ()
