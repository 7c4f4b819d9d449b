"""The table of buttons: each is the same call as REST, by the same rules, under the same name."""

import html
import re
from datetime import timedelta
from typing import Any

import msgspec

from adapter.commands.activity import State, Target
from adapter.commands.flows import CommandKind
from adapter.commands.rules import SwitchPolicy
from adapter.commands.usage_limits import SwitchCap
from adapter.engine.commands.dispatcher import DispatchSettings
from adapter.engine.commands.settings import CommandSettings
from adapter.engine.upkeep import todo_kinds
from adapter.engine.upkeep.todo import Way
from adapter.model.ids import CommandId, DeviceId, EndpointId
from adapter.model.values import replace
from adapter.web.api.commands import SECOND_KEY
from adapter.web.console.buttons import BUTTONS, Button, FieldKind, button_of
from adapter.web.console.forms import Form, body_of, headers_of
from adapter.web.console.many import WHICH
from adapter.web.console.pages import PAGES
from tests.builders import a_command, a_request, a_submission
from tests.support import every_case, for_every
from tests.web.both_servers import KEYS, NOON, TOKENS, Rig, a_rig
from tests.web.console.visitor import a_console, a_visitor

WAYS = [each for each in vars(todo_kinds).values() if isinstance(each, Way)]
WAYS += todo_kinds.OF_HOLD.values()
MANY = [button for button in BUTTONS.values() if button.many]


def filled(button: Button) -> Form:
    """A form in which everything stands."""
    values = {
        FieldKind.YES: "true",
        FieldKind.TIME: "2026-03-01T06:00:00Z",
        FieldKind.LINES: "M1\n M2 \n\n",
        FieldKind.SECOND_KEY: TOKENS["approver"],
        FieldKind.NUMBER: "7",
        FieldKind.DAY: "2026-03-01",
    }
    words = {field.name: field.choices[0][0] for field in button.fields if field.choices}
    return {field.name: values.get(field.kind, "x") for field in button.fields} | words


@for_every("button", list(BUTTONS.values()), ids=list(BUTTONS))
def test_a_button_gives_what_its_route_takes(button: Button) -> None:
    kind = button.route.takes
    assert kind is not None
    body = body_of(button, filled(button))
    assert isinstance(body, kind)
    given = {f.name for f in button.fields if f.kind is not FieldKind.SECOND_KEY} | {*button.fixed}
    assert given <= {field.name for field in msgspec.structs.fields(kind)}
    if any(field.kind is FieldKind.SECOND_KEY for field in button.fields):
        assert SECOND_KEY in button.route.headers
        assert headers_of(button, filled(button))[SECOND_KEY] == TOKENS["approver"]


@for_every("button", list(BUTTONS.values()), ids=list(BUTTONS))
def test_a_button_leads_back_to_a_page(button: Button) -> None:
    back = re.sub(r"\{(\w+)\}", "X", button.back)
    patterns = [re.sub(r"\{\w+\}", "[^/]+", page.path) for page in PAGES]
    assert any(re.fullmatch(pattern, back) for pattern in patterns)
    assert {*re.findall(r"\{(\w+)\}", button.back)} <= {*button.ids}


@for_every("way", WAYS, ids=[way.typed for way in WAYS])
def test_whatever_settles_what_waits_is_a_button(way: Way) -> None:
    found = button_of(way)
    if way in (todo_kinds.SEE_KEYS, todo_kinds.SEE_WAITING):  # they change nothing: pages say it
        assert found is None
        return
    assert found is not None
    button, names = found
    assert {*names} <= {*button.ids, *(field.name for field in button.fields)}
    assert {*button.ids} <= {*names}
    two = any(field.kind is FieldKind.SECOND_KEY for field in button.fields)
    assert not two or way.people == 2


@for_every("button", list(BUTTONS.values()), ids=list(BUTTONS))
def test_what_cannot_be_taken_back_is_told_and_asks_for_words(button: Button) -> None:
    assert button.does.endswith(".")
    kind = button.route.takes
    assert kind is not None
    if "reason" in kind.__struct_fields__:
        (reason,) = [field for field in button.fields if field.name == "reason"]
        assert reason.needed


async def test_who_has_not_the_role_can_neither_see_the_form_nor_send_it() -> None:
    for key in KEYS:
        async with a_console(key.name) as (rig, visitor):
            with every_case() as case:
                for button in BUTTONS.values():
                    with case(f"{button.name} by {key.name}"):
                        may = bool(key.roles & {*button.route.roles})
                        ids = dict.fromkeys(button.ids, "1")
                        query = "&".join(f"{name}=1" for name in ids)
                        form = await visitor.open(f"/do/{button.name}?{query}")
                        assert (form.status == 403) is (not may), form.status
                        if not may:
                            sent = await visitor.send(f"/do/{button.name}", {**ids})
                            assert sent.status == 403
            refused = [e for e in await rig.gateway.upkeep.audit() if e.note.action == "Refused"]
            assert {e.note.actor for e in refused} <= {key.name}
            assert len(refused) <= 1, "a caller's first in a minute is audited"


async def waiting(rig: Rig, state: State, count: int, **changes: Any) -> list[CommandId]:
    """Disconnects that wait for people, all because of the same."""
    made = []
    for number in range(1, count + 1):
        device = DeviceId(f"M{number}")
        command = a_command(
            number,
            request=a_request(CommandKind.REMOTE_DISCONNECT, device, requester="cis"),
            state=state,
            reason="the head end said no",
            waits_since=NOON,
            hold_until=NOON + timedelta(days=1),
            expires_at=NOON + timedelta(days=1),
            **changes,
        )
        target = Target(device=device, endpoint=EndpointId(f"E-{number}"))
        command = replace(command, targets=(target,))
        await rig.store.submit([a_submission(number, command=command)])
        made.append(command.id)
    return made


def seen_in(page: str) -> str:
    """What says which were counted."""
    (found,) = re.findall(r'name="seen" value="(\w+)"', page)
    return str(found)


async def actors(rig: Rig, action: str) -> list[str]:
    found = await rig.gateway.upkeep.audit()
    return [entry.note.actor for entry in found if entry.note.action == action]


async def test_who_is_at_an_entry_is_seen_by_others() -> None:
    async with a_console("switcher") as (rig, visitor), a_visitor(rig, "reader") as other:
        await waiting(rig, State.COMMUNICATION_ERROR, 2)
        (entry,) = await rig.gateway.upkeep.todo.list()
        shown = await visitor.send("/do/claim", {"entry": entry.id})
        assert shown.path == f"/console/waits/{entry.id}"
        assert "I am at it: accepted." in shown.text
        assert "switcher</strong> since" in shown.text
        assert "I am at it: accepted." not in (await visitor.open(f"/waits/{entry.id}")).text
        assert "switcher is at it" in (await other.open("/waits")).text
        assert await actors(rig, "TodoClaimed") == ["switcher"]


async def test_a_command_is_given_up_with_a_reason_in_the_name_of_the_key() -> None:
    async with a_console("switcher") as (rig, visitor):
        (command,) = await waiting(rig, State.COMMUNICATION_ERROR, 1)
        without = await visitor.send("/do/discard-command", {"command": command, "reason": " "})
        assert (without.status, "Reason is needed" in without.text) == (422, True)
        assert (await rig.gateway.commands.get(command)).activity.state is State.COMMUNICATION_ERROR
        form = {"command": command, "reason": "the meter was <removed>"}
        shown = await visitor.send("/do/discard-command", form)
        assert shown.path == f"/console/commands/{command}"
        assert (await rig.gateway.commands.get(command)).activity.state is State.DISCARDED
        assert "the meter was &lt;removed&gt;" in shown.text
        *_, last = await rig.gateway.commands.history(command)
        assert last.note.actor == "switcher"
        again = await visitor.send("/do/discard-command", form)
        assert again.status == 409
        assert 'value="the meter was &lt;removed&gt;"' in again.text, "what was typed stays"


async def test_what_takes_two_people_takes_the_key_of_another_one() -> None:
    async with a_console("switcher") as (rig, visitor):
        (command,) = await waiting(rig, State.NEEDS_PERSON, 1)
        form = {"command": command, "note": "the lamp was off", "second_key": TOKENS["switcher"]}
        alone = await visitor.send("/do/resolve-not-done", form)
        assert alone.status == 403
        assert TOKENS["switcher"] not in alone.text
        form["second_key"] = TOKENS["approver"]
        shown = await visitor.send("/do/resolve-not-done", form)
        assert shown.status == 200
        assert TOKENS["approver"] not in shown.text
        resolution = (await rig.gateway.commands.get(command)).activity.resolution
        assert resolution is not None
        assert (resolution.operator, resolution.approver, resolution.done) == (
            "switcher", "approver", False,
        )  # fmt: skip


async def test_what_a_form_makes_is_shown_and_made_once_however_often_it_is_sent() -> None:
    async with a_console("operator") as (rig, visitor):
        once = re.search(
            r'name="once" value="([^"]+)"', (await visitor.open("/do/read-switch?devices=M1")).text
        )
        assert once is not None
        form = {"devices": "M1", "once": once[1]}
        shown = [await visitor.send("/do/read-switch", form) for _ in range(2)]
        (made,) = (await rig.ask("GET", "/commands"))["items"]
        assert {each.path for each in shown} == {f"/console/commands/{made['id']}"}
        assert (made["kind"], made["requester"]) == ("read_disconnect_state", "operator")


async def test_all_with_one_cause_are_counted_before_anything_is_done() -> None:
    async with a_console("switcher") as (rig, visitor):
        commands = await waiting(rig, State.COMMUNICATION_ERROR, 40)
        (entry,) = await rig.gateway.upkeep.todo.list()
        page = await visitor.open("/waits")
        assert "40 with the same cause" in page.text
        assert f"/console/many/discard-command?entry={entry.id}" in page.text
        dry = await visitor.open(f"/many/discard-command?entry={entry.id}")
        assert "<strong>40 match.</strong> Nothing is done yet." in " ".join(dry.text.split())
        await rig.gateway.commands.discard(commands[0], by="ann", reason="mine")
        form = {"entry": entry.id, "reason": "storm", "seen": seen_in(dry.text)}
        changed = await visitor.send("/many/discard-command", form)
        assert changed.status == 409
        assert "39 match by now" in changed.text
        assert (await rig.gateway.upkeep.todo.get(entry.id)).todos
        form["seen"] = seen_in(changed.text)
        done = await visitor.send("/many/discard-command", form)
        assert "<strong>39 done</strong>" in done.text
        assert await rig.gateway.upkeep.todo.list() == []
        closed = await visitor.open("/waits")
        assert "Nothing waits for people" in closed.text
        assert "the head end said no" in closed.text, "what closed is told"
        assert (await visitor.send("/many/discard-command", form)).status == 404


async def test_all_that_match_a_filter_are_acted_on_and_each_refusal_is_told() -> None:
    async with a_console("switcher") as (rig, visitor):
        waits = await waiting(rig, State.COMMUNICATION_ERROR, 2)
        page = await visitor.open("/commands?requester=cis")
        assert "/console/many/cancel-command?requester=cis&amp;list=commands" in page.text
        dry = await visitor.open("/many/discard-command?requester=cis&list=commands")
        assert "<strong>2 match.</strong>" in dry.text
        await rig.gateway.commands.discard(waits[1], by="ann", reason="mine")
        seen = seen_in(dry.text)
        form = {"requester": "cis", "list": "commands", "reason": "x", "seen": seen}
        done = await visitor.send("/many/discard-command", form)
        assert "<strong>1 done</strong>" in done.text
        assert "1 refused" in done.text
        other = await visitor.open("/many/discard-command?requester=nobody&list=commands")
        assert "<strong>0 match.</strong>" in other.text
        assert "disabled" in other.text
        assert (await visitor.open("/many/discard-command?list=meters")).status == 422


async def test_many_at_once_end_with_the_key_that_asked() -> None:
    async with a_console("switcher") as (rig, visitor):
        await waiting(rig, State.COMMUNICATION_ERROR, 2)
        (entry,) = await rig.gateway.upkeep.todo.list()
        rig.rest.api.keys.use([key for key in KEYS if key.name != "switcher"])
        form = {"entry": entry.id, "reason": "storm", "seen": "x"}
        assert (await visitor.send("/many/discard-command", form)).status == 401
        assert len((await rig.gateway.upkeep.todo.get(entry.id)).todos) == 2


@for_every("button", MANY, ids=[button.name for button in MANY])
def test_a_button_for_many_needs_no_words_that_are_of_one_alone(button: Button) -> None:
    assert all(
        field.kind is FieldKind.SECOND_KEY or field.name in ("reason", "note")
        for field in button.fields
    )
    assert not {field.name for field in button.fields} & {*WHICH}


async def test_switching_is_stopped_by_one_and_goes_on_by_two() -> None:
    async with a_console("operator") as (rig, visitor), a_visitor(rig, "admin") as other:
        front = await visitor.open("")
        assert "/console/do/stop-switching" in front.text
        stopped = await visitor.send("/do/stop-switching", {"reason": "<wrong> list of cuts"})
        assert stopped.path == "/console/switching"
        assert "&lt;wrong&gt; list of cuts" in stopped.text
        stop = (await rig.gateway.upkeep.switch_safety.state()).stop
        assert stop is not None
        assert stop.by == "operator"
        assert "Stopped" in (await visitor.open("")).text
        asked = await other.send("/do/resume-switching", {"reason": "the list is mended"})
        assert "admin</strong> asks to go on" in asked.text
        (link,) = re.findall(r"/do/resume-switching\?request=(\w+)", asked.text)
        form = {"reason": "seen", "request": link}
        assert (await other.send("/do/resume-switching", form)).status == 403
        async with a_visitor(rig, "switcher") as second:
            assert "<h1>Ask to go on</h1>" in (await second.open("/do/resume-switching")).text
            confirm = await second.open(f"/do/resume-switching?request={link}")
            assert "<h1>Confirm going on</h1>" in confirm.text
            assert "Confirm going on" in (await second.open("")).text
            await second.send("/do/resume-switching", form)
        assert (await rig.gateway.upkeep.switch_safety.state()).stop is None
        assert await actors(rig, "ResumeAsked") == ["admin"]
        assert await actors(rig, "SwitchingResumed") == ["switcher"]


async def test_more_passes_a_limit_that_is_chosen_from_those_that_are_set() -> None:
    capped = CommandSettings(
        dispatch=DispatchSettings(switch=SwitchPolicy(cap=(SwitchCap(name="cuts", per_day=0),)))
    )
    async with a_rig(commands=capped) as rig, a_visitor(rig, "admin") as visitor:
        shown = (await visitor.open("/do/override")).text
        assert re.findall(r'<option value="(\w*)"( selected)?>', shown) == [
            ("", ""), ("cuts", ""), ("all", ""),
        ]  # fmt: skip
        assert "At the longest" in shown
        form = {"reason": "storm", "ends_at": "2026-03-02T12:30:00Z"}
        assert (await visitor.send("/do/override", form)).status == 422
        for limit, meant in (("all", ""), ("cuts", "cuts")):
            await visitor.send("/do/override", form | {"limit": limit})
            made = await rig.gateway.upkeep.switch_safety.overrides(limit=9)
            assert meant in [each.limit for each in made]


async def test_what_a_call_answers_is_told_on_the_next_page() -> None:
    async with a_console("switcher") as (rig, visitor):
        form = {"service_point": "SP-M1", "reference": "paid 1"}
        shown = await visitor.send("/do/payment", form)
        assert shown.path == "/console/orders"
        told = await rig.ask("POST", "/orders/payment", form)
        assert told["text"]
        assert html.escape(f"Record a payment: accepted. {told['text']}") in shown.text
