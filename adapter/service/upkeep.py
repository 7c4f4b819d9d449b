"""From the settings to how subscriptions are kept up, how long rows are kept, what mends the traces
of a wrong clock, what is wrong with the head end, and what waits beside rows of the store."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from adapter.engine.commands.commands import Commands
from adapter.engine.commands.ports import Clock
from adapter.engine.commands.settings import CommandSettings
from adapter.engine.commands.switch_holds import SwitchHolds
from adapter.engine.commands.switch_safety import SwitchSafety
from adapter.engine.feed.deliveries import EventDeliveries
from adapter.engine.orders.orders import Orders
from adapter.engine.schedules.schedules import Schedules
from adapter.engine.subscriptions.subscriptions import Subscriptions, UpkeepSettings
from adapter.engine.upkeep.clock_correction import CommandCorrection
from adapter.engine.upkeep.clock_watch import Correct
from adapter.engine.upkeep.retention import Kept
from adapter.engine.upkeep.signals import Signal, Signals
from adapter.engine.upkeep.todo import Source, Todo
from adapter.engine.upkeep.todo_kinds import (
    of_head_end,
    of_held_reconnect,
    of_hold,
    of_limit,
    of_receiver,
    of_silence,
    of_subscription,
)
from adapter.engine.upkeep.upkeep import Doubt
from adapter.engine.upkeep.witness import WitnessPolicy
from adapter.headend.limits import HeadEndNews, Limits
from adapter.service.settings import RetentionSettings, StoreSettings, SubscriptionSettings
from adapter.store.commands.commands import SqlStore
from adapter.store.upkeep.clock_correction import SqliteCorrection
from adapter.subscriptions.reconcile import Generation, SubscriptionKind, WantedSubscription
from adapter.subscriptions.silence import SilencePolicy
from adapter.web.listener.addresses import DATA_PATH, EXCEPTIONS_PATH


def kept_days(settings: RetentionSettings) -> dict[Kept, float | None]:
    """How long each is kept; None is for ever."""
    given = {
        Kept.MESSAGES: settings.messages_days,
        Kept.INBOX: settings.inbox_days,
        Kept.QUARANTINE: settings.quarantine_days,
        Kept.ARRIVALS: settings.events_days,
        Kept.EVENTS: settings.events_days,
        Kept.ERRORS: settings.errors_days,
        Kept.EVENT_ERRORS: settings.errors_days,
        Kept.STORMS: settings.errors_days,
        Kept.PUBLICATIONS: settings.publications_days,
    }
    return {what: days or None for what, days in given.items()}


def witness_policy(settings: StoreSettings) -> WitnessPolicy:
    return WitnessPolicy(
        path=settings.witness_file,
        apart=settings.witness is not None,
        ask_after_s=settings.ask_after_s,
        head_every_s=settings.head_every_s,
    )


def upkeep(settings: SubscriptionSettings, public_url: str) -> UpkeepSettings:
    """`public_url` is the listener's as the head end sees it, its path prefix included."""
    given = (
        (SubscriptionKind.DATA, settings.data, DATA_PATH, ()),
        (
            SubscriptionKind.EXCEPTIONS,
            settings.exceptions,
            EXCEPTIONS_PATH,
            settings.exception_groups,
        ),
    )
    silence = SilencePolicy(
        allowed_s=settings.silence_s,
        factor=settings.silence_factor,
        least_s=settings.silence_least_s,
    )
    return UpkeepSettings(
        wanted=tuple(
            WantedSubscription(
                kind=kind,
                generation=generation,
                system=settings.system_name,
                address=public_url.rstrip("/") + path,
                groups=groups,
            )
            for kind, generation, path, groups in given
            if generation is not Generation.OFF
        ),
        check_every_s=settings.check_every_s,
        retry_s=settings.retry_s,
        silence=silence if settings.silence else None,
    )


def corrections(
    store: SqlStore,
    commands: Commands,
    schedules: Schedules,
    orders: Orders,
    clock: Clock,
    settings: CommandSettings,
) -> Sequence[Correct]:
    """Schedules and orders first, rows last."""
    rows = SqliteCorrection(store.database)
    correction = CommandCorrection(
        rows,
        store,
        commands.correct,
        clock,
        settings.policies,
        lease_s=settings.dispatch.lease_s,
    )
    return [schedules.correct_clock, partial(orders.correct_clock, store=rows), correction]


_ENDS: Final = {
    HeadEndNews.BACK: HeadEndNews.LOST,
    HeadEndNews.QUICK: HeadEndNews.SLOW,
    HeadEndNews.BREAKER_CLOSED: HeadEndNews.BREAKER_OPENED,
}
_WRONG: Final = {
    HeadEndNews.BREAKER_OPENED: "the head end cannot be reached: no call leaves but a probe",
    HeadEndNews.LOST: "the head end does not answer: the last calls had no reply",
    HeadEndNews.SLOW: "the head end is slow: its last answers took longer than limits.slow_s",
}
"""The worst first."""


class HeadEndWatch:
    """What is wrong with the head end, since when: said, and asked for by readiness and people."""

    def __init__(self, limits: Limits, signals: Signals, clock: Clock) -> None:
        self._signals = signals
        self._clock = clock
        self._since: dict[HeadEndNews, datetime] = {}
        limits.told = self._hear

    def _hear(self, news: HeadEndNews, fields: Mapping[str, object]) -> None:
        self._signals.tell(Signal(news), "", **fields)
        if news in _WRONG:
            self._since[news] = self._clock.now()
        elif news in _ENDS:
            self._since.pop(_ENDS[news], None)

    async def doubt(self) -> str:
        """The worst; empty where it answers in time."""
        return next((text for news, text in _WRONG.items() if news in self._since), "")

    async def todo(self) -> Sequence[Todo]:
        """The worst alone: the others follow from it."""
        wrong = next((news for news in _WRONG if news in self._since), None)
        return [] if wrong is None else [of_head_end(wrong, _WRONG[wrong], self._since[wrong])]


def doubts(subscriptions: Subscriptions, deliveries: EventDeliveries) -> list[Doubt]:
    """What readiness says of who sends nothing, and who takes nothing."""

    async def silent() -> str:
        found = of_silence(await subscriptions.silence())
        return "" if found is None else found.text

    async def undelivered() -> str:
        behind = (each for each in deliveries.all() if each.state.stopped or each.state.alarm)
        names = ", ".join(each.name for each in behind)
        return f"events do not reach {names}" if names else ""

    return [silent, undelivered]


_MOST_RECONNECTS: Final = 1_000


def todo_sources(
    holds: SwitchHolds,
    safety: SwitchSafety,
    subscriptions: Subscriptions,
    deliveries: EventDeliveries,
) -> list[Source]:
    """What waits for people and is no row of a list."""

    async def held() -> Sequence[Todo]:
        reasons = holds.all()
        found = [of_hold(hold) for hold in reasons]
        if reasons:
            reconnects = await safety.store.held_reconnects(_MOST_RECONNECTS)
            found += [of_held_reconnect(each, reasons[0]) for each in reconnects]
        return found

    async def limits() -> Sequence[Todo]:
        return [of_limit(each) for each in await safety.store.wait_totals()]

    async def head_end() -> Sequence[Todo]:
        found = [of_silence(await subscriptions.silence())]
        found += map(of_subscription, await subscriptions.states())
        return [each for each in found if each is not None]

    async def receivers() -> Sequence[Todo]:
        found = [of_receiver(each.state, await each.oldest()) for each in deliveries.all()]
        return [each for each in found if each is not None]

    return [held, limits, head_end, receivers]
