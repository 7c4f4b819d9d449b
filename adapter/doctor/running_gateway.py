"""Asks a running gateway what only it knows: holds, clock, subscriptions, silence."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from adapter.doctor.findings import DoctorFinding
from adapter.doctor.rest import RestApi, object_of, rows_of
from adapter.errors import GatewayError


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """Whether the gateway runs, what it says without a key, and why it does not let us in."""

    running: bool
    ready: dict[str, object]
    reason: str = ""


def presence_of(api: RestApi) -> Presence:
    """By /readyz, which wants no key."""
    try:
        status, text = api.beside_the_api("/readyz")
        ready = json.loads(text)
    except (GatewayError, ValueError) as error:
        return Presence(running=False, ready={}, reason=str(error))
    if not isinstance(ready, dict) or "status" not in ready:
        return Presence(running=False, ready={}, reason=f"HTTP {status}, not of the API")
    return Presence(running=True, ready=ready)


def look_at_gateway(api: RestApi, presence: Presence, url: str) -> Iterator[DoctorFinding]:
    if not presence.running:
        yield DoctorFinding.of("gateway_stopped", url=url, reason=presence.reason)
        return
    warnings = presence.ready.get("warnings")
    for problem in warnings if isinstance(warnings, list) else []:
        yield DoctorFinding.of("gateway_degraded", problem=problem)
    for hold in rows_of(presence.ready, "held"):
        words = {name: hold.get(name, "") for name in ("reason", "text", "action")}
        yield DoctorFinding.of("switch_held", **words)
    try:
        found = api.get("/subscriptions")
        api.get("/keys")
    except GatewayError as error:
        yield DoctorFinding.of("gateway_key_refused", reason=error)
        return
    yield from _subscriptions(object_of(found))


def _subscriptions(found: dict[str, object]) -> Iterator[DoctorFinding]:
    for row in rows_of(found):
        if not row.get("healthy"):
            words = {name: row.get(name, "") for name in ("kind", "address", "detail")}
            yield DoctorFinding.of("subscription_missing", **words)
    if found.get("alarm_since") is not None:
        words = {"last": found.get("last_arrival"), "since": found["alarm_since"]}
        yield DoctorFinding.of("arrivals_silent", **words)
