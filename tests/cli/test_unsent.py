"""Where a command stands, as the command line lists it."""

from adapter.cli.client import Json
from adapter.cli.commands import plain_of, state_of
from adapter.cli.commands_watch import unclear_text
from tests.support import every_case


def test_of_what_has_not_left_it_is_said_why() -> None:
    unsent = {"why": "held", "text": "switching is held: stopped", "until": None}
    with every_case() as case:
        for row, wanted in (
            ({"state": "communication_in_progress", "unsent": unsent}, "not sent: held"),
            (
                {"state": "communication_in_progress", "unsent": None},
                "communication_in_progress",
            ),
            (
                {"state": "communication_in_progress", "unclear": {"text": "unclear: ?"}},
                "communication_in_progress, unclear",
            ),
            ({"state": "completed"}, "completed"),
        ):
            with case(wanted):
                assert state_of(row) == wanted


def test_what_is_unclear_is_told_with_when_its_switch_is_looked_at() -> None:
    doubt: dict[str, Json] = {"text": "unclear: it is not known", "look_at": "2026-01-01T00:15:00Z"}
    at = "unclear: it is not known; its switch is looked at at 2026-01-01T00:15:00Z"
    with every_case() as case:
        for name, found, wanted in (
            ("a time", doubt, at),
            ("no time", {**doubt, "look_at": None}, "unclear: it is not known"),
            ("known", None, ""),
        ):
            with case(name):
                assert unclear_text({"unclear": found}) == wanted


def test_one_command_is_shown_with_the_words_of_the_list() -> None:
    unsent: dict[str, Json] = {"why": "limited", "text": "waits for room", "until": "17:00"}
    row: dict[str, Json] = {"state": "communication_in_progress", "unsent": unsent, "progress": {}}
    shown = plain_of(row)
    assert (shown["state"], shown["unsent"]) == (state_of(row), "waits for room, until 17:00")
    assert "progress" not in shown
