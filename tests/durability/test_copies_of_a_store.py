"""A store that was copied or put back sends no switch order that it may have sent before (I20)."""

import logging
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from adapter.commands.activity import State
from adapter.commands.flows import Operation
from adapter.engine.commands.correlator import STATUS_CHANGED
from adapter.engine.commands.ports import Received
from adapter.engine.commands.switch_holds import HoldReason
from adapter.engine.upkeep.witness import WitnessPolicy
from adapter.engine.upkeep.witness_file import read_witness
from adapter.errors import Conflict, StoreFailed
from adapter.model.ids import CommunicationId
from adapter.model.values import replace
from adapter.simulator.server import Simulator
from tests.clock.lives import HOUR, MINUTE, NOON, PING, Life, a_head_end, life
from tests.web.both_servers import status_changed

OLDER, UNWRITTEN = HoldReason.OLDER_STORE, HoldReason.WITNESS
SECOND: Final = timedelta(seconds=1)
FILES: Final = ("gateway.db", "gateway.db-wal", "gateway.measurements.db")


def beside(folder: Path) -> WitnessPolicy:
    return WitnessPolicy(path=folder / "gateway.witness")


def a_life(
    folder: Path, head_end: Simulator, shows: datetime, policy: WitnessPolicy | None = None
) -> AbstractAsyncContextManager[Life]:
    return life(folder, head_end, shows, witness=policy or beside(folder))


def copied(folder: Path, to: Path, *names: str) -> None:
    """As somebody does who knows nothing of SQLite, also over what is there."""
    to.mkdir(exist_ok=True)
    for name in names:
        (to / name).unlink(missing_ok=True)
        if (folder / name).exists():
            shutil.copy2(folder / name, to / name)


async def nothing_leaves_until_confirmed(held: Life, number: int) -> None:
    assert held.held == [OLDER]
    before = held.sent(number)
    await held.ask(number)
    await held.ask(number + 1, PING)
    await held.later(5 * MINUTE)
    assert held.sent(number) == before
    assert held.sent(number + 1, Operation.PING) == 1
    await held.confirm(OLDER)
    await held.later(MINUTE)
    assert held.held == []
    assert held.sent(number) == before + 1


# ---------------------------------------------------------------- the witness


def garbled(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text, encoding="utf-8")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def another_digest(path: Path) -> None:
    seq, digest, rest = path.read_text(encoding="ascii").split(" ")
    path.write_text(f"{seq} {digest[::-1]} {rest}", encoding="ascii")


def another_number(path: Path) -> None:
    seq, rest = path.read_text(encoding="ascii").split(" ", 1)
    path.write_text(f"{int(seq) + 1} {rest}", encoding="ascii")


def a_copy(path: Path) -> None:
    shutil.copy2(path, path.with_suffix(".copy"))
    path.with_suffix(".copy").replace(path)


DAMAGE: Final = {
    "gone": Path.unlink,
    "empty": garbled(""),
    "blank": garbled(" \n"),
    "garbage": garbled("garbage"),
    "nul bytes": garbled("\0" * 150),
    "not ASCII": garbled("７ \u00fc\n"),
    "too large": garbled("9" * 19 + " " + "0" * 64 + " 1.1\n"),
    "negative": garbled("-1 " + "0" * 64 + " 1.1\n"),
    "long": garbled("1" * 100_000),
    "cut short": cut_short,
    "folder": a_folder,
    "pipe": a_pipe,
    "another digest": another_digest,
    "another number": another_number,
    "copied": a_copy,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
async def test_a_witness_that_tells_nothing_holds_switch_orders_until_a_person_confirms(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    async with a_head_end() as head_end:
        async with a_life(tmp_path, head_end, NOON) as first:
            await first.ask(0)
            assert first.sent(0) == 1
        damage(tmp_path / "gateway.witness")
        async with a_life(tmp_path, head_end, NOON + MINUTE) as again:
            assert again.held == [OLDER]
            if damage is not a_copy:  # which agrees with the audit
                with pytest.raises(StoreFailed, match=r"gateway\.witness|entry|entries"):
                    await again.gateway.upkeep.verify_audit()
        async with a_life(tmp_path, head_end, NOON + 2 * MINUTE) as held:
            if damage is a_folder:
                (tmp_path / "gateway.witness").rmdir()
            await nothing_leaves_until_confirmed(held, 2)
        async with a_life(tmp_path, head_end, NOON + 20 * MINUTE) as last:
            assert last.held == []


async def test_a_store_put_back_within_a_second_is_held_with_a_witness_on_another_disk(
    tmp_path: Path,
) -> None:
    """Without the last writing of a stop in peace, as after a kill."""
    store, elsewhere, copy = tmp_path / "store", tmp_path / "elsewhere", tmp_path / "copy"
    for folder in (store, elsewhere):
        folder.mkdir()
    policy = WitnessPolicy(path=elsewhere / "witness", apart=True)
    async with a_head_end() as head_end:
        async with a_life(store, head_end, NOON, policy) as first:
            for number in range(4):
                await first.submit(number)
            copied(store, copy, *FILES)
            await first.work()
            assert [first.sent(number) for number in range(4)] == [1] * 4
            seen = (elsewhere / "witness").read_bytes()
        (elsewhere / "witness").write_bytes(seen)  # the same file: what stood there at the kill
        copied(copy, store, *FILES)
        async with a_life(store, head_end, NOON + SECOND, policy) as restored:
            assert restored.held == [OLDER]
            await restored.later(HOUR)
            assert [restored.sent(number) for number in range(4)] == [1] * 4


async def test_nine_live_copies_with_their_witness_started_one_after_the_other_switch_nothing_twice(
    tmp_path: Path,
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    copies = [tmp_path / f"copy-{number}" for number in range(9)]
    async with a_head_end() as head_end:
        async with a_life(store, head_end, NOON) as first:
            for number in range(8):
                await first.submit(number)
                copied(store, copies[number], *FILES, "gateway.witness")
                if number % 2:
                    await first.work()
            copied(store, copies[8], *FILES, "gateway.witness")
            await first.work()
        for number, copy in enumerate(copies):
            async with a_life(copy, head_end, NOON + (number + 1) * SECOND) as started:
                assert started.held == [OLDER]
                await started.later(MINUTE)
        assert [first.sent(number) for number in range(8)] == [1] * 8


async def test_what_is_switched_is_on_the_witness_before_it_leaves(tmp_path: Path) -> None:
    async with a_head_end() as head_end, a_life(tmp_path, head_end, NOON) as gateway:
        for number in range(3):
            order = await gateway.ask(number)
            sent = await gateway.core.store.audit(subject=order)
            intent = next(each.seq for each in sent if each.note.action == "Dispatched")
            seen = read_witness(tmp_path / "gateway.witness")
            assert seen is not None
            assert seen.seq >= intent
            assert not seen.copied


async def test_nothing_is_switched_while_the_witness_cannot_be_written(tmp_path: Path) -> None:
    store, disk = tmp_path / "store", tmp_path / "disk"
    for folder in (store, disk):
        folder.mkdir()
    policy = WitnessPolicy(path=disk / "witness", apart=True)
    async with a_head_end() as head_end, a_life(store, head_end, NOON, policy) as gateway:
        disk.rename(tmp_path / "unplugged")
        order = await gateway.ask(0)
        await gateway.ask(1, PING)
        assert gateway.held == [UNWRITTEN]
        assert (gateway.sent(0), gateway.sent(1, Operation.PING)) == (0, 1)
        with pytest.raises(Conflict, match=r"witness cannot be written"):
            await gateway.confirm(UNWRITTEN)
        assert gateway.held == [UNWRITTEN]
        (tmp_path / "unplugged").rename(disk)
        await gateway.later(MINUTE)
        assert gateway.gateway.upkeep.witness is not None
        await gateway.gateway.upkeep.witness.once()
        assert gateway.held == []
        await gateway.later(MINUTE)
        assert gateway.sent(0) == 1
        assert (await gateway.command(order)).activity.state is State.COMPLETED


async def test_a_start_on_an_audit_that_cannot_be_read_is_held(tmp_path: Path) -> None:
    async with a_head_end() as head_end:
        async with a_life(tmp_path, head_end, NOON) as first:
            await first.ask(0)
        edit(tmp_path / "gateway.db", "UPDATE audit SET note = x'00'")
        async with a_life(tmp_path, head_end, NOON + MINUTE) as again:
            assert again.held == [OLDER]
            with pytest.raises(StoreFailed, match="was changed"):
                await again.gateway.upkeep.verify_audit()


# ---------------------------------------------------------------- a snapshot of a whole machine


@pytest.mark.parametrize("stopped", [5 * MINUTE, 20 * MINUTE], ids=str)
async def test_after_a_long_stop_what_was_accepted_before_waits_for_a_person(
    tmp_path: Path, stopped: timedelta
) -> None:
    held = [OLDER] if stopped > 15 * MINUTE else []
    async with a_head_end() as head_end:
        async with a_life(tmp_path, head_end, NOON) as before:
            order = await before.submit(0)
        async with a_life(tmp_path, head_end, NOON + stopped) as after:
            assert after.held == held
            await after.work()
            assert after.sent(0) == int(not held)
            if held:
                await after.confirm(OLDER)
                await after.later(MINUTE)
            assert after.sent(0) == 1
            for _ in range(4):
                await after.later(10 * MINUTE)
            assert (await after.command(order)).activity.state.final
        never = replace(beside(tmp_path), ask_after_s=0.0)
        apart = replace(beside(tmp_path), apart=True)
        for number, policy in enumerate((never, apart, beside(tmp_path)), 1):
            at = NOON + stopped + number * 12 * HOUR
            async with a_life(tmp_path, head_end, at, policy) as nothing_open:
                assert nothing_open.held == []


# ---------------------------------------------------------------- a callback that nobody can know

UNKNOWN = "callback_of_unknown_communication"


async def test_a_callback_at_an_address_we_signed_of_a_request_we_do_not_know_holds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    message = Received(
        operation=STATUS_CHANGED,
        raw=status_changed(),
        at=NOON,
        communication=CommunicationId("sent-by-another"),
    )
    async with a_head_end() as head_end:
        async with a_life(tmp_path, head_end, NOON) as gateway:
            await gateway.gateway.inbox.receive(replace(message, communication=None))
            await gateway.work()
            assert gateway.held == []  # anybody can make one up
            with caplog.at_level(logging.CRITICAL):
                for communication in ("sent-by-another", "sent-by-another-too"):
                    named = CommunicationId(communication)
                    await gateway.gateway.inbox.receive(replace(message, communication=named))
                await gateway.work()
            assert gateway.held == [OLDER]
            lines = [each for each in caplog.records if each.msg == UNKNOWN]
            assert [vars(each)["others"] for each in lines] == [1]
            await gateway.ask(0)
            assert gateway.sent(0) == 0
        async with a_life(tmp_path, head_end, NOON + MINUTE) as again:
            await nothing_leaves_until_confirmed(again, 2)
            await again.later(HOUR)  # it is looked at again, and was judged
            assert again.held == []


# ---------------------------------------------------------------- the audit, compared


@pytest.mark.parametrize("cut", ["DELETE FROM audit", "DELETE FROM audit WHERE seq > 3"])
async def test_a_cut_tail_of_the_audit_shows_after_a_restart_too(tmp_path: Path, cut: str) -> None:
    async with a_head_end() as head_end:
        async with a_life(tmp_path, head_end, NOON) as gateway:
            await gateway.ask(0)
            entries = await gateway.gateway.upkeep.verify_audit()
            kept = await gateway.core.store.audit_head()
        edit(tmp_path / "gateway.db", cut)
        for passed in (MINUTE, 2 * MINUTE):
            async with a_life(tmp_path, head_end, NOON + passed) as again:
                assert again.held == [OLDER]
                with pytest.raises(StoreFailed, match=r"missing|not the one that was written"):
                    await again.gateway.upkeep.verify_audit()
        async with life(tmp_path, head_end, NOON + 3 * MINUTE) as without:
            with pytest.raises(StoreFailed, match=r"missing|not the one that was written"):
                await without.gateway.upkeep.verify_audit(head=kept)
        assert entries > 3


async def test_an_entry_moved_to_another_subject_shows(tmp_path: Path) -> None:
    async with a_head_end() as head_end:
        async with a_life(tmp_path, head_end, NOON) as gateway:
            order = await gateway.ask(0)
        for moved in ("'another'", "'another' || subject", "''"):
            shutil.copy(tmp_path / "gateway.db", tmp_path / "kept.db")
            edit(
                tmp_path / "gateway.db",
                f"UPDATE audit SET subject = {moved} WHERE subject IN"
                f" (SELECT number FROM command WHERE id = '{order}')",
            )
            async with life(tmp_path, head_end, NOON + MINUTE) as again:
                with pytest.raises(StoreFailed, match="was changed"):
                    await again.gateway.upkeep.verify_audit()
            shutil.copy(tmp_path / "kept.db", tmp_path / "gateway.db")


async def test_heads_are_given_out_on_a_schedule_and_can_be_compared_with(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    policy = replace(beside(tmp_path), head_every_s=600.0)
    async with a_head_end() as head_end, a_life(tmp_path, head_end, NOON, policy) as gateway:
        witness = gateway.gateway.upkeep.witness
        assert witness is not None
        for number in range(3):
            await gateway.ask(number)
            for _ in range(3):
                await witness.once()
                await gateway.later(4 * MINUTE)
        told = [each for each in caplog.records if each.message == "audit_head"]
        heads = [(each.__dict__["seq"], each.__dict__["digest"]) for each in told]
        assert len(heads) == 5  # in 40 minutes, one of them at the beginning
        rows = await gateway.core.store.outbox("an archive", limit=1000)
        events = [each.publication for each in rows if each.publication.type.endswith("audit_head")]
        assert [(each.data["seq"], each.data["digest"]) for each in events] == heads[1:]
        for head in heads:
            assert await gateway.gateway.upkeep.verify_audit(head=head) > 0
        with pytest.raises(StoreFailed, match="not the one that was written"):
            await gateway.gateway.upkeep.verify_audit(head=(heads[0][0], heads[1][1]))


def edit(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement)
