"""What no test may leave behind for the next one, and what none may depend on."""

import gc
import inspect
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, settings

from tests import compiled
from tests import postgresql_server as postgresql
from tests.support import SECONDS, run

compiled.kept()

DISK: Final = os.environ.setdefault("TESTS_ON_DISK", tempfile.gettempdir())
_MEMORY: Final = "/dev/shm"
_ENOUGH: Final = 4 * 2**30
"""Bytes free in memory below which nothing is put there."""

if (
    "TMPDIR" not in os.environ
    and os.access(_MEMORY, os.W_OK)
    and shutil.disk_usage(_MEMORY).free > _ENOUGH
):
    # A store writes through to the disk at each commit, and most tests do not ask what that takes;
    # those that do are given `on_disk`. Workers and processes that a test starts see the variable.
    os.environ["TMPDIR"] = tempfile.tempdir = _MEMORY

# How long an example takes to be drawn or tried is the machine's affair, which may be busy; and a
# run that fails must fail again, so every run sees the same examples (`soak` draws new ones).
settings.register_profile(
    "any machine",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("any machine")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"seconds(limit): how long a coroutine test may take, instead of {SECONDS:g}"
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of long tests come first, in turn at each worker: at the end nobody waits for one.

    A worker begins with a share of the list as it stands, and takes from the end of another's.
    """
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    long = [each for each in files.values() if any(map(_may_take_long, each))]
    rest = [item for each in files.values() if each not in long for item in each]
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    ordered: list[pytest.Item] = []
    for number in range(workers):
        begun = [item for each in long[number::workers] for item in each]
        share = max(len(items) // workers - len(begun), 0)
        ordered += [*begun, *rest[:share]]
        rest = rest[share:]
    items[:] = [*ordered, *rest]


def _may_take_long(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) is not None for name in ("seconds", "timeout"))


def pytest_collection_finish() -> None:
    """What was read stays, and most of what a test leaves has no circle: to look for some at every
    700 objects takes a tenth of the time of all tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """A test that is a coroutine runs in an event loop of its own, for so many seconds at most."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    given = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    mark = pyfuncitem.get_closest_marker("seconds")
    run(pyfuncitem.obj(**given), seconds=SECONDS if mark is None else mark.args[0])
    return True


@pytest.fixture
def on_disk(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder on the disk, for tests of what a store does there; kept where the test failed."""
    failed = request.session.testsfailed
    folder = Path(tempfile.mkdtemp(prefix=f"{request.node.originalname[:60]}-", dir=DISK))
    yield folder
    if request.session.testsfailed == failed:
        shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """A command line that starts its log does so for the whole process."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a PostgreSQL server: a site's own, or one for this worker alone."""
    own = postgresql.given()
    if own is not None:
        yield own
        return
    if postgresql.programs() is None:
        pytest.skip(postgresql.ABSENT)
    with postgresql.server() as url:
        yield url


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server: str) -> Iterator[str]:
    """Name of a database that has the schema: to copy it takes less than to make it."""
    with postgresql.new_database(postgresql_server) as url:
        postgresql.migrated(url)
        yield urlsplit(url).path[1:]


@pytest.fixture
def postgresql_store_url(postgresql_server: str, postgresql_template: str) -> Iterator[str]:
    """The URL of a store without rows."""
    with postgresql.new_database(postgresql_server, postgresql_template) as url:
        yield url


@pytest.fixture
def postgresql_url(postgresql_server: str) -> Iterator[str]:
    """The URL of an empty database."""
    with postgresql.new_database(postgresql_server) as url:
        yield url
