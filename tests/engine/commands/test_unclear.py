"""A connect or disconnect of which nobody knows what became of it: it is said at once."""

from adapter.commands.activity import CommunicationState, State
from adapter.engine.commands.unclear import UnclearSwitch, unclear_of
from adapter.model.ids import RequestToken
from adapter.model.values import replace
from adapter.web.api.commands import CommandOut
from adapter.web.console.elements import standing
from tests.builders import a_command
from tests.clock.lives import HOUR, NOON
from tests.support import every_case


async def test_what_is_not_known_is_told_with_when_the_switch_is_looked_at() -> None:
    made = a_command()
    sent = replace(made.communications[0], state=CommunicationState.UNCLEAR, wake=NOON + HOUR)
    taken = replace(sent, token=RequestToken("7"))
    asked = replace(made.activity, state=State.NEEDS_PERSON)
    unclear = replace(made, communications=(sent,))
    with every_case() as case:
        for name, command, told in (
            ("no answer", unclear, "unclear: whether the head end took it is not known"),
            (
                "taken",
                replace(made, communications=(taken,)),
                "unclear: what became of it at the head end is not known",
            ),
            ("queued", made, None),
            ("people are asked", replace(unclear, activity=asked), None),
        ):
            with case(name):
                wanted = told and UnclearSwitch(text=told, look_at=NOON + HOUR)
                assert unclear_of(command) == wanted
                shown = CommandOut.of(command)
                assert (shown.unclear and shown.unclear.text) == told
                html = standing(shown.state, None, shown.final, None, shown.unclear)
                assert ("unclear" in html) is (told is not None)
