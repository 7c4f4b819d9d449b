"""A night in which switching is capped, overridden, stopped and taken up again."""

import json
from datetime import UTC, datetime, timedelta

from tests.cli.running_service import OPERATOR, Printed, Service, Terminal

CARL = "carl-" + "0" * 32
DORA = "dora-" + "0" * 32
KEYS = f"carl read,operate,switch,admin {CARL}\ndora read,operate,switch,admin {DORA}\n"
SETTINGS = '[[switch.cap]]\nname = "evening"\nper_hour = 1\n'
WHY = "the feeder of Wilhelmina Brodersen"
COMMON = "the list is wrong"
"""Each of its words is one that the program has too."""


def switching_night(terminal: Terminal, service: Service) -> int:
    """How many commands were asked for. The cap has room for one disconnect in an hour."""
    assert terminal.as_(CARL)("devices", "import", str(service.devices_file)).code == 0
    soon = (datetime.now(UTC) + timedelta(seconds=20)).isoformat()
    _submit(terminal, "remote_disconnect", "M700001", "--wait", "30")
    waiting = _submit(terminal, "remote_disconnect", "M700002")
    canceled = _submit(terminal, "remote_disconnect", "M700003", "--effective-at", soon)
    _done(terminal.as_(CARL)("command", "cancel", canceled, "--reason", WHY))
    _done(terminal("switching", "override", "evening", "--reason", WHY, "--for", "5m"))
    _ended(terminal, waiting)
    _done(terminal("switching", "stop", "--reason", COMMON))
    held = _submit(terminal, "remote_connect", "M700001")
    _done(terminal.as_(CARL)("switching", "resume", "--reason", WHY))
    _done(terminal.as_(DORA)("switching", "stop", "--reason", WHY))
    _done(terminal("switching", "resume", "--reason", "it was the wrong feeder"))
    _done(terminal.as_(CARL)("switching", "resume", "--reason", WHY))
    _ended(terminal, held)
    (override,) = json.loads(terminal("switching", "overrides", "--json").out)["items"]
    _done(terminal("switching", "end-override", override["id"], "--reason", WHY))
    return 4


def _submit(terminal: Terminal, kind: str, device: str, *more: str) -> str:
    done = terminal.as_(OPERATOR)("command", "submit", kind, device, *more, "--json")
    assert done.code == 0, done
    found = json.loads(done.out)
    assert isinstance(found, dict)
    return str(found["id"])


def _ended(terminal: Terminal, command: str) -> None:
    _done(terminal.as_(CARL)("command", "watch", command, "--timeout", "60s"))


def _done(printed: Printed) -> None:
    assert printed.code == 0, printed
