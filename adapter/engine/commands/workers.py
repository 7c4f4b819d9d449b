"""The parts that carry commands out, each with a duty of its own, connected with each other."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adapter.commands.activity import Command
from adapter.engine.commands.apply import Applier
from adapter.engine.commands.at_once import AtOnce
from adapter.engine.commands.completer import Completer
from adapter.engine.commands.correlator import Correlator, MessageReader
from adapter.engine.commands.dispatcher import Dispatcher
from adapter.engine.commands.identity import CallbackIdentity
from adapter.engine.commands.message_log import MessageLog
from adapter.engine.commands.monitor import Monitor
from adapter.engine.commands.ports import Clock, DeviceRegistry, HeadEnd, Sink, Store
from adapter.engine.commands.publisher import Publisher
from adapter.engine.commands.settings import CommandSettings
from adapter.engine.commands.submit import Submitter
from adapter.engine.commands.switch_holds import SwitchHolds
from adapter.engine.commands.validation import Validation
from adapter.engine.readings.ports import MeasurementStore
from adapter.engine.runner import Runner
from adapter.engine.upkeep.durations import Durations
from adapter.engine.upkeep.signals import Signals, say_command_waits
from adapter.engine.watchers import Watchers
from adapter.model.ids import CommandId


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandWorkers:
    """Who does what is said where each is written."""

    submitter: Submitter
    applier: Applier
    monitor: Monitor
    dispatcher: Dispatcher
    correlator: Correlator
    publisher: Publisher
    messages: MessageLog
    watchers: Watchers[CommandId, Command]
    at_once: AtOnce
    signals: Signals


def connect_workers(
    *,
    store: Store,
    head_end: HeadEnd,
    reader: MessageReader,
    devices: DeviceRegistry,
    data: MeasurementStore,
    clock: Clock,
    identity: CallbackIdentity,
    settings: CommandSettings,
    holds: SwitchHolds,
    messages: MessageLog,
    sinks: Sequence[Sink],
    runner: Runner,
    signals: Signals | None = None,
    durations: Durations | None = None,
    entropy: Callable[[], int] = lambda: secrets.randbits(80),
    moved: Callable[[Command], None] = lambda command: None,
) -> CommandWorkers:
    """`entropy` gives the random 80 bits of a command's id. `moved` is called with every command
    that was saved: a hint, never needed for truth."""
    dispatch, signals = settings.dispatch, signals or Signals(clock)
    watchers = Watchers[CommandId, Command](lambda command: command.activity.state.rests)

    def changed(command: Command) -> None:
        monitor.changed(command)
        watchers.changed(command.id, command)
        moved(command)
        say_command_waits(signals, command)

    at_once = AtOnce(holds, places=dispatch.concurrency, lease_s=dispatch.lease_s, poke=runner.poke)
    validation = Validation(
        store, devices, settings.head_end_kinds, dispatch.switch, dispatch.head_end
    )
    applier = Applier(store, clock, settings.policies, at_once, changed=changed)
    completer = Completer(data, devices, applier, clock)
    monitor = Monitor(
        store, data, applier, completer, clock, validation, holds, at_once, lease_s=dispatch.lease_s
    )
    holds.lifted = lambda: runner.poke("correlate", "claim", "monitor")
    return CommandWorkers(
        submitter=Submitter(
            store, devices, validation, clock, settings.policies, entropy, at_once, dispatch.switch
        ),
        applier=applier,
        monitor=monitor,
        dispatcher=Dispatcher(
            store,
            devices,
            head_end,
            applier,
            clock,
            identity.address,
            dispatch,
            holds,
            at_once,
            durations,
        ),
        correlator=Correlator(
            store,
            applier,
            clock,
            reader,
            messages,
            holds,
            at_once,
            to_intake=lambda: runner.poke("intake"),
            parking=settings.parking,
            signals=signals,
        ),
        publisher=Publisher(store, clock, sinks, signals),
        messages=messages,
        watchers=watchers,
        at_once=at_once,
        signals=signals,
    )
