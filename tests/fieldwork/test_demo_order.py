"""The demo: twelve commands, and an order told with what decided each of its steps."""

from pathlib import Path

from adapter.demo.demo import run as demo
from adapter.orders.order import OrderState


async def test_the_demo_ends_with_an_order_that_tells_why(tmp_path: Path) -> None:
    shown = await demo(tmp_path)
    story = shown.order
    assert len(shown.commands) == 12
    assert story.shown.order.state is OrderState.COMPLETED
    assert [(step.child, step.cell, step.type) for step in story.steps] == [
        ("D1-ConnSPAtSrceAndInstMtr", 2, "D1-CRSPACT"),
        ("D1-DeviceCommission", 3, "D1-UPDDVC"),
        ("D1-RemoteConnect", 3, "D1-UPDDVC"),
        ("D1-OnDemandReadScalar", 4, "D1-CHKMSMT"),
    ]
    assert all(step.state == "completed" and step.row for step in story.steps)
    assert (story.replies[0], story.replies[-1]) == ("acknowledgement", "success")
