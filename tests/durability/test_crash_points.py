"""Death at every named point of the program, and again in the next life; the same checks."""

import re
from pathlib import Path
from typing import Final

import pytest

import adapter
from tests.durability.runs import Plan, killed_at, run_plan

_POINT: Final = re.compile(r'\breached\(\s*"([^"]+)"')


_OF_ORDERS: Final = ("order.", "field.", "reply.")
"""Where service orders lead to."""


_ELSEWHERE: Final = ("events.", "schedule.", "deliver.")
"""Stages beside the commands; they die in tests/events/, tests/schedules/ and tests/feed/."""


_ONE_RUN: Final = (
    ("send", "ask", "lease"),
    ("listener", "inbox", "monitor", "rest"),
    ("completion", "publish"),
    ("field", "reply"),
)
"""Whose points one gateway dies at, one after the other; any other has a run of its own."""


def points_in_the_source() -> list[str]:
    """Every name there is, so that a new one is tested from its birth."""
    found: set[str] = set()
    for file in Path(adapter.__file__).parent.rglob("*.py"):
        found.update(_POINT.findall(file.read_text(encoding="utf-8")))
    return sorted(found)


def runs() -> dict[str, list[str]]:
    """The points of each run: every point is in one of them."""
    together = {name: " ".join(names) for names in _ONE_RUN for name in names}
    found: dict[str, list[str]] = {}
    for point in points_in_the_source():
        name = point.partition(".")[0]
        if not point.startswith(_ELSEWHERE):
            found.setdefault(together.get(name, name), []).append(point)
    return found


def deaths_at(point: str) -> tuple[str, ...]:
    """The first arrival, then a later one. Recovery has work only after a death while sending."""
    if point.startswith("recover."):
        return ("send.after:3", f"{point}:1", "send.before:2", f"{point}:1")
    if point.startswith("store."):  # where most of what matters happens
        return tuple(f"{point}:{count}" for count in (1, 9, 24, 47, 70))
    if point.startswith(_OF_ORDERS):  # which take their time
        return (f"{point}:1", f"{point}:3")
    return (f"{point}:1", f"{point}:6")


def test_there_is_a_point_before_and_after_each_commit_send_answer_and_publication() -> None:
    names = set(points_in_the_source())
    assert names >= {
        "store.before_commit", "store.after_commit",
        "send.before", "send.after", "ask.before", "ask.after",
        "listener.before_receive", "listener.after_receive", "rest.before_answer",
        "lease.before_carry",
        "completion.before_apply", "completion.after_apply",
        "publish.before", "publish.after", "recover.before", "recover.after",
    }  # fmt: skip


@pytest.mark.parametrize("points", runs().values(), ids=runs())
@pytest.mark.seconds(100)
async def test_dying_there_loses_and_doubles_nothing(points: list[str], tmp_path: Path) -> None:
    orders = points[0].startswith(_OF_ORDERS)
    plan = Plan(
        title=", ".join(points),
        deaths=killed_at(*(death for point in points for death in deaths_at(point))),
        meters=12,
        workers=1 if orders else 4,
        at_least=3 if orders else 12,
        orders=orders,
    )
    report = await run_plan(tmp_path, plan)
    assert not report.findings
    assert report.acknowledged
