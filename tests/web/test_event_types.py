"""Every type of event has a schema, which is what is stored, and a row in the table of the docs."""

import re
from typing import Any

import msgspec
import pytest

from adapter.cli.tables_commands import publications
from adapter.commands.activity import Outcome, State
from adapter.commands.effects import Publish
from adapter.engine.commands.publications import publications as of_command
from adapter.engine.feed.types import KNOWN_TYPES
from adapter.errors import SettingsError
from adapter.store.rows import encode
from adapter.web.api.event_types import EVENT_TYPES, CommandEventOut
from adapter.web.api.openapi import document
from tests.builders import a_command
from tests.engine.feed.receiving import a_receiver


def wire_names(kind: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(kind)}


def test_the_types_with_a_schema_are_those_of_the_table_with_the_same_members() -> None:
    _, *rows = publications()
    members = {name: set(data.split()) for name, _, data in rows}
    schemas = {each.name: wire_names(each.data) for each in EVENT_TYPES}
    assert set(schemas) == set(members)
    for name, known in schemas.items():
        if not name.startswith("openway.command."):
            assert known == members[name], name


def test_each_is_a_webhook_of_the_document() -> None:
    found: dict[str, Any] = document()["webhooks"]
    assert list(found) == [each.name for each in EVENT_TYPES]
    operations = [each["post"]["operationId"] for each in found.values()]
    assert len(set(operations)) == len(operations)


def test_a_pattern_fits_the_types_of_its_row() -> None:
    patterns = {each.name: each.pattern for each in EVENT_TYPES}
    held = patterns["openway.gateway.switch_orders_<held or released>"]
    assert re.fullmatch(held, "openway.gateway.switch_orders_held")
    assert not re.fullmatch(held, "openway.gateway.switch_orders_x")
    assert re.fullmatch(patterns["openway.order.reply.<kind>"], "openway.order.reply.success")
    completion = patterns["openway.command.completion.<event>"]
    assert re.fullmatch(completion, "openway.command.completion.D1-ConnectDevice")


def test_the_types_that_filters_may_name_are_those_that_have_a_schema() -> None:
    patterns = [each.pattern for each in EVENT_TYPES]
    for known in KNOWN_TYPES:
        assert any(re.fullmatch(pattern, known) for pattern in patterns), known
    for pattern in patterns:
        assert any(re.fullmatch(pattern, known) for known in KNOWN_TYPES), pattern


def test_a_receiver_that_could_never_be_sent_anything_is_refused() -> None:
    url = "http://127.0.0.1:9/hook"
    for types, kinds, told in (
        (("openway.comand.completed",), (), "did you mean openway.command.completed?"),
        (
            ("openway.comands.*",),
            (),
            "begins with openway.comands.; did you mean openway.command.*?",
        ),
        ((), ("remote_disconect",), "did you mean remote_disconnect?"),
    ):
        with pytest.raises(SettingsError, match=re.escape(told)):
            a_receiver(url, types=types, kinds=kinds)
    a_receiver(url, types=("openway.*", "*"), kinds=("cut", "remote_connect", "success"))


def test_the_event_of_a_command_is_what_its_schema_says() -> None:
    command = a_command(state=State.COMPLETED, outcome=Outcome.SUCCEEDED)
    for name in ("received", "completed"):
        (event,) = of_command(command, [Publish(name=name)])
        msgspec.json.decode(encode(event.data), type=CommandEventOut)
        assert set(event.data) <= wire_names(CommandEventOut)
