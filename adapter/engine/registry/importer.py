"""Loads master data: look at what is known, decide, write; again where it moved meanwhile."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Final

from adapter.engine.commands.ports import AuditNote, Clock, Import, Saved, Store
from adapter.engine.registry.import_plan import POINT_OWNED, ImportPlan, Override, plan
from adapter.engine.registry.imports import ImportProblem, ImportRefused
from adapter.engine.registry.ports import (
    POINT_CHANGED,
    ImportDifference,
    ImportReport,
    Known,
    looks_like,
    point_subject,
)
from adapter.errors import Conflict, InvalidRequest
from adapter.model.device import DeviceView, InstallStatus
from adapter.model.ids import EndpointId, EventId, ServicePointId

log = logging.getLogger(__name__)

_TRIES: Final = 8
_MOST_LOGGED: Final = 20
_CLOCKS_APART: Final = timedelta(minutes=5)
"""So far the clock of who wrote the file may be ahead of ours. Ours."""
_MOST_AUDITED: Final = 1_000
"""Fields left alone that the audit entry names; overridden ones are all named."""


class Importer:
    """Writes only what it looked at: a completion event that comes between is not undone."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.shared: Mapping[EndpointId, Sequence[DeviceView]] = {}
        """Endpoints of more than one device, from before imports refused them: nobody can tell
        whose meter it is, and no switch order goes there."""

    async def look_at_shared(self) -> None:
        """Look through the registry once, at the start, and again while there are some."""
        self.shared = await self._store.shared_endpoints()
        if self.shared:
            told = list(self.shared.items())[:_MOST_LOGGED]
            devices = {endpoint: [each.device.id for each in views] for endpoint, views in told}
            log.error("endpoints_shared", extra={"count": len(self.shared), "devices": devices})

    async def load(
        self,
        what: Import,
        *,
        by: str,
        override: str | None = None,
        whole: bool = False,
        dry_run: bool = False,
    ) -> ImportReport:
        """Load it, with one audit entry in the same transaction.

        `override` is the reason for which what completion events own is overridden; `whole`
        refuses an import of which an install event would be left out; `dry_run` writes nothing.
        Raises ImportRefused, InvalidRequest, and Conflict where the registry keeps moving.
        """
        if override is not None and not override.strip():
            raise InvalidRequest("reason", "is needed to override what completion events own")
        if to_come := list(_to_come(what, self._clock.now() + _CLOCKS_APART)):
            raise ImportRefused(to_come)
        for _ in range(_TRIES):
            seen = await self._store.known(what)
            if seen.twins:
                raise ImportRefused(_twins(what, seen))
            correction = self._override(override, by)
            made = plan(what, seen, correction)
            if made.clashes:
                raise ImportRefused(
                    ImportProblem("devices", number + 1, "endpoint", rule)
                    for number, rule in made.clashes
                )
            if whole and made.untaken:
                raise ImportRefused(
                    ImportProblem("installs", 0, "", _said(e)) for e in made.untaken
                )
            report = _report(what, made)
            if dry_run:
                return report
            audit = (_audit(report, by, override), *_points_changed(report, by, correction))
            saved = await self._store.import_(made.write, asked=what, seen=seen, audit=audit)
            if saved is Saved.SAVED:
                _log(report)
                if self.shared:
                    await self.look_at_shared()
                return report
        raise Conflict("the devices keep changing while they are loaded; load them again")

    def _override(self, reason: str | None, by: str) -> Override | None:
        if reason is None:
            return None
        now = self._clock.now()
        cause = EventId(f"import:{by}:{now.isoformat()}")
        return Override(reason=reason.strip(), at=now, cause=cause)


def _to_come(what: Import, by: datetime) -> Iterator[ImportProblem]:
    """A move that is only planned: the registry says where a meter stands now, and a disconnect for
    its new home would be one of the old."""
    for number, install in enumerate(what.installs, 1):
        planned = install.status is InstallStatus.PENDING
        times = {"installed_at": None if planned else install.installed_at}
        for name, at in {**times, "removed_at": install.removed_at}.items():
            if at is not None and at > by:
                rule = "is in the future: load it when it has happened"
                yield ImportProblem("installs", number, name, rule)


def _twins(what: Import, seen: Known) -> Iterator[ImportProblem]:
    for number, device in enumerate(what.devices, 1):
        if (twin := seen.twins.get(("device", device.id))) is not None:
            yield ImportProblem("devices", number, "id", looks_like(device.id, twin))
        for group in sorted(device.groups):
            if (twin := seen.twins.get(("group", group))) is not None:
                yield ImportProblem("devices", number, "groups", looks_like(group, twin))
    for number, point in enumerate(what.service_points, 1):
        if (twin := seen.twins.get(("service_point", point.id))) is not None:
            yield ImportProblem("service_points", number, "id", looks_like(point.id, twin))


def _report(what: Import, made: ImportPlan) -> ImportReport:
    return ImportReport(
        devices=len(what.devices),
        service_points=len(what.service_points),
        installs=len(what.installs),
        left_alone=made.left_alone,
        overridden=made.overridden,
    )


def _audit(report: ImportReport, by: str, reason: str | None) -> AuditNote:
    detail: dict[str, object] = {
        "devices": report.devices,
        "service_points": report.service_points,
        "installs": report.installs,
    }
    if report.left_alone:
        told = [asdict(each) for each in report.left_alone[:_MOST_AUDITED]]
        detail |= {"left_alone": len(report.left_alone), "left_alone_fields": told}
    if reason is not None:
        detail |= {
            "reason": reason.strip(),
            "overridden": [asdict(each) for each in report.overridden],
        }
    return AuditNote(actor=by, action="Imported", subject="registry", detail=detail)


def _points_changed(
    report: ImportReport, by: str, override: Override | None
) -> tuple[AuditNote, ...]:
    """One entry for each service point whose own state was overridden: since when, and why."""
    if override is None:
        return ()
    changed: dict[str, dict[str, object]] = {}
    for each in report.overridden:
        if each.field in POINT_OWNED:
            changed.setdefault(each.subject, {})[each.field] = each.given
    why = {"cause": override.cause, "reason": override.reason}
    return tuple(
        AuditNote(
            actor=by,
            action=POINT_CHANGED,
            subject=point_subject(ServicePointId(point)),
            detail={**what, **why},
        )
        for point, what in changed.items()
    )


def _log(report: ImportReport) -> None:
    if report.left_alone or report.overridden:
        # What a person has overridden, with a reason, is no surprise to anybody.
        level = logging.WARNING if report.left_alone else logging.INFO
        counts = {"left_alone": len(report.left_alone), "overridden": len(report.overridden)}
        log.log(level, "import_differs", extra=counts)


def _said(each: ImportDifference) -> str:
    return f"{each.subject} at {each.given} contradicts the records ({each.stored}): {each.reason}"
