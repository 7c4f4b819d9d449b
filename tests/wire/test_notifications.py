"""What the head end sends unasked, in the forms it may have."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from adapter.commands.calls import ReadingKind, RemoteResult, RemoteState
from adapter.errors import ContractViolation
from adapter.wire.notifications import (
    DATA_ARRIVED,
    EVENTS_ARRIVED,
    EXCEPTIONS_ARRIVED,
    STATUS_CHANGED,
    acknowledgement,
    data_arrived,
    inbound_operation,
    status_changed,
)
from adapter.wire.xml import Soap
from tests.wire.bodies import EXAMPLES, codec

SUB = b"http://www.itron.com/ami/2009/08/subscriptions"
WRAPPERS = [
    SUB,
    b"http://www.itron.com/ami/2009/08/subscribers",
    b"http://www.itron.com/ami/2008/10/data",
]
INBOUND = [STATUS_CHANGED, DATA_ARRIVED, EVENTS_ARRIVED, EXCEPTIONS_ARRIVED]


def example(key: str) -> bytes:
    return (EXAMPLES / f"{key}.request.xml").read_bytes()


def arrived(**more: Any) -> bytes:
    """A DataArrived with one device and whatever of its data is given."""
    device = {"Identifier": "meter", "DeviceClass": "ITRX", "ScalingType": "Scaled", **more}
    return codec().encode_request(DATA_ARRIVED, {"input": {"ReadDataCollection": [device]}})


def a_register(value: dict[str, str] | None, **more: Any) -> dict[str, Any]:
    return {
        "Quantity": "Wh d",
        "Source": "SelfReadRegister",
        "Timestamp": "2025-03-30T00:00:00Z",
        "Value": value,
        **more,
    }


def a_channel(*values: str, **more: Any) -> dict[str, Any]:
    return {
        "IntervalLength": 15,
        "PulseMultiplier": "0.1",
        "Quantity": "Wh d",
        "TimeDataEnd": "2025-03-30T01:00:00Z",
        "IntervalValues": [{"ChannelValue": value, "ProfileStatuses": []} for value in values],
        **more,
    }


@pytest.mark.parametrize("key", INBOUND)
def test_a_message_is_known_by_its_element(key: str) -> None:
    assert inbound_operation(codec(), example(key), None) == key


@pytest.mark.parametrize("key", INBOUND)
@pytest.mark.parametrize("soap", Soap)
def test_an_acknowledgement_is_the_empty_response(key: str, soap: Soap) -> None:
    message = codec().decode(acknowledgement(codec(), key, soap))
    assert (message.operation, message.direction, message.body) == (key, "response", {})


def test_a_status_callback_is_a_status() -> None:
    status = status_changed(codec(), example(STATUS_CHANGED))
    assert (status.state, status.result) == (RemoteState.EXECUTING, RemoteResult.SUCCESS)
    assert (status.scheduled, status.succeeded, status.failed) == (2, 1, 1)


def test_a_status_callback_may_have_more_and_less_than_the_contract() -> None:
    data = example(STATUS_CHANGED).replace(b"Executing", b"Executing ")
    data = data.replace(b"<State>", b"<New xmlns='urn:x'>1<b/></New><State>")
    start, end = data.index(b"<EndpointsScheduled>"), data.index(b"</EndpointsScheduled>")
    data = data[:start] + data[end + len(b"</EndpointsScheduled>") :]
    status = status_changed(codec(), data)
    assert (status.state, status.scheduled) == (RemoteState.EXECUTING, 0)


def test_elements_in_another_order_are_read() -> None:
    data = example(STATUS_CHANGED).replace(b"<State>Executing</State>", b"")
    data = data.replace(b"</RequestStatus>", b"<State>Completed</State></RequestStatus>")
    assert status_changed(codec(), data).state is RemoteState.COMPLETED


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("key", [DATA_ARRIVED, EVENTS_ARRIVED, EXCEPTIONS_ARRIVED])
def test_subscriber_messages_are_read_in_every_namespace_they_may_have(
    key: str, wrapper: bytes
) -> None:
    data = example(key).replace(SUB, wrapper)
    assert inbound_operation(codec(), data, None) == key
    assert codec().decode(data).body == codec().decode(example(key)).body


def test_readings_of_the_example() -> None:
    register, first, second = data_arrived(
        codec(), example(DATA_ARRIVED), zone=timezone(timedelta(hours=2))
    )
    assert (register.kind, register.source, register.statuses) == (
        ReadingKind.REGISTER,
        "CurrentRegister",
        ("S1",),
    )
    assert register.value == Decimal("7012345.678")
    assert register.at == datetime(2025, 3, 29, 23, 59, 58, tzinfo=UTC)
    assert (first.at.minute, second.at.minute) == (15, 30)
    assert first.statuses == ("PartialInterval", "PowerFailure")
    assert second.statuses == ()
    assert str(first.value) == "101.500"


def test_intervals_end_at_the_end_of_the_data_oldest_first() -> None:
    readings = data_arrived(codec(), arrived(LoadProfileChannels=[a_channel("1", "2", "3")]))
    assert [(reading.at.hour, reading.at.minute) for reading in readings] == [
        (0, 30),
        (0, 45),
        (1, 0),
    ]
    assert [reading.value for reading in readings] == [1, 2, 3]
    assert {reading.seconds for reading in readings} == {900}


def test_a_nil_interval_keeps_its_place() -> None:
    channel = a_channel("1", "2", "3")
    channel["IntervalValues"][1] = None
    readings = data_arrived(codec(), arrived(LoadProfileChannels=[channel]))
    assert [(reading.at.minute, reading.value) for reading in readings] == [
        (30, Decimal(1)),
        (0, Decimal(3)),
    ]


@pytest.mark.parametrize(("scaling", "value"), [("Scaled", "12.34"), ("None", "1.234")])
def test_raw_values_are_multiplied_and_scaled_ones_are_not(scaling: str, value: str) -> None:
    data = arrived(ScalingType=scaling, LoadProfileChannels=[a_channel("12.34")])
    (reading,) = data_arrived(codec(), data)
    assert reading.value == Decimal(value)


@pytest.mark.parametrize("pulse", ["0", "-1", "NaN"])
def test_pulses_need_a_multiplier_above_zero(pulse: str) -> None:
    channel = a_channel("12.34", PulseMultiplier=pulse)
    with pytest.raises(ContractViolation, match="PulseMultiplier: is not above zero"):
        data_arrived(codec(), arrived(ScalingType="None", LoadProfileChannels=[channel]))


def test_large_and_small_values_are_exact() -> None:
    values = ["0.1", "12345678901234567890.123456789", "-0.000000001"]
    readings = data_arrived(codec(), arrived(LoadProfileChannels=[a_channel(*values)]))
    assert [str(reading.value) for reading in readings] == ["0.1", values[1], "-1E-9"]
    raw = arrived(
        ScalingType="None",
        LoadProfileChannels=[a_channel("12345678901234567890.12", PulseMultiplier="0.1")],
    )
    (scaled,) = data_arrived(codec(), raw)
    assert scaled.value == Decimal("1234567890123456789.012")


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ({"type": "xs:decimal", "value": "1.50"}, "1.50"),
        ({"type": "xs:int", "value": "7"}, "7"),
        ({"type": "xs:double", "value": "1.5E3"}, "1.5E+3"),
        ({"type": "xs:string", "value": " 42 "}, "42"),
        ({"value": "42"}, "42"),
        ({"type": "xs:string", "value": "forty-two"}, None),
        ({"type": "xs:double", "value": "NaN"}, None),
        ({"type": "xs:double", "value": "-INF"}, None),
        ({"type": "xs:double", "value": "1E999999999"}, None),
        ({"type": "xs:dateTime", "value": "2025-03-30T00:00:00Z"}, None),
        (None, None),
    ],
)
def test_a_register_value_is_a_number_or_none(
    value: dict[str, str] | None, read: str | None
) -> None:
    (reading,) = data_arrived(codec(), arrived(RegisterValues=[a_register(value)]))
    assert (None if reading.value is None else str(reading.value)) == read


def test_a_register_value_of_a_strange_type_is_none() -> None:
    data = arrived(RegisterValues=[a_register({"type": "xs:decimal", "value": "1"})])
    strange = data.replace(b">1</dat:Value>", b"><a><b/></a></dat:Value>")
    assert strange != data
    (reading,) = data_arrived(codec(), strange)
    assert reading.value is None


def test_statuses_the_contract_does_not_know_are_kept() -> None:
    channel = a_channel("1")
    channel["IntervalValues"][0]["ProfileStatuses"] = ["Overflow"]
    channel["IntervalValues"][0]["ExtendedProfileStatuses"] = ["ReverseFlow"]
    data = arrived(LoadProfileChannels=[channel]).replace(b"Overflow", b"Overheated")
    (reading,) = data_arrived(codec(), data)
    assert reading.statuses == ("Overheated", "ReverseFlow")


def test_a_device_without_readings_gives_none() -> None:
    assert data_arrived(codec(), arrived()) == ()
    assert data_arrived(codec(), arrived(LoadProfileChannels=[a_channel(IntervalLength=0)])) == ()


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        (b"<dat:Identifier>meter</dat:Identifier>", b"", "Identifier"),
        (b"01:00:00Z", b"25:00:00Z", "is not a time"),
        (b"2025-03-30T01:00", b"0001-01-01T00:00", "TimeDataEnd"),
        (b"<dat:ChannelValue>2<", b"<dat:ChannelValue>two<", "ChannelValue"),
        (b"<dat:IntervalLength>15<", b"<dat:IntervalLength>0<", "IntervalLength"),
        (b"<dat:IntervalLength>15<", b"<dat:IntervalLength>a quarter<", "IntervalLength"),
    ],
)
def test_readings_that_cannot_be_placed_refuse_the_message(
    old: bytes, new: bytes, place: str
) -> None:
    good = arrived(LoadProfileChannels=[a_channel("1", "2")])
    assert old in good
    with pytest.raises(ContractViolation, match=place):
        data_arrived(codec(), good.replace(old, new))
