"""`openway top`: a frame fits its screen, and says what /metrics, /readyz and yesterday say."""

from collections.abc import Iterator

import pytest

from adapter.cli.output import Exit
from adapter.cli.upkeep_top_frame import Frame
from adapter.commands.flows import CommandKind, Operation
from adapter.server.scrape import Scrape
from tests.cli.running_service import ADMIN, OPERATOR, Service, Terminal, serving

AT_S = 1_790_000_000.0
CALLS = "openway_call_seconds"


def scraped(at_s: float, times: int = 1) -> Scrape:
    """Of a busy gateway that began a hundred seconds before; `times` as many as in the first."""
    calls = [
        f'{CALLS}_{what}{{operation="{each}"{le}}} {value * times}'
        for number, each in enumerate(Operation, start=1)
        for what, le, value in (
            ("bucket", ',le="0.5"', 0),
            ("bucket", ',le="2.5"', 10.0 * number),
            ("bucket", ',le="+Inf"', 10.0 * number),
            ("count", "", 10.0 * number),
            ("sum", "", 20.0 * number),
        )
    ]
    ends = [
        f'openway_command_ends_total{{kind="{kind}",outcome="{outcome}"}} {value * times}'
        for kind in CommandKind
        for outcome, value in (("succeeded", 30.0), ("failed", 10.0))
    ]
    return Scrape.of(
        "\n".join(
            (
                f"# TYPE {CALLS} histogram",
                *calls,
                "# TYPE openway_command_ends counter",
                *ends,
                f"process_start_time_seconds {AT_S - 100}",
                'openway_build{version="0.1.0"} 1',
                "openway_store_up 1",
                "openway_head_end_slow 1",
                "openway_limits_concurrency 16",
                'openway_commands{state="communication_in_progress"} 70000',
                'openway_commands{state="completed"} 5',
                'openway_todo_entries{subject="head_end"} 1',
                'openway_todo_waiting{subject="head_end"} 1',
                'openway_oldest_open_command_seconds{state="needs_person"} 90000',
                'openway_deliveries_oldest_seconds{receiver="cis"} 4000',
                'openway_deliveries_behind{receiver="cis"} 12',
                "",
            )
        ),
        at_s,
    )


def frame(before: Scrape | None = None, times: int = 1) -> Frame:
    now = scraped(AT_S, times)
    ready = {"status": "degraded", "held": [], "warnings": ["the head end is slow: " + "x" * 200]}
    operation = Operation.CANCEL_REQUEST.value
    return Frame(now, before or now.nothing_yet(), ready, {operation: 0.25}, "http://gateway:8102")


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 60), (60, 15)])
def test_a_frame_fits_its_screen(width: int, height: int) -> None:
    lines = frame().lines(width, height)
    assert len(lines) <= height
    assert max(len(text) for text, _ in lines) <= width


def test_a_larger_screen_has_more_of_the_operations_and_kinds() -> None:
    small, large = (
        sum(text.startswith("  ") for text, _ in frame().lines(*size))
        for size in ((80, 24), (120, 40))
    )
    assert (small, large) == (10, 26)


def test_at_80_by_24_all_is_said() -> None:
    text = "\n".join(text for text, _ in frame().lines(80, 24))
    for said in (
        "DEGRADED: the head end is slow",
        "CancelRequest                      2.0     2.0 s     2.5 s    250 ms",
        "SLOW; 0 of 16 calls under way",
        "75%",
        "queue   70000 communication_in_progress",
        "to do   1: 1 head_end",
        "cis 12 behind, 67 min",
        "command 25 h (needs_person)",
        "event loop",
    ):
        assert said in text, text


def test_rates_are_of_the_time_between_two_scrapes() -> None:
    lines = frame(before=scraped(AT_S - 10), times=2).lines(80, 24)
    (line,) = (text for text, _ in lines if "CancelRequest" in text)
    assert line.split()[1:4] == ["20.0", "2.0", "s"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("top"), meters=6) as running:
        yield running


def test_once_prints_one_frame_of_the_size_that_was_asked_for(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal(capsys, monkeypatch, service.api_url)
    assert terminal.as_(ADMIN)("devices", "import", str(service.devices_file)).code == Exit.OK
    terminal.as_(OPERATOR)("command", "submit", "remote_disconnect", "M700001", "--wait", "30")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    printed = terminal("top", "--once")
    assert printed.code == Exit.OK
    assert "READY\n" in printed.out
    assert "  DisconnectMeter " in printed.out
    assert "remote_disconnect" in printed.out
    assert len(printed.out.splitlines()) <= 24
    assert terminal.as_("nobody-" + "0" * 32)("top", "--once").code == Exit.CONFLICT


def test_a_gateway_that_does_not_answer_is_an_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal(capsys, monkeypatch, "http://127.0.0.1:9")
    assert terminal("top", "--once").code == Exit.UNREACHABLE
