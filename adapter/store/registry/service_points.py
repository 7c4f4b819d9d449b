"""Service points with what is and was at them: looked at by people, not by the loops."""

from collections.abc import Collection, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final

from adapter.engine.registry.ports import POINT_CHANGED, PointFilter, PointPage, point_subject
from adapter.model.device import Device, InstallEvent, ServicePoint
from adapter.model.ids import DeviceId, EventId, ServicePointId
from adapter.model.supply import PointChange, PointView, SwitchedBy
from adapter.model.values import replace
from adapter.store.commands import queries, reading
from adapter.store.connection import SqlConnection
from adapter.store.database import Database
from adapter.store.rows import as_list, decode_device, decode_install, decode_service_point

_SCANNED: Final = 5_000
"""So many service points are looked at for one page: a filter that few pass ends a page early."""

_CHANGES: Final = 500
_KNOWN: Final = 4_096

_POINTS: Final = "SELECT id, body FROM service_point WHERE id > ? ORDER BY id LIMIT ?"
_INSTALLS: Final = """
SELECT body FROM install_event WHERE service_point = ? ORDER BY removed, installed_at DESC"""

STANDING: Final = """
SELECT s.id, s.body, i.body, d.body
FROM json_each(?) AS asked CROSS JOIN service_point s ON s.id = asked.value
    LEFT JOIN install_event i ON i.service_point = s.id LEFT JOIN device d ON d.id = i.device
ORDER BY s.id, i.removed, i.installed_at DESC"""


class SqliteServicePoints:
    """The ServicePointStore port beside the commands, in the same file."""

    def __init__(self, store: Database) -> None:
        self._store = store

    async def point(self, point: ServicePointId) -> PointView | None:
        def look(db: SqlConnection) -> PointView | None:
            body = db.execute(queries.SERVICE_POINT, (point,)).get
            return None if body is None else _view(db, decode_service_point(body))

        return await self._store.query(look)

    async def points(self, wanted: PointFilter) -> PointPage:
        return await self._store.query(lambda db: _page(db, wanted))


def without_supply(db: SqlConnection, point: ServicePointId) -> bool:
    """Whether no supply gets through there now; False for a point that nobody knows."""
    return point in dark_points(db, [point])


def dark_points(db: SqlConnection, points: Collection[ServicePointId]) -> frozenset[ServicePointId]:
    """Those of them where no supply gets through now."""
    standing: dict[str, tuple[bytes, list[tuple[bytes, bytes]]]] = {}
    for id_, point, event, device in db.execute(STANDING, (as_list(points),)) if points else ():
        installs = standing.setdefault(id_, (point, []))[1]
        if event is not None and device is not None:
            installs.append((event, device))
    return frozenset(
        ServicePointId(id_)
        for id_, (point, installs) in standing.items()
        if _is_dark(point, tuple(installs))
    )


@lru_cache(maxsize=_KNOWN)
def _is_dark(point: bytes, installs: tuple[tuple[bytes, bytes], ...]) -> bool:
    """By the rows as they are stored: those of a point change seldom, and are asked for often."""
    made = tuple((decode_device(device), decode_install(event)) for event, device in installs)
    return not PointView(service_point=decode_service_point(point), installs=made).supply.on


def _page(db: SqlConnection, wanted: PointFilter) -> PointPage:
    found: list[PointView] = []
    last, scanned = wanted.after or "", 0
    for id_, body in list(db.execute(_POINTS, (last, _SCANNED))):
        last, scanned = id_, scanned + 1
        point = decode_service_point(body)
        if not _may_pass(point, wanted):
            continue
        view = _view(db, point)
        if wanted.passes(view):
            found.append(view)
        if len(found) == wanted.limit:
            break
    more = len(found) == wanted.limit or scanned == _SCANNED
    return PointPage(rows=tuple(found), next=ServicePointId(last) if more else None)


def _may_pass(point: ServicePoint, wanted: PointFilter) -> bool:
    """Before its devices are looked up."""
    return wanted.sp_type in (None, point.sp_type) and wanted.connected in (None, point.connected)


def _standing(db: SqlConnection, point: ServicePoint) -> PointView:
    """Without what changed at it, and so without since when and by what."""
    installs = [decode_install(body) for (body,) in list(db.execute(_INSTALLS, (point.id,)))]
    with_devices = (_with_device(db, each) for each in installs)
    return PointView(
        service_point=point, installs=tuple(pair for pair in with_devices if pair is not None)
    )


def _view(db: SqlConnection, point: ServicePoint) -> PointView:
    subject = point_subject(point.id)
    entries = reading.audit(db, subject, 0, _CHANGES)
    return replace(
        _standing(db, point),
        changes=tuple(
            _change(entry.at, entry.note.detail)
            for entry in entries
            if entry.note.action == POINT_CHANGED
        ),
    )


def _with_device(db: SqlConnection, event: InstallEvent) -> tuple[Device, InstallEvent] | None:
    body = db.execute(queries.DEVICE, (event.device,)).get
    return None if body is None else (decode_device(body), event)


def _change(at: datetime, detail: Mapping[str, object]) -> PointChange:
    connected, removed = detail.get("connected"), detail.get("removed")
    visit, done = detail.get("visit"), detail.get("at")
    return PointChange(
        at=datetime.fromisoformat(done) if isinstance(done, str) else at,
        by=SwitchedBy.CREW if visit else SwitchedBy.IMPORT,
        cause=EventId(str(detail.get("cause", ""))),
        name=str(visit or detail.get("cause", "")),
        connected=None if connected is None else connected in (True, "true"),
        removed=DeviceId(str(removed)) if removed else None,
    )
