"""What a call answered that people have to know, in a sentence for the next page."""

from adapter.web.api.events import Reprocessed
from adapter.web.api.feed import ReplayedOut, RetriedOut, TestedOut
from adapter.web.api.orders import DecidedOut, PaymentOut, RequestOut
from adapter.web.api.quarantine import IntakeReprocessed
from adapter.web.api.switch_safety import SwitchingStateOut


def told_by(body: object) -> str:
    """Empty where the page itself says it."""
    match body:
        case DecidedOut(advice=text) | PaymentOut(text=text) | SwitchingStateOut(text=text):
            return text
        case RequestOut(outcome=text):
            return text
        case TestedOut(taken=True):
            return "The receiver has taken it."
        case TestedOut(error=error):
            return f"The receiver has not taken it: {error}"
        case RetriedOut(events=events) | ReplayedOut(events=events):
            return f"{events} events are posted again."
        case IntakeReprocessed(values=values, events=events, still_open=left):
            return f"{values} values and {events} events came of them; {left} are still open."
        case Reprocessed(new=new, unknown=unknown):
            return f"{new} are events now; {unknown} are still unknown."
    return ""
