"""Every fault that is planted is named by the doctor, with what to do about it."""

import asyncio
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapter.doctor.findings import FINDINGS, Level
from adapter.engine.commands.ports import AuditNote, Change
from adapter.store.commands.commands import SqliteStore
from tests.doctor.planting import WITHIN_S, PlantedSite, cases, healthy
from tests.doctor.web_servers import silent
from tests.support import every_case

_AN_HOUR = timedelta(hours=1)
EXPECTED_OF_A_STOPPED_SITE = {"store_absent", "gateway_stopped", "callback_unproven"}


def test_of_a_good_site_that_is_stopped_nothing_is_said_but_that(tmp_path: Path) -> None:
    with ExitStack() as stack:
        diagnosis = healthy(tmp_path, stack).examined()
    assert {each.code for each in diagnosis.findings} == EXPECTED_OF_A_STOPPED_SITE
    assert diagnosis.worst is None
    assert not diagnosis.running


def test_each_planted_fault_is_named_with_what_to_do(tmp_path: Path) -> None:
    with every_case() as case:
        for name, code, advice, plant in cases():
            folder = tmp_path / name
            folder.mkdir()
            with case(name), ExitStack() as stack:
                site = healthy(folder, stack, contract=False)
                plant(site)
                # Where nothing comes it is waited for in vain; a busy machine is slow.
                within_s = WITHIN_S if code.endswith("silent") else 60.0
                found = {each.code: each for each in site.examined(within_s=within_s).findings}
                assert code in found, sorted(found)
                assert advice in found[code].action
                assert found[code].why
                assert "{" not in found[code].action
                assert not found.keys() & {"check_failed", "check_timed_out"}


def test_a_fault_and_a_warning_are_told_apart(tmp_path: Path) -> None:
    with ExitStack() as stack:
        site = healthy(tmp_path, stack)
        site.set("modes", keys=0o644)
        assert site.examined().worst is Level.WARNING
        site.set("engine", concurrency=0)
        assert site.examined().worst is Level.FAULT


def test_what_was_not_looked_at_is_named_where_the_settings_cannot_be_read(tmp_path: Path) -> None:
    with ExitStack() as stack:
        site = healthy(tmp_path, stack)
        site.set("engine", concurrency=0)
        found = {each.code: each for each in site.examined().findings}
    told = found["not_looked_at"].what
    for area in ("keys", "store", "head end", "callback", "gateway"):
        assert area in told
    assert "as the settings cannot be read" in told


def test_a_head_end_that_never_answers_does_not_hang_it(tmp_path: Path) -> None:
    with ExitStack() as stack:
        site = healthy(tmp_path, stack)
        site.set("head_end", base_url=stack.enter_context(silent()))
        began = time.monotonic()
        found = {each.code for each in site.examined(within_s=1.0).findings}
        assert time.monotonic() - began < 10 * WITHIN_S
    assert found & {"head_end_silent", "check_timed_out"}


def test_a_clock_before_the_last_entry_of_the_store_is_a_fault(tmp_path: Path) -> None:
    with ExitStack() as stack:
        site = healthy(tmp_path, stack)
        _with_an_entry(site)
        assert "clock_behind_store" not in {each.code for each in site.examined().findings}
        site.off = -_AN_HOUR
        assert "clock_behind_store" in {each.code for each in site.examined().findings}


def test_without_the_extra_for_tokens_the_issuer_is_not_said_to_be_out_of_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "joserfc", None)
    with ExitStack() as stack:
        site = healthy(tmp_path, stack)
        site.set("api.oidc", issuer="https://issuer.example", audience="openway")
        found = site.examined().findings
    assert "issuer_not_reached" not in {each.code for each in found}
    assert [each.what for each in found if "openway-gateway[oidc]" in each.what + each.action]


def test_versions_of_packages_are_compared_with_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "packages" / "aiohttp-3.8.0.dist-info"
    old.mkdir(parents=True)
    (old / "METADATA").write_text("Metadata-Version: 2.1\nName: aiohttp\nVersion: 3.8.0\n")
    monkeypatch.syspath_prepend(str(old.parent))
    with ExitStack() as stack:
        found = {each.code: each for each in healthy(tmp_path, stack).examined().findings}
    assert "aiohttp 3.8.0" in found["package_old"].what
    assert "pip install 'aiohttp>=" in found["package_old"].action


def test_that_uvloop_is_absent_is_good_to_know_and_no_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with ExitStack() as stack:
        found = {each.code: each for each in healthy(tmp_path, stack).examined().findings}
    assert found["uvloop_absent"].level is Level.INFO


def _with_an_entry(site: PlantedSite) -> None:
    async def make() -> None:
        store = SqliteStore(site.store, now=lambda: datetime.now(UTC))
        await store.open()
        await store.save([Change(audit=(AuditNote(actor="a", action="B", subject="c"),))])
        await store.close()

    asyncio.run(make())


def test_every_row_of_the_table_is_whole() -> None:
    for code, row in FINDINGS.items():
        assert code.isidentifier()
        assert row.what
        assert row.why
        assert row.action
