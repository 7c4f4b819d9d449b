"""Orders whose children fail, are cancelled, error and recover, and which are withdrawn midway.

Whatever happens: one child at a time, an end or a To Do, and nobody left in the dark unnoticed.
"""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.errors import Forbidden
from adapter.model.device import InstallStatus
from adapter.model.values import replace
from adapter.orders import events as e
from adapter.orders.evaluate import customer_without_supply, look_at_world
from adapter.orders.lifecycle import observe, resumed, step, withdraw
from adapter.orders.order import (
    CHILD_ERROR,
    ChildFact,
    ChildState,
    OrderKind,
    OrderState,
    ServiceOrder,
    View,
)
from adapter.orders.plan import Assumptions, child_effect
from adapter.orders.validation import check_rules
from tests.orders.builders import a_manual_meter, a_smart_meter, a_view, an_order

S, C = OrderState, ChildState
ENDS = (C.COMPLETED, C.COMPLETED, C.FAILED, C.CANCELED, C.DISCARDED, C.COMMUNICATION_ERROR)
PEOPLE = ("retry", "retry", "withdraw", "discard", "by hand")
TURNS = 120


@dataclass
class Story:
    """One order, the world it lives in, and everything that was sent to anybody."""

    order: ServiceOrder
    view: View
    replies: list[e.ReplyKind] = field(default_factory=list)
    todo: int = 0

    @property
    def dark(self) -> bool:
        return customer_without_supply(self.order, self.view)

    def feed(self, event: e.Event) -> None:
        after = step(self.order, event, now=self.view.now)
        self.order = after.order
        for effect in after.effects:
            self._carry_out(effect)

    def _carry_out(self, effect: e.Effect) -> None:
        match effect:
            case e.CheckRules():
                self.feed(check_rules(self.order, self.view))
            case e.LookAtWorld():
                self.feed(look_at_world(self.order, self.view))
            case e.Continue(to=to):
                self.feed(resumed(to))
            case e.CreateChild(id=id_, number=number, child=spec):
                assert all(child.final for child in self.view.children), "two children at once"
                fact = ChildFact(
                    id=id_, number=number, spec=spec, state=C.QUEUED, created_at=self.view.now
                )
                self.view = replace(self.view, children=(*self.view.children, fact))
            case e.DiscardChild(child=child):
                self.change(child, C.DISCARDED)
            case e.SendReply(kind=kind):
                self.replies.append(kind)
            case e.OpenTodo():
                self.todo += 1
            case e.CloseTodo():
                self.todo -= 1
            case _:
                pass

    def change(self, child: str, state: ChildState) -> None:
        changed = tuple(replace(c, state=state) if c.id == child else c for c in self.view.children)
        done = next(c for c in changed if c.id == child)
        self.view = replace(self.view, children=changed)
        if state is C.COMPLETED:
            self.view = child_effect(self.view, done, self.order, Assumptions())

    def look(self) -> None:
        event = observe(self.order, self.view.children, dark=self.dark)
        if event is not None:
            self.feed(event)


def open_child(story: Story) -> ChildFact | None:
    return next((child for child in story.view.children if not child.final), None)


def turn(story: Story, draw: st.DataObject) -> None:
    """One thing that happens: a child moves, people act, or a payment arrives."""
    match story.order.state:
        case S.PENDING:
            story.feed(e.Opened())
        case S.WAITING:
            story.feed(e.EffectiveDateReached())
        case S.IN_PROGRESS:
            child = open_child(story)
            if child is not None and draw.draw(st.integers(0, 5)) == 0:
                withdrawn(story)
            elif child is not None:
                move(story, child, draw)
            story.look()
        case _:
            people(story, draw)


def move(story: Story, child: ChildFact, draw: st.DataObject) -> None:
    if child.state is C.QUEUED and draw.draw(st.booleans()):
        story.change(child.id, C.SENT)
    else:
        story.change(child.id, draw.draw(st.sampled_from(ENDS)))


def people(story: Story, draw: st.DataObject) -> None:
    problem = story.order.problem
    assert story.todo == 1, "an order waits for people and nobody was told"
    assert problem is not None
    assert problem.without_supply or not story.dark, "a dark customer is not told apart"
    child = open_child(story)
    try:
        match draw.draw(st.sampled_from(PEOPLE)):
            case "retry":
                if child is not None and child.state in CHILD_ERROR:
                    story.change(child.id, C.SENT)
                    story.look()
                elif story.order.state in (S.ACTIVITY_ERROR, S.VALIDATION_ERROR):
                    story.feed(e.OrderRetryAsked(who="ann"))
            case "withdraw":
                withdrawn(story)
            case "by hand" if story.order.state is S.ACTIVITY_ERROR and child is None:
                story.feed(e.CompletedByHand(who="ann", reason="seen"))
            case _:
                asked = e.OrderDiscardAsked(
                    who="ann", reason="x", children=story.view.children, dark=story.dark
                )
                story.feed(asked)
    except Forbidden:
        assert not story.order.final


def withdrawn(story: Story) -> None:
    story.feed(withdraw(story.order, story.view.children, who="c", reason="r", dark=story.dark))


STATUSES = [s for s in InstallStatus if not s.value.startswith("Manual")]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(kind=st.sampled_from(OrderKind), manual=st.booleans(), draw=st.data())
def test_whatever_happens_an_order_ends_well_or_waits_for_people(
    kind: OrderKind, manual: bool, draw: st.DataObject
) -> None:
    device = a_manual_meter() if manual else a_smart_meter()
    states = [InstallStatus.MANUAL_ON, InstallStatus.MANUAL_OFF] if manual else STATUSES
    view = a_view(kind, device=device, status=draw.draw(st.sampled_from(states)))
    play(Story(an_order(kind, state=S.PENDING), view), draw)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(draw=st.data())
def test_whatever_happens_after_switching_off_for_a_change_over_supply_comes_back(
    draw: st.DataObject,
) -> None:
    kind = OrderKind.BACK_TO_BACK
    view = a_view(kind, device=a_smart_meter(), status=InstallStatus.CONN_COMM)
    story = Story(an_order(kind, state=S.PENDING), view)
    story.feed(e.Opened())
    story.feed(e.EffectiveDateReached())
    off = open_child(story)
    assert off is not None
    story.change(off.id, C.COMPLETED)
    assert story.dark
    story.look()
    play(story, draw)


def play(story: Story, draw: st.DataObject) -> None:
    """Let things happen, then check what must hold however they happened."""
    for _ in range(TURNS):
        if story.order.final:
            break
        turn(story, draw)
    ends = [r for r in story.replies if r in (e.ReplyKind.SUCCESS, e.ReplyKind.FAILURE)]
    assert story.replies[:1] in ([e.ReplyKind.ACKNOWLEDGEMENT], [e.ReplyKind.FAILURE])
    assert len(ends) == (1 if story.order.final else 0)
    assert story.order.replies == len(story.replies)
    if story.order.final:
        assert not story.dark, "the order ended and left the customer dark"
        assert story.todo == 0
        assert open_child(story) is None
