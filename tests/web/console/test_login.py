"""Who gets into the console, and until when."""

from datetime import timedelta

from adapter.server.settings import ApiKey, ConsoleSettings, RestSettings, Role
from adapter.web.console.buttons import BUTTONS
from adapter.web.console.forms import CSRF
from adapter.web.console.pages import PAGES
from tests.support import every_case
from tests.web.both_servers import KEYS, NOON, TOKENS, a_rig
from tests.web.console.visitor import a_console, a_visitor, check_strict, tags_of
from tests.web.test_issuer import a_site


def _filled(path: str) -> str:
    while "{" in path:
        before, _, rest = path.partition("{")
        path = before + "X" + rest.partition("}")[2]
    return path


async def test_who_is_not_logged_in_is_sent_to_the_login_and_then_on() -> None:
    async with a_console(None) as (_, visitor):
        sent = await visitor.open("/waits?subject=order", follow=False)
        assert sent.status == 303
        assert sent.headers["Location"] == "/console/login?next=/waits?subject%3Dorder"
        form = await visitor.open("/login")
        check_strict(form.text)
        shown = await visitor.send(
            "/login", {"csrf": form.csrf, "key": TOKENS["reader"], "next": "/waits?subject=order"}
        )
        assert (shown.status, shown.path) == (200, "/console/waits")


async def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites() -> None:
    async with a_console(None) as (_, visitor):
        form = await visitor.open("/login")
        sent = {"csrf": form.csrf, "key": TOKENS["reader"]}
        shown = await visitor.send("/login", sent, follow=False)
        assert shown.status == 303
        cookie = shown.headers["Set-Cookie"]
        assert "openway_console=" in cookie
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert "Path=/console" in cookie
        assert TOKENS["reader"] not in cookie


async def test_every_page_and_every_live_stream_needs_a_session() -> None:
    async with a_console(None) as (_, visitor):
        with every_case() as case:
            for page in PAGES:
                with case(page.path):
                    path = _filled(page.path)
                    assert (await visitor.open(path, follow=False)).status == 303
                    live = await visitor.open(f"/live{path}", follow=False)
                    assert live.status == (401 if page.live else 404)


async def test_a_wrong_key_is_told_and_counted() -> None:
    settings = RestSettings(keys=KEYS, failures_per_minute=2)
    async with a_console(None, rest=settings) as (rig, visitor):
        assert [(await visitor.log_in("x" * 40)).status for _ in range(3)] == [401, 401, 429]
        assert (await visitor.log_in(TOKENS["reader"])).status == 200
        assert rig.rest.counts["http_401"] == 2


async def test_a_key_for_metrics_alone_is_not_let_in() -> None:
    key = ApiKey.of("scraper", "q" * 40, Role.METRICS)
    async with a_console(None, rest=RestSettings(keys=(*KEYS, key))) as (_, visitor):
        assert (await visitor.log_in("q" * 40)).status == 403


async def test_a_session_ends_with_its_key() -> None:
    async with a_console("switcher") as (rig, visitor):
        rig.rest.api.keys.use([key for key in KEYS if key.name != "admin"])
        assert (await visitor.open("/waits", follow=False)).status == 200
        rig.rest.api.keys.use([key for key in KEYS if key.name != "switcher"])
        assert (await visitor.open("/waits", follow=False)).status == 303
        rig.rest.api.keys.use(KEYS)
        assert (await visitor.open("/waits", follow=False)).status == 303


async def test_a_session_ends_with_its_time_and_with_the_expiry_of_its_key() -> None:
    soon = ApiKey.of("soon", "y" * 40, Role.READ, expires_at=NOON + timedelta(minutes=5))
    settings = RestSettings(keys=(*KEYS, soon), console=ConsoleSettings(session_s=3_600))
    async with a_console("reader", rest=settings) as (rig, visitor), a_visitor(rig, None) as other:
        assert (await other.log_in("y" * 40)).status == 200
        await rig.clock.step(timedelta(seconds=301))
        assert (await other.open("/waits", follow=False)).status == 303
        assert (await visitor.open("/waits", follow=False)).status == 200
        await rig.clock.step(timedelta(seconds=3_300))
        assert (await visitor.open("/waits", follow=False)).status == 303


async def test_past_the_bound_the_session_used_least_recently_ends() -> None:
    settings = RestSettings(keys=KEYS, console=ConsoleSettings(sessions=2))
    async with (
        a_console("reader", rest=settings) as (rig, first),
        a_visitor(rig, "operator") as second,
    ):
        assert (await first.open("/waits", follow=False)).status == 200
        async with a_visitor(rig, "admin"):
            assert (await second.open("/waits", follow=False)).status == 303
            assert (await first.open("/waits", follow=False)).status == 200
            assert len(rig.rest.console.sessions) == 2


async def test_past_the_bound_a_key_throws_its_own_session_out_not_anothers() -> None:
    settings = RestSettings(keys=KEYS, console=ConsoleSettings(sessions=2))
    async with (
        a_console("operator", rest=settings) as (rig, operator),
        a_visitor(rig, "reader") as first,
        a_visitor(rig, "reader"),
    ):
        assert (await first.open("/waits", follow=False)).status == 303
        assert (await operator.open("/waits", follow=False)).status == 200


async def test_who_logs_out_is_out() -> None:
    async with a_console("reader") as (_, visitor):
        shown = await visitor.send("/logout", {})
        assert shown.path == "/console/login"
        assert (await visitor.open("/waits", follow=False)).status == 303


async def test_after_the_login_nobody_is_sent_to_another_site() -> None:
    async with a_console(None) as (_, visitor):
        for elsewhere in (
            "//evil.test/", "https://evil.test/", "/\\evil.test", "/x\r\nA: b", "/..//evil.test",
            "/%2e%2E/x", "/./login/leave", "/%6cogin/leave", "/x/%2e/y", "/orders%2f..", "/login",
            "/live", "/Login/leave", "/%256cogin", "/x//login",
        ):  # fmt: skip
            form = await visitor.open("/login")
            sent = {"csrf": form.csrf, "key": TOKENS["reader"], "next": elsewhere}
            shown = await visitor.send("/login", sent, follow=False)
            assert shown.headers["Location"] == "/console", elsewhere


async def test_a_token_of_an_issuer_logs_in_until_its_end() -> None:
    async with a_site() as (rig, issuer), a_visitor(rig, None) as visitor:
        assert "token of your issuer" in (await visitor.open("/login")).text
        assert (await visitor.log_in(issuer.token(aud="other"))).status == 401
        shown = await visitor.log_in(issuer.token())
        assert (shown.status, ">ann<" in shown.text) == (200, True)
        await rig.clock.step(timedelta(hours=2))
        assert (await visitor.open("/waits", follow=False)).status == 303


async def test_the_console_can_be_taken_away() -> None:
    settings = RestSettings(keys=KEYS, console=ConsoleSettings(enabled=False))
    async with a_console(None, rest=settings) as (_, visitor):
        shown = await visitor.open("/login")
        assert shown.status == 404
        assert shown.headers["Content-Type"].startswith("application/problem+json")


def _posts() -> list[str]:
    many = [f"/many/{button.name}" for button in BUTTONS.values() if button.many]
    return ["/login", "/logout", *(f"/do/{name}" for name in BUTTONS), *many]


async def test_every_form_without_its_token_is_refused_and_changes_nothing() -> None:
    """The table of routes says which forms there are."""
    async with a_console("switcher") as (rig, visitor):
        app = await rig.rest._runner()
        routes = {
            route.resource.canonical
            for route in app.app.router.routes()  # type: ignore[attr-defined]
            if route.method == "POST" and route.resource is not None
        }
        forms = {path for path in routes if path.startswith("/console")}
        assert forms == {f"/console{path}" for path in _posts()}
    for path in _posts():
        name = path.rpartition("/")[2]
        roles = BUTTONS[name].route.roles if name in BUTTONS else (Role.READ,)
        by = next(key.name for key in KEYS if key.roles & set(roles))
        async with a_console(by) as (rig, visitor):
            before = await rig.gateway.upkeep.audit()
            for token in ("", "wrong", "é"):
                shown = await visitor.send(path, {"csrf": token}, follow=False)
                assert (shown.status, "no token" in shown.text) == (403, True), path
            after = await rig.gateway.upkeep.audit()
            assert {each.note.action for each in after[len(before) :]} <= {"Refused"}
            assert (await visitor.open("/waits", follow=False)).status == 200


async def test_every_form_on_a_page_has_the_token() -> None:
    async with a_console("admin") as (_, visitor):
        for page in PAGES:
            shown = await visitor.open(_filled(page.path))
            check_strict(shown.text)
            tags = tags_of(shown.text)
            posts = [each for tag, each in tags if tag == "form" and each["method"] == "post"]
            tokens = [each for tag, each in tags if tag == "input" and each.get("name") == CSRF]
            assert len(posts) == len(tokens) > 0
            assert {each["value"] for each in tokens} == {visitor.csrf}


async def test_every_answer_has_the_strict_policy() -> None:
    async with a_console("reader") as (_, visitor):
        for path in ("/waits", "/nowhere", "/login", "/do/claim"):
            policy = (await visitor.open(path)).headers["Content-Security-Policy"]
            assert "unsafe" not in policy
            assert "default-src 'none'" in policy
            assert "script-src 'self'" in policy


async def test_whoever_starts_the_gateway_is_told_where_the_console_is() -> None:
    async with a_console(None) as (rig, visitor):
        addresses = rig.rest.addresses
        assert addresses["api"] == f"{rig.rest.url}/api/v1"
        async with visitor.http.get(addresses["console"]) as response:
            assert (response.status, response.url.path) == (200, "/console/login")
    without = RestSettings(keys=KEYS, console=ConsoleSettings(enabled=False))
    async with a_rig(rest=without) as rig:
        assert set(rig.rest.addresses) == {"api"}
