"""Values and their stored form: JSON by msgspec, times as whole microseconds since 1970 (UTC).

What is written again with every step of a command is MessagePack: half the bytes.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final

import msgspec
from msgspec.structs import FieldInfo, fields

from adapter.commands.activity import (
    Activity,
    Command,
    CommandRequest,
    Communication,
    Outcome,
    Target,
    Work,
)
from adapter.commands.calls import RequestStatus
from adapter.commands.outcomes import EndpointOutcome
from adapter.engine.commands.ports import AuditNote, Publication
from adapter.model.device import Device, InstallEvent, ServicePoint
from adapter.model.ids import DeviceId, EndpointId
from adapter.model.reading import InitialMeasurement
from adapter.model.values import replace

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


STATUS: Final = 0
"""Stands for StatusChanged, as the operation of messages that are applied: most are of it."""


def micros(at: datetime) -> int:
    """`at` must be aware."""
    return (at - _EPOCH) // _MICROSECOND


def micros_or_none(at: datetime | None) -> int | None:
    return None if at is None else micros(at)


def moment(at: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError(f"{type(value).__name__} cannot be stored")


# "deterministic" sorts the keys of mappings and the members of sets: equal values, equal bytes.
_ENCODER: Final = msgspec.json.Encoder(enc_hook=_plain, order="deterministic")
_CANONICAL: Final = msgspec.json.Encoder(enc_hook=_plain, order="sorted")
encode: Final = _ENCODER.encode
_pack: Final = msgspec.msgpack.Encoder(enc_hook=_plain, order="deterministic").encode
_unpack: Final = msgspec.msgpack.Decoder(dict[str, Any]).decode


def as_list(values: Iterable[object]) -> str:
    """For `json_each`."""
    return encode(list(values)).decode()


decode_request: Final = msgspec.json.Decoder(CommandRequest).decode
_decode_targets: Final = msgspec.json.Decoder(tuple[tuple[DeviceId, EndpointId], ...]).decode
decode_endpoints: Final = msgspec.json.Decoder(tuple[EndpointId, ...]).decode
decode_outcome: Final = msgspec.json.Decoder(EndpointOutcome).decode
decode_note: Final = msgspec.json.Decoder(AuditNote).decode
decode_publication: Final = msgspec.json.Decoder(Publication).decode
decode_measurement: Final = msgspec.json.Decoder(InitialMeasurement).decode
decode_device: Final = msgspec.json.Decoder(Device).decode
decode_service_point: Final = msgspec.json.Decoder(ServicePoint).decode
decode_install: Final = msgspec.json.Decoder(InstallEvent).decode


_SAME: Final[Mapping[str, str]] = MappingProxyType({})


def _brief(
    kind: type[msgspec.Struct], *elsewhere: str, names: Mapping[str, str] = _SAME
) -> Callable[[Any], Any]:
    """Makes of a value what is encoded of it: what is not the default, without what is
    `elsewhere`; its fields under short names where it has some."""
    kept = [item for item in fields(kind) if item.name not in elsewhere]
    members = [(item.name, Any, _default(item)) for item in kept]
    stored = msgspec.defstruct(
        kind.__name__, members, omit_defaults=True, gc=False, rename=dict(names)
    )
    get = attrgetter(*(item.name for item in kept))
    return lambda value: stored(*get(value))


def _default(item: FieldInfo) -> Any:
    """NODEFAULT where there is none."""
    made = item.default_factory
    return item.default if made is msgspec.NODEFAULT else made()


def _whole(body: bytes, columns: Mapping[str, object]) -> bytes:
    """A stored body with what stands in columns of its row."""
    return encode(columns)[:-1] + (b"}" if body == b"{}" else b"," + body[1:])


_FEW: Final = 4
"""So many endpoints stay in the body of their communication; more are stored apart from it."""


_COLUMNS: Final = ("id", "operation", "work", "state", "wake", "token")
"""Of a communication."""

_ACTIVITY: Final = MappingProxyType(
    {
        "created_at": "a", "effective_at": "b", "expires_at": "c", "hold_until": "d",
        "retry_at": "e", "window_until": "f", "steps_done": "g", "communications_made": "h",
        "retries": "i", "approved_by": "j", "violations": "k", "outcome": "l", "reason": "m",
        "service_point": "n", "switch_before": "o", "switch_state": "p", "voltage_present": "q",
        "tally": "r", "completions": "s", "resolution": "t", "canceled_by": "u",
        "waits_since": "v", "late": "w", "finished_at": "x", "trace": "y",
    }
)  # fmt: skip
_COMMUNICATION: Final = MappingProxyType(
    {
        "step": "a", "endpoints": "b", "deadline": "c", "sent_at": "d", "tries": "e",
        "asked": "f", "looks": "g", "status": "h", "result": "i", "endpoint_failure": "j",
        "switch": "k", "voltage_present": "l", "failure": "m", "acted_at": "n",
        "cancel_wanted": "o", "cancels": "p", "inferred": "q", "attempt": "r", "superseded": "s",
        "trace": "t",
    }
)  # fmt: skip
"""Short names of fields in bodies that every step writes again; a name never gets another field."""

_STATUS: Final = MappingProxyType(
    {
        "token": "a", "state": "b", "result": "c", "scheduled": "d", "succeeded": "e",
        "failed": "f", "created_at": "g", "finished_at": "h",
    }
)  # fmt: skip

_with_endpoints: Final = _brief(Communication, *_COLUMNS, names=_COMMUNICATION)
_without_endpoints: Final = _brief(Communication, *_COLUMNS, "endpoints", names=_COMMUNICATION)
_status: Final = _brief(RequestStatus, names=_STATUS)
_status_without_token: Final = _brief(RequestStatus, "token", names=_STATUS)
_brief_activity: Final = _brief(Activity, "id", "state", names=_ACTIVITY)
_brief_request: Final = _brief(CommandRequest, "kind")


def _long(names: Mapping[str, str], body: Mapping[str, Any]) -> dict[str, Any]:
    """What undoes the short names."""
    return {names.get(short, short): value for short, value in body.items()}


def _backwards(names: Mapping[str, str]) -> dict[str, str]:
    return {short: name for name, short in names.items()}


_LONG_ACTIVITY: Final = _backwards(_ACTIVITY)
_LONG_COMMUNICATION: Final = _backwards(_COMMUNICATION)
_LONG_STATUS: Final = _backwards(_STATUS)


def encode_activity(activity: Activity) -> bytes:
    return _pack(_brief_activity(activity))


def encode_request(request: CommandRequest) -> bytes:
    return encode(_brief_request(request))


def encode_body(communication: Communication) -> bytes:
    """A communication as it is written with every change; its endpoints never change."""
    few = len(communication.endpoints) <= _FEW
    body = (_with_endpoints if few else _without_endpoints)(communication)
    status = communication.status
    if status is not None:
        same = status.token == communication.token
        body.status = (_status_without_token if same else _status)(status)
    return _pack(body)


def encode_endpoints(communication: Communication) -> bytes | None:
    """None where they stay in the body."""
    return None if len(communication.endpoints) <= _FEW else encode(communication.endpoints)


def read_communication(row: Sequence[Any], endpoints: bytes | None) -> Communication:
    """`row` as `queries` has its columns."""
    id, operation, work, state, wake, token, body = row
    columns = {
        "id": id,
        "operation": operation,
        "work": work,
        "state": state,
        "wake": None if wake is None else moment(wake),
        "token": token,
    }
    told = _long(_LONG_COMMUNICATION, _unpack(body))
    if told.get("status") is not None:
        told["status"] = {"token": token, **_long(_LONG_STATUS, told["status"])}
    communication = msgspec.convert(told | columns, Communication)
    if endpoints is None:
        return communication
    return replace(communication, endpoints=decode_endpoints(endpoints))


def encode_targets(targets: Iterable[Target]) -> bytes:
    return encode([(target.device, target.endpoint) for target in targets])


def decode_targets(stored: bytes) -> tuple[Target, ...]:
    return tuple(Target(device=device, endpoint=end) for device, end in _decode_targets(stored))


_DIGEST: Final = re.compile("[0-9a-f]{64}")


def stored_content(content: str) -> str | bytes:
    """Most are digests, which are half as long as their digits."""
    return bytes.fromhex(content) if _DIGEST.fullmatch(content) else content


def read_command(row: Sequence[Any], communications: tuple[Communication, ...]) -> Command:
    """`row` as `queries` has its columns."""
    id, kind, state, version, activity, request, targets = row
    return Command(
        request=decode_request(_whole(request, {"kind": kind})),
        targets=decode_targets(targets),
        activity=msgspec.convert(
            _long(_LONG_ACTIVITY, _unpack(activity)) | {"id": id, "state": state}, Activity
        ),
        communications=communications,
        version=version,
    )


def outcome_of(activity: bytes) -> tuple[Outcome | None, str]:
    """Of a stored activity: what came out, and why."""
    found = _long(_LONG_ACTIVITY, _unpack(activity))
    outcome = found.get("outcome")
    return None if outcome is None else Outcome(outcome), found.get("reason", "")


def due_of(communication: Communication) -> datetime | None:
    """When the communication's work may be claimed; None where there is nothing to call."""
    return None if communication.work is Work.NONE else communication.wake


def encode_note(note: AuditNote) -> bytes:
    """Canonical: the audit chain's digests are over these bytes."""
    return _CANONICAL.encode(note)


def short_note(note: bytes, subject: str) -> bytes:
    """What is stored of an encoded note: its subject is a column, and ~ in its texts."""
    if b'"~' in note:
        return note
    text = encode(subject)
    detail = note[: -_SUBJECT_BYTES - len(text)] + b"}"
    return detail.replace(text[:-1], b'"~') if subject else detail


def whole_note(stored: bytes, subject: str) -> bytes:
    """As it was encoded. A short one ends with its detail, which is an object."""
    if not stored.endswith(b"}}"):
        return stored
    text = encode(subject)
    detail = stored.replace(b'"~', text[:-1]) if subject else stored
    return detail[:-1] + _SUBJECT % text


_SUBJECT: Final = b',"subject":%b}'
_SUBJECT_BYTES: Final = len(_SUBJECT % b"")


def encode_install(install: InstallEvent, version: int) -> bytes:
    return encode(replace(install, version=version))
