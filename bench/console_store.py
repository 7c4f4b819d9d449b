"""A store as the bench of the console's pages has it: commands, orders, calls, measurements.

Measurements are put into their file by SQL, as many loads as there are days, and then counted as
the gateway counts them; all else is stored by the gateway.
"""

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

import apsw

from adapter.commands.activity import Command, CommunicationState, Outcome, State, Work
from adapter.commands.flows import CommandKind, Operation
from adapter.engine.commands.ports import Import, LoggedCall
from adapter.engine.orders.requests import OrderRequest
from adapter.engine.upkeep.durations import HourOf, Measure, Spread
from adapter.model.ids import ServicePointId
from adapter.model.values import replace
from adapter.orders.order import OrderKind
from adapter.store.readings.completeness import SqliteCompleteness
from adapter.store.readings.file import path_beside
from adapter.store.rows import micros
from adapter.store.upkeep.durations import SqliteDurations
from tests.builders import (
    a_command,
    a_communication,
    a_device,
    a_request,
    a_service_point,
    a_submission,
    an_install,
)
from tests.web.both_servers import NOON, XML, Rig, a_rig

_BATCH: Final = 500
_WAITS: Final = 50
"""One of so many commands waits for people."""

WAITING: Final = a_command(_WAITS).id
METER: Final = "MX17"
_POINTS: Final = 3_000
_GROUPS: Final = 20
_INTERVAL_S: Final = 900
_A_DAY: Final = 86_400 // _INTERVAL_S
_COUNTED: Final = 10_000
_KEPT_HOURS: Final = 8 * 24
_FILLED: Final = "filled.json"

_PAYLOAD: Final = """
INSERT INTO payload (source, operation, state, reason, at, finished, bytes, digest, spool, counts,
                     raw_kept)
VALUES ('', 'DataSubscriberService.DataArrived', 'loaded', '', :at, :at, 1, :digest, '', X'7B7D', 0)
RETURNING id"""
_LOAD: Final = "INSERT INTO load (payload, state, started) VALUES (?, 'loaded', ?) RETURNING id"
_CHANNELS: Final = """
INSERT INTO channel (device, component, kind, same_quantity, source, seconds, endpoint, unit,
                     quantity, tou, sqi)
SELECT value, 'kWh', 'interval', 'Wh d', '', :seconds, 'E-' || value, 'Wh', 'Wh d', '', ''
FROM json_each(:devices)"""
# Some send half of a day, and some nothing for two days.
_VALUES: Final = """
WITH RECURSIVE slot (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM slot WHERE n + 1 < :slots)
INSERT INTO measured
SELECT c.id, :start + (n + 1) * :seconds * 1000000, :load + n / :day, 0,
       120 + (c.id * 7 + n) % 400, 120 + (c.id * 7 + n) % 400, 900000, '', :conversion
FROM channel c CROSS JOIN slot
WHERE NOT (c.id % 50 = 3 AND n / :day = :days - 3 AND n % :day < :day / 2)
    AND NOT (c.id % 100 = 7 AND n / :day >= :days - 2)
ORDER BY 1, 2"""


async def fill(folder: Path, *, commands: int, orders: int, measurements: int) -> bool:
    """False: the folder has it all from before. Raises SystemExit where it has something else."""
    wanted = {"commands": commands, "orders": orders, "measurements": measurements}
    if _is_filled(folder, wanted):
        return False
    async with a_rig(folder=folder) as rig:
        await _commands(rig, commands)
        await _orders(rig, orders)
        await _calls(rig)
        await _others(rig)
    _measurements(folder / "gateway.db", [f"MX{n}" for n in range(orders)], measurements)
    async with a_rig(folder=folder) as rig:
        zone = rig.gateway.readings.completeness.zone
        while await SqliteCompleteness(rig.store.database, zone).count_days(most=_COUNTED):
            pass
    _filled(folder, wanted)
    return True


def _is_filled(folder: Path, wanted: Mapping[str, int]) -> bool:
    made = folder / _FILLED
    if not made.exists():
        if list(folder.iterdir()):
            raise SystemExit(f"{folder} is not empty, and was not filled by this")
        return False
    if json.loads(made.read_text()) != wanted:
        raise SystemExit(f"{folder} was filled with {made.read_text()}: name another folder")
    return True


def _filled(folder: Path, wanted: Mapping[str, int]) -> None:
    (folder / _FILLED).write_text(json.dumps(wanted))


async def _commands(rig: Rig, commands: int) -> None:
    for start in range(1, commands + 1, _BATCH):
        numbers = range(start, min(start + _BATCH, commands + 1))
        await rig.store.submit([a_submission(n, command=_command(n)) for n in numbers])


def _command(number: int) -> Command:
    waits = not number % _WAITS
    made = a_command(
        number,
        request=a_request(CommandKind.REMOTE_DISCONNECT, f"M{number % 3 + 1}", requester="cis"),
        state=State.COMMUNICATION_ERROR if waits else State.COMPLETED,
        outcome=None if waits else Outcome.SUCCEEDED,
        reason="the head end said no",
        waits_since=NOON,
        service_point=ServicePointId(f"SPX{number % _POINTS}"),
    )
    sent = replace(a_communication(made.id), state=CommunicationState.COMPLETED, work=Work.NONE)
    return replace(made, communications=(sent,))


async def _orders(rig: Rig, orders: int) -> None:
    for start in range(0, orders, _BATCH):
        numbers = range(start, min(start + _BATCH, orders))
        await rig.gateway.registry.import_devices(
            Import(
                devices=tuple(
                    replace(a_device(f"MX{n}"), groups=frozenset({f"GROUP-{n % _GROUPS:02}"}))
                    for n in numbers
                ),
                service_points=tuple(a_service_point(f"SPX{n}") for n in numbers),
                installs=tuple(
                    an_install(f"MX{n}", f"SPX{n}", installed_at=NOON - timedelta(days=400))
                    for n in numbers
                ),
            )
        )
        for n in numbers:
            await rig.gateway.orders.submit(
                OrderRequest(
                    kind=OrderKind.CUT,
                    service_point=ServicePointId(f"SPX{n}"),
                    external_reference=f"o{n}",
                    requester="cis",
                    effective_at=NOON + timedelta(days=2),
                )
            )


async def _calls(rig: Rig) -> None:
    """How long things took in the last days, and the messages of one command."""
    hour = NOON.replace(minute=0)
    measured = (Measure.CALL, Measure.TOKEN_TO_RESULT, Measure.ARRIVAL_TO_SEEN)
    rows = [
        HourOf(hour=hour - timedelta(hours=n), measure=measure, name=operation, spread=_spread(n))
        for n in range(_KEPT_HOURS)
        for measure in measured
        for operation in Operation
    ]
    durations = SqliteDurations(rig.store.database)
    await durations.add_durations(rows, forget_before=NOON - timedelta(days=400))
    sent = a_communication(WAITING).id
    for n in range(4):
        rig.store.log_call(
            LoggedCall(
                communication=sent,
                sent_at=NOON + timedelta(seconds=n),
                replied_at=NOON + timedelta(seconds=n),
                operation=Operation.DISCONNECT_METER,
                request=b"<a><b>1</b></a>" * 40,
                status=200,
                reply=b"<a><b>2</b></a>" * 40,
            )
        )


def _spread(hour: int) -> Spread:
    made = Spread()
    for n in range(10):
        made.add(0.01 * (1 + (hour + n) % 50))
    return made


async def _others(rig: Rig) -> None:
    """A schedule, and messages of the head end that nobody understands."""
    schedule = {
        "kind": "scheduled_read_scalar",
        "group": "GROUP-01",
        "name": "every hour",
        "recurrence": {"first": "00:00:00", "length_s": 3600},
    }
    made = await rig.ask("POST", "/schedules", schedule, by="operator")
    assert made.status == 202, made
    for n in range(60):
        await rig.post("/openway/status", f"<nonsense>{n}".encode(), XML)


def _measurements(store: Path, devices: list[str], measurements: int) -> None:
    """Of each device an interval every quarter of an hour, up to noon, for as many days as it
    takes."""
    days = -(-measurements // (len(devices) * _A_DAY)) + 1
    start = NOON - timedelta(days=days)
    db = apsw.Connection(str(store))
    db.execute("ATTACH ? AS file", (str(path_beside(store)),))
    for database in ("main", "file"):
        db.pragma(f"{database}.synchronous", "off")
        db.pragma(f"{database}.journal_mode", "off")
    index = db.execute("SELECT sql FROM file.sqlite_schema WHERE name = 'measured_load'").get
    with db:
        loads: list[int] = []
        for day in range(days):
            at = micros(start + timedelta(days=day + 1, minutes=5))
            number = db.execute(_PAYLOAD, {"at": at, "digest": str(day).encode()}).get
            loads.append(db.execute(_LOAD, (number, at)).get)
        db.execute("DROP INDEX file.measured_load")
        words = "INSERT INTO conversion (words) VALUES ('as it came') RETURNING id"
        conversion = db.execute(words).get
        db.execute(_CHANNELS, {"seconds": _INTERVAL_S, "devices": json.dumps(devices)})
        db.execute(
            _VALUES,
            {
                "slots": days * _A_DAY,
                "start": micros(start),
                "seconds": _INTERVAL_S,
                "load": loads[0],
                "day": _A_DAY,
                "days": days,
                "conversion": conversion,
            },
        )
        db.execute("UPDATE newest SET load = ?", (loads[-1],))
        db.execute(index.replace("INDEX measured_load", "INDEX file.measured_load"))
    for database in ("main", "file"):
        db.pragma(f"{database}.journal_mode", "wal")
    db.close()
