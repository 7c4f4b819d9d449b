"""Log in at an issuer on loopback: there and back, and what attackers try on the way."""

import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
from playwright.async_api import expect

from adapter.errors import SettingsError
from adapter.model.secret import Secret
from adapter.server.connections import bind, url_of
from adapter.server.issuer_login import LASTS_S, challenge_of
from adapter.server.settings import LOGIN_CALLBACK, OidcLogin, OidcSettings, RestSettings
from tests.support import every_case, for_every
from tests.web.both_servers import KEYS, Rig, a_rig
from tests.web.console.browser import a_new_tab, needs_chromium
from tests.web.console.visitor import Shown, Visitor, a_visitor, check_strict
from tests.web.test_issuer import AUDIENCE, OPS, AnIssuer, an_issuer

CLIENT, SECRET = "openway-console", "one: of % letters"
ELSEWHERE = "begun in another browser, or is over"
NOT_TAKEN = "is not taken"


def a_port() -> int:
    with bind("127.0.0.1", 0) as found:
        return urlsplit(url_of(found, tls=False)).port or 0


@dataclass
class Login:
    """A gateway, its issuer, and a browser that may log in."""

    rig: Rig
    issuer: AnIssuer
    visitor: Visitor

    async def out(self, next_: str = "", visitor: Visitor | None = None) -> str:
        """Where the browser is sent."""
        query = f"?{urlencode({'next': next_})}" if next_ else ""
        sent = await (visitor or self.visitor).open(f"/login/issuer{query}", follow=False)
        assert sent.status == 303, sent.text
        return sent.headers["Location"]

    async def there(self, address: str) -> str:
        """Where the issuer sends it back to, below /console."""
        async with self.visitor.http.get(address, allow_redirects=False) as answer:
            back = answer.headers["Location"]
        return back.partition("/console")[2]

    async def log_in(self, next_: str = "") -> Shown:
        return await self.visitor.open(await self.there(await self.out(next_)), follow=False)

    async def is_in(self, visitor: Visitor | None = None) -> bool:
        return (await (visitor or self.visitor).open("/waits", follow=False)).status == 200


@asynccontextmanager
async def a_login(*, host: str = "127.0.0.1", **more: Any) -> AsyncIterator[Login]:
    port = a_port()
    async with AsyncExitStack() as stack:
        issuer = await stack.enter_async_context(an_issuer(host))
        back = f"http://127.0.0.1:{port}{LOGIN_CALLBACK}"
        login = OidcLogin(client_id=CLIENT, redirect_url=back, **more)
        oidc = OidcSettings(issuer=issuer.url, audience=AUDIENCE, roles=OPS, login=login)
        settings = RestSettings(keys=KEYS, oidc=oidc, port=port)
        rig = await stack.enter_async_context(a_rig(rest=settings))
        yield Login(rig, issuer, await stack.enter_async_context(a_visitor(rig, None)))


async def test_there_and_back_with_a_code_that_is_exchanged_by_the_server() -> None:
    async with a_login(client_secret=Secret(SECRET)) as login:
        form = await login.visitor.open("/login?next=/orders")
        check_strict(form.text)
        assert 'href="/console/login/issuer?next=/orders"' in form.text
        out = await login.out("/orders")
        query = {name: values[0] for name, values in parse_qs(urlsplit(out).query).items()}
        assert out.startswith(f"{login.issuer.url}/authorize?")
        assert (query["client_id"], query["scope"]) == (CLIENT, "openid")
        shown = await login.visitor.open(await login.there(out), follow=False)
        assert (shown.status, shown.headers["Refresh"]) == (200, "0; url=/console/orders")
        check_strict(shown.text)
        assert "You are logged in as ann" in shown.text
        assert await login.is_in()
        (asked,) = login.issuer.asked
        assert asked["client"] == f"{CLIENT}:{quote(SECRET, safe='')}"
        assert challenge_of(asked["code_verifier"]) == query["code_challenge"]
        assert "client_id" not in asked
        entries = await login.visitor.open("/commands")
        assert "ann" in entries.text


async def test_a_public_client_names_itself_and_has_no_secret() -> None:
    async with a_login() as login:
        await login.log_in()
        assert await login.is_in()
        assert login.issuer.asked[0]["client"] == CLIENT


async def test_the_cookie_on_the_way_is_for_the_login_alone_and_out_of_reach_of_scripts() -> None:
    async with a_login() as login:
        sent = await login.visitor.open("/login/issuer", follow=False)
        cookie = sent.headers["Set-Cookie"]
        for part in ("openway_console_issuer=", "HttpOnly", "SameSite=Lax", "Path=/console/login"):
            assert part in cookie


async def test_a_login_lasts_as_long_as_its_token_and_can_be_ended_at_the_issuer_too() -> None:
    async with a_login() as login:
        await login.log_in()
        shown = await login.visitor.open("/waits")
        login.visitor.csrf = shown.csrf
        left = await login.visitor.send("/logout", {}, follow=False)
        assert (left.status, await login.is_in()) == (303, False)
        sent = await login.visitor.open("/login/leave", follow=False)
        assert sent.headers["Location"].startswith(f"{login.issuer.url}/leave?")
        assert sent.headers["Location"].endswith("/console/login")
        await login.log_in()
        await login.rig.clock.turn(login.rig.clock.now() + timedelta(hours=1, minutes=1))
        assert not await login.is_in()


# ---------------------------------------------------------------- attacks


async def refused(login: Login, shown: Shown, why: str) -> None:
    assert (shown.status, why in shown.text) == (401, True), shown.text
    check_strict(shown.text)
    assert not await login.is_in()


async def test_a_state_that_is_replayed_or_invented_or_anothers_is_refused() -> None:
    async with a_login() as login, a_visitor(login.rig, None) as other:
        back = await login.there(await login.out())
        first = await other.open(back, follow=False)  # another browser comes back with it
        assert (first.status, ELSEWHERE in first.text) == (401, True)
        await login.out(visitor=other)
        theirs = await other.open(back, follow=False)  # also one that has begun a login of its own
        assert (theirs.status, ELSEWHERE in theirs.text) == (401, True)
        assert login.issuer.asked == []
        invented = back.replace("state=", "state=x")
        await refused(login, await login.visitor.open(invented, follow=False), ELSEWHERE)
        jar = login.visitor.http.cookie_jar
        kept = [(each.key, each.value) for each in jar]
        assert (await login.visitor.open(back, follow=False)).status == 200
        jar.clear()
        jar.update_cookies(dict(kept))  # the cookie was copied before
        await refused(login, await login.visitor.open(back, follow=False), ELSEWHERE)
        assert len(login.issuer.asked) == 1


async def test_a_cookie_that_was_made_elsewhere_or_is_too_old_ties_nothing() -> None:
    async with a_login() as login:
        back = await login.there(await login.out())
        jar = login.visitor.http.cookie_jar
        (cookie,) = [each.value for each in jar if each.key == "openway_console_issuer"]
        body, _, mac = cookie.partition(".")
        opened = base64.urlsafe_b64decode(body).replace(b'"next":""', b'"next":"/keys"')
        for forged in (
            f"{base64.urlsafe_b64encode(opened).decode()}.{mac}",
            body, f"{body}.", f".{mac}", "", "\xe9.\xe9",
        ):  # fmt: skip
            jar.clear()
            jar.update_cookies({"openway_console_issuer": forged})
            await refused(login, await login.visitor.open(back, follow=False), ELSEWHERE)
        jar.clear()
        jar.update_cookies({"openway_console_issuer": cookie})
        await login.rig.clock.turn(login.rig.clock.now() + timedelta(seconds=LASTS_S))
        await refused(login, await login.visitor.open(back, follow=False), ELSEWHERE)
        assert login.issuer.asked == []


async def test_a_code_of_another_login_is_refused_for_its_verifier() -> None:
    """An attacker has somebody else's code, and puts it into his own way back."""
    async with a_login() as login, a_visitor(login.rig, None) as other:
        stolen = await login.there(await login.out())
        code = parse_qs(urlsplit(stolen).query)["code"][0]
        mine = await login.there(await login.out(visitor=other))
        own = parse_qs(urlsplit(mine).query)["code"][0]
        shown = await other.open(mine.replace(own, code), follow=False)
        assert shown.status == 401
        assert "invalid_grant: &lt;b&gt;verifier&lt;/b&gt;" in shown.text
        assert not await login.is_in(other)


NOT_OF_THIS_LOGIN: list[dict[str, object]] = [
    {"nonce": "of another login"},
    {"nonce": None},
    {"aud": AUDIENCE},
    {"aud": [CLIENT, "x"], "azp": "x"},
    {"iss": "https://elsewhere.example"},
    {"exp": 1},
    {"sub": "bob"},
    {"sub": None},
]


async def test_an_id_token_that_is_not_of_this_login_is_refused() -> None:
    async with a_login() as login:
        with every_case() as case:
            for answers in NOT_OF_THIS_LOGIN:
                with case(answers):
                    login.issuer.answers = answers
                    await refused(login, await login.log_in(), NOT_TAKEN)


async def test_an_answer_of_another_issuer_is_not_taken_for_this_ones() -> None:
    """Mix-up: the code would be sent to whom it is not for."""
    async with a_login() as login:
        for back in ({"iss": "https://evil.example"}, {}):
            out = await login.there(await login.out())
            query = {name: values[0] for name, values in parse_qs(urlsplit(out).query).items()}
            del query["iss"]
            shown = await login.visitor.open(
                f"/login/callback?{urlencode({**query, **back})}", follow=False
            )
            await refused(login, shown, "of another issuer")
        assert login.issuer.asked == []
    async with a_login() as login:
        login.issuer.told = {"issuer": "https://elsewhere.example"}
        sent = await login.visitor.open("/login/issuer", follow=False)
        assert (sent.status, "another issuer" in sent.text) == (503, True)


async def test_nobody_is_sent_elsewhere_after_the_login() -> None:
    async with a_login() as login:
        with every_case() as case:
            for next_ in (
                "//evil.example", "https://evil.example", "/\\evil.example", "/../evil",
                "/%2e%2e/evil", "javascript:alert(1)", "/login/leave", "/x\r\nSet-Cookie: a=b",
            ):  # fmt: skip
                with case(next_):
                    shown = await login.log_in(next_)
                    assert shown.status == 200
                    assert shown.headers["Refresh"] == "0; url=/console"


async def test_what_the_issuer_says_is_shown_escaped_and_short() -> None:
    async with a_login() as login:
        words = "<script>alert(1)</script>\u202e" + "x" * 1_000
        login.issuer.refuses = {"error": "access_denied", "error_description": words}
        shown = await login.log_in()
        await refused(login, shown, "the issuer says: access_denied: &lt;script&gt;")
        assert "<script>alert" not in shown.text
        assert "x" * 300 not in shown.text
        assert "\u202e" not in shown.text
        twice = await login.visitor.open("/login/callback?code=1&code=2", follow=False)
        assert (twice.status, "stands there twice" in twice.text) == (400, True)


async def test_an_issuer_that_does_not_answer_is_said_and_keys_go_on() -> None:
    async with a_login() as login:
        login.issuer.down = True
        sent = await login.visitor.open("/login/issuer", follow=False)
        assert (sent.status, "cannot be asked" in sent.text) == (503, True)
        login.issuer.down = False
        await login.rig.clock.turn(login.rig.clock.now() + timedelta(seconds=10))
        back = await login.there(await login.out())
        login.issuer.down = True
        shown = await login.visitor.open(back, follow=False)
        assert (shown.status, "did not give tokens" in shown.text) == (503, True)
    async with a_login() as login:
        assert (await login.visitor.log_in("R" * 3)).status == 401


@for_every(
    "given, rule",
    [
        ({"client_id": ""}, "client_id"),
        ({"redirect_url": "http://gateway.example/console/login/callback"}, "redirect_url: https"),
        ({"redirect_url": "https://gateway.example/console"}, "redirect_url: its path"),
        ({"redirect_url": "https://g.example/console/login/callback?x=1"}, "redirect_url: its"),
        ({"scopes": ("roles",)}, "scopes: openid"),
    ],
)
def test_settings_that_could_not_work_are_refused(given: dict[str, Any], rule: str) -> None:
    usual = {"client_id": CLIENT, "redirect_url": f"https://gateway.example{LOGIN_CALLBACK}"}
    with pytest.raises(SettingsError, match=rule):
        OidcLogin(**{**usual, **given})


def test_a_client_that_is_not_let_in_is_told_at_the_start() -> None:
    login = OidcLogin(client_id=CLIENT, redirect_url=f"https://gateway.example{LOGIN_CALLBACK}")
    with pytest.raises(SettingsError, match="clients"):
        OidcSettings(
            issuer="https://login.example", audience=AUDIENCE, clients=("other",), login=login
        )


# ---------------------------------------------------------------- in a browser


@needs_chromium
@pytest.mark.seconds(110)
async def test_in_a_browser_one_press_leads_to_the_page_that_was_asked_for() -> None:
    """The issuer is another site: what browsers keep from it must not be in the way."""
    async with a_login(host="localhost") as login, a_new_tab(login.rig) as tab:
        await tab.page.goto(f"{tab.url}/console/orders")
        await tab.page.get_by_role("link", name="Log in at your issuer").click()
        await expect(tab.page.get_by_role("button", name="Log out")).to_be_visible()
        assert urlsplit(tab.page.url).path == "/console/orders"
        await tab.page.reload()
        await expect(tab.page.get_by_role("button", name="Log out")).to_be_visible()
        await tab.page.get_by_role("button", name="Log out").click()
        await expect(tab.page.locator("#key")).to_be_visible()
        assert await tab.axe() == []
        assert tab.wrong == []
