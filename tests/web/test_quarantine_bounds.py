"""What quarantine may hold in all: the oldest give way, strangers first; a part of the disk is
left to what is taken."""

from collections.abc import Sequence

from adapter.engine.commands.ports import Change, Disposition, InboxRow, InboxState, Received
from adapter.model.bounds import TIB
from adapter.server.settings import ListenerSettings, QuarantineLimits
from tests.builders import NOON
from tests.web.both_servers import HASTY, Rig, a_rig, data_arrived, status_changed

ROW = 1_024
"""What a row costs beside its bytes."""
JUNK = b"<" + b"x" * 4_000
TOTAL = 60_000


def bounded(total: int = TOTAL, *, reserve: int = 0) -> ListenerSettings:
    limits = QuarantineLimits(total_bytes=total, reserve_bytes=reserve)
    return ListenerSettings(quarantine=limits, connections=HASTY)


def cost(rows: Sequence[InboxRow]) -> int:
    return sum(len(row.raw) + ROW for row in rows)


async def stranger(rig: Rig, number: int) -> None:
    """One who tries an address of his own making."""
    assert (await rig.post(f"/openway/status/c{number}/{'0' * 32}", JUNK))[0] == 404


async def caller(rig: Rig) -> None:
    """One of whom only the message is wrong."""
    assert (await rig.post("/openway/data", JUNK))[0] == 500


async def test_a_flood_of_strangers_pushes_out_the_oldest_of_strangers_and_nobody_else() -> None:
    async with a_rig(bounded()) as rig:
        for _ in range(3):
            await caller(rig)
        for number in range(40):
            await stranger(rig, number)
        rows = await rig.rows()
        assert cost(rows) <= TOTAL
        assert ["not genuine" in row.reason for row in rows[:3]] == [False] * 3
        assert "'c39'" in rows[-1].reason, "the newest are kept"
        assert "'c0'" not in "".join(row.reason for row in rows)
        removed = rig.listener.counts["quarantine_removed_bytes"]
        assert removed == 43 * (len(JUNK) + ROW) - cost(rows)


async def test_what_was_removed_stands_in_the_audit() -> None:
    async with a_rig(bounded()) as rig:
        for number in range(30):
            await stranger(rig, number)
        left = {row.id for row in await rig.rows()}
        notes = [entry.note for entry in await rig.gateway.upkeep.audit()]
        told = [note.detail for note in notes if note.action == "Removed"]
        assert sum(int(str(each["rows"])) for each in told) == 30 - len(left)
        assert all(int(str(each["last"])) < min(left) for each in told)
        assert await rig.gateway.upkeep.verify_audit() == len(notes)


async def test_callers_with_the_right_credentials_have_a_bound_as_well() -> None:
    async with a_rig(bounded()) as rig:
        await stranger(rig, 0)
        for _ in range(30):
            await caller(rig)
        rows = await rig.rows()
        assert cost(rows) <= TOTAL
        assert not any("not genuine" in row.reason for row in rows), "strangers go first"


async def test_what_people_discarded_gives_way_and_what_was_answered_200_does_not() -> None:
    async with a_rig(bounded()) as rig:
        (taken,) = await rig.store.receive([Received(operation="", raw=JUNK, at=NOON)])
        refused = Disposition(inbox=taken, state=InboxState.QUARANTINED, reason="unreadable")
        await rig.store.save([Change(inbox=(refused,))])
        await stranger(rig, 0)
        first = (await rig.rows())[-1].id
        await rig.gateway.inbox.discard(first, by="anna")
        for number in range(1, 30):
            await stranger(rig, number)
        left = [row.id for row in await rig.rows()]
        assert taken in left
        assert first not in left


async def test_with_little_disk_left_nothing_refused_is_kept_and_what_is_taken_still_is() -> None:
    async with a_rig(bounded(reserve=TIB)) as rig:
        await caller(rig)
        await stranger(rig, 1)
        assert await rig.rows() == []
        assert rig.listener.counts["not_kept"] == 2
        assert (await rig.post("/openway/data", data_arrived()))[0] == 200
        assert (await rig.post("/openway/status", status_changed()))[0] == 200
        assert len(await rig.rows()) == 2


async def test_the_bound_holds_over_a_restart() -> None:
    """What was kept before is counted at the first message after it."""
    async with a_rig(bounded(10 * TOTAL)) as rig:
        for number in range(30):
            await stranger(rig, number)
        assert len(await rig.rows()) == 30
        assert await rig.gateway.inbox.bound_quarantine(TOTAL) > 0
        assert cost(await rig.rows()) <= TOTAL
