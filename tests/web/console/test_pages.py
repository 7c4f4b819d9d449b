"""Every page over HTTP, with all that strangers can name being an attack on who looks."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from urllib.parse import quote

from adapter.commands.activity import State
from adapter.engine.clock import HandClock
from adapter.engine.commands.unsent import Unsent, UnsentReason
from adapter.model.values import replace
from adapter.web.console.commands import next_of
from adapter.web.console.pages import PAGES, PageRow
from adapter.webhooks.sender import WebhookReceiver
from tests.builders import a_command
from tests.engine.feed.receiving import a_receiver
from tests.support import every_case
from tests.web.both_servers import NOON, Rig, a_rig
from tests.web.console.hostile import METER, SHOWN, plant
from tests.web.console.visitor import Shown, Visitor, a_console, a_visitor, check_strict, tags_of

HOUR = timedelta(hours=1)
_LINK = re.compile(r'href="/console(/[^"]+)"')


def check_harmless(shown: Shown, where: str) -> None:
    """That nothing of an attack became an element, an attribute or a script, and no template."""
    check_strict(shown.text)
    for tag, attributes in tags_of(shown.text):
        assert tag != "img", where
        assert tag != "script" or "/console/static/" in (attributes["src"] or ""), where
    assert "<script>x" not in shown.text, where
    assert "&49" not in shown.text, "what was given was taken for a template"


@asynccontextmanager
async def a_hostile_site(by: str = "switcher") -> AsyncIterator[tuple[Rig, Visitor]]:
    receiver = WebhookReceiver(a_receiver("http://127.0.0.1:1"), HandClock(NOON))
    async with AsyncExitStack() as stack:
        rig = await stack.enter_async_context(a_rig(receivers=[receiver]))
        await plant(rig)
        yield rig, await stack.enter_async_context(a_visitor(rig, by))


async def addresses(rig: Rig, page: PageRow) -> list[str]:
    """Of all that the page is of in the store."""
    entries = await rig.gateway.upkeep.todo.list()
    found = {
        "entry": [each.id for each in entries],
        "command": [f"{each.first.id}" for each in entries if each.first.subject == "command"],
        "number": ["1", "2", "9", "x"],
        "device": [quote(METER, safe="")],
        "order": [item["id"] for item in (await rig.ask("GET", "/orders"))["items"]],
        "message": [str(row.id) for row in await rig.rows()],
        "receiver": ["cis"],
        "schedule": [item["id"] for item in (await rig.ask("GET", "/schedules"))["items"]],
    }
    paths = [page.path]
    for name, ids in found.items():
        paths = [
            path.replace(f"{{{name}}}", id_)
            for path in paths
            for id_ in (ids if f"{{{name}}}" in path else [""])
        ]
    return paths


async def test_no_page_shows_what_strangers_name_unescaped() -> None:
    async with a_hostile_site() as (rig, visitor), a_visitor(rig, "admin") as admin:
        attacked: dict[str, bool] = {}
        with every_case() as case:
            for page in PAGES:
                for path in await addresses(rig, page):
                    with case(path):
                        assert "{" not in path
                        shown = await (admin if page.path == "/keys" else visitor).open(path)
                        assert shown.status == 200, shown.text[-2000:]
                        check_harmless(shown, path)
                        attacked[page.path] = attacked.get(page.path, False) or SHOWN in shown.text
        quiet = {page for page, shows in attacked.items() if not shows}
        assert quiet == {
            "/keys", "/deliveries", "/deliveries/{receiver}", "/inbox",
        }, "each of the other pages shows something that a stranger named"  # fmt: skip


async def test_no_form_shows_what_its_address_says_unescaped() -> None:
    async with a_hostile_site() as (_, visitor):
        pages = [await visitor.open("/waits"), await visitor.open("/commands")]
        entries = re.findall(r'href="/console(/waits/[^"]+)"', pages[0].text)
        pages += [await visitor.open(entry) for entry in entries]
        links = {path.replace("&amp;", "&") for page in pages for path in _LINK.findall(page.text)}
        forms = {path for path in links if path.startswith(("/do/", "/many/"))}
        assert len(forms) > 10
        with every_case() as case:
            for path in sorted(forms):
                with case(path):
                    shown = await visitor.open(path)
                    assert shown.status in (200, 403)
                    check_harmless(shown, path)
        shown = await visitor.open("/do/read-switch?devices=%3Cscript%3Ex%3C%2Fscript%3E")
        assert SHOWN in shown.text
        check_harmless(shown, "prefilled")


async def test_an_error_shows_what_was_asked_for_escaped() -> None:
    async with a_console("reader") as (_, visitor):
        for path in ("/commands/%3Cscript%3Ex%3C%2Fscript%3E", "/x%3Cb%3E", "/commands?%3Cb=1"):
            shown = await visitor.open(path)
            assert shown.status in (404, 422), path
            assert shown.headers["Content-Type"].startswith("text/html")
            check_harmless(shown, path)


async def test_the_parts_that_are_pushed_are_those_of_the_page() -> None:
    async with a_hostile_site() as (rig, visitor):
        for page in PAGES:
            if not page.live or page.path == "/keys":
                continue
            path = (await addresses(rig, page))[0]
            whole = (await visitor.open(path)).text
            url = f"{rig.rest.url}/console/live{path}"
            wanted = set(re.findall(r'id="(live_\w+)"', whole))
            assert wanted, path
            pushed: dict[str, str] = {}
            async with visitor.http.get(url) as response:
                assert response.status == 200, path
                name = ""
                while wanted - set(pushed) or "trouble" not in pushed:
                    line = (await response.content.readline()).decode().rstrip("\r\n")
                    field, _, value = line.partition(": ")
                    if field == "event":
                        name = value
                        pushed.setdefault(name, "")
                    elif field == "data":
                        pushed[name] += f"{value}\n"
            assert pushed.pop("trouble").strip() == "", path
            assert set(pushed) == wanted
            for html in pushed.values():
                assert "<script" not in html
                assert 'name="csrf"' not in html, "what is pushed is of nobody"


async def test_a_command_in_error_waits_for_no_approval() -> None:
    with every_case() as case:
        for state, told in (
            (State.COMMUNICATION_ERROR, "ends as failed"),
            (State.COMPLETION_EVENT_ERROR, "two people must decide"),
        ):
            with case(state):
                command = a_command()
                held = replace(command.activity, state=state, hold_until=NOON + HOUR)
                steps = list(next_of(replace(command, activity=held), NOON))
                assert any(step.text.startswith(told) for step in steps if step.at == NOON + HOUR)
                assert not any("approval" in step.text for step in steps)


async def test_of_what_waits_it_is_not_said_that_it_is_sent() -> None:
    room = "waits for room in the limit cuts"
    with every_case() as case:
        for waits, told in (
            (None, "the request is sent"),
            (Unsent(why=UnsentReason.LIMITED, text=room, until=NOON + HOUR), f"{room} until"),
            (Unsent(why=UnsentReason.QUEUED, text="waits for its turn"), "waits for its turn"),
            (Unsent(why=UnsentReason.HELD, text="switching is held: stopped"), ""),
        ):
            with case(told):
                steps = list(next_of(a_command(), NOON, waits))
                texts = [step.text for step in steps]
                sent = [text for text in texts if text.endswith("the request is sent")]
                assert bool(sent) is (waits is None)
                assert not told or any(text.endswith(told) for text in texts)
                if waits is not None and waits.until is not None:
                    assert any(step.at == waits.until for step in steps)
