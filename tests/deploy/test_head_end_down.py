"""The head end slowed, then killed, then back, by script: within a minute the metrics, the log, the
feed, the list of what waits, readiness and `openway top` show it, and its end; and the alerts that
Prometheus makes of what was scraped meanwhile fire and end."""

import asyncio
import json
import logging
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from adapter.cli import run
from adapter.commands.activity import CommandRequest
from adapter.commands.flows import CommandKind
from adapter.engine.upkeep.signals import Signal
from adapter.model.ids import DeviceId
from adapter.model.todo import TodoSubject
from adapter.service.app import App, build
from adapter.service.settings import load
from adapter.simulator.faults import Effect, Script
from adapter.simulator.meters import PopulationPlan
from adapter.simulator.registry import registry_of
from adapter.simulator.server import Simulator
from adapter.simulator.settings import SimulatorConfig
from tests.deploy.promtool import RULES, promtool

KEY: Final = "watcher-" + "0" * 32
WITHIN_S: Final = 60.0
EVERY_S: Final = 15
"""Scrapes of the test come one after the other; Prometheus is told that they came so often."""
_MORE: Final = 5
"""Scrapes in each phase: longer than the alerts wait."""


@dataclass
class Site:
    app: App
    simulator: Simulator
    log: pytest.LogCaptureFixture
    scrapes: list[dict[str, float]] = field(default_factory=list)
    devices: "cycle[DeviceId]" = field(default_factory=lambda: cycle(()))

    async def command(self) -> None:
        """One more call, whatever comes of it."""
        request = CommandRequest(
            kind=CommandKind.DEVICE_STATUS_CHECK, devices=(next(self.devices),)
        )
        commands = self.app.gateway.commands
        made = await commands.submit(request, actor="test")
        await commands.wait(made.id, timeout_s=0.2)

    async def asked(self, path: str) -> str:
        def ask() -> str:
            headers = {"Authorization": f"Bearer {KEY}"}
            request = urllib.request.Request(f"{self.app.rest.url}{path}", headers=headers)
            with urllib.request.urlopen(request, timeout=30) as answer:
                return str(answer.read().decode())

        return await asyncio.to_thread(ask)

    async def scrape(self) -> None:
        text = await self.asked("/metrics")
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for each in family.samples:
                labels = ",".join(
                    f"{name}={json.dumps(word)}"
                    for name, word in {"instance": "gateway", **each.labels}.items()
                )
                found[f"{each.name}{{{labels}}}"] = each.value
        self.scrapes.append(found)

    async def until(self, shown: Callable[[], bool]) -> int:
        """Commands and scrapes until it is shown, and some more. The number of the last scrape."""
        deadline = time.monotonic() + WITHIN_S
        while not shown():
            assert time.monotonic() < deadline
            await self.command()
            await self.scrape()
        for _ in range(_MORE):
            await self.command()
            await self.scrape()
        return len(self.scrapes) - 1

    def value(self, name: str) -> float:
        return self.scrapes[-1][f'openway_{name}{{instance="gateway"}}'] if self.scrapes else 0.0

    async def top(self, capsys: pytest.CaptureFixture[str]) -> str:
        capsys.readouterr()
        assert await asyncio.to_thread(run, ["top", "--once"]) == 0
        return capsys.readouterr().out

    async def todo(self) -> set[str]:
        found = await self.app.gateway.upkeep.todo.list(TodoSubject.HEAD_END)
        return {entry.first.code for entry in found}

    async def typed(self) -> list[list[str]]:
        """The words of each command line that the list has for it, without the first."""
        (entry,) = await self.app.gateway.upkeep.todo.list(TodoSubject.HEAD_END)
        return [each.typed.split()[1:] for each in entry.commands]

    def lines(self) -> set[str]:
        return {record.msg for record in self.log.records}

    async def events(self) -> set[str]:
        await self.app.gateway.upkeep.signals.once()
        answer = json.loads(await self.asked("/api/v1/events?types=openway.head_end.*&limit=500"))
        return {each["type"].removeprefix("openway.head_end.") for each in answer["items"]}


@asynccontextmanager
async def site(folder: Path, log: pytest.LogCaptureFixture) -> AsyncIterator[Site]:
    config = SimulatorConfig(population=PopulationPlan(count=60))
    async with Simulator(config) as simulator:
        (folder / "keys").write_text(f"watcher read,admin {KEY}\n", encoding="utf-8")
        settings = folder / "openway.toml"
        settings.write_text(
            '[store]\npath = "gateway.db"\n[listener]\nport = 0\n'
            '[api]\nport = 0\nkeys_file = "keys"\n'
            f'[head_end]\nbase_url = "{simulator.url}"\n'
            "[head_end.limits]\nslow_s = 0.5\nbreaker_open_s = 0.2\nbreaker_longest_s = 0.5\n",
            encoding="utf-8",
        )
        async with build(load(settings, {})) as app:
            registry = registry_of(simulator.world.population)
            await app.gateway.registry.import_devices(registry, by="test")
            made = Site(app, simulator, log)
            made.devices = cycle(each.id for each in registry.devices)
            yield made


def written(scrapes: list[dict[str, float]], fires: dict[int, set[str]]) -> str:
    """A test of the rules: what was scraped, and by the number of a scrape which alerts there are
    then. What is JSON is YAML."""
    names = sorted({name for each in scrapes for name in each})
    series = [
        {
            "series": name,
            "values": " ".join(f"{each[name]:g}" if name in each else "_" for each in scrapes),
        }
        for name in names
    ]
    alerts = {"OpenwayHeadEndLost", "OpenwayHeadEndSlow"}
    expected = [
        {
            "expr": f'ALERTS{{alertname="{alert}", alertstate="firing"}}',
            "eval_time": f"{number * EVERY_S}s",
            "exp_samples": [{"labels": LABELS[alert], "value": 1}] if alert in firing else [],
        }
        for number, firing in fires.items()
        for alert in sorted(alerts)
    ]
    test = {
        "interval": f"{EVERY_S}s",
        "input_series": series,
        "promql_expr_test": expected,
    }
    return json.dumps(
        {"rule_files": [str(RULES)], "evaluation_interval": f"{EVERY_S}s", "tests": [test]}
    )


LABELS: Final = {
    alert: f'ALERTS{{alertname="{alert}", alertstate="firing", instance="gateway", '
    f'severity="{severity}"}}'
    for alert, severity in (("OpenwayHeadEndLost", "critical"), ("OpenwayHeadEndSlow", "warning"))
}


async def test_a_head_end_that_is_slowed_then_killed_is_shown_everywhere_and_so_is_its_return(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO)
    async with site(tmp_path, caplog) as made:
        monkeypatch.setenv("OPENWAY_API_URL", made.app.rest.url)
        monkeypatch.setenv("OPENWAY_API_KEY", KEY)
        calm = await made.until(lambda: True)
        assert '"ready"' in await made.asked("/readyz")
        assert "\nREADY\n" in await made.top(capsys)

        made.simulator.world.scripts.add(Script(effect=Effect.DELAY, operation="*", seconds=0.8))
        slow = await made.until(lambda: made.value("head_end_slow") == 1)
        assert "the head end is slow" in await made.asked("/readyz")
        assert "DEGRADED: the head end is slow" in await made.top(capsys)
        assert await made.todo() == {"head_end_slow"}
        assert "head_end_slow" in made.lines()
        assert "slow" in await made.events()

        await made.simulator.stop()
        lost = await made.until(lambda: made.value("head_end_lost") == 1)
        assert "the head end" in await made.asked("/readyz")
        frame = await made.top(capsys)
        assert "DEGRADED: the head end" in frame
        assert "LOST" in frame
        assert await made.todo() <= {"head_end_lost", "breaker_opened"}
        for typed in await made.typed():
            assert await asyncio.to_thread(run, typed) in (0, 1)
        assert "head_end_lost" in made.lines()
        assert "lost" in await made.events()

        made.simulator.world.scripts.clear()
        await made.simulator.start()
        back = await made.until(
            lambda: made.value("head_end_lost") + made.value("head_end_slow") == 0
        )
        assert '"ready"' in await made.asked("/readyz")
        assert "\nREADY\n" in await made.top(capsys)
        assert await made.todo() == set()
        assert {"head_end_back", "head_end_quick"} <= made.lines()
        assert {"back", "quick"} <= await made.events()
        counts = made.app.gateway.upkeep.signals.counts
        assert counts[Signal.HEAD_END_LOST] == counts[Signal.HEAD_END_BACK] == 1

    test = tmp_path / "scraped_test.yml"
    fires = {
        calm: set[str](),
        slow: {"OpenwayHeadEndSlow"},
        lost: {"OpenwayHeadEndLost", "OpenwayHeadEndSlow"},
        back: set[str](),
    }
    test.write_text(written(made.scrapes, fires), encoding="utf-8")
    assert "SUCCESS" in promtool("test", "rules", test)
