"""Every whole number of REST and the command line has a range; one outside is named with it."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from adapter.cli.output import Exit
from adapter.web.api.routes import ROUTES
from tests.cli.running_service import ADMIN, OPERATOR, Service, Terminal, serving
from tests.support import for_every

TOO_MUCH = ("9223372036854775808", str(10**30), "9" * 4400, "-1")
NONE = ("²", "٣", "1_0", "1.0", "0x1", "")
NUMBERED = re.compile(r"\{(message|error|window|row)\}")
PLACES = [(route.method, route.path) for route in ROUTES if NUMBERED.search(route.path)]
LIMITED = [route.path for route in ROUTES if "limit" in route.query and "{" not in route.path]
MOST = {"/api/v1/events": 1_000}
"""The largest page, where it is not of 500."""
CURSORS = [
    "/inbox",
    "/audit",
    "/device-events",
    "/device-events/errors",
    "/intake/errors",
    "/payloads",
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("ranges"), meters=2) as running:
        yield running


@pytest.fixture
def openway(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    return Terminal(capsys, monkeypatch, service.api_url).as_(ADMIN)


def ask(
    service: Service, method: str, path: str, body: object = None, *, key: str = ADMIN
) -> tuple[int, dict[str, object]]:
    given = json.dumps(body if body is not None else {"reason": "x"}).encode()
    request = urllib.request.Request(
        f"{service.api_url}{path}",
        data=given if method == "POST" else None,
        method=method,
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


@for_every("number", TOO_MUCH)
@for_every(("method", "path"), PLACES)
def test_there_is_no_row_of_a_number_that_no_row_can_have(
    service: Service, method: str, path: str, number: str
) -> None:
    found = NUMBERED.search(path)
    assert found is not None
    asked = path.replace(found[0], number).replace("{schedule}", "0" * 26)
    body: object = {} if path.endswith("/inbox/{message}/retry") else None
    if path.endswith(("/retry", "/inbox/{message}/discard")):
        body = {}
    status, problem = ask(service, method, asked, body)
    assert (status, problem["code"]) == (404, "not_found")


@for_every("number", [*TOO_MUCH, *NONE])
@for_every("path", CURSORS)
def test_a_cursor_out_of_range_is_refused_with_the_range(
    service: Service, path: str, number: str
) -> None:
    status, problem = ask(service, "GET", f"/api/v1{path}?cursor={quote(number)}")
    assert status == 422
    assert "cursor" in str(problem["detail"])


@for_every("number", [*TOO_MUCH, *NONE, "0", "1001"])
@for_every("path", LIMITED)
def test_a_limit_out_of_range_is_refused_with_the_range(
    service: Service, path: str, number: str
) -> None:
    status, problem = ask(service, "GET", f"{path}?limit={quote(number)}")
    assert (status, problem.get("field")) == (422, "limit")
    assert f"1 to {MOST.get(path, 500)}" in str(problem["detail"])


@for_every("path", LIMITED)
def test_one_more_than_the_largest_page_is_refused(service: Service, path: str) -> None:
    status, _ = ask(service, "GET", f"{path}?limit={MOST.get(path, 500) + 1}")
    assert status == 422


@for_every("path", [*LIMITED, *(f"/api/v1{path}?cursor=" for path in CURSORS)])
def test_the_largest_number_is_taken(service: Service, path: str) -> None:
    largest = "9223372036854775807" if path.endswith("=") else "?limit=500"
    status, _ = ask(service, "GET", path + largest)
    assert status == 200


@pytest.mark.parametrize("number", [2**63, 10**30, -(10**30), 90, 1.5, True])
def test_the_priority_of_an_order_has_a_range(service: Service, number: object) -> None:
    order = {"kind": "cut", "service_point": "x", "reference": "r", "priority": number}
    status, problem = ask(service, "POST", "/api/v1/orders", order, key=OPERATOR)
    assert (status, problem["field"]) == (422, "priority")


@pytest.mark.parametrize("count", [0, 1_000_001, 2**63, 10**30])
def test_the_count_of_a_schedule_has_a_range(service: Service, count: int) -> None:
    plan = {
        "kind": "scheduled_read_interval",
        "group": "G",
        "recurrence": {"first": "00:00:00", "length_s": 3600, "count": count},
    }
    status, problem = ask(service, "POST", "/api/v1/schedules", plan, key=OPERATOR)
    assert (status, problem["field"]) == (422, "recurrence.count")


ARGUMENTS = [
    ("quarantine", "show", "#"),
    ("quarantine", "retry", "#"),
    ("quarantine", "discard", "#"),
    ("intake", "discard", "#", "--reason", "x"),
    ("intake", "errors", "--payload", "#"),
    ("schedule", "report", "0" * 26, "#"),
    ("audit", "list", "--cursor", "#"),
    ("readings", "enter", "M1", "kwh=1", "--condition", "#"),
    ("order", "submit", "cut", "SP", "--reference", "r", "--priority", "#"),
    ("simulate", "--meters", "#"),
    ("simulate", "--seed", "#"),
    ("simulate", "--port", "#"),
]


@for_every("number", [str(2**63), str(10**30), "9" * 5000, "1.5", "x"])
@for_every("line", ARGUMENTS, ids=lambda line: " ".join(line[:2]))
def test_a_number_on_the_command_line_has_a_range(
    openway: Terminal, line: tuple[str, ...], number: str
) -> None:
    printed = openway(*(number if each == "#" else each for each in line))
    assert printed.code == Exit.INVALID
    assert "Traceback" not in printed.err
    assert printed.out == ""


@pytest.mark.parametrize("line", ARGUMENTS[:7], ids=lambda line: " ".join(line[:2]))
def test_a_negative_number_of_a_row_is_refused(openway: Terminal, line: tuple[str, ...]) -> None:
    given = [each for each in line if each != "#"]
    at = line.index("#")
    option = line[at - 1].startswith("--")
    printed = openway(*given, *((line[at - 1], "-1") if option else ("--", "-1")))
    assert printed.code == Exit.INVALID
