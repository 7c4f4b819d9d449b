"""Routes of service points: whether supply gets through, what is and was there, its orders."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from adapter.engine.orders.ports import OrderFilter
from adapter.engine.registry.ports import PointFilter
from adapter.model.device import Category, Device, DisconnectLocation, InstallEvent, InstallStatus
from adapter.model.ids import ServicePointId
from adapter.model.supply import PointView, SwitchedBy, Switching, switched, whose
from adapter.orders.order import ServiceOrder
from adapter.web.api.call import (
    ApiContext,
    ApiRequest,
    ApiResponse,
    HistoryEntry,
    answer_from,
    id_of,
    limit_of,
    yes_or_no,
)
from adapter.web.api.orders import slug

_ORDERS: Final = 50


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
    device together. `protected` and `life_support` bar every disconnect."""

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
    kind: str
    state: str
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


async def list_service_points(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    after = id_of(asked, "cursor")
    wanted = PointFilter(
        supplied=yes_or_no(asked, "supplied"),
        connected=yes_or_no(asked, "connected"),
        bare=yes_or_no(asked, "bare"),
        sp_type=asked.query.get("sp_type"),
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
            kind=each.kind.value,
            state=slug(each.state),
            created_at=each.created_at,
            ended_at=each.ended_at,
            requester=each.requester,
            reference=each.external_reference,
        )
        for each in orders
    ]
