"""The command line, `openway`: one function per subcommand, each a few lines over the API.

Everything heavy is imported when a subcommand runs, so that `openway --help` is quick.
"""

import json
import sys
from collections.abc import Sequence
from errno import EADDRINUSE
from io import StringIO
from pathlib import Path
from typing import Final

import click

from adapter import __version__
from adapter.cli.client import NoDocument
from adapter.cli.commands import command
from adapter.cli.commands_bulk import BULK
from adapter.cli.commands_holds import clock, holds
from adapter.cli.commands_switching import switching
from adapter.cli.config import config
from adapter.cli.config_running import diff, health, reload
from adapter.cli.doctor import doctor
from adapter.cli.events import device_events, outages
from adapter.cli.feed import events
from adapter.cli.intake import intake
from adapter.cli.orders import order
from adapter.cli.orders_visits import COMMANDS as VISITS
from adapter.cli.output import MEANING, Exit, exit_of, named_problem, nobody_reads_on, say
from adapter.cli.quarantine import quarantine
from adapter.cli.readings import readings
from adapter.cli.readings_completeness import completeness
from adapter.cli.readings_enter import COMMANDS as ENTERING
from adapter.cli.registry import devices
from adapter.cli.registry_service_points import service_points
from adapter.cli.replay import record, replay
from adapter.cli.run import demo, serve, simulate
from adapter.cli.schedules import schedule
from adapter.cli.session import Session
from adapter.cli.store import store
from adapter.cli.subscriptions import subscriptions
from adapter.cli.support import support_bundle
from adapter.cli.tables import tables
from adapter.cli.upkeep import audit, ledger, retention
from adapter.cli.upkeep_backup import backup, restore
from adapter.cli.upkeep_durations import durations
from adapter.cli.upkeep_forecast import forecast
from adapter.cli.upkeep_keys import keys
from adapter.cli.upkeep_set_aside import set_aside
from adapter.cli.upkeep_todo import todo
from adapter.cli.upkeep_top import top
from adapter.cli.wire import wire, wsdl
from adapter.client.errors import Unreachable
from adapter.errors import GatewayError

_EXITS = "\b\nExit codes:\n" + "\n".join(
    f"  {code.value:<4} {meaning}" for code, meaning in MEANING.items()
)


@click.group(
    epilog=_EXITS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    help="Settings file; else OPENWAY_CONFIG, else openway.toml here.",
)
@click.version_option(__version__, prog_name="openway")
@click.pass_context
def openway(context: click.Context, file: Path | None) -> None:
    """A gateway between a utility's orchestration and an Itron OpenWay head end.

    `openway demo` shows it at work; `openway serve` runs it; the others talk to a running one.
    """
    context.obj = Session(config=file)


for _each in (
    demo, serve, simulate, command, order, todo, devices, service_points, intake, events,
    device_events, outages, readings, completeness, schedule, subscriptions, retention, clock,
    holds, switching, quarantine, set_aside, top, wire, wsdl, tables, config, reload, health,
    doctor, keys, audit, ledger, durations, store, backup, restore, record, replay, support_bundle,
):  # fmt: skip
    openway.add_command(_each)
config.add_command(diff)
retention.add_command(forecast)
for _each in BULK:
    command.add_command(_each)
for _each in VISITS:
    order.add_command(_each)
for _each in ENTERING:
    readings.add_command(_each)


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script. Leaves with one of `output.Exit`; errors are one line on stderr."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(run(given))


def run(given: list[str]) -> int:
    """Run one command line; its exit code. Nothing is raised but what is a fault of ours."""
    try:
        left = openway.main(given, prog_name="openway", standalone_mode=False)
    except click.ClickException as error:
        told = StringIO()
        error.show(told)
        say(told.getvalue().rstrip("\n"))
        return Exit.INVALID
    except (click.Abort, KeyboardInterrupt):
        say("interrupted")
        return Exit.INTERRUPTED
    except GatewayError as error:
        _complain(error, as_json="--json" in given)
        return exit_of(error)
    except BrokenPipeError:
        sys.stderr.close()
        return Exit.OK
    except SystemExit as leaving:
        if nobody_reads_on():
            return Exit.OK
        return leaving.code if isinstance(leaving.code, int) else Exit.OK
    except OSError as error:
        say(f"error: {named_problem(error)}")
        return Exit.CONFLICT if error.errno == EADDRINUSE else Exit.FAILED
    return left if isinstance(left, int) else Exit.OK  # what a context was left with


def _complain(error: GatewayError, *, as_json: bool) -> None:
    if as_json:
        say(json.dumps({"error": {"code": error.code, "message": str(error)}}))
    else:
        for line in (str(error) or error.code).split("\n"):
            say(f"error: {line}")
        hint = None if isinstance(error, NoDocument) else _HINTS.get(error.code)
        if hint is not None:
            say(hint)


_KEYS: Final = (
    "with --append its line goes into the file of api.keys_file, which is read again by itself,\n"
    "its token into OPENWAY_API_KEY or the file of api.key_file"
)
_HINTS: Final = {
    "unauthorized": f"`openway config new-key NAME ROLES` makes a key: {_KEYS}",
    "role_missing": f"`openway config new-key NAME ROLES` makes a key that has it: {_KEYS}",
    Unreachable.code: "the gateway (`openway serve`) is looked for at api.url, "
    "or else at api.host and api.port",
}
