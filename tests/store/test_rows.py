"""Every field of every stored value comes back as it was, and only what changed is written."""

import dataclasses
import types
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, NewType, Union, get_args, get_origin, get_type_hints

import pytest
from msgspec import Struct

from adapter.commands.activity import Activity, Command, CommandRequest, Communication, Target
from adapter.commands.outcomes import EndpointOutcome
from adapter.engine.commands.ports import AuditNote, Change, Publication
from adapter.model.device import Device, InstallEvent, ServicePoint
from adapter.model.ids import EndpointId, RequestToken
from adapter.model.reading import InitialMeasurement
from adapter.model.values import replace
from adapter.store import rows
from tests.builders import a_command, a_communication, a_submission, at
from tests.store.conftest import MakeStore

_PLAIN: dict[object, object] = {
    str: "Zähler <&> 1",
    int: -7,
    float: 0.125,
    bool: True,
    Decimal: Decimal("12345678901234567890.1230"),
    datetime: datetime(2026, 3, 29, 1, 59, 59, 123456, tzinfo=UTC),
}


def _filled(kind: Any) -> Any:
    """A value of this type with every field set to something that is not its default."""
    if kind in _PLAIN:
        return _PLAIN[kind]
    if isinstance(kind, NewType):
        return _filled(kind.__supertype__)
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _filled(next(item for item in inner if item is not type(None)))
    if origin is tuple and inner[-1] is ...:
        return (_filled(inner[0]),) * 2
    if origin is tuple:
        return tuple(map(_filled, inner))
    if origin is frozenset:
        return frozenset({_filled(inner[0])})
    if origin is Mapping:
        return {"a": [1, {"b": None}]}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return list(kind)[-1]
    hints = get_type_hints(kind)
    return kind(**{name: _filled(hints[name]) for name in _fields(kind)})


def _fields(kind: type) -> tuple[str, ...]:
    if issubclass(kind, Struct):
        return kind.__struct_fields__
    assert dataclasses.is_dataclass(kind)
    return tuple(item.name for item in dataclasses.fields(kind))


@pytest.mark.parametrize(
    ("kind", "decode"),
    [
        (CommandRequest, rows.decode_request),
        (EndpointOutcome, rows.decode_outcome),
        (AuditNote, rows.decode_note),
        (Publication, rows.decode_publication),
        (InitialMeasurement, rows.decode_measurement),
        (Device, rows.decode_device),
        (ServicePoint, rows.decode_service_point),
        (InstallEvent, rows.decode_install),
    ],
    ids=lambda item: getattr(item, "__name__", None),
)
def test_every_field_comes_back_with_its_type(kind: Any, decode: Any) -> None:
    value = _filled(kind)
    again = decode(rows.encode(value))
    assert again == value
    assert repr(again) == repr(value)


def test_every_field_of_a_command_comes_back_with_its_type() -> None:
    """From columns and bodies, as they are in their rows."""
    communication = _filled(Communication)
    wake = rows.micros_or_none(communication.wake)
    row = (
        communication.id, communication.operation.value, communication.work.value,
        communication.state.value, wake, communication.token, rows.encode_body(communication),
    )  # fmt: skip
    assert repr(rows.read_communication(row, None)) == repr(communication)
    other = replace(communication, token=RequestToken("not that of its status"))
    row = (*row[:5], other.token, rows.encode_body(other))
    assert repr(rows.read_communication(row, None)) == repr(other)
    command = Command(
        request=_filled(CommandRequest), targets=(_filled(Target),), activity=_filled(Activity)
    )
    request, activity = command.request, command.activity
    bodies = (
        rows.encode_activity(activity),
        rows.encode_request(request),
        rows.encode_targets(command.targets),
    )
    read = rows.read_command((activity.id, request.kind, activity.state, 0, *bodies), ())
    assert repr(read) == repr(command)


def test_equal_values_have_equal_bytes() -> None:
    names = [f"group-{number}" for number in range(50)]
    one = AuditNote(actor="a", action="b", subject="c", detail={"x": frozenset(names), "a": 1})
    two = replace(one, detail={"a": 1, "x": frozenset(reversed(names))})
    assert rows.encode_note(one) == rows.encode_note(two)


async def test_saving_does_not_write_ten_thousand_endpoints_again(
    make: MakeStore, path: Path
) -> None:
    endpoints = tuple(EndpointId(f"endpoint-{number:09d}") for number in range(10_000))
    big = a_command(
        devices=tuple(f"device-{number:09d}" for number in range(10_000)),
        communications=(a_communication(endpoints=endpoints),),
    )
    store = make()
    await store.open()
    await store.submit([a_submission(command=big)])
    log = path.with_name(path.name + "-wal")
    before = log.stat().st_size
    for version in range(10):
        moved = replace(big.communications[0], tries=version + 1, wake=at(version))
        change = Change(command=replace(big, version=version, communications=(moved,)))
        await store.save([change])
    assert log.stat().st_size - before < 10 * 60_000
    loaded = (await store.load([big.id]))[big.id]
    assert loaded == replace(big, version=10, communications=(moved,))
    await store.close()
