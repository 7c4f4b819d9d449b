"""API keys at a running interface: their file followed, their end, who used them."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from adapter.engine.commands.ports import Filter
from adapter.errors import InvalidRequest
from adapter.model.values import replace
from adapter.server.credentials import ApiKeys
from adapter.server.settings import ApiKey, RestSettings, Role
from adapter.service.api_keys import WatchedKeys, append_key, hash_tokens, read_keys
from tests.web.both_servers import KEYS, NOON, TOKENS, Rig, a_rig
from tests.web.raw_connection import connected

CLEAR = "c" * 40


@dataclass
class Watched:
    """A gateway whose keys are of a file, and the loop that looks at it, by hand."""

    rig: Rig
    file: Path
    keys: WatchedKeys

    async def look(self) -> None:
        for _ in range(2):
            await self.rig.clock.turn(self.rig.clock.now() + timedelta(seconds=2))
            await self.keys.once()

    async def status(self, token: str, path: str = "/commands") -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return (await self.rig.ask("GET", path, by=None, headers=headers)).status

    async def audited(self) -> list[tuple[str, str, object]]:
        entries = [each.note for each in await self.rig.gateway.upkeep.audit()]
        return [
            (note.action, note.actor, note.detail["name"])
            for note in entries
            if note.subject.startswith("key:")
        ]


@asynccontextmanager
async def watched(folder: Path) -> AsyncIterator[Watched]:
    file = folder / "keys.txt"
    file.write_text("# people\n" + "".join(f"{key.line}\n" for key in KEYS), encoding="utf-8")
    file.chmod(0o640)
    settings = RestSettings(keys=KEYS, keys_path=file)
    async with a_rig(rest=settings) as rig:
        api, upkeep = rig.rest.api, rig.gateway.upkeep
        keys = WatchedKeys(settings, api.keys, rig.clock, rig.store)
        await keys.start()
        api.key_file = keys
        upkeep.doubts.append(keys.doubt)
        upkeep.todo.sources.append(keys.todo)
        yield Watched(rig, file, keys)


async def test_a_key_that_is_appended_is_let_in_without_a_restart(tmp_path: Path) -> None:
    async with watched(tmp_path) as made:
        key, token = ApiKey.make("zoe", Role.READ, now=NOON)
        assert token.startswith(f"owk_{key.id}_")
        append_key(made.file, key)
        assert await made.status(token) == 401
        await made.look()
        assert await made.status(token) == 200
        assert await made.audited() == [("KeyAdded", "gateway", "zoe")]
        assert made.file.read_text().startswith("# people\n")
        assert token not in made.file.read_text()
        assert made.file.stat().st_mode & 0o777 == 0o640


async def test_a_key_whose_line_is_taken_out_is_refused(tmp_path: Path) -> None:
    async with watched(tmp_path) as made:
        left = [key for key in KEYS if key.name != "reader"]
        made.file.write_text("".join(f"{key.line}\n" for key in left), encoding="utf-8")
        await made.look()
        assert await made.status(TOKENS["reader"]) == 401
        assert await made.status(TOKENS["operator"]) == 200
        assert await made.audited() == [("KeyWithdrawn", "gateway", "reader")]


async def test_what_changes_while_the_gateway_does_not_run_is_audited_at_its_start(
    tmp_path: Path,
) -> None:
    async with watched(tmp_path) as made:
        assert await made.audited() == []
        left = [key for key in KEYS if key.name != "reader"]
        changed = replace(left[0], roles=frozenset({Role.READ}))
        zoe, _ = ApiKey.make("zoe", Role.READ, now=NOON)
        for keys in ([changed, *left[1:], zoe], [changed, *left[1:], zoe]):
            api = ApiKeys(keys)
            await WatchedKeys(RestSettings(), api, made.rig.clock, made.rig.store).start()
        assert sorted(await made.audited()) == [
            ("KeyAdded", "gateway", "zoe"),
            ("KeyChanged", "gateway", "operator"),
            ("KeyWithdrawn", "gateway", "reader"),
        ]


async def test_a_file_is_not_read_while_it_is_being_written(tmp_path: Path) -> None:
    async with watched(tmp_path) as made:
        for half in ("", KEYS[0].line[:30]):
            made.file.write_text(half, encoding="utf-8")
            await made.rig.clock.turn(made.rig.clock.now() + timedelta(seconds=2))
            await made.keys.once()
            assert made.keys.problem == ""
        assert await made.status(TOKENS["admin"]) == 200


@pytest.mark.parametrize(
    "bad",
    ["zoe nothing sha256:" + "0" * 64, "zoe read short", KEYS[0].line.replace("reader", "Admin")],
)
async def test_a_broken_file_leaves_the_keys_in_force_and_people_are_told(
    tmp_path: Path, bad: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with watched(tmp_path) as made:
        lines = "".join(f"{key.line}\n" for key in KEYS if key.name == "admin")
        made.file.write_text(f"{lines}{bad}\n", encoding="utf-8")
        await made.look()
        await made.look()
        told = [each for each in caplog.records if each.msg == "api_keys_refused"]
        assert len(told) == 1
        assert await made.status(TOKENS["reader"]) == 200
        ready = await made.rig.ask("GET", "//readyz", by=None)
        assert ready["status"] == "degraded"
        assert "the keys before are in force" in ready["warnings"][0]
        (entry,) = await made.rig.gateway.upkeep.todo.list()
        assert entry.first.code == "key_file_refused"
        assert entry.commands[0].typed == "openway keys list"
        assert str(made.file) in (await made.rig.ask("GET", "/keys", by="admin"))["problem"]
        made.file.write_text(lines, encoding="utf-8")
        await made.look()
        assert (await made.rig.ask("GET", "//readyz", by=None))["status"] == "ready"
        assert await made.rig.gateway.upkeep.todo.list() == []
        assert await made.status(TOKENS["reader"]) == 401


async def test_a_file_that_is_gone_is_a_broken_one(tmp_path: Path) -> None:
    async with watched(tmp_path) as made:
        made.file.unlink()
        await made.look()
        assert "keys.txt" in made.keys.problem
        assert await made.status(TOKENS["reader"]) == 200


async def test_a_key_is_withdrawn_by_its_name_or_id_and_its_line_goes(tmp_path: Path) -> None:
    async with watched(tmp_path) as made:
        reader, operator = KEYS[:2]
        for key in (reader.name, operator.id):
            body = {"reason": "left"}
            told = await made.rig.ask("POST", f"/keys/{key}/withdraw", body, by="admin")
            assert told.status == 200
        assert {each["name"] for each in told["items"]} == {"switcher", "approver", "admin"}
        assert await made.status(TOKENS["reader"]) == 401
        assert {key.name for key in read_keys(made.file)} == {"switcher", "approver", "admin"}
        assert "reader" in made.file.read_text()  # a remark
        assert await made.audited() == [
            ("KeyWithdrawn", "admin", "reader"),
            ("KeyWithdrawn", "admin", "operator"),
        ]
        again = await made.rig.ask("POST", "/keys/reader/withdraw", {}, by="admin")
        assert again.status == 404
        assert (await made.rig.ask("POST", "/keys/admin/withdraw", {}, by="switcher")).status == 403


async def test_the_last_administrator_is_not_withdrawn(tmp_path: Path) -> None:
    async with watched(tmp_path) as made:
        past, _ = ApiKey.make("eve", Role.ADMIN, now=NOON, expires_at=NOON)
        append_key(made.file, past)
        await made.look()
        before = made.file.read_bytes()
        for key in ("admin", KEYS[-1].id):
            told = await made.rig.ask("POST", f"/keys/{key}/withdraw", {}, by="admin")
            assert (told.status, told["code"]) == (409, "conflict")
            assert told["detail"] == "the last key with the role admin; add another first"
        assert made.file.read_bytes() == before
        append_key(made.file, ApiKey.make("zoe", Role.ADMIN, now=NOON)[0])
        for key in ("eve", "admin"):
            told = await made.rig.ask("POST", f"/keys/{key}/withdraw", {}, by="admin")
            assert told.status == 200, key


async def test_of_two_keys_of_one_name_the_id_is_asked_for(tmp_path: Path) -> None:
    async with watched(tmp_path) as made:
        append_key(made.file, ApiKey.make("reader", Role.READ, now=NOON)[0])
        await made.look()
        told = await made.rig.ask("POST", "/keys/reader/withdraw", {}, by="admin")
        assert told.status == 409
        assert KEYS[0].id in told["detail"]


async def test_the_end_of_a_key_ends_its_long_polls_and_streams(tmp_path: Path) -> None:
    async with watched(tmp_path) as made:
        poll = asyncio.create_task(made.rig.ask("GET", "/events?after=newest&wait=50", by="reader"))
        other = asyncio.create_task(
            made.rig.ask("GET", "/events?after=newest&wait=50", by="operator")
        )
        headers = {"Authorization": f"Bearer {TOKENS['reader']}", "Accept": "text/event-stream"}
        url = f"{made.rig.rest.url}/api/v1/events?after=newest"
        async with made.rig.http.get(url, headers=headers) as stream:
            assert stream.status == 200
            keys = made.rig.rest.api.keys
            while len([each for held in keys._under_way.values() for each in held]) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0)
            told = await made.rig.ask("POST", "/keys/reader/withdraw", {}, by="admin")
            assert told.status == 200
            async with asyncio.timeout(30):
                await stream.content.read()
                assert (await poll).status == 401
        assert not other.done()
        other.cancel()


async def test_a_key_that_is_withdrawn_while_its_body_comes_is_refused(tmp_path: Path) -> None:
    body = json.dumps({"kind": "load_check", "devices": ["M1"], "idempotency_key": "k-1"}).encode()
    rows = [
        "POST /api/v1/commands HTTP/1.1",
        "Host: gateway",
        f"Authorization: Bearer {TOKENS['operator']}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Expect: 100-continue",
    ]
    async with watched(tmp_path) as made, connected(made.rig.rest.url) as raw:
        await raw.send(("\r\n".join(rows) + "\r\n\r\n").encode())
        assert await raw.status() == 100  # the key was let in, and the body is waited for
        told = await made.rig.ask("POST", "/keys/operator/withdraw", {}, by="admin")
        assert told.status == 200
        await raw.send(body)
        assert await raw.status() == 401
        assert not (await made.rig.gateway.commands.list(Filter(limit=1))).ids


async def test_an_expiry_ends_what_is_under_way(tmp_path: Path) -> None:
    soon = ApiKey.of("soon", CLEAR, Role.READ, expires_at=NOON + timedelta(seconds=0.2))
    async with a_rig(rest=RestSettings(keys=(soon,))) as rig, asyncio.timeout(30):
        headers = {"Authorization": f"Bearer {CLEAR}"}
        path = "/events?after=newest&wait=50"
        assert (await rig.ask("GET", path, by=None, headers=headers)).status == 401


async def test_the_last_use_of_a_key_is_told(tmp_path: Path) -> None:
    async with watched(tmp_path) as made:
        await made.rig.ask("GET", "/commands", by="reader")
        items = (await made.rig.ask("GET", "/keys", by="admin"))["items"]
        used = {each["name"]: each["last_used_at"] for each in items}
        assert used["reader"] == "2026-03-02T12:00:00Z"
        assert used["operator"] is None
        assert not any("token" in name or "sha256" in name for each in items for name in each)
        assert (await made.rig.ask("GET", "/keys", by="reader")).status == 403


async def test_keys_of_no_file_are_listed_and_not_withdrawn() -> None:
    async with a_rig() as rig:
        assert len((await rig.ask("GET", "/keys", by="admin"))["items"]) == len(KEYS)
        assert (await rig.ask("POST", "/keys/reader/withdraw", {}, by="admin")).status == 409


def test_tokens_in_clear_become_digests_and_stay_good(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# people\nann read {CLEAR}\n{KEYS[0].line}\n", encoding="utf-8")
    (before, other) = read_keys(file)
    assert before.in_clear
    assert [each.name for each in hash_tokens(file)] == ["ann"]
    assert CLEAR not in file.read_text()
    assert file.read_text().splitlines()[0] == "# people"
    (after, same) = read_keys(file)
    assert (after.token_sha256, after.in_clear, same) == (before.token_sha256, False, other)


def test_a_line_that_does_not_go_with_the_others_is_not_written(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    append_key(file, ApiKey.make("ann", Role.SWITCH, now=NOON)[0])
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_bytes()
    for name, role in (("ann", Role.APPROVE), ("Ann", Role.READ)):
        with pytest.raises(InvalidRequest, match=r"look alike|two names"):
            append_key(file, ApiKey.make(name, role, now=NOON)[0])
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == ["keys"]


def test_a_key_comes_back_from_its_line() -> None:
    key, _ = ApiKey.make("ann", Role.SWITCH, Role.READ, now=NOON, expires_at=NOON)
    assert ApiKey.from_line(key.line) == key


def test_a_comment_stays_a_comment_when_the_file_is_written_again(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    evil, _ = ApiKey.make("evil", Role.ADMIN, now=NOON)
    breaks = "\u2028\x85\x0b\x0c\x1c\r"
    file.write_text("".join(f"# {each}{evil.line}\n" for each in breaks), newline="")
    file.chmod(0o600)
    append_key(file, ApiKey.make("ann", Role.READ, now=NOON)[0])
    assert [key.name for key in read_keys(file)] == ["ann"]
