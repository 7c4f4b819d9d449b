"""A flood of callbacks whose tokens nobody knows: what waits is bounded, and no honest one is lost.

Head end, listener, store and loops are the real ones.
"""

from pathlib import Path

from adapter.commands.activity import Outcome, State
from adapter.commands.correlation import GIVE_UP_S
from adapter.commands.flows import CommandKind, Operation
from adapter.engine.commands.correlator import ParkingPolicy
from adapter.engine.commands.identity import CallbackIdentity
from adapter.engine.commands.ports import ROW_BYTES, InboxState
from adapter.model.ids import CommunicationId
from adapter.simulator.faults import Effect
from adapter.store.commands.parking import PUSHED_OUT
from tests.builders import a_token
from tests.durability.gateway_process import until
from tests.engine.commands.quick_site import script
from tests.engine.commands.site_by_hand import WAIT_S, ByHand, by_hand
from tests.web.both_servers import status_changed

METER, MOST, FLOOD = 3, 32, 200
LATE = script(Effect.DELAY_REPLY, "DisconnectMeter", seconds=1.0)
SILENT = script(Effect.DROP_CALLBACK)


async def flood(made: ByHand, first: int, count: int) -> None:
    """Unknown tokens at the bare address, until all of them were judged."""
    for number in range(first, first + count):
        assert await made.tell(status_changed(a_token(number))) == 200
    await judged(made)


async def judged(made: ByHand) -> None:
    async def none_new() -> bool:
        return not (await states(made)).get("new")

    await until(none_new, within_s=WAIT_S, why="all are judged")


async def become(made: ByHand, wanted: dict[str, int]) -> None:
    """What is too many gives way after the others were judged."""

    async def they_are() -> bool:
        return await states(made) == wanted

    await until(they_are, within_s=WAIT_S, why=f"they are {wanted}")


async def states(made: ByHand) -> dict[str, int]:
    return dict((await made.gateway.upkeep.ledger()).inbox_by_state)


async def test_a_flood_pushes_the_oldest_out_and_one_whose_token_becomes_known_comes_back(
    tmp_path: Path,
) -> None:
    parking = ParkingPolicy(most=MOST)
    async with by_hand(tmp_path, LATE, SILENT, parking=parking) as made:
        command = await made.submit(CommandKind.REMOTE_DISCONNECT, METER)
        await made.sent(command, Operation.DISCONNECT_METER)
        (token,) = made.simulator.world.jobs  # nobody else knows it yet
        await made.turn(0.5)
        assert await made.tell(status_changed(token)) == 200
        (early,) = await made.gateway.inbox.list()
        await flood(made, 100, FLOOD)
        await become(made, {"parked": MOST, "quarantined": FLOOD + 1 - MOST})
        row = await made.gateway.inbox.get(early.id)
        assert (row.state, row.reason) == (InboxState.QUARANTINED, PUSHED_OUT)

        await made.turn(0.5)  # the reply with the token
        done = await made.gateway.commands.wait(command.id, timeout_s=WAIT_S)
        assert (done.activity.state, done.activity.outcome) == (State.COMPLETED, Outcome.SUCCEEDED)
        row = await made.gateway.inbox.get(early.id)
        assert (row.state, row.command) == (InboxState.APPLIED, command.id)
        ledger = await made.gateway.upkeep.ledger()
        assert sum(ledger.inbox_by_state.values()) == ledger.received == FLOOD + 1
        assert ledger.callbacks == {"by_token": 1, "unmatched": FLOOD}
        told = [each.note for each in await made.gateway.upkeep.audit(limit=5_000)]
        moved = [each.detail["rows"] for each in told if each.subject == "inbox"]
        assert sum(map(int, map(str, moved))) == FLOOD + 1 - MOST


async def test_a_flood_at_the_bare_address_moves_none_that_came_at_an_address_of_its_own(
    tmp_path: Path,
) -> None:
    async with by_hand(tmp_path, parking=ParkingPolicy(most=MOST)) as made:
        identity = CallbackIdentity(made.listener.url, (b"k" * 32,))
        own = identity.address(CommunicationId("of-another-store-1"))
        for number in range(1, 5):
            assert await made.tell(status_changed(a_token(number)), url=own) == 200
        await flood(made, 100, FLOOD)
        found = await made.gateway.inbox.list(state=InboxState.PARKED, limit=200)
        assert sum(row.communication is not None for row in found) == 4
        assert len(found) == MOST + 4


async def test_a_callback_that_nobody_ever_knows_waits_as_long_as_the_site_says(
    tmp_path: Path,
) -> None:
    async with by_hand(tmp_path, parking=ParkingPolicy(longest_s=60.0)) as made:
        await flood(made, 100, 3)
        await become(made, {"parked": 3})
        await made.turn(59)
        await judged(made)
        await become(made, {"parked": 3})
        await made.turn(120)  # past the look after that one

        async def given_up() -> bool:
            return await states(made) == {"quarantined": 3}

        await until(given_up, within_s=WAIT_S, why="they are given up")


COST = ROW_BYTES + len(status_changed(a_token(100)))
ROOM = 64
"""So many of them may be in quarantine, less what may come between two looks."""


def roomy(*, most: int = MOST, longest_s: float = GIVE_UP_S) -> ParkingPolicy:
    return ParkingPolicy(most=most, longest_s=longest_s, quarantine_bytes=ROOM * COST)


async def test_what_a_flood_leaves_in_quarantine_has_a_bound_and_the_newest_stay(
    tmp_path: Path,
) -> None:
    async with by_hand(tmp_path, parking=roomy()) as made:
        identity = CallbackIdentity(made.listener.url, (b"k" * 32,))
        own = identity.address(CommunicationId("of-another-store-1"))
        for number in range(MOST + 4):  # four of them give way, too
            assert await made.tell(status_changed(a_token(number)), url=own) == 200
        await flood(made, 100, FLOOD)

        async def bounded() -> bool:
            return (await states(made))["quarantined"] <= ROOM + 4

        await until(bounded, within_s=WAIT_S, why="the last of what is too much has gone")
        kept = await made.gateway.inbox.list(limit=1_000)
        assert sum(row.communication is not None for row in kept) == MOST + 4
        bare = [row for row in kept if row.communication is None]
        gone = FLOOD - len(bare)
        assert ROOM - 4 <= len(bare) - MOST <= ROOM
        assert bare[-1].token == a_token(100 + gone), "the oldest have gone"
        ledger = await made.gateway.upkeep.ledger()
        assert sum(ledger.inbox_by_state.values()) == ledger.received == len(kept)
        told = [each.note for each in await made.gateway.upkeep.audit(limit=5_000)]
        removed = [each.detail for each in told if each.action == "Removed"]
        assert sum(int(str(each["rows"])) for each in removed) == gone
        assert {each["reason"] for each in removed} == {"quarantine is full"}
        assert await made.gateway.upkeep.verify_audit() > 0


async def test_those_that_are_given_up_have_the_same_bound(tmp_path: Path) -> None:
    async with by_hand(tmp_path, parking=roomy(most=2 * FLOOD, longest_s=60.0)) as made:
        await flood(made, 100, FLOOD)
        await become(made, {"parked": FLOOD})
        await made.turn(180)

        async def given_up() -> bool:
            found = await states(made)
            return not found.get("parked") and found["quarantined"] <= ROOM

        await until(given_up, within_s=WAIT_S, why="they are given up, and most have gone")
        assert (await states(made))["quarantined"] >= ROOM - 4
