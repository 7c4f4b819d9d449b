"""An example of each body that the interface takes, as it is accepted."""

from collections.abc import Mapping
from typing import Any as Untyped
from typing import Final

import msgspec

from adapter.web.api import (
    bulk,
    call,
    commands,
    completeness,
    feed,
    orders,
    readings,
    registry,
    schedules,
    switch_safety,
    visits,
)
from adapter.web.api.problems import LINES

_TIME: Final = "2026-03-02T06:00:00Z"
_READING: Final = {"component": "M700001-R", "at": _TIME, "value": "53584.025"}

Example = Mapping[str, Untyped] | str
"""A text where the body is no JSON; then its name is its media type."""

EXAMPLES: Final[Mapping[type[msgspec.Struct], Mapping[str, Example]]] = {
    commands.CommandIn: {
        "disconnect": {
            "kind": "remote_disconnect",
            "devices": ["M700002"],
            "idempotency_key": "order-4711",
            "reference": "case-17",
        },
        "read": {
            "kind": "on_demand_read_interval",
            "devices": ["M700001"],
            "period": {"start": "2026-03-01T00:00:00Z", "end": _TIME},
        },
    },
    bulk.BulkIn: {
        LINES: '{"kind": "device_status_check", "idempotency_key": "storm-17"}\n'
        '{"device": "M700011"}\n{"device": "M700012", "reference": "the school"}\n',
        bulk.CSV: '{"kind": "device_status_check", "idempotency_key": "storm-18"}\n'
        "device,reference\nM700011,storm\nM700012,the school\n",
    },
    commands.ResolveIn: {"found": {"done": True, "note": "the crew saw the switch open"}},
    call.ReasonIn: {"reason": {"reason": "asked by the customer"}},
    call.NothingIn: {"nothing": {}},
    registry.ImportShown: {
        "meter": {
            "devices": [{"id": "M700001", "endpoint": "2070001"}],
            "service_points": [{"id": "SP700001"}],
            "installs": [{"device": "M700001", "service_point": "SP700001", "installed_at": _TIME}],
            "dry_run": True,
        }
    },
    switch_safety.StopIn: {"wrong list": {"reason": "the list of cuts is wrong"}},
    switch_safety.ResumeIn: {"settled": {"reason": "the list was withdrawn"}},
    switch_safety.OverrideIn: {
        "an hour": {"limit": "", "reason": "the storm is over", "for_s": 3_600.0}
    },
    feed.ReplayIn: {"since": {"since": _TIME}},
    orders.OrderIn: {
        "reconnect": {"kind": "reconnect", "service_point": "SP700001", "reference": "case-17"}
    },
    orders.PlanIn: {"cut": {"kind": "cut", "service_point": "SP700001"}},
    orders.PaymentIn: {"payment": {"service_point": "SP700001", "reference": "payment-3"}},
    orders.CancelIn: {"cancel": {"reason": "the customer has paid", "reference": "case-17-cancel"}},
    orders.UpdateIn: {"later": {"changes": {"serviceAt": "2026-03-03T06:00:00Z"}}},
    orders.CorrectIn: {"later": {"effective_at": "2026-03-03T06:00:00Z"}},
    orders.CompleteIn: {"by hand": {"reason": "done on site"}},
    visits.VisitCompleteIn: {"done": {"at": _TIME, "readings": [_READING], "remarks": ["sealed"]}},
    visits.VisitCancelIn: {"nobody there": {"reason": "no access"}},
    visits.ReplyRetryIn: {"all": {}},
    visits.ReplyDiscardIn: {"one": {"reply": "01kk5zr0v6n8q2w4e1t9y3a5gp:reply:1"}},
    readings.ReadingsIn: {"register": {"measurements": [{"device": "M700001", **_READING}]}},
    completeness.ReadAgainIn: {
        "count": {"gap": "not_since", "reason": "nothing since the storm", "dry_run": True},
        "read": {"gap": "failed", "reason": "after the outage", "group": "RES-NORTH"},
    },
    schedules.ScheduleIn: {
        "each day": {
            "kind": "scheduled_read_interval",
            "group": "RES-NORTH",
            "recurrence": {"first": "00:00:00", "length_s": 86_400, "buffer_s": 900},
        }
    },
}
