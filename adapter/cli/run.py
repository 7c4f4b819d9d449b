"""`openway demo`, `serve` and `simulate`: what runs until it is stopped."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from adapter.cli.numbers import WholeNumber
from adapter.cli.output import (
    Exit,
    as_json,
    counted,
    on_terminal,
    print_json,
    print_json_line,
    print_table,
    say,
)
from adapter.cli.session import Session, with_session
from adapter.model.values import replace
from adapter.model.whole_numbers import ROW

if TYPE_CHECKING:
    from adapter.demo.demo import DemoLine
    from adapter.demo.order import DemoOrderStep, OrderStory
    from adapter.service.app import App
    from adapter.service.settings import SimulatorSettings
    from adapter.simulator.server import Simulator
    from adapter.simulator.settings import SimulatorConfig

_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--port", type=WholeNumber(0, 65_535), help="Port; 0 is any free one.")
@click.option("--host", help="Address to listen on.")
@click.option("--meters", type=WholeNumber(1, 10_000_000), help="How many meters.")
@click.option("--seed", type=WholeNumber(0, ROW.most), help="The same seed gives the same meters.")
@click.option("--config", "file", type=_PATH, help="TOML: population, timing, limits, faults.")
@click.option("--journal", type=_PATH, help="JSON lines of every request and callback.")
@click.option("--write-devices", type=_PATH, help="The meters as a file for `devices import`.")
@click.option("--deliver-to", metavar="URL", help="Listener that gets data and exceptions.")
@as_json
@with_session
def simulate(
    session: Session,
    /,
    write_devices: Path | None,
    deliver_to: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Run a simulated head end until interrupted.

    Status callbacks go where each request says; readings, events and exceptions only to who
    subscribed: over SOAP, under the address of its administration, or with --deliver-to.
    """
    from adapter.server import event_loop
    from adapter.service.log import start_logging

    start_logging(session.settings.log)
    named = {("config" if name == "file" else name): each for name, each in given.items()}
    asked = {name: each for name, each in named.items() if each is not None}
    wanted = replace(session.settings.simulator, **asked)
    config = simulator_config(wanted, asked=frozenset(asked))
    if deliver_to is not None:
        config = _delivering(config, deliver_to)
    event_loop.run(_simulate(config, write_devices, as_json=as_json))


def _delivering(config: "SimulatorConfig", listener: str) -> "SimulatorConfig":
    """With subscriptions for the gateway whose listener is at this URL."""
    from urllib.parse import urlsplit

    from adapter.errors import InvalidRequest

    if urlsplit(listener).scheme not in ("http", "https") or not urlsplit(listener).netloc:
        raise InvalidRequest("--deliver-to", "needs a URL as http://127.0.0.1:8101")
    base = f"{listener.rstrip('/')}/openway"
    return replace(
        config,
        data_subscribers={**config.data_subscribers, "gateway": f"{base}/data"},
        exception_subscribers={**config.exception_subscribers, "gateway": f"{base}/exceptions"},
    )


def simulator_config(
    settings: "SimulatorSettings", asked: frozenset[str] = frozenset()
) -> "SimulatorConfig":
    """The simulator's own settings: its file where there is one, and over it what was `asked`.

    Without a file the gateway's settings of the simulator give everything.
    """
    from adapter.simulator.settings import SimulatorConfig

    config = SimulatorConfig.load(settings.config) if settings.config else SimulatorConfig()

    def wins(name: str) -> bool:
        return settings.config is None or name in asked

    plan = config.population
    if wins("meters"):
        plan = replace(plan, count=settings.meters)
    if wins("seed"):
        plan = replace(plan, seed=settings.seed)
    plain = {name: getattr(settings, name) for name in ("host", "port", "journal") if wins(name)}
    return replace(config, population=plan, **plain)


async def _simulate(
    config: "SimulatorConfig", write_devices: Path | None, *, as_json: bool
) -> None:
    from contextlib import AsyncExitStack

    from adapter.service.app import made_to_stay
    from adapter.simulator.server import Simulator

    async with AsyncExitStack() as stack:
        with made_to_stay():
            simulator = await stack.enter_async_context(Simulator(config))
        if write_devices is not None:
            _write_devices(simulator, write_devices)
        if as_json:
            print_json_line(
                {
                    "url": simulator.url,
                    "admin": simulator.admin_url,
                    "meters": config.population.count,
                }
            )
        else:
            meters = counted(config.population.count, "meter")
            say(f"simulated head end with {meters} at {simulator.url}")
            say(f"look at meters, change them, script faults: {simulator.admin_url}")
            if not config.data_subscribers:
                say("readings go nowhere until subscribed to: --deliver-to http://127.0.0.1:8101")
            say("stop with Ctrl-C")
        await _interrupted()


def _write_devices(simulator: "Simulator", file: Path) -> None:
    import json

    from adapter.registry.files import as_json_values
    from adapter.simulator.registry import registry_of

    values = as_json_values(registry_of(simulator.world.population))
    file.write_text(json.dumps(values, indent=1, default=str), encoding="utf-8")


async def _interrupted() -> None:
    import asyncio
    import signal

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    await stopping.wait()


@click.command()
@click.option("--config", "file", type=_PATH, help="Settings file.")
@with_session
def serve(session: Session, file: Path | None) -> None:
    """Run the gateway until interrupted: listener, REST API, engine."""
    from adapter.server import event_loop
    from adapter.service.app import serve as run
    from adapter.service.log import start_logging
    from adapter.service.settings import load_with_origin

    loaded = session.at(file).loaded
    start_logging(loaded.settings.log)
    loaded.log_warnings()
    read = partial(load_with_origin, loaded.file, skipped=frozenset({"api.keys"}))
    event_loop.run(run(loaded.settings, read=read, started=_say_where))


def _say_where(app: "App") -> None:
    """For whoever looks at a terminal, among the lines of the log."""
    if on_terminal():
        places = {"listener": app.listener.url, **app.rest.addresses}
        say(f"openway serve: {', '.join(f'{name} {url}' for name, url in places.items())}")


@click.command()
@click.option("--keep", type=_PATH, help="Folder to leave the demo's store in.")
@click.option(
    "--city",
    type=WholeNumber(250, 1_000_000),
    metavar="METERS",
    help="A day of so many meters read by group instead, and every sum checked.",
)
@as_json
def demo(keep: Path | None, city: int | None, as_json: bool) -> None:
    """Twelve commands over real SOAP, and a service order with a simulated crew.

    With --city the head end runs in a process of its own: 2 % of the meters fail, 1 % send twice,
    1 % late, 1 % never, 96 intervals each in three blocks.
    """
    from adapter.demo.demo import run
    from adapter.engine.commands.summary import summary
    from adapter.server import event_loop

    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
    if city is not None:
        from adapter.cli.city_day import city_day

        raise SystemExit(city_day(city, keep, as_json=as_json))
    if as_json:
        shown = event_loop.run(run(keep))
        commands = [
            {**summary(item.command), "soap_messages": item.messages, "seconds": item.seconds}
            for item in shown.commands
        ]
        print_json({"commands": commands, "order": _order_of(shown.order)})
    else:
        say("a simulated head end and a gateway on SQLite, over real SOAP on loopback")
        shown = event_loop.run(run(keep, told=lambda command: say(f"  {command.flow.title}: done")))
        rows = map(_demo_row, shown.commands)
        print_table(_DEMO_COLUMNS, rows, title="Twelve commands, end to end")
        say(_DEMO_PARTIAL)
        _show_order(shown.order)
        for line in _DEMO_NEXT:
            say(line)
    if any(not item.command.activity.state.final for item in shown.commands):
        raise SystemExit(Exit.UNREACHABLE)


_DEMO_COLUMNS: Final = (
    "command",
    "state",
    "outcome",
    "completion events",
    "endpoints",
    "SOAP messages",
    "seconds",
)
_ORDER_COLUMNS: Final = ("child", "why: cell", "algorithm", "row", "outcome", "seconds")
_DEMO_PARTIAL: Final = (
    "  partial, on purpose: of the 20, one was decommissioned by the second command, one is silent"
)
_DEMO_NEXT: Final = (
    "",
    "Where to look next:",
    "  openway tables flows         the command-flow table these twelve follow",
    "  openway replay fixtures      the same commands from recorded XML, in virtual time",
    "  openway simulate             a head end of your own to build against; scripts its faults",
    "  openway wire decode FILE     any SOAP message of the contract as JSON",
    "  README.md, Try it            a gateway that stays, with its console in your browser",
    "  docs/index.md                how a command travels, operating it, a real head end",
)


def _show_order(story: "OrderStory") -> None:
    """The service order: every child with what decided it."""
    order = story.shown.order
    title = f"Enable Service on a new service point: {order.state}, {story.seconds:.2f} s"
    print_table(_ORDER_COLUMNS, map(_order_row, story.steps), title=title)
    if order.problem is not None:
        say(f"  {order.problem.code}: {order.problem.text}")
    say(f"  replies to the requester: {', '.join(story.replies)}")


def _order_row(step: "DemoOrderStep") -> tuple[object, ...]:
    why = f"{step.cell} {step.type}"
    return (step.child, why, step.algorithm, step.row, step.state, f"{step.seconds:.2f}")


def _order_of(story: "OrderStory") -> dict[str, object]:
    order = story.shown.order
    names = ("child", "cell", "type", "algorithm", "row", "state", "seconds")
    return {
        "id": order.id,
        "kind": order.kind,
        "state": order.state,
        "steps": [{name: getattr(step, name) for name in names} for step in story.steps],
        "replies": list(story.replies),
        "seconds": story.seconds,
    }


def _demo_row(item: "DemoLine") -> tuple[object, ...]:
    activity = item.command.activity
    counts = activity.tally
    return (
        item.command.flow.title,
        activity.state,
        activity.outcome or "",
        ", ".join(f"{event.kind} {event.state}" for event in activity.completions) or "none",
        f"{counts.succeeded} of {counts.requested}" if counts.requested else "1",
        item.messages,
        f"{item.seconds:.2f}",
    )
