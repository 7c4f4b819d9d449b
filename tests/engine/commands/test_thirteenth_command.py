"""A site's own command: its lines in `commands/flows.py`, and wire rows for a new operation.

The program is copied, the lines are written into the copy, and the copy is run: the commands go
through REST contract, WSDL gate, rules, real SOAP, data and completion events with no other module
touched. `final_read` stands on InterrogateByEndpoints, which the wire has and no command uses;
`control_ping` on an operation of the WSDL that the wire does not have.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Final

ROOT: Final = Path(__file__).parents[3]
RUN_S: Final = 120.0

FLOWS: Final[Mapping[str, tuple[str, ...]]] = {
    "    READ_DISCONNECT_STATE = ": (
        '    FINAL_READ = "final_read"\n',
        '    CONTROL_PING = "control_ping"\n',
    ),
    "    Flow(C.READ_DISCON": (
        '    Flow(C.FINAL_READ, "Final Read", "CM-FinalRead", S.METER,'
        ' M("Final Read", "CM-FinalReadDR", O.INTERROGATE_ENDPOINTS),'
        ' M("Final Read Result", "CM-FinalReadResultDR", O.INTERROGATE_ENDPOINTS_RESULT),'
        " STATUS_CHANGED, E.CREATE_IMD),\n",
        '    Flow(C.CONTROL_PING, "Control Ping", "CM-ControlPing", S.METERS,'
        ' M("Control Ping", "CM-ControlPingDR", O.CONTROL_PING),'
        ' M("Control Ping Result", "CM-ControlPingResultDR", O.CONTROL_PING_RESULT),'
        " STATUS_CHANGED, None),\n",
    ),
    "    Nature(C.READ_DISCON": (
        "    Nature(C.FINAL_READ, None, None, R.SCALAR, False, None, P.URGENT),\n",
        "    Nature(C.CONTROL_PING, None, None, None, False, T.REACHABLE, P.NORMAL),\n",
    ),
    "    CANCEL_REQUEST = ": (
        '    CONTROL_PING = "ControlService.PingByEndpoints"\n',
        '    CONTROL_PING_RESULT = "ControlService.GetPingByEndpointsResult"\n',
    ),
}
"""The lines that follow each line that begins so."""

WIRE: Final[Mapping[str, tuple[str, ...]]] = {
    "    _R(_O.CANCEL_REQUEST": (
        "    _R(_O.CONTROL_PING, _endpoints, _token_given, _TOKEN),\n",
        "    _R(_O.CONTROL_PING_RESULT, _token, _outcome, _MANY),\n",
    ),
}


def write_into(file: Path, more: Mapping[str, tuple[str, ...]]) -> None:
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    for start, following in more.items():
        (at,) = [number for number, each in enumerate(lines) if each.startswith(start)]
        lines[at + 1 : at + 1] = following
    file.write_text("".join(lines), encoding="utf-8")


EXERCISE: Final = """
import asyncio
import pkgutil
import sys
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path

import adapter
from adapter.commands.activity import CommandRequest, CompletionState, Outcome, ReadPeriod
from adapter.commands.calls import ReadingKind
from adapter.commands.flows import CommandKind, Completion, Operation, Priority
from adapter.commands.rules import check_request, priority_of
from adapter.commands.timing import POLICIES
from adapter.errors import InvalidRequest
from adapter.wire.catalog import Catalog
from adapter.wire.gate import check_contract, operations_of
from adapter.wire.tools.json_form import usage_note
from tests.engine.commands.quick_site import finish, world

KIND, PING = CommandKind("final_read"), CommandKind("control_ping")
folder = Path(sys.argv[1])
assert Path(adapter.__file__).is_relative_to(folder)
for module in pkgutil.walk_packages(adapter.__path__, "adapter."):
    if not module.name.endswith("__main__"):
        import_module(module.name)


def refused(request: CommandRequest, field: str) -> None:
    try:
        check_request(request, now=datetime.now(UTC))
    except InvalidRequest as error:
        assert error.field == field, error
    else:
        raise AssertionError(f"{field} was taken")


async def main() -> None:
    from adapter.web.api import openapi

    assert "final_read" in str(openapi.document())
    assert Operation.INTERROGATE_ENDPOINTS in operations_of(KIND)
    assert check_contract(Catalog.load()) == ()
    assert not usage_note(Operation.INTERROGATE_ENDPOINTS)
    now = datetime.now(UTC)
    async with world(folder / "data") as made:
        request = CommandRequest(
            kind=KIND,
            devices=(made.device(1),),
            period=ReadPeriod(start=now - timedelta(hours=2), end=now),
        )
        assert priority_of(request) is Priority.URGENT
        read = POLICIES[CommandKind.ON_DEMAND_READ_SCALAR]
        assert POLICIES[KIND] == read
        refused(CommandRequest(kind=KIND, devices=request.devices), "period")
        two = (made.device(1), made.device(2))
        refused(CommandRequest(kind=KIND, devices=two, period=request.period), "devices")
        done = await finish(made, request)
        assert done.activity.outcome is Outcome.SUCCEEDED, done.activity
        (event,) = done.activity.completions
        assert (event.kind, event.state) == (Completion.CREATE_IMD, CompletionState.EXECUTED)
        rows = await made.app.gateway.registry.measurements(made.device(1))
        assert rows and all(row.values for row in rows)
        messages = made.app.gateway.commands.messages
        told = {message.operation for message in await messages(done.id)}
        asked = {Operation.INTERROGATE_ENDPOINTS, Operation.INTERROGATE_ENDPOINTS_RESULT}
        assert asked <= told and Operation.CONTINGENCY_READ not in told
        pinged = await finish(made, CommandRequest(kind=PING, devices=two))
        assert pinged.activity.outcome is Outcome.SUCCEEDED, pinged.activity
        seen = {message.operation for message in await messages(pinged.id)}
        assert {"ControlService.PingByEndpoints", "ControlService.GetPingByEndpointsResult"} <= seen


asyncio.run(asyncio.wait_for(main(), 60.0))
print("done")
"""


def test_a_sites_own_command_is_a_name_and_its_rows(tmp_path: Path) -> None:
    copytree(ROOT / "adapter", tmp_path / "adapter", ignore=ignore_patterns("__pycache__"))
    write_into(tmp_path / "adapter" / "commands" / "flows.py", FLOWS)
    write_into(tmp_path / "adapter" / "wire" / "operations.py", WIRE)
    exercise = tmp_path / "exercise.py"
    exercise.write_text(EXERCISE, encoding="utf-8")
    (tmp_path / "wsdl").symlink_to(ROOT / "wsdl")
    (tmp_path / "data").mkdir()
    made = subprocess.run(
        [sys.executable, str(exercise), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert (made.returncode, made.stdout) == (0, "done\n"), made.stderr
