"""A further command on an operation that is there: a name and two rows in `commands/flows.py`.

The program is copied, the lines are written into the copy, and the copy is run: the command goes
through REST contract, rules, real SOAP, data and completion events with no other module touched.
"""

import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Final

ROOT: Final = Path(__file__).parents[2]
RUN_S: Final = 120.0

NAME: Final = '    FINAL_READ = "final_read"\n'
FLOW: Final = (
    '    Flow(C.FINAL_READ, "Final Read", "CM-FinalRead", S.METER,'
    ' M("Final Read", "CM-FinalReadDR", O.CONTINGENCY_READ),'
    ' M("Final Read Result", "CM-FinalReadResultDR", O.CONTINGENCY_READ_RESULT),'
    " STATUS_CHANGED, E.CREATE_IMD),\n"
)
NATURE: Final = "    Nature(C.FINAL_READ, None, None, R.SCALAR, False, None, P.URGENT),\n"


def with_three_lines(text: str) -> str:
    """`flows.py` with a read of one meter that goes before the others."""
    lines = text.splitlines(keepends=True)
    starts = ("    READ_DISCONNECT_STATE = ", "    Flow(C.READ_DISCON", "    Nature(C.READ_DISCON")
    for start, line in zip(starts, (NAME, FLOW, NATURE), strict=True):
        (at,) = [number for number, each in enumerate(lines) if each.startswith(start)]
        lines.insert(at + 1, line)
    return "".join(lines)


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
from tests.flows.world import finish, world

KIND = CommandKind("final_read")
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
        told = {message.operation for message in await made.app.gateway.commands.messages(done.id)}
        assert {Operation.CONTINGENCY_READ, Operation.CONTINGENCY_READ_RESULT} <= told


asyncio.run(asyncio.wait_for(main(), 60.0))
print("done")
"""


def test_a_thirteenth_command_is_a_name_and_two_rows(tmp_path: Path) -> None:
    copytree(ROOT / "adapter", tmp_path / "adapter", ignore=ignore_patterns("__pycache__"))
    flows = tmp_path / "adapter" / "commands" / "flows.py"
    flows.write_text(with_three_lines(flows.read_text(encoding="utf-8")), encoding="utf-8")
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
