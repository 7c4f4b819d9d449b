"""Small web servers of other people, in threads: a head end's contract, a proxy, a stranger."""

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from adapter.wire.catalog import Catalog
from adapter.wire.served import ServedContract, contract_pages

_WAIT_S = 10.0


class Handler(BaseHTTPRequestHandler):
    """Says nothing on stderr; its clock is `off` from the machine's."""

    protocol_version = "HTTP/1.1"
    timeout = _WAIT_S
    off = timedelta()

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        return format_datetime(datetime.now(UTC) + self.off, usegmt=True)

    def reply(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Callers that break off are what the tests are about."""


@contextmanager
def served(handler: type[Handler], context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Its URL, on loopback."""
    server = _Quiet(("127.0.0.1", 0), handler)
    if context is not None:
        # The handshake is made in the thread of the connection, at the first read.
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        scheme = "http" if context is None else "https"
        yield f"{scheme}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join(_WAIT_S)
        server.server_close()


def head_end(catalog: Catalog, *, off: timedelta = timedelta()) -> type[Handler]:
    """Serves a contract, and knows of no request: any call is answered with the fault for that."""
    pages, clock_off = _pages(catalog), off

    class HeadEnd(Handler):
        off = clock_off

        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            contract = pages.get(asked.path)
            query = dict(parse_qsl(asked.query, keep_blank_values=True))
            address = f"http://{self.headers['Host']}{asked.path}"
            page = None if contract is None else contract.page(query, address=address)
            self.reply(404 if page is None else 200, page or b"", {"Content-Type": "text/xml"})

        def do_POST(self) -> None:
            self.body()
            self.reply(500, NO_SUCH_REQUEST, {"Content-Type": "text/xml; charset=utf-8"})

    return HeadEnd


@cache
def _pages(catalog: Catalog) -> dict[str, ServedContract]:
    return contract_pages(catalog)


NO_SUCH_REQUEST = (
    b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault>'
    b"<faultcode>s:Client</faultcode><faultstring>no such request</faultstring><detail>"
    b'<RequestNotFoundFault xmlns="http://www.itron.com/ami/2008/10/common"/>'
    b"</detail></s:Fault></s:Body></s:Envelope>"
)


class NoContract(Handler):
    """A head end that serves no page of its contract, and knows of no request."""

    def do_GET(self) -> None:
        self.reply(404, b"")

    def do_POST(self) -> None:
        self.body()
        self.reply(500, NO_SUCH_REQUEST, {"Content-Type": "text/xml; charset=utf-8"})


class Stranger(Handler):
    """Another web server, which answers everything in its own way."""

    def do_GET(self) -> None:
        self.reply(200, b"It works!")

    def do_POST(self) -> None:
        self.body()
        self.reply(200, b"It works!", {"X-Of": "somebody else"})


def proxy(target: Callable[[], str], *, without: str) -> type[Handler]:
    """Hands requests on to `target`, all their headers but one."""

    class Proxy(Handler):
        def do_POST(self) -> None:
            body, to = self.body(), urlsplit(target())
            headers = {
                name: value
                for name, value in self.headers.items()
                if name.lower() not in (without, "host", "connection")
            }
            connection = http.client.HTTPConnection(to.netloc, timeout=_WAIT_S)
            with closing(connection):
                connection.request("POST", self.path, body, headers)
                answer = connection.getresponse()
                self.reply(answer.status, answer.read())

    return Proxy


@contextmanager
def silent() -> Iterator[str]:
    """Takes connections and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def nobody() -> Iterator[str]:
    """A port that is kept, and refuses."""
    with closing(socket.socket()) as kept:
        kept.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{kept.getsockname()[1]}"


def changed_contract(folder: Path, name: str, before: str, after: str) -> Catalog:
    """The packaged contract with one text in one file changed."""
    for file in Catalog.load().place.rglob("*"):
        if file.is_file():
            place = folder / file.relative_to(Catalog.load().place)
            place.parent.mkdir(parents=True, exist_ok=True)
            text = file.read_text(encoding="utf-8")
            if place.name == name:
                assert before in text
                text = text.replace(before, after)
            place.write_text(text, encoding="utf-8")
    return Catalog.load(folder)
