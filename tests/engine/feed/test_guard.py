"""A callback address leads where the site said it may, and to public addresses alone."""

import asyncio
import socket
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from adapter.errors import SettingsError
from adapter.feed.wanted import under
from adapter.model.secret import Secret
from adapter.webhooks.guard import AddressRefused, PublicResolver, is_public
from adapter.webhooks.settings import CallbackReceiverSettings
from tests.engine.feed.receiving import SECRET, a_receiver, a_site, a_system
from tests.support import for_every


def a_callback(url: str, **changes: object) -> CallbackReceiverSettings:
    given = {"name": "back", "url": url, "keys": (Secret(SECRET),), **changes}
    return CallbackReceiverSettings(**given)  # type: ignore[arg-type]


class Answers(AbstractResolver):
    """Gives the answers in turn, whatever is asked."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(
                hostname=host, host=each, port=port, family=socket.AF_INET, proto=0, flags=0
            )
            for each in found
        ]

    async def close(self) -> None:
        pass


@for_every(
    "address, public",
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("10.0.0.1", False),
        ("172.16.3.4", False),
        ("192.168.1.1", False),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("2002:7f00:1::", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("ff02::1", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(ip_address(address)) is public


@for_every(
    "url, allowed",
    [
        ("https://cis.example/hook", True),
        ("https://cis.example/hook/42?x=1", True),
        ("https://cis.example/hook2", False),
        ("https://cis.example/", False),
        ("https://cis.example/hook/../admin", False),
        ("https://cis.example/hook/%2E%2e/admin", False),
        ("https://cis.example/hook\\..\\x", False),
        ("https://cis.example/hook/.\t./admin", False),
        ("https://cis.example/hook/.\n./admin", False),
        ("https://cis.example/hook/.\r./admin", False),
        ("https://cis.example/hook/a b", False),
        ("https://cis.example/hook/\u2024\u2024/admin", False),
        ("https://cis.example.evil.example/hook/1", False),
        ("https://user@cis.example/hook/1", False),
        ("http://cis.example/hook/1", False),
        ("", False),
    ],
)
def test_what_is_below_an_allowed_address(url: str, allowed: bool) -> None:
    assert under("https://cis.example/hook", url) is allowed


async def test_a_name_with_a_private_address_among_others_is_refused() -> None:
    with pytest.raises(AddressRefused):
        await PublicResolver(Answers(["93.184.216.34", "10.0.0.1"])).resolve("cis.example", 443)
    (found,) = await PublicResolver(Answers(["93.184.216.34"])).resolve("cis.example", 443)
    assert found["host"] == "93.184.216.34"


async def test_a_name_that_changes_between_two_looks_reaches_nothing_private() -> None:
    """What is connected to is what was looked at: a connection of its own asks once."""
    async with a_system() as system:
        names = Answers(["93.184.216.34"], ["127.0.0.1"])
        guard = PublicResolver(names)
        await guard.resolve("cis.example", 80)
        connector = aiohttp.TCPConnector(resolver=guard, use_dns_cache=False)
        port = system.url.rpartition(":")[2].partition("/")[0]
        async with aiohttp.ClientSession(connector=connector) as session:
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.post(f"http://cis.example:{port}/hook", data=b"{}")
        assert system.posts == []
        assert names.asked == 2


async def test_the_end_of_a_command_goes_to_its_own_address_and_nothing_else_does(
    tmp_path: Path,
) -> None:
    async with a_system() as system, a_system() as other:
        own = f"{system.url}/42"
        settings = (a_callback(system.url, private=True), a_receiver(other.url))
        async with a_site(tmp_path, *settings) as site:
            end = "openway.command.completed"
            await site.put("mine", type=end, data={"callback_url": own})
            await site.put("elsewhere", type=end, data={"callback_url": "http://10.0.0.1/x"})
            await site.put("nobody", type=end)
            await site.put("begin", type="openway.command.received", data={"callback_url": own})
            await asyncio.gather(site.work("back"), site.work())
        assert [(each.path, each.event["id"]) for each in system.posts] == [("/hook/42", "mine")]
        assert other.ids == ["mine", "elsewhere", "nobody", "begin"]
        assert site.deliveries.allowed(own)
        assert not site.deliveries.allowed("http://10.0.0.1/x")
        assert not site.deliveries.allowed(other.url)


async def test_without_leave_no_callback_reaches_a_private_address(tmp_path: Path) -> None:
    async with a_system() as system:
        async with a_site(tmp_path, a_callback(system.url)) as site:
            own = {"callback_url": f"{system.url}/42"}
            await site.put("mine", type="openway.command.completed", data=own)
            await site.work("back")
            (waits,) = await site.deliveries.not_taken("back", limit=10)
            assert "not a public address" in waits.error
        assert system.posts == []


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "ftp://cis.example/"},
        {"url": "http://cis.example/hook"},
        {"url": "https://user:pw@cis.example/"},
        {"url": "https://cis.example/?x=1"},
        {"keys": ()},
        {"keys": (Secret("short"),)},
        {"name": "Not So"},
        {"at_once": 0},
    ],
)
def test_a_bad_callback_setting_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        a_callback("https://cis.example/hook", **changes) if "url" not in changes else a_callback(
            **{"url": "", **changes}  # type: ignore[arg-type]
        )
