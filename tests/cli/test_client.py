"""The small client: what it sends, whom it believes, what it makes of odd answers."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from adapter.cli.client import Client, items, segment
from adapter.client.errors import ApiProblem, Unreachable
from adapter.errors import SettingsError
from adapter.model.secret import Secret
from tests.headend.authority import Authority

Asked = list[tuple[str, str, dict[str, str], bytes]]
Answer = Callable[[BaseHTTPRequestHandler], None]


def answering(status: int, body: bytes) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@contextmanager
def a_server(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[tuple[str, Asked]]:
    asked: Asked = []

    class Handler(BaseHTTPRequestHandler):
        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65_537)
            if not self.raw_requestline or not self.parse_request():
                return
            length = int(self.headers.get("Content-Length", "0"))
            body = self.rfile.read(length)
            asked.append((self.command, self.path, dict(self.headers.items()), body))
            answer(self)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    scheme = "http" if context is None else "https"
    try:
        yield f"{scheme}://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_request_carries_keys_and_query_and_ids_in_one_segment() -> None:
    with a_server(answering(200, b'{"items": [{"id": "a"}]}')) as (url, asked):
        client = Client(url=f"{url}/behind/", key=Secret("one"), second_key=Secret("two"))
        found = client.get(f"/commands/{segment('a/b?c')}", {"limit": 5, "open": True, "x": None})
    assert items(found) == [{"id": "a"}]
    ((method, path, headers, _),) = asked
    assert (method, path) == ("GET", "/behind/api/v1/commands/a%2Fb%3Fc?limit=5&open=true")
    assert headers["Authorization"] == "Bearer one"
    assert headers["X-Second-Key"] == "two"


def test_a_body_is_json() -> None:
    with a_server(answering(202, b"{}")) as (url, asked):
        Client(url=url).post("/commands", {"kind": "load_check"})
    ((method, _, headers, body),) = asked
    assert method == "POST"
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == {"kind": "load_check"}
    assert "Authorization" not in headers


@pytest.mark.parametrize(
    ("status", "body", "code", "text"),
    [
        (409, b'{"code": "conflict", "detail": "taken"}', "conflict", "taken"),
        (404, b'{"title": "Not found"}', "http_404", "Not found"),
        (502, b"<html>", "http_502", "the API answered 502"),
        (500, b"", "http_500", "the API answered 500"),
        (302, b"", "http_302", "the API answered 302"),
    ],
)
def test_a_refusal_is_told_with_code_and_text(
    status: int, body: bytes, code: str, text: str
) -> None:
    with a_server(answering(status, body)) as (url, _), pytest.raises(ApiProblem) as refused:
        Client(url=url).get("/commands")
    assert (refused.value.status, refused.value.code, str(refused.value)) == (status, code, text)


def test_what_answers_with_no_json_is_not_the_api() -> None:
    with a_server(answering(200, b"<html>")) as (url, _), pytest.raises(Unreachable) as refused:
        Client(url=url).get("/commands")
    assert "not the API" in str(refused.value)


def test_what_does_not_speak_http_is_not_the_api() -> None:
    def odd(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"220 mail.example ESMTP\r\n")
        handler.close_connection = True

    with a_server(odd) as (url, _), pytest.raises(Unreachable):
        Client(url=url).get("/commands")


def test_an_answer_that_does_not_come_is_told_after_the_time_out() -> None:
    silent = threading.Event()

    def wait(handler: BaseHTTPRequestHandler) -> None:
        silent.wait(30)

    try:
        with a_server(wait) as (url, _):
            with pytest.raises(Unreachable, match=r"no answer within 0\.2 seconds"):
                Client(url=url, timeout_s=0.2).get("/commands")
            silent.set()
    finally:
        silent.set()


def test_an_api_over_tls_must_be_of_the_named_authority(tmp_path: Path) -> None:
    ours, other = Authority(tmp_path, "Ours"), Authority(tmp_path, "Other")
    context = ours.server_context(ours.issue("127.0.0.1"))
    with a_server(answering(200, b"{}"), context) as (url, asked):
        assert Client(url=url, ca_file=ours.ca).get("/ledger") == {}
        with pytest.raises(Unreachable):
            Client(url=url, ca_file=other.ca, key=Secret("canary")).get("/ledger")
        with pytest.raises(SettingsError, match=r"api\.ca_file"):
            Client(url=url, ca_file=tmp_path / "none").get("/ledger")
    assert len(asked) == 1
