"""Routes of the registry: devices, service points, and the import of master data."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from adapter.engine.commands.ports import Import
from adapter.engine.orders.ports import OrderFilter
from adapter.engine.registry.imports import ImportProblem, Row, Rows, T, member_of, whole
from adapter.engine.registry.ports import ImportReport, PointFilter
from adapter.errors import InvalidRequest
from adapter.model.device import (
    Category,
    Device,
    DeviceView,
    DisconnectLocation,
    InstallEvent,
    InstallStatus,
    ServicePoint,
)
from adapter.model.ids import DeviceId, ServicePointId
from adapter.model.reading import InitialMeasurement
from adapter.model.supply import PointView, SwitchedBy, Switching, switched, whose
from adapter.orders.order import OrderKind, ServiceOrder
from adapter.web.api.call import (
    ApiContext,
    ApiRequest,
    ApiResponse,
    HistoryEntry,
    Json,
    Text,
    answer_from,
    id_of,
    limit_of,
    text_of,
    yes_or_no,
)
from adapter.web.api.orders import StateName, slug

_ORDERS: Final = 50
"""The latest orders that are shown at a service point."""

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


class SwitchingOut(Struct, kw_only=True):
    """How something stands, since when, and by what. `cause` is the command, the visit or the
    import, empty where it came with the master data."""

    on: bool
    since: datetime | None
    by: SwitchedBy | None
    cause: str

    @classmethod
    def of(cls, switching: Switching) -> "SwitchingOut":
        return answer_from(cls, switching)


class ServicePointOut(Struct, kw_only=True):
    """`supply` is whether it gets through to the customer: the source status and the switch of the
    device together. `armed`: the switch waits for people to close it, and nobody tells whether they
    have. `protected` and `life_support` bar every disconnect."""

    id: str
    category: Category
    sp_type: str
    time_zone: str
    measurement_cycle: str
    protected: bool
    life_support: bool
    disconnect_location: DisconnectLocation
    supply: SwitchingOut
    source: SwitchingOut
    device: str | None
    install_status: str | None
    armed: bool

    @classmethod
    def of(cls, view: PointView) -> "ServicePointOut":
        return answer_from(cls, view.service_point, **_standing(view))


class OnOffOut(Struct, kw_only=True):
    at: datetime
    on: bool
    by: SwitchedBy
    cause: str


class PointDeviceOut(Struct, kw_only=True):
    """A device that is or was there. `switch` is how it stands, or stood when it was removed."""

    device: str
    endpoint: str | None
    head_end: str
    installed_at: datetime
    removed_at: datetime | None
    status: InstallStatus
    switch: SwitchingOut | None
    history: list[OnOffOut]


class PointOrderOut(Struct, kw_only=True):
    id: str
    kind: OrderKind
    state: StateName
    created_at: datetime
    ended_at: datetime | None
    requester: str
    reference: str


class ServicePointShown(ServicePointOut, kw_only=True):
    """With the devices that are and were there, the newest first; the latest orders; and what
    field work and imports have changed."""

    devices: list[PointDeviceOut]
    orders: list[PointOrderOut]
    changes: list[HistoryEntry]


class ServicePointPage(Struct, kw_only=True):
    """By id. `next` is the cursor of the page after this one, which may have fewer than asked."""

    items: list[ServicePointOut]
    next: str | None


# ---------------------------------------------------------------- the routes


async def list_devices(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    limit = limit_of(asked)
    cursor = id_of(asked, "cursor")
    after = DeviceId(cursor) if cursor is not None else None
    found: Sequence[DeviceView] = await api.gateway.registry.devices(after=after, limit=limit)
    return ApiResponse(
        body=DevicePage(
            items=list(found), next=found[-1].device.id if len(found) == limit else None
        )
    )


async def get_device(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    return ApiResponse(body=await api.gateway.registry.device(DeviceId(asked.path["device"])))


async def list_latest_measurements(api: ApiContext, asked: ApiRequest) -> ApiResponse:
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


async def list_service_points(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    after = id_of(asked, "cursor")
    wanted = PointFilter(
        supplied=yes_or_no(asked, "supplied"),
        connected=yes_or_no(asked, "connected"),
        bare=yes_or_no(asked, "bare"),
        sp_type=text_of(asked, "sp_type"),
        after=ServicePointId(after) if after is not None else None,
        limit=limit_of(asked),
    )
    found = await api.gateway.registry.service_points(wanted)
    return ApiResponse(
        body=ServicePointPage(
            items=[ServicePointOut.of(view) for view in found.rows], next=found.next
        )
    )


async def get_service_point(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    gateway = api.gateway
    view = await gateway.registry.service_point(ServicePointId(asked.path["service_point"]))
    point = view.service_point
    orders = await gateway.orders.list(OrderFilter(service_point=point.id, limit=_ORDERS))
    changes = await gateway.registry.changes_at(point.id)
    return ApiResponse(
        body=answer_from(
            ServicePointShown,
            point,
            **_standing(view),
            devices=[_device(device, event, view) for device, event in view.installs],
            orders=_orders(orders.rows),
            changes=[HistoryEntry.of(each) for each in changes],
        )
    )


def _standing(view: PointView) -> dict[str, object]:
    current = view.current
    return {
        "supply": SwitchingOut.of(view.supply),
        "source": SwitchingOut.of(view.source),
        "device": None if current is None else current[0].id,
        "install_status": None if current is None else current[1].site_status or current[1].status,
        "armed": current is not None and current[1].armed,
    }


def _device(device: Device, event: InstallEvent, view: PointView) -> PointDeviceOut:
    there = event.removed_at is None
    history = []
    for entry in event.history:
        by, cause = whose(entry.cause, view.changes)
        history.append(OnOffOut(at=entry.at, on=entry.on, by=by, cause=cause))
    return PointDeviceOut(
        device=device.id,
        endpoint=device.endpoint,
        head_end=device.head_end,
        installed_at=event.installed_at,
        removed_at=event.removed_at,
        status=event.status,
        switch=SwitchingOut.of(switched(event, view.changes)) if there else None,
        history=history,
    )


def _orders(orders: Sequence[ServiceOrder]) -> list[PointOrderOut]:
    return [
        PointOrderOut(
            id=each.id,
            kind=each.kind,
            state=slug(each.state),
            created_at=each.created_at,
            ended_at=each.ended_at,
            requester=each.requester,
            reference=each.external_reference,
        )
        for each in orders
    ]
