"""A real gateway and a real simulator in a thread, for command lines that block."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from adapter.cli import run
from adapter.model.values import replace
from adapter.registry.files import as_json_values
from adapter.service.app import build
from adapter.service.settings import load, load_with_origin
from adapter.simulator.meters import PopulationPlan
from adapter.simulator.registry import registry_of
from adapter.simulator.server import Simulator
from adapter.simulator.settings import SimulatorConfig
from tests.new_stores import new_store

OPERATOR = "operator-" + "0" * 32
APPROVER = "approver-" + "0" * 32
ADMIN = "admin-" + "0" * 32
_KEYS = f"ann read,operate,switch {OPERATOR}\nbob approve {APPROVER}\nroot admin,operate {ADMIN}\n"
_START_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Service:
    """Where the service is, its settings, and a file with the devices that the simulator has."""

    api_url: str
    listener_url: str
    settings_file: Path
    devices_file: Path


@contextmanager
def serving(
    folder: Path,
    *,
    meters: int = 40,
    more: str = "",
    keys: str = "",
    store: str = "",
    api: str = "",
    listener: str = "",
    head_end: SimulatorConfig | None = None,
) -> Iterator[Service]:
    """Everything that `openway serve` and `openway simulate` run, on loopback. `more` is what else
    stands in the settings file, `store`, `api` and `listener` what in those sections, `keys` what
    in the file of the keys; `head_end` is how the simulator is, except for its meters; then it
    sends data."""
    started: list[Service | BaseException] = []
    ready = threading.Event()
    stop: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        ended = asyncio.Event()
        stop.append((asyncio.get_running_loop(), ended))
        plan = PopulationPlan(count=meters)
        config = replace(head_end or SimulatorConfig(), population=plan)
        async with Simulator(config) as simulator:
            devices = folder / "devices.json"
            devices.write_text(json.dumps(as_json_values(registry_of(simulator.world.population))))
            path = _settings_file(
                folder, simulator.url, more=more, keys=keys, store=store, api=api, listener=listener
            )
            read = partial(load_with_origin, path, {}, skipped=frozenset({"api.keys"}))
            async with build(load(path, {}), read=read) as app:
                if head_end is not None:
                    simulator.subscribe(f"{app.listener.url}/openway/data")
                started.append(
                    Service(
                        api_url=app.rest.url,
                        listener_url=app.listener.url,
                        settings_file=path,
                        devices_file=devices,
                    )
                )
                ready.set()
                await ended.wait()

    def work() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            started.append(error)
            ready.set()
            raise

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert ready.wait(_START_S)
    service = started[0]
    if isinstance(service, BaseException):
        raise service
    try:
        yield service
    finally:
        loop, ended = stop[0]
        loop.call_soon_threadsafe(ended.set)
        thread.join(_START_S)


def _settings_file(
    folder: Path, head_end: str, *, more: str, keys: str, store: str, api: str, listener: str
) -> Path:
    (folder / "keys").write_text(_KEYS + keys, encoding="utf-8")
    new_store(folder / "gateway.db")
    path = folder / "openway.toml"
    path.write_text(
        f'[store]\npath = "gateway.db"\n{store}'
        f"[listener]\nport = 0\n{listener}\n"
        f'[api]\nport = 0\nkeys_file = "keys"\n{api}\n'
        f'[head_end]\nbase_url = "{head_end}"\n{more}',
        encoding="utf-8",
    )
    return path


@dataclass(frozen=True, kw_only=True)
class Printed:
    """What a command line left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, object]:
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


class Terminal:
    """Runs command lines in this process, as one person at one service."""

    def __init__(
        self, capture: pytest.CaptureFixture[str], environ: pytest.MonkeyPatch, url: str
    ) -> None:
        self._capture = capture
        self._environ = environ
        environ.setenv("OPENWAY_API_URL", url)
        self.as_(OPERATOR)

    def as_(self, key: str, second: str | None = None) -> "Terminal":
        self._environ.setenv("OPENWAY_API_KEY", key)
        if second is None:
            self._environ.delenv("OPENWAY_API_SECOND_KEY", raising=False)
        else:
            self._environ.setenv("OPENWAY_API_SECOND_KEY", second)
        return self

    def __call__(self, *arguments: str) -> Printed:
        self._capture.readouterr()
        code = run(list(arguments))
        out, err = self._capture.readouterr()
        assert "Traceback" not in out + err
        return Printed(code=code, out=out, err=err)
