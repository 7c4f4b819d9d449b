"""A stop between the intent to send and the first byte, and death right then: kill -9 at each point
of that moment, and another life."""

from pathlib import Path

import pytest

from adapter.commands.activity import State
from adapter.engine.commands.switch_holds import HoldReason
from tests.clock.lives import HOUR, MINUTE, NOON, a_head_end, life
from tests.engine.commands.test_switching_stopped import resume
from tests.forked import python

KILLED = -9
POINTS = {
    "store.before_commit:1": ("", False),  # the stop is not on disk: it was not answered
    "store.after_commit:1": ("", True),
    "send.before:1": ("answered", True),
    "send.after:1": ("answered", True),
    "store.before_commit:2": ("answered", True),  # that nothing has left is not on disk
    "store.after_commit:2": ("answered", True),
}


@pytest.mark.parametrize("point", POINTS)
async def test_what_was_stopped_before_its_first_byte_never_leaves_whatever_dies(
    point: str, tmp_path: Path
) -> None:
    said, stopped = POINTS[point]
    async with a_head_end() as head_end:
        async with life(tmp_path, head_end, NOON) as first:
            cut = await first.submit(0, expires_at=NOON + 24 * HOUR)
        dying = (str(tmp_path), head_end.url, point)
        module = "tests.engine.commands.stopped_in_between"
        assert python(module, *dying) == (
            KILLED, f"{said}\n".encode() if said else b"",
        )  # fmt: skip
        async with life(tmp_path, head_end, NOON + 2 * MINUTE) as second:
            assert second.held == ([HoldReason.STOPPED] if stopped else [])
            for _ in range(3):
                await second.work()
                await second.later(HOUR)
            assert second.sent(0) == 0
        async with life(tmp_path, head_end, NOON + 4 * HOUR) as third:
            await third.work()
            assert third.sent(0) == 0
            if stopped:
                await resume(third)
            await third.later(HOUR)
            state = (await third.command(cut)).activity.state
            # That nothing has left is known where it was noted; else nobody sends it on a guess.
            known = point == "store.after_commit:2"
            assert third.sent(0) == int(known)
            assert (state is State.NEEDS_PERSON) == (not known)
