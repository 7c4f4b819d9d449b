"""`openway backup` and `openway restore`: of one moment, looked through, and held afterwards."""

import asyncio
import hashlib
import json
import os
import shutil
import sqlite3
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from adapter import cli
from adapter.commands.activity import CommandRequest, State
from adapter.commands.flows import CommandKind, Operation
from adapter.engine.commands.correlator import DATA_ARRIVED
from adapter.engine.commands.ports import Received
from adapter.engine.commands.switch_holds import HoldReason
from adapter.errors import Conflict, GatewayError, InvalidRequest, NotFound, StoreFailed
from adapter.model.ids import DeviceId
from adapter.model.secret import Secret
from adapter.model.values import replace
from adapter.service.app import App, build
from adapter.service.backup import MANIFEST, back_up, check_backup, restore
from adapter.service.settings import CallbackSettings, Settings, load
from adapter.simulator.meters import PopulationPlan
from adapter.simulator.registry import registry_of
from adapter.simulator.server import Simulator
from adapter.simulator.settings import SimulatorConfig
from tests.durability.gateway_process import free_port, settings_file
from tests.web.both_servers import data_arrived

NOW: Final = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
CUT, PING = CommandKind.REMOTE_DISCONNECT, CommandKind.DEVICE_STATUS_CHECK


@dataclass(frozen=True)
class Site:
    """A simulated head end, and where the gateway's files are."""

    simulator: Simulator
    folder: Path
    file: Path

    @property
    def settings(self) -> Settings:
        return load(self.file, {})

    def elsewhere(self, name: str) -> Settings:
        """The same head end, another place for the store."""
        folder = self.folder.parent / name
        folder.mkdir()
        file = settings_file(folder, self.simulator.url, listener=free_port(), api=free_port())
        return load(file, {})

    @property
    def cuts(self) -> int:
        return self.simulator.journal.requests[Operation.DISCONNECT_METER]


@asynccontextmanager
async def a_site(tmp_path: Path, extra: str = "") -> AsyncIterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    config = SimulatorConfig(population=PopulationPlan(count=24, generating_share=0.0))
    async with Simulator(config) as simulator:
        file = settings_file(
            folder, simulator.url, listener=free_port(), api=free_port(), extra=extra
        )
        yield Site(simulator, folder, file)


async def command(app: App, number: int, kind: CommandKind = CUT) -> State:
    """The state of a command after it had time enough to be carried out."""
    device = DeviceId(f"M70{number:04d}")
    made = await app.gateway.commands.submit(CommandRequest(kind=kind, devices=(device,)))
    return (await app.gateway.commands.wait(made.id, timeout_s=10)).activity.state


async def loaded(app: App, site: Site) -> None:
    await app.gateway.registry.import_devices(registry_of(site.simulator.world.population))


async def made(site: Site, to: Path) -> None:
    """A backup of a site that has cut one meter off, and has stopped."""
    async with build(site.settings) as app:
        await loaded(app, site)
        assert await command(app, 1) is State.COMPLETED
    back_up(site.settings, to, now=NOW)


async def test_backups_of_a_gateway_at_work_are_whole_each_and_of_one_moment(
    tmp_path: Path,
) -> None:
    async with a_site(tmp_path) as site, build(site.settings) as app:
        await loaded(app, site)
        work = asyncio.gather(*(command(app, number, PING) for number in range(1, 25)))
        heads = []
        for number in range(6):
            to = tmp_path / f"backup-{number}"
            report = await asyncio.to_thread(back_up, site.settings, to, now=NOW)
            again = await asyncio.to_thread(check_backup, to)
            assert again.manifest == report.manifest
            heads.append(again.found.head.seq)
        assert await work == [State.COMPLETED] * 24
        assert heads == sorted(heads)
        names = {each.name for each in report.manifest.files}
        assert names == {"store.db", "store.measurements.db", "callback.keys", "witness"}
        entries = await app.gateway.upkeep.audit(after=heads[0] - 1, limit=1)
        digest = json.loads((tmp_path / "backup-0" / MANIFEST).read_text())["digest"]
        assert entries[0].digest == digest


async def test_what_is_restored_knows_its_commands_and_holds_switch_orders_until_confirmed(
    tmp_path: Path,
) -> None:
    async with a_site(tmp_path) as site:
        async with build(site.settings) as app:
            await loaded(app, site)
            assert await command(app, 1) is State.COMPLETED
            await asyncio.to_thread(back_up, site.settings, tmp_path / "backup", now=NOW)
            assert await command(app, 2) is State.COMPLETED
        cuts = site.cuts
        there = site.settings
        with pytest.raises(Conflict, match="is there; --replace"):
            restore(there, tmp_path / "backup", by="ann", now=NOW)
        witness = there.store.witness_file.read_bytes()
        report = restore(there, tmp_path / "backup", by="ann", now=NOW, replacing=True)
        assert report.moved is not None
        assert (report.moved / "gateway.db").is_file()
        assert there.store.witness_file.read_bytes() == witness
        for settings in (there, site.elsewhere("new-machine")):
            if settings is not there:
                restore(settings, tmp_path / "backup", by="ann", now=NOW)
            async with build(settings) as app:
                holds = app.gateway.upkeep.holds
                assert [hold.reason for hold in holds.all()] == [HoldReason.OLDER_STORE]
                assert "restored from a backup of 2026-11-30" in holds.all()[0].text
                actions = [each.note.action for each in await app.gateway.upkeep.audit()]
                assert "Restored" in actions
                order = await app.gateway.commands.submit(
                    CommandRequest(kind=CUT, devices=(DeviceId("M700003"),))
                )
                assert await command(app, 4, PING) is State.COMPLETED
                assert site.cuts == cuts
                await app.gateway.commands.cancel(order.id, by="ann", reason="not again")
        async with build(settings) as app:
            assert app.gateway.upkeep.holds.all()
            await app.gateway.upkeep.holds.confirm("older_store", by="ann", why="looked")
            assert await command(app, 5) is State.COMPLETED
            assert site.cuts == cuts + 1
            assert await app.gateway.upkeep.verify_audit() > 0


async def test_bodies_that_wait_on_disk_are_in_the_backup(tmp_path: Path) -> None:
    body = data_arrived(values=3)
    async with a_site(tmp_path) as site:
        async with build(site.settings) as app:
            spooling = app.core.taking.spool.begin(NOW)
            await spooling.add(body)
            spooled = await spooling.done()
            await app.gateway.inbox.receive(
                Received(operation=DATA_ARRIVED, raw=b"", at=NOW, spool=spooled)
            )
            report = await asyncio.to_thread(back_up, site.settings, tmp_path / "b", now=NOW)
        assert f"spool/{spooled.file}" in {each.name for each in report.manifest.files}
        settings = site.elsewhere("new")
        restore(settings, tmp_path / "b", by="ann", now=NOW)
        assert (settings.store.path.with_suffix(".spool") / spooled.file).is_file()


def flip(name: str, place: float = 0.5) -> Callable[[Path], object]:
    """One bit, `place` of the way through a file. Of a database it is in the type of the page
    there: any other byte may be one that the page does not use, which is no damage."""

    def damage(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        at = int(len(content) * place)
        if name.endswith(".db"):
            at -= at % int.from_bytes(content[16:18], "big")
        content[at] ^= 4
        (folder / name).write_bytes(content)

    return damage


def gone(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def short(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-1])


def another(folder: Path) -> None:
    (folder / "spool").mkdir()
    (folder / "spool" / "a.gz").write_bytes(b"x")


def renamed(folder: Path) -> None:
    text = (folder / MANIFEST).read_text().replace('"witness"', '"../witness"')
    (folder / MANIFEST).write_text(text)


def older_measurements(folder: Path) -> None:
    """Of another backup, its digest in the manifest mended."""
    path = folder / "store.db"
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO load (payload, state, started) VALUES (1, 'loaded', 0)")
    db.close()
    found = json.loads((folder / MANIFEST).read_text())
    for each in found["files"]:
        if each["name"] == path.name:
            each["bytes"] = path.stat().st_size
            each["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(found))


DAMAGE: Final = {
    "a bit of the store": flip("store.db"),
    "a bit at its end": flip("store.db", 0.999),
    "a bit of the measurements": flip("store.measurements.db"),
    "a bit of the keys": flip("callback.keys"),
    "no store": gone("store.db"),
    "no measurements": gone("store.measurements.db"),
    "no keys": gone("callback.keys"),
    "no manifest": gone(MANIFEST),
    "a short store": short("store.db"),
    "a short manifest": short(MANIFEST),
    "an empty manifest": lambda folder: (folder / MANIFEST).write_bytes(b""),
    "a file too many": another,
    "a name that leads out": renamed,
    "measurements of another time": older_measurements,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
async def test_a_damaged_backup_is_refused_and_what_stands_there_stays(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    async with a_site(tmp_path) as site:
        await made(site, tmp_path / "backup")
        damage(tmp_path / "backup")
        before = {each.name: each.read_bytes() for each in site.folder.iterdir() if each.is_file()}
        with pytest.raises((StoreFailed, NotFound)):
            restore(site.settings, tmp_path / "backup", by="ann", now=NOW, replacing=True)
        after = {each.name: each.read_bytes() for each in site.folder.iterdir() if each.is_file()}
        assert after == before


async def test_a_restore_beside_a_running_gateway_is_refused(tmp_path: Path) -> None:
    async with a_site(tmp_path) as site:
        await made(site, tmp_path / "backup")
        async with build(site.settings) as app:
            with pytest.raises(Conflict, match="stop the gateway first"):
                restore(site.settings, tmp_path / "backup", by="ann", now=NOW, replacing=True)
            assert await command(app, 2) is State.COMPLETED


async def test_keys_of_the_settings_must_be_those_of_the_backup(tmp_path: Path) -> None:
    async with a_site(tmp_path) as site:
        await made(site, tmp_path / "backup")
        (kept,) = (tmp_path / "backup" / "callback.keys").read_text().split()
        mine = site.elsewhere("with-keys")
        for keys, good in ((("x" * 32,), False), (("x" * 32, kept), True)):
            given = CallbackSettings(keys=tuple(map(Secret, keys)))
            settings = replace(mine, callbacks=given)
            if good:
                restore(settings, tmp_path / "backup", by="ann", now=NOW)
                assert not settings.store.path.with_suffix(".key").exists()
            else:
                with pytest.raises(Conflict, match="lacks a key of the backup"):
                    restore(settings, tmp_path / "backup", by="ann", now=NOW)
                assert not settings.store.path.exists()


async def test_a_backup_is_its_owners_alone_and_there_whole_or_not_at_all(tmp_path: Path) -> None:
    async with a_site(tmp_path) as site:
        with pytest.raises(NotFound, match="no store"):
            back_up(site.settings, tmp_path / "early", now=NOW)
        async with build(site.settings) as app:
            await loaded(app, site)
        before = set(os.listdir(site.folder))
        back_up(site.settings, tmp_path / "backup", now=NOW)
        assert set(os.listdir(site.folder)) == before
        for path in (tmp_path / "backup", *(tmp_path / "backup").iterdir()):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
        with pytest.raises(InvalidRequest, match="not empty"):
            back_up(site.settings, tmp_path / "backup", now=NOW)
        whole = (site.folder / "gateway.db").read_bytes()
        for place in (0.25, 0.5, 0.75, 0.999):
            flip("gateway.db", place)(site.folder)
            with pytest.raises(GatewayError):
                back_up(site.settings, tmp_path / "of-damage", now=NOW)
            assert set(os.listdir(tmp_path)) == {"site", "backup"}
            (site.folder / "gateway.db").write_bytes(whole)
        back_up(site.settings, tmp_path / "of-damage", now=NOW)


async def test_both_are_commands_that_say_what_they_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with a_site(tmp_path) as site:
        async with build(site.settings) as app:
            await loaded(app, site)
        config = ["--config", str(site.file)]
        to = str(tmp_path / "backup")
        assert await asyncio.to_thread(cli.run, [*config, "backup", to]) == 0
        assert "written: 4 files" in capsys.readouterr().out
        assert await asyncio.to_thread(cli.run, [*config, "restore", to, "--check"]) == 0
        assert "good: 4 files" in capsys.readouterr().out
        assert await asyncio.to_thread(cli.run, [*config, "restore", to]) == 4
        shutil.rmtree(site.folder / "gateway.spool", ignore_errors=True)
        assert await asyncio.to_thread(cli.run, [*config, "restore", to, "--replace"]) == 0
        told = capsys.readouterr()
        assert "openway holds confirm older_store" in told.out + told.err
        assert await asyncio.to_thread(cli.run, [*config, "restore", str(site.folder)]) == 3
