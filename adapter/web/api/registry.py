"""What an import of master data takes and gives, as types."""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from adapter.engine.commands.ports import Import
from adapter.engine.registry.imports import ImportProblem, Row, Rows, T, member_of, whole
from adapter.engine.registry.ports import ImportReport
from adapter.model.device import Device, InstallEvent, ServicePoint
from adapter.web.api.schema import Json, Text


class ImportIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """What `ImportShown` says. Members are read by `whole`, strictly: a misspelt `protected` must
    not be passed over."""

    devices: list[Json] = []
    service_points: list[Json] = []
    installs: list[Json] = []
    override_status: bool = False
    reason: Text = ""
    dry_run: bool = False

    def whole(self) -> Import:
        """All of it. Raises ImportRefused naming the members and fields."""
        problems: list[ImportProblem] = []
        return whole(
            ("devices", "service_points", "installs"),
            _members(self.devices, Device, "devices", problems),
            _members(self.service_points, ServicePoint, "service_points", problems),
            _members(self.installs, InstallEvent, "installs", problems),
            problems,
        )


class ImportShown(Struct, kw_only=True):
    """Master data. What a known member does not say stays as it is; status, arming and history of a
    known install event, and the source status of a known service point, belong to completion events
    and are left alone unless `override_status` says otherwise, for a `reason`. Installs name
    devices and service points that stand in the same import. `dry_run` loads nothing."""

    devices: list[Device] = []
    service_points: list[ServicePoint] = []
    installs: list[InstallEvent] = []
    override_status: bool = False
    reason: Text = ""
    dry_run: bool = False


def _members(
    given: Sequence[object], kind: type[T], place: str, problems: list[ImportProblem]
) -> Rows[T]:
    rows: Rows[T] = []
    for number, member in enumerate(given, 1):
        made = member_of(member, kind, place, number, problems)
        if made is not None and isinstance(member, Mapping):
            rows.append(Row(number, made, frozenset(member)))
    return rows


class DifferenceOut(Struct, kw_only=True):
    """A field of which the file says otherwise than the registry. `subject` is the device, or the
    service point; `why` it was left alone, or the reason for which it was overridden."""

    subject: str
    field: str
    stored: str
    given: str
    why: str


class Imported(Struct, kw_only=True):
    """How many were loaded, what of them was left alone, and what was overridden."""

    devices: int
    service_points: int
    installs: int
    left_alone: list[DifferenceOut]
    overridden: list[DifferenceOut]

    @classmethod
    def of(cls, report: ImportReport) -> "Imported":
        return msgspec.convert(report, cls, from_attributes=True)
