"""THE TABLE of buttons. Each is the call of one REST route: its rules, its roles, its audit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from adapter.commands.flows import FLOWS, READ_KINDS, CommandKind
from adapter.engine.upkeep.todo import Todo, Way
from adapter.readings.gaps import Gap
from adapter.web.api.call import PREFIX
from adapter.web.api.routes import ROUTES, Route


class FieldKind(StrEnum):
    TEXT = "text"
    REASON = "reason"
    """A text that people have to give, where REST would let it be empty."""
    CHOICE = "choice"
    LIMIT = "limit"
    """A choice among the caps and quotas that are set, or all of them."""
    YES = "yes"
    """True or false: a box to tick."""
    NUMBER = "number"
    DAY = "day"
    """A date without a time."""
    LINES = "lines"
    """A list: one item a line."""
    TIME = "time"
    GIVEN = "given"
    """What the link to the form has said; it is not changed."""
    SECOND_KEY = "second key"
    """The key of a second person, who is here too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormField:
    """`name` is that of the body of the route."""

    name: str
    label: str
    kind: FieldKind = FieldKind.TEXT
    needed: bool = False
    hint: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    """(value, label)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """`path` is the route's, without its prefix; `does` says what comes of it; `back` is the page
    that is shown after it, unless something new was made. `fixed` are constants of the body.
    `serious`: it moves a switch, or cannot be taken back. `many`: it may be done to all that
    match at once."""

    name: str
    path: str
    label: str
    does: str
    back: str
    fields: tuple[FormField, ...] = ()
    fixed: Mapping[str, object] = field(default_factory=dict)
    serious: bool = False
    many: bool = False
    confirms: str = ""
    """Its label where it confirms what another person asked for."""

    @property
    def route(self) -> Route:
        return _POSTS[PREFIX + self.path]

    @property
    def ids(self) -> Sequence[str]:
        """The names of the ids in the path."""
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]

    @property
    def needs(self) -> str:
        """One of these roles, as CSS looks for them."""
        return " ".join(role.value for role in self.route.roles)


_POSTS: Final[Mapping[str, Route]] = {
    route.path: route for route in ROUTES if route.method == "POST"
}
_REASON: Final = FormField(name="reason", label="Reason", kind=FieldKind.REASON, needed=True)
_SECOND: Final = FormField(
    name="second_key",
    label="Key of the second person",
    kind=FieldKind.SECOND_KEY,
    needed=True,
    hint="Somebody else types it here: one of you has switch, the other approve.",
)
_NOTE: Final = FormField(name="note", label="What you found out", needed=True)
_DEVICES: Final = FormField(
    name="devices", label="Meters", kind=FieldKind.LINES, needed=True, hint="One a line."
)
_REFERENCE: Final = FormField(name="reference", label="Reference")
_CANCEL_REASON: Final = FormField(
    name="reason",
    label="Reason",
    needed=True,
    hint="As the table of cancel reasons has them, CM-NoAccess for one.",
)
_VISIT: Final = "/orders/{order}/visits/{visit}"
_RECEIVER: Final = "/events/receivers/{receiver}"
_READ_AGAIN: Final = (
    _REASON,
    FormField(
        name="gap",
        label="List",
        kind=FieldKind.CHOICE,
        needed=True,
        choices=tuple((each.value, each.value.replace("_", " ")) for each in Gap),
    ),
    FormField(name="group", label="Group"),
    FormField(name="since", label="Since", kind=FieldKind.TIME),
    FormField(name="day", label="Day", kind=FieldKind.DAY),
    FormField(
        name="kind",
        label="Read",
        kind=FieldKind.CHOICE,
        needed=True,
        choices=tuple((kind.value, FLOWS[kind].title) for kind in sorted(READ_KINDS)),
        hint="A scheduled read asks the whole group.",
    ),
    FormField(name="at_most", label="Meters at most", kind=FieldKind.NUMBER, needed=True),
)

# fmt: off
_ROWS: Final = (
    # what waits
    Button(name="claim", path="/todo/{entry}/claim", label="I am at it",
           does="Others see that you are at it.", back="/waits/{entry}"),
    Button(name="unclaim", path="/todo/{entry}/unclaim", label="Leave it",
           does="Nobody is at it any more.", back="/waits/{entry}"),
    # commands
    Button(name="read-switch", path="/commands", label="Read the switch now",
           does="Asks the meter how its switch stands. Nothing is switched.", back="/commands",
           fields=(_DEVICES, _REFERENCE), fixed={"kind": CommandKind.READ_DISCONNECT_STATE.value}),
    Button(name="retry-command", path="/commands/{command}/retry", label="Retry", many=True,
           does="Tries again, on fresh facts. A switch order that may have been taken is not sent "
                "again: the head end is asked first.", back="/commands/{command}"),
    Button(name="cancel-command", path="/commands/{command}/cancel", label="Cancel", many=True,
           does="What has not left is cancelled at once. What the head end has is asked back: it "
                "may have acted by then.", back="/commands/{command}", fields=(_REASON,)),
    Button(name="discard-command", path="/commands/{command}/discard", label="Give up", many=True,
           does="Ends a command that waits for people, without success.", serious=True,
           back="/commands/{command}", fields=(_REASON,)),
    Button(name="approve-command", path="/commands/{command}/approve", label="Approve", many=True,
           does="Lets a disconnect of somebody else go.", serious=True,
           back="/commands/{command}"),
    Button(name="resolve-done", path="/commands/{command}/resolve", label="Close as done",
           does="Two people say that the switch moved. The registry follows.",
           serious=True, many=True,
           back="/commands/{command}", fields=(_NOTE, _SECOND), fixed={"done": True}),
    Button(name="resolve-not-done", path="/commands/{command}/resolve", label="Close as not done",
           does="Two people say that the switch did not move.", serious=True, many=True,
           back="/commands/{command}", fields=(_NOTE, _SECOND), fixed={"done": False}),
    # orders
    Button(name="retry-order", path="/orders/{order}/retry", label="Retry", many=True,
           does="Looks at the order again, on fresh facts.", back="/orders/{order}"),
    Button(name="cancel-order", path="/orders/{order}/cancel", label="Cancel", many=True,
           does="Asks to cancel. A step that is under way is asked back first.",
           back="/orders/{order}", fields=(_REASON,)),
    Button(name="correct-order", path="/orders/{order}/correct", label="Correct times",
           does="Changes when the order takes effect. What is left out stays.",
           back="/orders/{order}", fields=(
               FormField(name="effective_at", label="Takes effect", kind=FieldKind.TIME),
               FormField(name="service_at", label="Service at", kind=FieldKind.TIME))),
    Button(name="complete-order", path="/orders/{order}/complete", label="Close as done",
           does="Closes an order in error as done, by hand.", serious=True, many=True,
           back="/orders/{order}", fields=(_REASON,)),
    Button(name="discard-order", path="/orders/{order}/discard", label="Give up", many=True,
           does="Ends the order. You are told whose supply it leaves off.", serious=True,
           back="/orders/{order}", fields=(_REASON,)),
    Button(name="payment", path="/orders/payment", label="Record a payment",
           does="Ends cuts of this service point and orders the reconnection.", serious=True,
           back="/orders", fields=(
               FormField(name="service_point", label="Service point", needed=True), _REFERENCE)),
    Button(name="complete-visit", path=_VISIT + "/complete", label="Visit was made",
           does="Says that the work was done, now, as the task says.", back="/orders/{order}",
           fields=(FormField(name="new_device", label="Meter that was installed"),
                   FormField(name="remarks", label="Remarks", kind=FieldKind.LINES))),
    Button(name="cancel-visit", path=_VISIT + "/cancel", label="Visit was not made",
           does="Says that the work was not done.", back="/orders/{order}",
           fields=(_CANCEL_REASON,)),
    Button(name="retry-request", path="/orders/{order}/requests/{request}/retry",
           label="Retry the request", does="Tries to cancel or update once more.", many=True,
           back="/orders/{order}"),
    Button(name="retry-replies", path="/orders/{order}/replies/retry", label="Send replies again",
           does="Sends what the requester has not taken again now.", many=True,
           back="/orders/{order}"),
    Button(name="discard-reply", path="/orders/{order}/replies/discard", label="Give up a reply",
           does="The requester is not told this.", serious=True, back="/orders/{order}",
           fields=(FormField(name="reply", label="Reply", needed=True),)),
    # inbox and intake
    Button(name="retry-message", path="/inbox/{message}/retry", label="Judge again", many=True,
           does="Judges the message again, as if it had just come.", back="/inbox/{message}"),
    Button(name="discard-message", path="/inbox/{message}/discard", label="Discard", many=True,
           does="Takes the message off the list.", serious=True, back="/inbox"),
    Button(name="reprocess-intake", path="/intake/errors/retry", label="Process all again",
           does="Processes every error record again, with the tables read again.",
           back="/intake"),
    Button(name="discard-intake-error", path="/intake/errors/{error}/discard", label="Close",
           does="Closes an error record that nobody will mend.", many=True, serious=True,
           back="/intake", fields=(_REASON,)),
    Button(name="reload-tables", path="/intake/reload", label="Read the tables again",
           does="Reads the tables of intake and events again. Bad ones change nothing.",
           back="/intake"),
    Button(name="reprocess-events", path="/device-events/errors/retry",
           label="Look at unknown events again",
           does="Looks again at the events that no table knew.", back="/intake"),
    # deliveries
    Button(name="retry-deliveries", path=_RECEIVER + "/retry", label="Post again now",
           does="Posts all that the receiver has not taken, dead letters too; also where it was "
                "stopped.", back="/deliveries/{receiver}"),
    Button(name="replay-events", path=_RECEIVER + "/replay", label="Post again since",
           does="Posts all events since a time again, each with the id that it has.",
           back="/deliveries/{receiver}",
           fields=(FormField(name="since", label="Since", kind=FieldKind.TIME, needed=True),)),
    Button(name="test-receiver", path=_RECEIVER + "/test", label="Post a test",
           does="Posts an event of no meaning.", back="/deliveries/{receiver}"),
    # schedules
    Button(name="pause-schedule", path="/schedules/{schedule}/pause", label="Pause",
           does="Makes no more requests for now.", back="/schedules/{schedule}"),
    Button(name="resume-schedule", path="/schedules/{schedule}/resume", label="Resume",
           does="Goes on, and catches up.", back="/schedules/{schedule}"),
    Button(name="remove-schedule", path="/schedules/{schedule}/remove", label="End",
           does="Ends the schedule for good.", serious=True, back="/schedules/{schedule}"),
    # switching
    Button(name="stop-switching", path="/switching/stop", label="Stop switching", serious=True,
           does="From now on no connect and no disconnect leaves, whoever asked for it, also after "
                "a restart. What the head end has already cannot be called back. Two people take "
                "it back.", back="/switching", fields=(_REASON,)),
    Button(name="resume-switching", path="/switching/resume", label="Ask to go on",
           confirms="Confirm going on",
           does="The first asks that switching goes on, another person confirms it. A request that "
                "nobody confirms ends by itself.", serious=True, back="/switching", fields=(
                    _REASON, FormField(name="request", label="Request", kind=FieldKind.GIVEN))),
    Button(name="override", path="/switching/overrides", label="Let more pass",
           does="Lets more pass than a limit allows, for so long. It ends by itself.", serious=True,
           back="/switching", fields=(
               FormField(name="limit", label="Limit", kind=FieldKind.LIMIT, needed=True), _REASON,
               FormField(name="ends_at", label="Until", kind=FieldKind.TIME, needed=True))),
    Button(name="end-override", path="/switching/overrides/{override}/end", label="End it now",
           does="The limit holds again.", back="/switching", fields=(_REASON,)),
    # upkeep
    Button(name="confirm-hold", path="/switch-holds/{hold}/confirm", label="Confirm", serious=True,
           does="Says that the reason is settled. Switch orders leave when none is left.",
           back="", fields=(_REASON,)),
    Button(name="retry-set-aside", path="/set-aside/{row}/retry", label="Put back", many=True,
           does="Puts the row back: it is tried now.", back="/waits", fields=(_REASON,)),
    Button(name="discard-set-aside", path="/set-aside/{row}/discard", label="Give up", many=True,
           does="Gives the row up.", serious=True, back="/waits", fields=(_REASON,)),
    Button(name="check-subscriptions", path="/subscriptions/check", label="Ask the head end now",
           does="Compares the subscriptions with the head end, brings about what is missing.",
           back="/waits"),
    Button(name="reload-settings", path="/settings/reload", label="Read the settings again",
           does="Reads the settings and the files that they name again. Bad ones change nothing.",
           back="/settings", fields=(_REASON,)),
    Button(name="run-retention", path="/retention/run", label="Remove what is due",
           does="Begins now to remove rows that are older than they are kept.", back="/settings"),
    Button(name="withdraw-key", path="/keys/{key}/withdraw", label="Withdraw", serious=True,
           does="Refuses the key from now on. Who is logged in with it is out.", back="/keys",
           fields=(_REASON,)),
    # completeness
    Button(name="read-again", path="/completeness/read-again", label="Read them again",
           does="Asks each meter of the list for its data, by one command. More meters than "
                "this says are refused.", back="/completeness", fields=_READ_AGAIN),
)
# fmt: on
BUTTONS: Final[Mapping[str, Button]] = {row.name: row for row in _ROWS}

ALL_LIMITS: Final = "all"
"""As it is typed; REST calls it an empty name."""

# fmt: off
_WAYS: Final[Sequence[tuple[str, str, Mapping[str, str]]]] = (
    # what is typed, by its first words   button              ids and fields of its form
    ("command retry",             "retry-command",        {"command": "id"}),
    ("command discard",           "discard-command",      {"command": "id"}),
    ("command approve",           "approve-command",      {"command": "id"}),
    ("command submit read_disconnect_state", "read-switch", {"devices": "device"}),
    ("command resolve {ids} --done",         "resolve-done", {"command": "id"}),
    ("command resolve {ids} --not-done",     "resolve-not-done", {"command": "id"}),
    ("order retry {ids}",         "retry-order",          {"order": "id"}),
    ("order retry {order}",       "retry-order",          {"order": "order"}),
    ("order complete {ids}",      "complete-order",       {"order": "id"}),
    ("order discard {ids}",       "discard-order",        {"order": "id"}),
    ("order complete-visit",      "complete-visit",       {"order": "order", "visit": "id"}),
    ("order cancel-visit",        "cancel-visit",         {"order": "order", "visit": "id"}),
    ("order payment",             "payment",              {"service_point": "service_point"}),
    ("order retry-request",       "retry-request",        {"order": "order", "request": "id"}),
    ("order retry-replies",       "retry-replies",        {"order": "order"}),
    ("order discard-reply",       "discard-reply",        {"order": "order", "reply": "id"}),
    ("quarantine retry",          "retry-message",        {"message": "id"}),
    ("quarantine discard",        "discard-message",      {"message": "id"}),
    ("set-aside retry",           "retry-set-aside",      {"row": "id"}),
    ("set-aside discard",         "discard-set-aside",    {"row": "id"}),
    ("intake reprocess",          "reprocess-intake",     {}),
    ("intake discard",            "discard-intake-error", {"error": "id"}),
    ("device-events reprocess",   "reprocess-events",     {}),
    ("events retry",              "retry-deliveries",     {"receiver": "id"}),
    ("reload",                    "reload-settings",      {}),
    ("subscriptions check",       "check-subscriptions",  {}),
    ("clock confirm",             "confirm-hold",         {"hold": "=clock"}),
    ("holds confirm older_store", "confirm-hold",         {"hold": "=older_store"}),
    ("holds confirm witness",     "confirm-hold",         {"hold": "=witness"}),
    ("switching resume",          "resume-switching",     {}),
    ("switching override",        "override",             {}),
)
# fmt: on


def button_of(way: Way) -> tuple[Button, Mapping[str, str]] | None:
    """The button that does what is typed, and which fields of what waits fill its form; a word
    itself behind `=`. None: it changes nothing, and is no button."""
    for typed, name, given in _WAYS:
        if way.typed.startswith(typed):
            return BUTTONS[name], given
    return None


def given_of(todo: Todo, names: Mapping[str, str]) -> Mapping[str, str]:
    """What fills the form of a button for one thing that waits."""
    return {
        field: name[1:] if name.startswith("=") else str(getattr(todo, name))
        for field, name in names.items()
    }
