"""Values and their stored form: JSON by msgspec, times as whole microseconds since 1970 (UTC)."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from adapter.commands.activity import Activity, Command, CommandRequest, Communication, Target, Work
from adapter.commands.outcomes import EndpointOutcome
from adapter.engine.commands.ports import AuditNote, Publication
from adapter.model.device import Device, InstallEvent, ServicePoint
from adapter.model.ids import EndpointId
from adapter.model.reading import InitialMeasurement
from adapter.model.values import replace

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


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


def as_list(values: Iterable[object]) -> str:
    """For `json_each`."""
    return encode(list(values)).decode()


decode_request: Final = msgspec.json.Decoder(CommandRequest).decode
decode_targets: Final = msgspec.json.Decoder(tuple[Target, ...]).decode
decode_activity: Final = msgspec.json.Decoder(Activity).decode
decode_communication: Final = msgspec.json.Decoder(Communication).decode
decode_endpoints: Final = msgspec.json.Decoder(tuple[EndpointId, ...]).decode
decode_outcome: Final = msgspec.json.Decoder(EndpointOutcome).decode
decode_note: Final = msgspec.json.Decoder(AuditNote).decode
decode_publication: Final = msgspec.json.Decoder(Publication).decode
decode_measurement: Final = msgspec.json.Decoder(InitialMeasurement).decode
decode_device: Final = msgspec.json.Decoder(Device).decode
decode_service_point: Final = msgspec.json.Decoder(ServicePoint).decode
decode_install: Final = msgspec.json.Decoder(InstallEvent).decode

_FEW: Final = 4
"""So many endpoints stay in the body of their communication; more are stored apart from it."""


def encode_body(communication: Communication) -> bytes:
    """A communication as it is written with every change; its endpoints never change."""
    few = len(communication.endpoints) <= _FEW
    return encode(communication if few else replace(communication, endpoints=()))


def encode_endpoints(communication: Communication) -> bytes | None:
    """None where they stay in the body."""
    return None if len(communication.endpoints) <= _FEW else encode(communication.endpoints)


def read_communication(body: bytes, endpoints: bytes | None) -> Communication:
    communication = decode_communication(body)
    if endpoints is None:
        return communication
    return replace(communication, endpoints=decode_endpoints(endpoints))


def read_command(
    request: bytes,
    targets: bytes,
    activity: bytes,
    version: int,
    communications: tuple[Communication, ...],
) -> Command:
    return Command(
        request=decode_request(request),
        targets=decode_targets(targets),
        activity=decode_activity(activity),
        communications=communications,
        version=version,
    )


def due_of(communication: Communication) -> datetime | None:
    """When the communication's work may be claimed; None where there is nothing to call."""
    return None if communication.work is Work.NONE else communication.wake


def encode_note(note: AuditNote) -> bytes:
    """Canonical: the audit chain's digests are over these bytes."""
    return _CANONICAL.encode(note)


def encode_install(install: InstallEvent, version: int) -> bytes:
    return encode(replace(install, version=version))
