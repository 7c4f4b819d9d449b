"""The first day and the next: installed from the wheel, run by the unit's command line against a
strict head end with mutual TLS and WS-Security; first command, backup, upgrade, restore."""

import asyncio
import io
import json
import os
import ssl
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from adapter.cli.output import Exit
from adapter.registry.files import as_json_values
from adapter.simulator.registry import device_id, registry_of
from adapter.simulator.server import Simulator
from adapter.store.migrate import APPLICATION_ID
from tests.deploy.files import ADMIN, OPERATOR, UNIT, settings_at, unit_of
from tests.durability.gateway_process import free_port
from tests.headend.authority import Authority
from tests.packaging.conftest import ROOT
from tests.packaging.empty_environment import installed
from tests.service.secured_site import head_end_of, write_files
from tests.service.served_process import ServedProcess, a_served_process

_PROGRAM: Final = "/opt/openway/bin"
_SCHEMAS: Final = ("adapter/store/schema", "adapter/store/schema_measured")
_LOOKED_AT: Final = 20
_CLI_S: Final = 60.0


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(wheel, tmp_path_factory.mktemp("installed") / "openway")


@dataclass(slots=True, kw_only=True)
class RehearsedSite:
    """The machine that the unit is for, below `folder`; `programs` is its /opt/openway/bin."""

    folder: Path
    programs: Path
    settings: Path
    api: str
    trust: ssl.SSLContext
    meters: Sequence[str]
    devices: Path
    unit: Mapping[str, Sequence[str]] = field(
        default_factory=lambda: unit_of(UNIT.read_text(encoding="utf-8"))
    )

    @property
    def environ(self) -> dict[str, str]:
        """As systemd makes it: the unit's variables, and little else."""
        given = dict(each.split("=", 1) for each in self.unit["Environment"])
        here = {
            name: value.replace("/etc/openway", str(self.settings.parent))
            for name, value in given.items()
        }
        return {"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": str(self.folder), **here}

    @property
    def working(self) -> Path:
        (named,) = self.unit["WorkingDirectory"]
        return self.folder / named.removeprefix("/var/lib/").join(("var/", ""))

    def command_line(self, key: str) -> list[str]:
        (line,) = self.unit[key]
        return line.replace(_PROGRAM, str(self.programs)).split()

    @asynccontextmanager
    async def served(self, *instead: str, **environ: str) -> AsyncIterator[ServedProcess]:
        """As the unit starts it, after what it runs before; `instead` is another command line."""
        if not instead:
            check = await self._run(self.command_line("ExecStartPre"), {})
            assert check.returncode == 0, check.stderr
        async with a_served_process(
            instead or self.command_line("ExecStart"),
            api=self.api,
            log=self.folder / "gateway.log",
            environ={**self.environ, **environ},
            cwd=self.working,
            trust=self.trust,
        ) as process:
            yield process

    async def openway(self, *arguments: str, key: str = ADMIN, code: Exit = Exit.OK) -> Any:
        """One command line of the installed program, as JSON."""
        line = [str(self.programs / "openway"), *arguments, "--json"]
        done = await self._run(line, {"OPENWAY_API_KEY": key})
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        return json.loads(done.stdout) if done.stdout else None

    async def _run(
        self, line: Sequence[str], environ: Mapping[str, str]
    ) -> "subprocess.CompletedProcess[str]":
        return await asyncio.to_thread(
            subprocess.run,
            line,
            cwd=self.working,
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            timeout=_CLI_S,
            check=False,
        )

    async def done(self, kind: str, number: int) -> str:
        """The id of a command that was carried out at a meter."""
        found = await self.openway(
            "command", "submit", kind, self.meters[number], "--wait", "45", key=OPERATOR
        )
        assert found["outcome"] == "succeeded", found
        return str(found["id"])


@asynccontextmanager
async def a_site(folder: Path, programs: Path) -> AsyncIterator[RehearsedSite]:
    authority = Authority(folder)
    theirs = folder / "head-end"
    theirs.mkdir()
    write_files(theirs, authority)
    async with AsyncExitStack() as stack:
        config = head_end_of(theirs, authority, user="openway-gateway")
        simulator = await stack.enter_async_context(Simulator(config))
        api = free_port()
        settings = settings_at(
            folder, authority, head_end=simulator.url, listener=free_port(), api=api
        )
        devices = folder / "devices.json"
        population = simulator.world.population
        devices.write_text(json.dumps(as_json_values(registry_of(population)), default=str))
        yield RehearsedSite(
            folder=folder,
            programs=programs,
            settings=settings,
            api=f"https://localhost:{api}",
            trust=ssl.create_default_context(cafile=authority.ca),
            meters=[device_id(esn) for esn in sorted(population)],
            devices=devices,
        )


def test_the_environment_has_what_the_wheel_names_and_no_more(programs: Path) -> None:
    for module, code in (("adapter.cli", 0), ("aiohttp", 0), ("pytest", 1), ("yaml", 1)):
        done = subprocess.run(
            [programs / "python", "-c", f"import {module}"],
            capture_output=True,
            cwd=programs,
            env={"PATH": os.defpath},
            check=False,
        )
        assert done.returncode == code, (module, done.stderr)


@pytest.mark.seconds(300)
@pytest.mark.timeout(400)
async def test_first_command_backup_and_restore(programs: Path, tmp_path: Path) -> None:
    async with a_site(tmp_path, programs) as site:
        async with site.served() as process:
            assert await site.openway("health") == {"status": "ok"}
            await site.openway("devices", "import", str(site.devices))
            before = await site.done("remote_disconnect", 0)
            await site.openway("backup", str(tmp_path / "backup"))
            after = await site.done("remote_connect", 0)
            assert await process.stop() == 0
        await site.openway("restore", str(tmp_path / "backup"), "--replace")
        async with site.served() as process:
            (hold,) = (await site.openway("holds", "list"))["items"]
            assert hold["reason"] == "older_store"
            found = await site.openway("command", "show", before)
            assert found["outcome"] == "succeeded"
            await site.openway("command", "show", after, code=Exit.NOT_FOUND)
            await site.openway("holds", "confirm", "older_store", "--reason", "the meter was seen")
            await site.done("device_status_check", 1)
            assert (await site.openway("audit", "verify"))["intact"]
            assert await process.stop() == 0


# ---------------------------------------------------------------- upgrade


def _git(*arguments: str) -> bytes:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else b""


def _mark_at(commit: str) -> int:
    """The mark of stores of that program; 0 where there is none."""
    text = _git("show", f"{commit}:adapter/store/migrate.py").decode()
    found = [line for line in text.splitlines() if line.startswith("APPLICATION_ID")]
    return int(found[0].split("=")[1], 16) if found else 0


def _migrations_at(commit: str) -> set[str]:
    """Each with its content, so that one that was changed is another."""
    listed = _git("ls-tree", "-r", commit, "--", *_SCHEMAS).decode().splitlines()
    return {line for line in listed if line.endswith(".sql")}


def _older_programs() -> dict[str, str]:
    """Commits whose stores this program brings up to date: the one before, and the newest that has
    fewer migrations."""
    before = _git("rev-parse", "--verify", "--quiet", "HEAD^").decode().strip()
    changed = _git("log", f"-{_LOOKED_AT}", "--format=%H", "--", *_SCHEMAS).decode().split()
    older = [_git("rev-parse", f"{commit}^").decode().strip() for commit in changed]
    now = _migrations_at("HEAD")
    found = {
        "the commit before": [before],
        "fewer migrations": [commit for commit in older if _migrations_at(commit) < now],
    }
    return {
        name: commits[0]
        for name, commits in found.items()
        if commits and _migrations_at(commits[0]) <= now and _mark_at(commits[0]) == APPLICATION_ID
    }


@pytest.mark.seconds(300)
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "which", ["fewer migrations", pytest.param("the commit before", marks=pytest.mark.soak)]
)
async def test_a_store_of_an_older_program_is_brought_up_to_date(
    which: str, programs: Path, tmp_path: Path
) -> None:
    older = _older_programs()
    commit = older.get(which, older.get("the commit before"))
    if commit is None:
        pytest.skip(f"NOT CHECKED: no history with {which} whose stores are brought over")
    old = tmp_path / "old"
    with tarfile.open(fileobj=io.BytesIO(_git("archive", commit, "adapter", "wsdl"))) as archive:
        archive.extractall(old, filter="data")
    async with a_site(tmp_path, programs) as site:
        line = (sys.executable, "-m", "adapter", "serve")
        async with site.served(*line, PYTHONPATH=str(old)) as process:
            await site.openway("devices", "import", str(site.devices))
            before = await site.done("remote_disconnect", 0)
            assert await process.stop() == 0
        told = await site.openway("store", "migrate", "--dry-run")
        assert told["dry_run"]["commands"] == 1
        await site.openway("store", "migrate", "--backup", str(tmp_path / "before"))
        async with site.served() as process:
            assert (await site.openway("command", "show", before))["outcome"] == "succeeded"
            await site.done("remote_connect", 0)
            assert (await site.openway("audit", "verify"))["intact"]
            assert await process.stop() == 0
