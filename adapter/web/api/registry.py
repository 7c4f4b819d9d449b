"""Routes of the registry: devices, their measurements, and the import of master data."""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from adapter.engine.commands.ports import Import
from adapter.engine.registry.imports import ImportProblem, Row, Rows, T, member_of, whole
from adapter.engine.registry.ports import ImportReport
from adapter.errors import InvalidRequest
from adapter.model.device import Device, DeviceView, InstallEvent, ServicePoint
from adapter.model.ids import DeviceId
from adapter.model.reading import InitialMeasurement
from adapter.web.api.call import ApiContext, ApiRequest, ApiResponse, Json, Text, limit_of

# ---------------------------------------------------------------- what is taken


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
    and are left alone unless `override_status` says otherwise, for a `reason`; so is the endpoint
    of a device that is installed. Installs name devices and service points that stand in the same
    import. `dry_run` loads nothing."""

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


# ---------------------------------------------------------------- what is given


class DifferenceOut(Struct, kw_only=True):
    """A field of which the file says otherwise than the registry. `subject` is the device, or the
    service point; `reason`: why it was left alone, or for what it was overridden."""

    subject: str
    field: str
    stored: str
    given: str
    reason: str


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


class DevicePage(Struct, kw_only=True):
    items: list[DeviceView]
    next: str | None


class MeasurementList(Struct, kw_only=True):
    items: list[InitialMeasurement]


# ---------------------------------------------------------------- the routes


async def list_devices(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    limit = limit_of(asked)
    cursor = asked.query.get("cursor")
    after = DeviceId(cursor) if cursor is not None else None
    found: Sequence[DeviceView] = await api.gateway.registry.devices(after=after, limit=limit)
    return ApiResponse(
        body=DevicePage(
            items=list(found), next=found[-1].device.id if len(found) == limit else None
        )
    )


async def get_device(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    return ApiResponse(body=await api.gateway.registry.device(DeviceId(asked.path["device"])))


async def latest_measurements(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    device = (await api.gateway.registry.device(DeviceId(asked.path["device"]))).device.id
    return ApiResponse(
        body=MeasurementList(items=list(await api.gateway.registry.measurements(device)))
    )


async def import_devices(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """All of it, or nothing, but for what belongs to completion events."""
    given = asked.read(ImportIn)
    if given.reason and not given.override_status:
        raise InvalidRequest("reason", "belongs to override_status")
    report = await api.gateway.registry.import_devices(
        given.whole(),
        by=asked.actor,
        override=given.reason if given.override_status else None,
        dry_run=given.dry_run,
    )
    return ApiResponse(body=Imported.of(report))
