"""`openway events` against a running gateway that posts its events to a system beside it."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from adapter.cli.client import items
from adapter.cli.output import Exit
from tests.cli.running_service import ADMIN, OPERATOR, Service, Terminal, serving
from tests.engine.feed.receiving import SECRET

_SETTINGS = """
[[events.webhook]]
name = "cis"
url = "http://127.0.0.1:{port}/events"
keys_file = "signing"
types = ["openway.command.*", "openway.feed.*"]

[[events.callback]]
name = "portal"
url = "http://127.0.0.1:{port}/done"
keys_file = "signing"
private = true

[[events.webhook]]
name = "away"
url = "http://127.0.0.1:9/events"
keys_file = "signing"
types = ["openway.outage.ended"]
"""


class Receiving(ThreadingHTTPServer):
    """Verifies what is posted, and keeps it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Posts)
        self.posts: list[tuple[str, dict[str, Any]]] = []
        self.news = threading.Condition()

    def wait_for(self, type_: str, path: str = "/events") -> dict[str, Any]:
        def found() -> list[dict[str, Any]]:
            return [event for at, event in self.posts if event["type"] == type_ and at == path]

        with self.news:
            assert self.news.wait_for(found, timeout=30)
        return found()[0]


class _Posts(BaseHTTPRequestHandler):
    server: Receiving

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        event = Webhook(SECRET).verify(body, dict(self.headers))
        with self.server.news:
            self.server.posts.append((self.path, event))
            self.server.news.notify_all()
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def receiving() -> Iterator[Receiving]:
    with Receiving() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, receiving: Receiving) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("feed")
    (folder / "signing").write_text(SECRET + "\n")
    (folder / "signing").chmod(0o600)
    more = _SETTINGS.format(port=receiving.server_port)
    with serving(folder, meters=5, more=more) as running:
        yield running


@pytest.fixture
def openway(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    terminal = Terminal(capsys, monkeypatch, service.api_url)
    assert terminal.as_(ADMIN)("devices", "import", str(service.devices_file)).code == Exit.OK
    return terminal.as_(OPERATOR)


def test_a_command_is_heard_of_in_every_way(openway: Terminal, receiving: Receiving) -> None:
    url = f"http://127.0.0.1:{receiving.server_port}/done/7"
    submitted = openway(
        "command",
        "submit",
        "load_check",
        "M700001",
        "--callback-url",
        url,
        "--wait",
        "30",
        "--json",
    )
    assert submitted.code == Exit.OK
    command = submitted.json["id"]
    posted = receiving.wait_for("openway.command.completed")
    assert posted["subject"] == command
    assert posted["data"]["outcomes"][0]["result"] == "succeeded"
    assert receiving.wait_for("openway.command.completed", "/done/7") == posted
    listed = openway("events", "list", "--subject", str(command), "--json").json
    ids = [each["id"] for each in listed["items"]]  # type: ignore[attr-defined]
    assert ids == [f"{command}:received", f"{command}:completed"]
    assert posted["id"] == ids[-1]
    followed = openway(
        "events", "follow", "--after", "0", "--count", "2", "--subject", str(command), "--json"
    )
    assert [json.loads(line)["id"] for line in followed.out.splitlines()] == ids
    assert "openway.command.completed" in openway("events", "list").out
    mistyped = openway("events", "list", "--types", "openway.comand.completed")
    assert mistyped.code == Exit.INVALID
    assert "did you mean openway.command.completed?" in mistyped.err
    for since, count in (("-1h", 1), ("+1h", 0)):
        asked = ("--requester", "ann", "--since", since, "--updated", since)
        assert len(items(openway("command", "list", *asked, "--json").json)) == count
        assert len(items(openway("order", "list", *asked, "--json").json)) == 0
    refused = openway("command", "submit", "load_check", "M700001", "--callback-url", "http://x/")
    assert (refused.code, "events.callback" in refused.err) == (Exit.INVALID, True)


def test_receivers_are_shown_tested_and_posted_to_again(
    openway: Terminal, receiving: Receiving
) -> None:
    assert openway("command", "submit", "load_check", "M700002", "--wait", "30").code == Exit.OK
    receiving.wait_for("openway.command.completed")
    shown = openway("events", "deliveries")
    assert "cis" in shown.out
    assert "3 receivers" in shown.err
    assert "0 events" in openway("events", "deliveries", "cis").err
    assert openway("events", "test", "cis").code == Exit.CONFLICT
    openway.as_(ADMIN)
    assert "taken: 204" in openway("events", "test", "cis").out
    refused = openway("events", "test", "away")
    assert (refused.code, "taken" in refused.out) == (Exit.WITHOUT_SUCCESS, False)
    assert receiving.wait_for("openway.feed.test")["severity"] == "info"
    with receiving.news:
        receiving.posts.clear()
    assert openway("events", "replay", "cis", "--since", "-1h").code == Exit.OK
    assert receiving.wait_for("openway.command.completed")
    assert "0 events posted again" in openway("events", "retry", "cis").out
    assert openway("events", "deliveries", "nobody").code == Exit.NOT_FOUND
