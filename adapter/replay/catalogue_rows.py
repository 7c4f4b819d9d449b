"""What a row of the catalogue is, and the six rows that every command has."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from adapter.commands.activity import CommandRequest
from adapter.commands.flows import FLOWS, SWITCH_KINDS, CommandKind
from adapter.model.ids import DeviceId
from adapter.replay.scenario import Act, Do

Table = Mapping[str, object]
Script = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioRow:
    """One scenario in few words.

    script     what goes wrong at the head end, rows of the simulator's faults
    ask        members of the command request beside kind, target and period
    acts       what is done after the command was submitted at 0 s
    meters     how many there are; `states` are those not as usual at the head end, by number from 0
    registry   what the registry says otherwise than the head end, by number
    """

    kind: CommandKind
    name: str
    shows: str
    script: tuple[Script, ...] = ()
    ask: Table = field(default_factory=dict)
    acts: tuple[Act, ...] = ()
    meters: int = 1
    states: Mapping[int, Table] = field(default_factory=dict)
    registry: Mapping[int, Table] = field(default_factory=dict)
    policy: Table = field(default_factory=dict)
    switch: Table = field(default_factory=dict)
    head_end: Table = field(default_factory=dict)


K = CommandKind
SYNCHRONOUS: Final = tuple(kind for kind in K if FLOWS[kind].synchronous)
HOUR: Final = 3_600.0
SHORT: Final[dict[str, object]] = {
    "reply_s": 600.0,
    "settle_s": 300.0,
    "hold_s": 600.0,
    "retry": {"attempts": 2},
}
"""Clocks under which a hopeless command ends within the hour."""


def _main(kind: CommandKind) -> str:
    return FLOWS[kind].request.operation.value.rpartition(".")[2]


def hit(effect: str, kind: CommandKind, **members: object) -> Script:
    """A script about the command's own request."""
    return {"effect": effect, "operation": _main(kind), **members}


# ---------------------------------------------------------------- provisioning: no callbacks


def provisioning_of(kind: CommandKind) -> tuple[ScenarioRow, ...]:
    """The six of a command whose reply is its outcome."""
    known = kind is K.DEVICE_COMMISSIONING
    again = Act(at=5.0, do=Do.SUBMIT, request=one(kind, idempotency_key="order-17"))
    new = Act(at=10.0, do=Do.SUBMIT, request=one(kind))
    discard = Act(at=600.0, do=Do.DISCARD, command=3, reason="asked for twice")
    refused = (
        hit("fault", kind, fault="ArgumentFault", text="There is no such configuration group.")
        if known
        else hit("endpoint_failure", kind, reason="TargetNotRegistered", text="Not registered.")
    )
    broken = hit("internal_fault", kind, nth=1) if known else hit("close_before", kind, nth=1)
    return (
        ScenarioRow(
            kind=kind,
            name="success",
            shows="The reply is the outcome; the completion event follows at once.",
        ),
        ScenarioRow(
            kind=kind,
            name="business_failure",
            shows=(
                "The head end refuses by a named fault: nothing is repeated, the command ends."
                if known
                else "The head end names the meter as failed: the command ends, the registry stays."
            ),
            script=(refused,),
        ),
        ScenarioRow(
            kind=kind,
            name="technical_failure",
            shows=(
                "A fault without a name proves nothing; the request may be repeated and is."
                if known
                else "The connection closes without a reply; the request is repeated."
            ),
            script=(broken,),
        ),
        ScenarioRow(
            kind=kind,
            name="time_out",
            shows="The head end never answers: after the last try a person is asked, then it ends.",
            script=(hit("hang", kind),),
            policy=SHORT,
        ),
        ScenarioRow(
            kind=kind,
            name="reply_lost",
            shows=(
                "The reply is lost after the head end acted; repeating does no harm."
                if known
                else "The reply is lost after the head end acted; repeated, it says that the meter "
                "is not registered: the lost attempt had done it."
            ),
            script=(hit("lose_reply", kind, nth=1),),
        ),
        ScenarioRow(
            kind=kind,
            name="repeated",
            shows=(
                "The same idempotency key gives the same command; a new command finds the work "
                "done and is not sent."
            ),
            ask={"idempotency_key": "order-17"},
            acts=(again, new, discard),
        ),
    )


def one(kind: CommandKind, **members: object) -> CommandRequest:
    return CommandRequest(
        kind=kind,
        devices=(DeviceId("M700001"),),
        requester="billing",
        **members,  # type: ignore[arg-type]  # named by the rows above
    )


# ---------------------------------------------------------------- the six of the other commands

_FOR_MANY: Final = (
    K.SCHEDULED_READ_SCALAR,
    K.SCHEDULED_READ_INTERVAL,
    K.MULTI_DEVICE_STATUS_CHECK,
)
_TIMED_OUT: Final = (
    "The head end never finishes: the order becomes unclear, and looks at the switch do not show "
    "it done; only people can close it."
)
_TIMED_OUT_TWICE: Final = (
    "The head end never finishes: after the reply time the request is repeated, then a person is "
    "asked, then it ends."
)
_SUCCESS: Final[Mapping[CommandKind, str]] = MappingProxyType(
    {
        K.REMOTE_CONNECT: "The switch closes; the install event and its history follow.",
        K.REMOTE_DISCONNECT: "The switch opens; the install event and its history follow.",
        K.ON_DEMAND_READ_SCALAR: "A register is read; its data arrive and become a measurement.",
        K.ON_DEMAND_READ_INTERVAL: "An hour of load profile is read and becomes a measurement.",
        K.SCHEDULED_READ_SCALAR: "The registers of a group of two are read.",
        K.SCHEDULED_READ_INTERVAL: "An hour of load profile of a group of two is read.",
        K.DEVICE_STATUS_CHECK: "The meter answers.",
        K.MULTI_DEVICE_STATUS_CHECK: "Both meters answer; each has its outcome.",
        K.LOAD_CHECK: "There is voltage behind the closed switch.",
        K.READ_DISCONNECT_STATE: "The switch is closed.",
    }
)

_BUSINESS: Final[Mapping[CommandKind, tuple[str, dict[str, Any]]]] = MappingProxyType(
    {
        K.REMOTE_CONNECT: (
            "The meter sees voltage behind its open switch and refuses to close it: a person is "
            "asked, then the command ends.",
            {"states": {0: {"switch": "Disconnected", "backfeed": True}}},
        ),
        K.REMOTE_DISCONNECT: (
            "The meter has no remote switch: repeating cannot help, the command ends.",
            {"states": {0: {"remote_switch": False}}},
        ),
        K.ON_DEMAND_READ_SCALAR: (
            "The head end has no rights at the meter: a person is asked, then the command ends.",
            {
                "script": (
                    hit("endpoint_failure", K.ON_DEMAND_READ_SCALAR, reason="SecurityFailure"),
                )
            },
        ),
        K.ON_DEMAND_READ_INTERVAL: (
            "The meter's configuration does not fit: a person tries again in vain, then discards.",
            {
                "script": (
                    hit("endpoint_failure", K.ON_DEMAND_READ_INTERVAL, reason="ConfigurationError"),
                ),
                "acts": (
                    Act(at=300.0, do=Do.RETRY),
                    Act(at=600.0, do=Do.DISCARD, reason="a technician was sent"),
                ),
            },
        ),
        K.SCHEDULED_READ_SCALAR: (
            "The head end does not know the group: refused by a named fault, the command ends.",
            {
                "meters": 2,
                "ask": {"group": "Route 7"},
                "registry": {0: {"groups": ["Route 7"]}, 1: {"groups": ["Route 7"]}},
            },
        ),
        K.SCHEDULED_READ_INTERVAL: (
            "No meter of the group answers: every endpoint has its outcome, the command ends.",
            {"meters": 2, "states": {0: {"reachable": False}, 1: {"reachable": False}}},
        ),
        K.DEVICE_STATUS_CHECK: (
            "The meter does not answer: that is the answer to the question.",
            {"states": {0: {"reachable": False}}},
        ),
        K.MULTI_DEVICE_STATUS_CHECK: (
            "Of four meters one is silent and one is not registered: a partial success.",
            {"meters": 4, "states": {1: {"reachable": False}, 3: {"registered": False}}},
        ),
        K.LOAD_CHECK: (
            "The meter is not registered at the head end: refused by a named fault.",
            {"states": {0: {"registered": False}}},
        ),
        K.READ_DISCONNECT_STATE: (
            "The meter is silent twice: a person is asked, then the command ends.",
            {"states": {0: {"reachable": False}}, "policy": SHORT},
        ),
    }
)

_TECHNICAL: Final[Mapping[CommandKind, tuple[str, dict[str, Any]]]] = MappingProxyType(
    {
        K.REMOTE_CONNECT: (
            "The head end cannot be reached for a minute: nothing has left, so it is sent again.",
            {
                "acts": (Act(at=0.0, do=Do.HEAD_END_DOWN), Act(at=60.0, do=Do.HEAD_END_UP)),
            },
        ),
        K.REMOTE_DISCONNECT: (
            "The head end has too many requests, twice; refused, the order is sent again.",
            {
                "script": (
                    hit(
                        "fault",
                        K.REMOTE_DISCONNECT,
                        fault="TooManyConcurrentRequestsFault",
                        first=2,
                    ),
                )
            },
        ),
        K.ON_DEMAND_READ_SCALAR: (
            "A fault without a name proves nothing; a read may be repeated and is.",
            {"script": (hit("internal_fault", K.ON_DEMAND_READ_SCALAR, nth=1),)},
        ),
        K.ON_DEMAND_READ_INTERVAL: (
            "The reply is cut off after the head end took the request; the read is repeated.",
            {"script": (hit("truncate_reply", K.ON_DEMAND_READ_INTERVAL, nth=1),)},
        ),
        K.SCHEDULED_READ_SCALAR: (
            "A proxy answers 503 for the head end; the request is repeated.",
            {
                "meters": 2,
                "script": (hit("http_status", K.SCHEDULED_READ_SCALAR, nth=1, status=503),),
            },
        ),
        K.SCHEDULED_READ_INTERVAL: (
            "The connection closes without a reply; the request is repeated.",
            {"meters": 2, "script": (hit("close_before", K.SCHEDULED_READ_INTERVAL, nth=1),)},
        ),
        K.DEVICE_STATUS_CHECK: (
            "A proxy answers with a page for people; the request is repeated.",
            {"script": (hit("html_page", K.DEVICE_STATUS_CHECK, nth=1),)},
        ),
        K.MULTI_DEVICE_STATUS_CHECK: (
            "The head end cannot be reached for a minute: nothing has left, so it is sent again.",
            {
                "meters": 2,
                "acts": (Act(at=0.0, do=Do.HEAD_END_DOWN), Act(at=60.0, do=Do.HEAD_END_UP)),
            },
        ),
        K.LOAD_CHECK: (
            "The head end fails after it took the request; the check is repeated, and the first "
            "one's callbacks change nothing.",
            {"script": (hit("error_after", K.LOAD_CHECK, nth=1),)},
        ),
        K.READ_DISCONNECT_STATE: (
            "The head end answers 202 without a body; the request is repeated.",
            {"script": (hit("empty_reply", K.READ_DISCONNECT_STATE, nth=1),)},
        ),
    }
)


def six(kind: CommandKind) -> tuple[ScenarioRow, ...]:
    """Success, business failure, technical failure, time-out, late and duplicate callback."""
    many = 2 if kind in _FOR_MANY else 1
    business, technical = _BUSINESS[kind], _TECHNICAL[kind]
    return (
        ScenarioRow(kind=kind, name="success", shows=_SUCCESS[kind], meters=many),
        ScenarioRow(kind=kind, name="business_failure", shows=business[0], **business[1]),
        ScenarioRow(kind=kind, name="technical_failure", shows=technical[0], **technical[1]),
        ScenarioRow(
            kind=kind,
            name="time_out",
            shows=_TIMED_OUT if kind in SWITCH_KINDS else _TIMED_OUT_TWICE,
            script=(hit("never_finish", kind),),
            policy=SHORT,
            meters=many,
        ),
        ScenarioRow(
            kind=kind,
            name="late_callback",
            shows=(
                "The last callback comes twenty minutes late: a poll has told the end before it, "
                "and it changes nothing."
            ),
            script=(hit("delay_callback", kind, state="Completed", seconds=1_200.0),),
            meters=many,
        ),
        ScenarioRow(
            kind=kind,
            name="duplicate_callback",
            shows="Every callback comes twice; the second one changes nothing.",
            script=(hit("duplicate_callback", kind),),
            meters=many,
        ),
    )
