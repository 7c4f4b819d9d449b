"""Callbacks in any order: doubled, early, late or before the reply, they end in one state (I11).

What is real and what is played is said in `engine_by_hand`; messages are read from their bytes.
"""

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from adapter.commands.activity import Outcome, State
from adapter.commands.calls import RemoteState
from adapter.commands.flows import FLOWS, CommandKind
from adapter.commands.transitions import ACTIVITY_MACHINE
from adapter.engine.commands.ports import AuditEntry, InboxState
from adapter.store.commands import reading
from tests.builders import a_command_id, a_token
from tests.commands.engine_by_hand import AT_ONCE, Engine, Told, an_engine

KINDS: Final = tuple(kind for kind in CommandKind if not FLOWS[kind].synchronous)
SEEDS: Final = 6
DONE: Final = RemoteState.COMPLETED
STORY: Final = (RemoteState.INITIALIZING, RemoteState.EXECUTING, DONE)


def told_in_any_order(number: int, chance: random.Random) -> Told:
    """Completed is told at least once; where the reply may be lost, at the address that teaches
    the token."""
    lost = chance.random() < 0.3
    states = [state for state in STORY if state is DONE or chance.random() < 0.8]
    states += chance.choices(STORY, k=chance.randint(0, 6))
    chance.shuffle(states)
    to_come: list[tuple[RemoteState, bool] | None] = [
        (state, lost or chance.random() < 0.7) for state in states
    ]
    to_come.insert(chance.randint(0, len(states)), None)
    return Told(a_command_id(number), chance.choice(KINDS), a_token(number), to_come, lost)


async def callbacks_in_any_order(engine: Engine, seed: int, first: int) -> None:
    """In each round every command hears of up to three states, or has its reply; at once it hears
    of them while its reply comes."""
    chance = random.Random(seed)
    told = [told_in_any_order(first + number, chance) for number in range(AT_ONCE)]
    engine.commands.clear()
    earlier, _ = await engine.store.audit_head()
    await engine.accept(told)
    while any(item.to_come for item in told):
        chance.shuffle(told)
        replied = [item for item in told if item.reply_comes()]
        heard = [
            (item, *state)
            for item in told
            if engine.at_once or item not in replied
            for state in item.states_come(chance.randint(1, 3))
        ]
        if engine.at_once:
            await asyncio.gather(engine.hear(heard), engine.reply(replied))
        else:
            await engine.hear(heard)
            await engine.reply(replied)
        if chance.random() < 0.5:
            await engine.dispatch()
    await engine.finish()
    for command in engine.commands.values():
        assert command.activity.state is State.COMPLETED, (seed, command)
        assert command.activity.outcome is Outcome.SUCCEEDED, (seed, command)
        assert len(command.communications) == 1, (seed, command)
    ids = list(engine.commands)
    in_the_file = await engine.store.database.read(lambda db: reading.load(db, ids))
    assert await engine.store.load(ids) == in_the_file, seed
    for state in InboxState:
        if state not in (InboxState.APPLIED, InboxState.IGNORED):
            assert await engine.store.inbox(state=state) == [], seed
    check_history(await engine.store.audit(after=earlier, limit=100 * AT_ONCE), seed)


def check_history(entries: Sequence[AuditEntry], seed: int) -> None:
    """Every move is an arrow of the table, and each state was applied once."""
    heard = Counter(
        (entry.note.subject, entry.note.detail["status"])
        for entry in entries
        if entry.note.action == "StatusNotified"
    )
    assert set(heard.values()) == {1}, (seed, heard.most_common(1))
    for entry in entries:
        for subject, before, after in moves_of(entry):
            if subject == entry.note.subject:
                assert State(after) in ACTIVITY_MACHINE.next_states(State(before)), (seed, entry)
    assert "LateNotified" not in {entry.note.action for entry in entries}, seed


def moves_of(entry: AuditEntry) -> list[tuple[str, str, str]]:
    moves = entry.note.detail["moves"]
    assert isinstance(moves, list)
    return moves


@pytest.mark.seconds(110)
async def test_callbacks_in_any_order_doubled_early_or_late_end_in_one_state(
    tmp_path: Path,
) -> None:
    async with an_engine(tmp_path) as engine:
        for seed in range(SEEDS):
            await callbacks_in_any_order(engine, seed, AT_ONCE * seed)


@pytest.mark.seconds(110)
async def test_callbacks_that_are_judged_as_they_come_in_end_in_the_same_state(
    tmp_path: Path,
) -> None:
    async with an_engine(tmp_path, at_once=True) as engine:
        for seed in range(SEEDS):
            await callbacks_in_any_order(engine, seed, AT_ONCE * seed)
        assert engine.taken > SEEDS * AT_ONCE


@pytest.mark.soak
@pytest.mark.seconds(3_500)
@pytest.mark.parametrize("at_once", [False, True])
async def test_callbacks_in_any_order_for_long(at_once: bool, tmp_path: Path) -> None:
    async with an_engine(tmp_path, at_once=at_once) as engine:
        for number in range(3_000):
            await callbacks_in_any_order(engine, secrets.randbits(64), AT_ONCE * number)
