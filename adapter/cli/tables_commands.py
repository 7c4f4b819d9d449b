"""Tables of commands: outcomes, failures, what is sent again; and all that is published."""

from collections.abc import Iterable

from adapter.commands.flows import FLOWS, NATURE, CommandKind

Lines = tuple[tuple[str, ...], ...]
"""A heading, then the rows."""


def outcomes() -> Lines:
    """Every outcome that a command may end with."""
    from adapter.commands.activity import OUTCOMES

    return (("outcome", "meaning"), *((each.value, text) for each, text in OUTCOMES.items()))


def failures() -> Lines:
    """Every cause of a failure, and what follows from it."""
    from adapter.commands.failures import FAILURES, Remedy, follows_for_switch_order

    def of_switch(cause: str) -> str:
        follows = follows_for_switch_order(cause)
        return follows.value if isinstance(follows, Remedy) else "look"

    return (
        ("cause", "meaning", "what follows", "for a switch order", "proves that nothing was done"),
        *(
            (
                str(cause),
                row.meaning,
                row.remedy.value,
                of_switch(cause),
                "yes" if row.idle else "no",
            )
            for cause, row in FAILURES.items()
        ),
    )


def resends() -> Lines:
    """Every kind, and whether a request of it is sent again where its fate is not known."""
    return (
        ("kind", "command", "sent again where nobody knows whether it was taken"),
        *((kind.value, FLOWS[kind].title, _resent(kind)) for kind in CommandKind),
    )


def _resent(kind: CommandKind) -> str:
    if NATURE[kind].leaves is not None:
        return "never on a guess: the switch is looked at"
    effect = NATURE[kind].effect
    if effect is None:
        return "yes, as a new attempt: it changes nothing at the meter"
    return f"yes, as a new attempt: a second {effect.value} changes nothing more (inferred)"


def publications() -> Lines:
    """Every type of event of the feed. What varies in a type is in angle brackets."""
    from adapter.commands.activity import FINAL, TO_DO, State
    from adapter.commands.flows import Completion
    from adapter.engine.upkeep.signals import SIGNALS
    from adapter.orders.events import ReplyKind
    from adapter.orders.order import OrderState

    ends = _or(state.value for state in State if state in FINAL)
    asks = _or(state.value for state in State if state in TO_DO - {State.NEEDS_PERSON})
    changes = _or(each.value for each in Completion)
    command = "the command as REST gives it, its last 50 communications, and text"
    ended = f"{command}; outcomes of each endpoint, null above 64 KiB, and outcomes_url"
    said = tuple((row.event, row.when, row.members) for row in SIGNALS.values() if not row.told)
    rows: tuple[tuple[str, str, str], ...] = (
        *said,
        ("command.received", "the rules let it in", command),
        ("command.to_do.<state>", f"a person is asked for something: {asks}", command),
        ("command.<state>", f"it has ended: {ends}", ended),
        ("command.completion.<event>", f"a completion event was executed: {changes}", command),
        ("command.needs_person", "two people have to decide what became of it", command),
        ("command.late", "success is told for a switch order that was given up", command),
        ("command.token_conflict", "two tokens claim one request", command),
        (
            "order.<state>",
            f"an order moved: {_or(each.name.lower() for each in OrderState)}",
            "callback_url id kind problem reference requester service_point state",
        ),
        (
            "order.reply.<kind>",
            f"a reply to the system that ordered: {_or(each.value for each in ReplyKind)}",
            "callback_url created_at details id kind order reference requester",
        ),
        (
            "service_point.changed",
            "a visit changed the source status, the device there, or its status",
            "at cause connected disconnect_location install_status installed order removed "
            "service_point visit",
        ),
        (
            "device.event",
            "a meter told something that a table knows",
            "arguments at category conversion device duration_s endpoint exception head_end_name "
            "name number sequence started_at",
        ),
        (
            "outage.<began or ended>",
            "a meter is without supply, or no longer; each is told, in a storm as well",
            "device duration_s ended_at endpoint event started_at",
        ),
        (
            "payload.loaded",
            "the content of a message or file is stored and to be seen",
            "at bytes counts finished_at id inbox operation source",
        ),
        (
            "device.event_storm",
            "a window of a storm is over: what it held back",
            "by_name from in_summary published to",
        ),
        (
            "feed.<undelivered, delivered_again, receiver_stopped or test>",
            "a receiver of events is too far behind, is no longer, wants no more, or is tried",
            "receiver text",
        ),
        (
            "gateway.audit_head",
            "the number and digest of the last audit entry are given out, on a schedule",
            "digest seq",
        ),
        (
            "gateway.switch_orders_<held or released>",
            "connects and disconnects are held, or no longer",
            "reason since text",
        ),
        (
            "gateway.resume_requested",
            "somebody asks that switching goes on; another person has to confirm",
            "by expires_at reason request",
        ),
        (
            "gateway.limit_reached",
            "a request has no room in a cap or quota, once for each hour or day",
            "began limit member most span",
        ),
        (
            "gateway.override_<began or ended>",
            "somebody lets more pass than a limit allows, or no longer",
            "begins_at by ended_by ends_at limit override reason",
        ),
        (
            "head_end.<silent or silence_over>",
            "the head end is too quiet, or no longer",
            "allowed_s last_arrival raised_at",
        ),
        (
            "subscription.<failed or restored>",
            "a subscription at the head end is gone, or is there again",
            "address detail",
        ),
    )
    return (
        ("type", "when", "members of data"),
        *((f"openway.{name}", when, data) for name, when, data in rows),
    )


def metrics() -> Lines:
    """What a scrape finds."""
    from adapter.server.scrape import PREFIX
    from adapter.service.metric_table import METRICS

    return (
        ("metric", "type", "labels", "what it is"),
        *(
            (f"{PREFIX}{name}", row.type.value, ", ".join(row.labels), row.text)
            for name, row in METRICS.items()
        ),
    )


def signals() -> Lines:
    """What is said as a log line, a count and an event; and where it waits for people."""
    from adapter.engine.upkeep.signals import SIGNALS

    return (
        ("when", "log line", "severity", "count `openway_signals_total`", "event", "to do"),
        *(
            (
                row.when,
                f"`{row.log}`",
                row.severity.value,
                f'`signal="{signal}"`',
                f"`openway.{row.event}`",
                f"`{row.todo}`" if row.todo is not None else "",
            )
            for signal, row in SIGNALS.items()
        ),
    )


def spans() -> Lines:
    """The spans of a trace."""
    from adapter.engine.tracing import SPANS

    return (
        ("span", "what is done in it", "part of", "attributes `openway.`"),
        *(
            (name.value, what, parent, " ".join(f"`{each}`" for each in attributes.split()))
            for name, (parent, what, attributes) in SPANS.items()
        ),
    )


def _or(names: Iterable[str]) -> str:
    *some, last = names
    return f"{', '.join(some)} or {last}"
