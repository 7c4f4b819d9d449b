"""The admin address: look at the simulated world and change it while it runs. JSON in and out."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from hmac import compare_digest
from itertools import islice
from typing import Final, Protocol
from urllib.parse import urlsplit

from aiohttp import web

from adapter.commands.calls import SwitchState
from adapter.engine.commands.ports import Clock
from adapter.errors import GatewayError, InvalidRequest, NotFound
from adapter.model.ids import EndpointId, RequestToken
from adapter.model.json_members import json_value
from adapter.model.values import replace
from adapter.model.whole_numbers import CURSOR, read_whole
from adapter.simulator.bodies import wire_time
from adapter.simulator.energy import quantities, total_wh
from adapter.simulator.faults import EFFECTS, read_script, script_row
from adapter.simulator.jobs import Job
from adapter.simulator.journal import SimulatorJournal
from adapter.simulator.meters import Meter, moved
from adapter.simulator.reported import KINDS
from adapter.simulator.settings import SimulatorConfig
from adapter.simulator.subscriptions import SimulatedSubscriptionKind, Subscription
from adapter.simulator.world import SimulatedWorld

Json = dict[str, object]
Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]

_FLAGS: Final = frozenset(
    {"registered", "commissioned", "remote_switch", "backfeed", "reachable", "generates"}
)
_TEXTS: Final = frozenset({"serial", "device_class", "configuration_group"})


class Running(Protocol):
    """The simulator, as far as it is looked at and changed from here."""

    config: SimulatorConfig
    clock: Clock
    world: SimulatedWorld
    journal: SimulatorJournal
    url: str

    def wake(self) -> None:
        """To be called after the world was given something to do."""


# fmt: off
ADMIN_ROUTES: Final = (
    # method    path                              handler              what it does
    ("GET",    "",                               "overview",           "clock, counts of meters, requests and scripts, all counters"),
    ("GET",    "/meters",                        "meters",             "meters; `group`, `match` (a glob), `offset`, `limit`"),
    ("PUT",    "/meters",                        "change_many",        "`group` and `match` choose, `set` has the members to change"),
    ("GET",    "/meters/{esn}",                  "meter",              "one meter with its registers"),
    ("PUT",    "/meters/{esn}",                  "change",             "change members of a meter, or add it"),
    ("GET",    "/groups",                        "groups",             "the groups"),
    ("GET",    "/groups/{name}",                 "group",              "members of a group; `offset`, `limit`"),
    ("PUT",    "/groups/{name}",                 "set_group",          "`meters` becomes a group"),
    ("DELETE", "/groups/{name}",                 "drop_group",         "remove a named group"),
    ("GET",    "/effects",                       "effects",            "what a script can do"),
    ("GET",    "/scripts",                       "scripts",            "scripts in force, how often each matched and hit"),
    ("POST",   "/scripts",                       "add_scripts",        "one script, or all of `scripts`; all are taken or none"),
    ("DELETE", "/scripts",                       "clear_scripts",      "remove all scripts"),
    ("DELETE", "/scripts/{id}",                  "drop_script",        "remove one script"),
    ("GET",    "/subscriptions",                 "subscriptions",      "who gets data and exceptions"),
    ("PUT",    "/subscriptions/{kind}/{system}", "subscribe",          "send `data` or `exceptions` to `address`"),
    ("DELETE", "/subscriptions/{kind}/{system}", "unsubscribe",        "stop that"),
    ("GET",    "/requests",                      "requests",           "requests that have a token, newest first; `limit`"),
    ("GET",    "/requests/{token}/meters",       "meters_of_request",  "what each meter of a read did; `offset`, `limit`"),
    ("GET",    "/journal",                       "journal",            "requests and callbacks; `operation`, `esn`, `token`, `after`, `limit`"),
    ("GET",    "/counters",                      "counters",           "all counters; of one meter with `esn`, of each with `per_meter=1`"),
    ("POST",   "/reset",                         "reset",              "meters, requests and journal as at the start"),
    ("POST",   "/forget-tokens",                 "forget_tokens",      "forget every token, as a head end after a restart"),
    ("POST",   "/outage",                        "outage",             "`group` and `match` lose supply for `seconds`, and say so"),
    ("POST",   "/event",                         "event",              "`group` and `match` report an event of a `kind`"),
)
# fmt: on
"""Below /admin. Bodies are JSON objects with the members named here."""


def admin_routes(simulator: Running) -> list[web.RouteDef]:
    """Every admin route under /admin."""
    admin = _Admin(simulator)
    return [
        web.route(method, f"/admin{path}", admin.guarded(getattr(admin, call)))
        for method, path, call, _ in ADMIN_ROUTES
    ]


class _Admin:
    def __init__(self, simulator: Running) -> None:
        self._simulator = simulator
        self._world = simulator.world

    def guarded(self, call: Handle) -> Handle:
        """Refuse strangers and other sites' pages; tell errors as JSON."""

        async def handle(request: web.Request) -> web.StreamResponse:
            wanted = self._simulator.config.access.admin_token
            given = request.headers.get("Authorization", "")
            if wanted and not compare_digest(given.encode(), f"Bearer {wanted}".encode()):
                return _error(401, "unauthorized", "a bearer token is needed")
            origin = request.headers.get("Origin")
            if origin is not None and urlsplit(origin).netloc != request.host:
                return _error(403, "forbidden", "another site's page may not call this")
            try:
                return await call(request)
            except NotFound as error:
                return _error(404, error.code, str(error))
            except GatewayError as error:
                return _error(400, error.code, str(error))

        return handle

    async def overview(self, request: web.Request) -> web.Response:
        world = self._world
        return web.json_response(
            {
                "url": self._simulator.url,
                "now": wire_time(self._simulator.clock.now()),
                "seed": world.config.seed,
                "meters": len(world.population),
                "meters_changed": world.population.changed,
                "requests": len(world.jobs),
                "open_requests": world.open_requests,
                "scripts": len(world.scripts.listed()),
                "subscriptions": len(world.subscriptions.listed()),
                "counters": self._simulator.journal.counters(),
            }
        )

    async def meters(self, request: web.Request) -> web.Response:
        """`group`, `match` (glob), `offset`, `limit`."""
        offset, limit = _whole(request, "offset", 0), _whole(request, "limit", 100)
        found = self._choose(request.query.get("group"), request.query.get("match"))
        page = islice(found, offset, offset + limit)
        return web.json_response({"meters": [self._row(self._meter(esn)) for esn in page]})

    async def meter(self, request: web.Request) -> web.Response:
        return web.json_response(self._row(self._meter(_esn(request)), registers=True))

    async def change(self, request: web.Request) -> web.Response:
        """Set members of one meter; a meter that is not there yet is added."""
        given = await _object(request)
        esn = _esn(request)
        meter = self._world.population.find(esn) or self._world.population.new(esn)
        changed = self._changed(meter, given)
        self._world.population.put(changed)
        return web.json_response(self._row(changed, registers=True))

    async def change_many(self, request: web.Request) -> web.Response:
        """{"group": ..., "match": ..., "set": {...}} for every meter chosen."""
        given = await _object(request)
        wanted = given.get("set")
        if not isinstance(wanted, dict):
            raise InvalidRequest("set", "must be an object")
        count = 0
        for esn in self._choose(_text_or_none(given, "group"), _text_or_none(given, "match")):
            self._world.population.put(self._changed(self._meter(esn), wanted))
            count += 1
        return web.json_response({"changed": count})

    async def groups(self, request: web.Request) -> web.Response:
        population = self._world.population
        return web.json_response(
            {
                "groups": list(population.group_names()),
                "named": {name: len(members) for name, members in population.named_groups.items()},
            }
        )

    async def group(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        members = self._world.population.members(name)
        if members is None:
            raise NotFound(f"there is no group {name!r}")
        offset, limit = _whole(request, "offset", 0), _whole(request, "limit", 1_000)
        page = list(members[offset : offset + limit])
        return web.json_response({"group": name, "count": len(members), "meters": page})

    async def set_group(self, request: web.Request) -> web.Response:
        """{"meters": [ESN, ...]}"""
        members = (await _object(request)).get("meters")
        if not isinstance(members, list) or not all(isinstance(esn, str) for esn in members):
            raise InvalidRequest("meters", "must be a list of ESNs")
        name = request.match_info["name"]
        self._world.population.set_group(name, [EndpointId(esn) for esn in members])
        return web.json_response({"group": name, "count": len(members)})

    async def drop_group(self, request: web.Request) -> web.Response:
        if not self._world.population.drop_group(request.match_info["name"]):
            raise NotFound("there is no such named group")
        return web.json_response({})

    async def effects(self, request: web.Request) -> web.Response:
        rows = [
            {"effect": effect, "stage": row.stage, "needs": row.needs, "meaning": row.meaning}
            for effect, row in EFFECTS.items()
        ]
        return web.json_response({"effects": rows})

    async def scripts(self, request: web.Request) -> web.Response:
        listed = self._world.scripts.listed()
        rows = [{**script_row(row), "matched": seen, "hit": hit} for row, seen, hit in listed]
        return web.json_response({"scripts": rows})

    async def add_scripts(self, request: web.Request) -> web.Response:
        """One script, or {"scripts": [...]}; either all are taken or none."""
        given = await _object(request)
        rows = given.get("scripts", [given])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise InvalidRequest("scripts", "must be a list of objects")
        read = [read_script(row, at=f"scripts[{index}]") for index, row in enumerate(rows)]
        added = self._world.scripts.add_all(read)
        return web.json_response({"ids": [script.id for script in added]}, status=201)

    async def clear_scripts(self, request: web.Request) -> web.Response:
        self._world.scripts.clear()
        return web.json_response({})

    async def drop_script(self, request: web.Request) -> web.Response:
        if not self._world.scripts.remove(request.match_info["id"]):
            raise NotFound("there is no such script")
        return web.json_response({})

    async def subscriptions(self, request: web.Request) -> web.Response:
        rows = [
            {
                "system": row.system,
                "kind": row.kind.lower(),
                "addresses": list(row.addresses),
                "meters": len(row.endpoints),
                "groups": list(row.groups),
            }
            for row in self._world.subscriptions.listed()
        ]
        return web.json_response({"subscriptions": rows})

    async def subscribe(self, request: web.Request) -> web.Response:
        """{"address": "http://..."}"""
        address = (await _object(request)).get("address")
        if not isinstance(address, str) or urlsplit(address).scheme not in ("http", "https"):
            raise InvalidRequest("address", "must be an http address")
        kind, system = _kind(request), request.match_info["system"]
        self._world.subscriptions.put(Subscription(system=system, kind=kind, addresses=(address,)))
        return web.json_response({})

    async def unsubscribe(self, request: web.Request) -> web.Response:
        if not self._world.subscriptions.drop(_kind(request), request.match_info["system"]):
            raise NotFound("there is no such subscription")
        return web.json_response({})

    async def requests(self, request: web.Request) -> web.Response:
        limit = _whole(request, "limit", 100)
        newest = islice(reversed(self._world.jobs.values()), limit)
        return web.json_response({"requests": [_job_row(job) for job in newest]})

    async def meters_of_request(self, request: web.Request) -> web.Response:
        """What each meter of a read did, by the simulator's own account; `offset`, `limit`.

        `reason` is set where it failed. `copies` of its data were sent, `late` after the end;
        `energy` is [intervals, watt-hours] by quantity.
        """
        job = self._world.jobs.get(RequestToken(request.match_info["token"].lower()))
        if job is None:
            raise NotFound("there is no such request")
        offset, limit = _whole(request, "offset", 0), _whole(request, "limit", 1_000)
        endpoints = job.asked.endpoints
        rows = [_told_row(job, esn) for esn in endpoints[offset : offset + limit]]
        return web.json_response({"count": len(endpoints), "meters": rows})

    async def journal(self, request: web.Request) -> web.Response:
        query = request.query
        entries = self._simulator.journal.entries(
            operation=query.get("operation", ""),
            esn=query.get("esn", ""),
            token=query.get("token", ""),
            after=_whole(request, "after", 0),
            most=_whole(request, "limit", 1_000),
        )
        return web.json_response({"entries": entries})

    async def counters(self, request: web.Request) -> web.Response:
        journal = self._simulator.journal
        told: Json = dict(journal.counters())
        esn = request.query.get("esn")
        if esn is not None:
            told = {"esn": esn, **_of_meter(journal.by_meter, journal.acted_by_meter, esn)}
        elif request.query.get("per_meter") == "1":
            told["requests_by_meter"] = journal.by_meter
            told["acted_by_meter"] = journal.acted_by_meter
        return web.json_response(told)

    async def reset(self, request: web.Request) -> web.Response:
        self._world.reset()
        self._simulator.journal.clear()
        return web.json_response({})

    async def forget_tokens(self, request: web.Request) -> web.Response:
        return web.json_response({"forgotten": self._world.forget_tokens()})

    async def outage(self, request: web.Request) -> web.Response:
        """{"group": ..., "match": ..., "seconds": n}: those meters are without supply for that long."""
        given = await _object(request)
        seconds = given.get("seconds")
        if not isinstance(seconds, int | float) or isinstance(seconds, bool) or seconds <= 0:
            raise InvalidRequest("seconds", "must be a number above 0")
        chosen = self._choose(_text_or_none(given, "group"), _text_or_none(given, "match"))
        now = self._simulator.clock.now()
        count = self._world.outages.begin(tuple(chosen), seconds=float(seconds), now=now)
        self._simulator.wake()
        return web.json_response({"without_supply": count})

    async def event(self, request: web.Request) -> web.Response:
        """{"group": ..., "match": ..., "kind": ...}: those meters report an event of a kind."""
        given = await _object(request)
        kind = KINDS.get(_text_or_none(given, "kind") or "")
        if kind is None:
            raise InvalidRequest("kind", f"one of {', '.join(KINDS)}")
        chosen = self._choose(_text_or_none(given, "group"), _text_or_none(given, "match"))
        now = self._simulator.clock.now()
        told = self._world.reported.tell(tuple(chosen), kind, now=now)
        self._simulator.wake()
        return web.json_response({"reported": told})

    def _meter(self, esn: EndpointId) -> Meter:
        meter = self._world.population.find(esn)
        if meter is None:
            raise NotFound(f"there is no meter {esn}")
        return meter

    def _choose(self, group: str | None, match: str | None) -> Iterable[EndpointId]:
        population = self._world.population
        chosen: Iterable[EndpointId] | None = population
        if group is not None and (chosen := population.members(group)) is None:
            raise NotFound(f"there is no group {group!r}")
        if match is None:
            return tuple(chosen or ())
        return [esn for esn in chosen or () if fnmatchcase(esn, match)]

    def _changed(self, meter: Meter, given: Mapping[str, object]) -> Meter:
        for name, value in given.items():
            if name in _FLAGS and isinstance(value, bool):
                meter = replace(meter, **{name: value})  # type: ignore[arg-type]  # a flag
            elif name in _TEXTS and isinstance(value, str):
                meter = replace(meter, **{name: value})  # type: ignore[arg-type]  # a text
            elif name == "switch" and value in tuple(SwitchState):
                now = self._simulator.clock.now()
                meter = moved(meter, SwitchState(str(value)), now=now)
            else:
                raise InvalidRequest(name, f"cannot be set to {value!r}; see GET of a meter")
        return meter

    def _row(self, meter: Meter, *, registers: bool = False) -> Json:
        row: Json = {
            name: getattr(meter, name)
            for name in Meter.__struct_fields__
            if name not in ("groups", "off", "outages", "open_since", "switch_changed_at")
        }
        row["groups"] = list(meter.groups)
        row["switch_changed_at"] = wire_time(meter.switch_changed_at)
        row["load_side_voltage"] = meter.load_side_voltage
        row["outages"] = [[wire_time(since), wire_time(to)] for since, to in meter.outages]
        if registers:
            now = self._simulator.clock.now()
            seed = self._world.config.seed
            row["registers_wh"] = {
                quantity: total_wh(meter, quantity, now, seed=seed)
                for quantity in quantities(meter)
            }
        return row


def _job_row(job: Job) -> Json:
    return {
        "token": job.token,
        "operation": job.operation,
        "state": job.state,
        "result": job.result,
        "endpoints": len(job.asked.endpoints),
        "succeeded": job.succeeded,
        "failures": {esn: failed.reason for esn, failed in islice(job.failures.items(), 100)},
        "address": job.asked.address,
        "created_at": wire_time(job.created_at),
        "finished_at": None if job.finished_at is None else wire_time(job.finished_at),
    }


def _told_row(job: Job, esn: EndpointId) -> Json:
    failed, told = job.failures.get(esn), job.told.get(esn)
    row: Json = {"esn": esn, "reason": None if failed is None else failed.reason}
    if told is not None:
        energy = {name: [count, str(wh)] for name, (count, wh) in told.energy.items()}
        row |= {"copies": told.copies, "late": told.late, "energy": energy}
    return row


def _of_meter(
    reached: Mapping[str, Mapping[str, int]], acted: Mapping[str, Mapping[str, int]], esn: str
) -> Json:
    return {
        "requests": {name: rows[esn] for name, rows in reached.items() if esn in rows},
        "acted": {name: rows[esn] for name, rows in acted.items() if esn in rows},
    }


def _error(status: int, code: str, detail: str) -> web.Response:
    body = {"status": status, "code": code, "detail": detail}
    return web.json_response(body, status=status, content_type="application/problem+json")


async def _object(request: web.Request) -> Mapping[str, object]:
    try:
        given = json_value(await request.read())
    except ValueError as error:
        raise InvalidRequest("body", f"must be JSON: {error}") from None
    if not isinstance(given, dict):
        raise InvalidRequest("body", "must be a JSON object")
    return given


def _esn(request: web.Request) -> EndpointId:
    return EndpointId(request.match_info["esn"])


def _kind(request: web.Request) -> SimulatedSubscriptionKind:
    try:
        return SimulatedSubscriptionKind(request.match_info["kind"].capitalize())
    except ValueError:
        raise NotFound("a subscription is of kind data or exceptions") from None


def _text_or_none(given: Mapping[str, object], name: str) -> str | None:
    value = given.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidRequest(name, "must be text")
    return value


def _whole(request: web.Request, name: str, standard: int) -> int:
    text = request.query.get(name, "")
    if not text:
        return standard
    try:
        return read_whole(text, CURSOR)
    except ValueError as error:
        raise InvalidRequest(name, str(error)) from None
