"""Where a command stands, as the command line lists it."""

from adapter.cli.commands import state_of
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
            ({"state": "completed"}, "completed"),
        ):
            with case(wanted):
                assert state_of(row) == wanted
