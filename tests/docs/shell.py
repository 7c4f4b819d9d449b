"""The commands of a page, run as a person at a terminal would run them.

`openway` runs in this process; with ` &` behind it, as a process of its own. `curl` goes over
HTTP for real, with the few options that pages use. The pages name the usual ports; each page has
ports of its own in their place, in what it types and in what it reads.
"""

import base64
import contextlib
import http.client
import io
import os
import re
import shlex
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from adapter.cli import run
from tests.docs.pages import ROOT

LISTENER, API, SIMULATOR, REPORTS = 8101, 8102, 8103, 8104
_END_S: Final = 60.0
_STARTED: Final = {"simulate": "stop with Ctrl-C", "serve": "rest_started"}
"""What a command line in the background prints when it can be talked to."""


def free_ports() -> dict[int, int]:
    """A free port for each of the usual ones."""
    with contextlib.ExitStack() as stack:
        taken = {}
        for usual in (LISTENER, API, SIMULATOR, REPORTS):
            bound = stack.enter_context(socket.socket())
            bound.bind(("127.0.0.1", 0))
            taken[usual] = bound.getsockname()[1]
        return taken


class Job:
    """A command line in the background, with what it has printed so far."""

    def __init__(self, arguments: Sequence[str], folder: Path, environ: dict[str, str]) -> None:
        self._printed: list[str] = []
        self._ready = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "adapter", *arguments],
            cwd=folder,
            env={**environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reading = threading.Thread(target=self._read, args=(_STARTED[arguments[0]],))
        self._reading.start()
        assert self._ready.wait(_END_S), f"{arguments} does not start: {self.printed}"

    def _read(self, started: str) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._printed.append(line)
            if started in line:
                self._ready.set()
        self._ready.set()

    @property
    def printed(self) -> str:
        return "".join(self._printed)

    def end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_END_S)
        finally:
            self._process.kill()
            self._reading.join(_END_S)
            if self._process.stdout is not None:
                self._process.stdout.close()


@dataclass
class Shell:
    """Where a page's commands run: folder, environment, ports, and what came of the last one."""

    folder: Path
    ports: dict[int, int] = field(default_factory=free_ports)
    environ: dict[str, str] = field(default_factory=dict)
    status: int = 0
    known: dict[str, str] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)

    def __post_init__(self) -> None:
        for shared in ("docs", "fixtures", "wsdl"):  # as they lie in a clone
            (self.folder / shared).symlink_to(ROOT / shared)
        kept = {
            name: each
            for name, each in os.environ.items()
            if not name.startswith(("OPENWAY_", "MAKE", "MFLAGS"))
        }
        self.environ = {
            **kept,
            "OPENWAY_LISTENER_PORT": str(self.ports[LISTENER]),
            "OPENWAY_API_PORT": str(self.ports[API]),
            "OPENWAY_SIMULATOR_PORT": str(self.ports[SIMULATOR]),
            "OPENWAY_FIELD_WORK_WEBHOOK_PORT": str(self.ports[REPORTS]),
            **self.environ,
        }

    def close(self) -> None:
        for job in self.jobs:
            job.end()

    def here(self, text: str) -> str:
        """A page's text with this page's ports, and with what its placeholders stand for."""
        for usual, port in self.ports.items():
            text = text.replace(f":{usual}", f":{port}")
        for name, value in self.known.items():
            text = re.sub(rf"\b{name}\b", value, text)
        return text

    def there(self, text: str) -> str:
        """What was printed, with the usual ports."""
        for usual, port in self.ports.items():
            text = text.replace(f":{port}", f":{usual}")
        return text.replace(str(self.folder), "/srv/openway")

    def run(self, line: str) -> str:
        """What one line prints, errors and remarks included; `status` is its exit code."""
        words = _words(self.here(line), self.environ | {"?": str(self.status)})
        background = words[-1] == "&"
        words, target = _target(words[:-1] if background else words)
        if background:
            assert words[0] == "openway", line
            self.jobs.append(Job(words[1:], self.folder, self.environ))
            return self.there(self.jobs[-1].printed)
        printed = self.there(self._program(words))
        if target is None:
            return printed
        with (self.folder / target).open("a" if ">>" in line else "w", encoding="utf-8") as file:
            file.write(printed)
        return ""

    def _program(self, words: Sequence[str]) -> str:
        if re.match("[A-Z_]+=", words[0]):
            return self._with(words[0], words[1:])
        name, *arguments = words
        self.status = 0
        match name:
            case "openway":
                return self._openway(arguments)
            case "make":
                return self._openway(shlex.split(recipe(*arguments))[1:])
            case "curl":
                return curl(arguments, self.folder)
            case "python":
                return self._python(arguments)
            case "export":
                self.environ.update(map(_variable, arguments))
            case "kill":
                (number,) = arguments
                self.jobs[int(number.removeprefix("%")) - 1].end()
            case "echo":
                return " ".join(arguments) + "\n"
            case "chmod":
                mode, named = arguments
                assert mode == "o-r", f"teach {mode} to {__name__}"
                file = self.folder / named
                file.chmod(file.stat().st_mode & ~stat.S_IROTH)
            case "cat":
                return "".join((self.folder / each).read_text("utf-8") for each in arguments)
            case "ls":
                top = self.folder.joinpath(*arguments)
                return "".join(f"{each.name}\n" for each in sorted(top.iterdir()))
            case _:
                raise AssertionError(f"no page may use {name}: teach it to {__name__}")
        return ""

    def _with(self, setting: str, words: Sequence[str]) -> str:
        """A command with a variable of its own, as in `NAME=value command`."""
        before = dict(self.environ)
        self.environ.update([_variable(setting)])
        try:
            return self._program(words)
        finally:
            self.environ = before

    def _openway(self, arguments: Sequence[str]) -> str:
        printed = io.StringIO()
        told = contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed)
        with self.entered(), told[0], told[1]:
            self.status = run(list(arguments))
        return printed.getvalue()

    def _python(self, arguments: Sequence[str]) -> str:
        ended = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**self.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_END_S,
            check=False,
        )
        self.status = ended.returncode
        return ended.stdout

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """This process in the page's folder, with the page's environment."""
        before = dict(os.environ)
        sys.path.insert(0, str(self.folder))
        try:
            os.environ.clear()
            os.environ.update(self.environ)
            with contextlib.chdir(self.folder):
                yield
        finally:
            os.environ.clear()
            os.environ.update(before)
            sys.path.remove(str(self.folder))


def _variable(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    return name, value


def _words(line: str, values: dict[str, str]) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=">&")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    return [re.sub(r"\$(\?|[A-Z_]+)", lambda name: values[name[1]], word) for word in lexer]


def _target(words: list[str]) -> tuple[list[str], str | None]:
    if not {">", ">>"} & set(words):
        return words, None
    *words, sign, target = words
    assert sign in (">", ">>")
    return words, target


def recipe(target: str) -> str:
    """The last line that `make` runs for a target, which has to be one of `openway`."""
    told = subprocess.run(
        ["make", "--no-print-directory", "-n", "-o", ".venv/.run", target],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    line = told.stdout.splitlines()[-1]
    assert line.split()[0].endswith("/openway"), line
    return line


_WITH_VALUE: Final = frozenset({"-H", "-X", "-d", "--data-binary", "--json", "-u", "-o"})
_PLAIN: Final = frozenset({"-s", "-i", "-N"})


def curl(arguments: Sequence[str], folder: Path) -> str:
    """What `curl` with these arguments prints. An option that is not known here is an error."""
    given: dict[str, list[str]] = {}
    rest, urls = list(arguments), list[str]()
    while rest:
        word = rest.pop(0)
        if word in _WITH_VALUE:
            given.setdefault(word, []).append(rest.pop(0))
        elif word in _PLAIN:
            given[word] = []
        else:
            assert not word.startswith("-"), f"curl {word}: teach it to {__name__}"
            urls.append(word)
    (url,) = urls
    headers = dict(re.split(r":\s*", header, maxsplit=1) for header in given.get("-H", ()))
    if "--json" in given:
        given["-d"] = given["--json"]
        headers |= {"Content-Type": "application/json", "Accept": "application/json"}
    given.setdefault("-d", given.get("--data-binary", [""]))
    for user in given.get("-u", ()):
        headers["Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
    (text,) = given["-d"]
    body = (folder / text[1:]).read_bytes() if text.startswith("@") else text.encode()
    (method,) = given.get("-X", ["POST" if body else "GET"])
    status, answered, told = _ask(method, url, headers, body)
    for target in given.get("-o", ()):
        (folder / target).write_bytes(told)
        return ""
    head = f"HTTP/1.1 {status}\n{answered}\n" if "-i" in given else ""
    return f"{head}{told.decode()}\n"


def _ask(
    method: str, url: str, headers: dict[str, str], body: bytes
) -> tuple[str, http.client.HTTPMessage, bytes]:
    to = urlsplit(url)
    assert to.hostname == "127.0.0.1", url
    connection = http.client.HTTPConnection(to.hostname, to.port or 80, timeout=_END_S)
    try:
        connection.request(method, f"{to.path}?{to.query}".rstrip("?"), body or None, headers)
        reply = connection.getresponse()
        return f"{reply.status} {reply.reason}", reply.headers, reply.read()
    finally:
        connection.close()
