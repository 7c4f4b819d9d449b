"""Routes of upkeep: audit, ledger, retention, rows set aside, held switch orders, clock, health."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from adapter.engine.commands.ports import AuditEntry, Ledger
from adapter.engine.commands.switch_holds import Hold, HoldReason
from adapter.engine.upkeep.durations import DurationFilter, HourOf, Measure
from adapter.engine.upkeep.retention import Kept, Retention
from adapter.engine.upkeep.set_aside import FailedRow, FailedState, RowKind
from adapter.errors import StoreFailed
from adapter.model.whole_numbers import ROW, read_whole
from adapter.server.settings import Role
from adapter.web.api.call import (
    ApiContext,
    ApiRequest,
    ApiResponse,
    HistoryEntry,
    ReasonIn,
    answer_from,
    bad_query,
    limit_of,
    member,
    moment_of,
    require,
    row_of,
    text_of,
    whole_of,
)

_DIGEST: Final = re.compile(r"[0-9A-Fa-f]{64}", re.ASCII)
_MOVES_SWITCHES: Final = frozenset({RowKind.COMMAND, RowKind.COMMUNICATION, RowKind.ORDER})


# ---------------------------------------------------------------- audit and ledger


class AuditItem(HistoryEntry, kw_only=True):
    """`digest` covers the entry and the digest before it."""

    digest: str

    @classmethod
    def of(cls, entry: AuditEntry) -> "AuditItem":
        note = entry.note
        return answer_from(cls, note, seq=entry.seq, at=entry.at, digest=entry.digest)


class AuditPage(Struct, kw_only=True):
    """Oldest first. `next` is the cursor of the page after this one."""

    items: list[AuditItem]
    next: str | None


class AuditVerified(Struct, kw_only=True):
    """The whole chain was walked, to the witness and through the `head` that was given; `problem`
    is the first break. `held`: why no connect and no disconnect leaves."""

    intact: bool
    entries: int
    problem: str | None
    held: list[HoldReason]


async def get_ledger(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    found: Ledger = await api.gateway.upkeep.ledger()
    return ApiResponse(body=found)


async def list_audit(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    limit = limit_of(asked)
    after = whole_of(asked, "cursor") if "cursor" in asked.query else 0
    found = await api.gateway.upkeep.audit(after=after, limit=limit)
    return ApiResponse(
        body=AuditPage(
            items=[AuditItem.of(entry) for entry in found],
            next=str(found[-1].seq) if len(found) == limit else None,
        )
    )


async def verify_audit(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """Walks the whole chain. A break is an answer here, not an error."""
    head = _head_of(asked)
    held = [hold.reason for hold in api.gateway.upkeep.holds.all()]
    try:
        entries = await api.gateway.upkeep.verify_audit(head=head)
    except StoreFailed as broken:
        failed = api.gateway.failed
        if failed is not None and failed.done():
            raise
        found = AuditVerified(intact=False, entries=0, problem=str(broken), held=held)
        return ApiResponse(body=found)
    found = AuditVerified(intact=True, entries=entries, problem=None, held=held)
    return ApiResponse(body=found)


def _head_of(asked: ApiRequest) -> tuple[int, str] | None:
    """A head that was given out: number and digest. Raises ProblemRaised 422: half of a digest
    would differ from every chain, and raise a false alarm."""
    if "head" not in asked.query:
        return None
    seq, _, digest = asked.query["head"].partition(":")
    try:
        number = read_whole(seq, ROW)
    except ValueError:
        number = 0
    if not number or _DIGEST.fullmatch(digest) is None:
        raise bad_query("head", "NUMBER:DIGEST of a head that was given out, 64 hex digits")
    return number, digest.lower()


# ---------------------------------------------------------------- retention


class KeptOut(Struct, kw_only=True):
    """`days` null: for ever. `removed` since the process was started."""

    row_class: Kept
    days: float | None
    removed: int


class RetentionOut(Struct, kw_only=True):
    """`finished_at` is when the last sweep ended, null before the first; `running`: another has
    begun. The audit is never pruned."""

    items: list[KeptOut]
    finished_at: datetime | None
    running: bool

    @classmethod
    def of(cls, retention: Retention) -> "RetentionOut":
        return cls(
            items=[
                answer_from(KeptOut, state, row_class=state.what) for state in retention.states()
            ],
            finished_at=retention.last,
            running=retention.running,
        )


async def get_retention(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    return ApiResponse(body=RetentionOut.of(api.gateway.upkeep.retention))


async def run_retention(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """The sweep goes on in the background, at its own pace."""
    api.gateway.upkeep.retention.ask()
    return await get_retention(api, asked)


# ---------------------------------------------------------------- durations


class DurationOut(Struct, kw_only=True):
    """What took how long in the hour that began at `hour`; in seconds. `p50_s` and `p95_s`: half of
    them, and 19 of 20, took at most so long: the end of the class that they are counted in."""

    hour: datetime
    measure: Measure
    name: str
    count: int
    mean_s: float
    p50_s: float | None
    p95_s: float | None
    longest_s: float

    @classmethod
    def of(cls, row: HourOf) -> "DurationOut":
        spread = row.spread
        return answer_from(
            cls,
            row,
            count=spread.count,
            mean_s=round(spread.total_s / max(spread.count, 1), 6),
            p50_s=spread.quantile(0.5),
            p95_s=spread.quantile(0.95),
            longest_s=round(spread.most_s, 6),
        )


class DurationList(Struct, kw_only=True):
    """The newest hour first."""

    items: list[DurationOut]


async def list_durations(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """Of hours with from <= hour < to; without `from`, of the last day."""
    wanted = DurationFilter(
        start=moment_of(asked, "from") or asked.now - timedelta(days=1),
        end=moment_of(asked, "to"),
        measure=member(asked, "measure", Measure),
        name=text_of(asked, "name"),
    )
    rows = await api.gateway.upkeep.durations.hours(wanted)
    return ApiResponse(body=DurationList(items=[DurationOut.of(each) for each in rows]))


# ---------------------------------------------------------------- rows set aside


class FailedRowOut(Struct, kw_only=True):
    """`row` is the key of the row among its kind. `error` is the type of the last error, `detail`
    its text without secrets. `due_at` is when it is tried
    next; null: by itself it is not."""

    id: int
    kind: RowKind
    row: str
    state: FailedState
    error: str
    detail: str
    tries: int
    first_failed_at: datetime
    last_failed_at: datetime
    due_at: datetime | None

    @classmethod
    def of(cls, row: FailedRow) -> "FailedRowOut":
        return answer_from(
            cls, row, first_failed_at=row.first, last_failed_at=row.last, due_at=row.due
        )


class FailedRowPage(Struct, kw_only=True):
    items: list[FailedRowOut]
    next: str | None

    @classmethod
    def of(cls, rows: Sequence[FailedRow], limit: int) -> "FailedRowPage":
        return cls(
            items=[FailedRowOut.of(row) for row in rows],
            next=str(rows[-1].id) if len(rows) == limit else None,
        )


async def list_set_aside(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """What is set aside; with `state` those that wait for their next try, or were discarded."""
    limit = limit_of(asked)
    rows = await api.gateway.upkeep.set_aside.rows(
        state=member(asked, "state", FailedState) or FailedState.SET_ASIDE,
        kind=member(asked, "kind", RowKind),
        after=whole_of(asked, "cursor") if "cursor" in asked.query else 0,
        limit=limit,
    )
    return ApiResponse(body=FailedRowPage.of(rows, limit))


async def get_set_aside(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    return ApiResponse(body=FailedRowOut.of(await api.gateway.upkeep.set_aside.row(_number(asked))))


async def retry_set_aside(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    await _require(api, asked)
    reason = asked.read(ReasonIn).reason
    row = await api.gateway.upkeep.set_aside.retry(_number(asked), by=asked.actor, reason=reason)
    return ApiResponse(body=FailedRowOut.of(row))


async def discard_set_aside(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    await _require(api, asked)
    reason = asked.read(ReasonIn).reason
    row = await api.gateway.upkeep.set_aside.discard(_number(asked), by=asked.actor, reason=reason)
    return ApiResponse(body=FailedRowOut.of(row))


async def _require(api: ApiContext, asked: ApiRequest) -> None:
    """Who may retry or discard a command or an order may do so here; for the rest it is admin."""
    row = await api.gateway.upkeep.set_aside.row(_number(asked))
    require(asked.key, Role.SWITCH if row.kind in _MOVES_SWITCHES else Role.ADMIN)


def _number(asked: ApiRequest) -> int:
    return row_of(asked, "row", "row set aside")


# ---------------------------------------------------------------- held switch orders, clock, health


class Health(Struct, kw_only=True):
    status: str


class HoldOut(Struct, kw_only=True):
    """Why no connect and no disconnect leaves. `action` is what people can do about it; `by` is who
    has stopped switching, else empty."""

    reason: HoldReason
    since: datetime
    text: str
    action: str
    by: str

    @classmethod
    def of(cls, hold: Hold) -> "HoldOut":
        return answer_from(cls, hold)


class HoldList(Struct, kw_only=True):
    """The longest first; none: switch orders leave."""

    items: list[HoldOut]

    @classmethod
    def of(cls, holds: Sequence[Hold]) -> "HoldList":
        return cls(items=[HoldOut.of(hold) for hold in holds])


class ClockOut(Struct, kw_only=True):
    """`now` is what the machine's wall clock shows, `expected` what it should show at the earliest,
    by the time seen last and the seconds counted since; `off_by_s` is 0 where they agree, negative
    where the clock is behind. `held`: switch orders are held because of it."""

    now: datetime
    expected: datetime
    off_by_s: float
    held: HoldOut | None


class ReadyOut(Struct, kw_only=True):
    """`status`: ready; held where no switch order leaves; degraded where something is wrong that
    `warnings` name; leaving, with 503, where the process is about to stop. All but the last are
    served all the same. `warnings` is what people have to see to while it runs."""

    status: str
    held: list[HoldOut]
    warnings: list[str]


async def get_health(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """The process answers."""
    return ApiResponse(body=Health(status="ok"))


async def list_holds(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    return ApiResponse(body=HoldList.of(api.gateway.upkeep.holds.all()))


async def confirm_hold(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """A person says that a reason is settled; answers with what is left."""
    reason = asked.read(ReasonIn).reason
    await api.gateway.upkeep.holds.confirm(asked.path["hold"], by=asked.actor, why=reason)
    return await list_holds(api, asked)


async def get_clock(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    watch = api.gateway.upkeep.clock_watch
    hold = api.gateway.upkeep.holds.of(HoldReason.CLOCK)
    return ApiResponse(
        body=ClockOut(
            now=asked.now,
            expected=watch.expected(),
            off_by_s=watch.off_by_s(),
            held=None if hold is None else HoldOut.of(hold),
        )
    )


async def get_readiness(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """The store answers and has not failed. What people have to see to is said."""
    found = await api.gateway.upkeep.ready()
    held = HoldList.of(found.held).items
    status = "held" if held else "degraded" if found.wrong else "ready"
    status = "leaving" if found.leaving else status
    warnings = [*found.wrong, *_warnings(found.shared_endpoints)]
    body = ReadyOut(status=status, held=held, warnings=warnings)
    return ApiResponse(body=body, status=503 if found.leaving else 200)


def _warnings(shared_endpoints: int) -> list[str]:
    if not shared_endpoints:
        return []
    text = "named by more than one device: no switch order goes there until an import mends it"
    return [f"endpoints {text} ({shared_endpoints})"]
