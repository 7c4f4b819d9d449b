"""What a requester asks for as a service order, and what can never be one."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from adapter.commands.timing import given_in_utc
from adapter.errors import InvalidRequest
from adapter.model.ids import ServicePointId
from adapter.model.texts import id_problem, text_problem
from adapter.orders.lifecycle import PRIORITIES
from adapter.orders.order import OrderKind


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """What a requester asks for. The same requester and reference give the same order, for ever.

    `activity_type` "" is the kind's own. `effective_at` None: now; `service_at` None: the same.
    `fields` are the activity's elements by name (connectNewDevice, noticeReference, contact...).
    `callback_url` "": its replies and its end are posted nowhere of its own.
    """

    kind: OrderKind
    service_point: ServicePointId
    external_reference: str
    requester: str = ""
    activity_type: str = ""
    effective_at: datetime | None = None
    service_at: datetime | None = None
    account: str = ""
    priority: int = 0
    fields: Mapping[str, str] = field(default_factory=dict)
    callback_url: str = ""


def check_request(request: OrderRequest) -> None:
    """Raises InvalidRequest naming the field. The elements are checked by `check_elements`."""
    if not request.external_reference:
        raise InvalidRequest("external_reference", "is needed: it makes asking twice safe")
    if not request.service_point:
        raise InvalidRequest("service_point", "is needed")
    for name in ("external_reference", "service_point"):
        if (problem := id_problem(getattr(request, name))) is not None:
            raise InvalidRequest(name, problem)
    for name in ("requester", "account"):
        if (problem := text_problem(getattr(request, name))) is not None:
            raise InvalidRequest(name, problem)
    if not PRIORITIES.holds(request.priority):
        raise InvalidRequest("priority", f"must be a whole number, {PRIORITIES}")
    given_in_utc("effective_at", request.effective_at)
    given_in_utc("service_at", request.service_at)


def fingerprint(request: OrderRequest) -> str:
    return hashlib.sha256(msgspec.json.encode(request, order="deterministic")).hexdigest()
