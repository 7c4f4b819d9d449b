"""Looks for texts in an archive in every form in which they could stand there."""

import base64
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote
from xml.sax.saxutils import escape

_BASE64: Final = re.compile(rb"[A-Za-z0-9+/_\-]{16,}={0,2}")
_DEEP: Final = 3


def forms_of(text: str) -> Iterator[bytes]:
    """A text as it is, percent-encoded, escaped for XML and JSON, in hex, in UTF-16, backwards."""
    raw = text.encode()
    yield raw
    yield quote(text, safe="").encode()
    yield "".join(f"%{byte:02X}" for byte in raw).encode()
    yield escape(text, {'"': "&quot;", "'": "&apos;"}).encode()
    yield "".join(f"&#{ord(each)};" for each in text).encode()
    yield "".join(f"&#x{ord(each):X};" for each in text).encode()
    yield "".join(f"\\u{ord(each):04x}" for each in text).encode()
    yield raw.hex().encode()
    yield text.encode("utf-16-le")
    yield text[::-1].encode()
    for shift in range(3):
        # In the middle of a longer text, base64 has three forms; its edges depend on neighbours.
        whole = base64.b64encode(b"\0" * shift + raw)
        yield whole[4 if shift else 0 : len(whole) - 4]


def opened(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Every member, its name, and what is packed within it, a few layers deep."""
    with zipfile.ZipFile(archive) as opened_:
        assert opened_.testzip() is None
        for name in opened_.namelist():
            yield name, name.encode()
            yield from _layers(name, opened_.read(name), _DEEP)
    yield str(archive), archive.read_bytes()


def in_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for file in sorted(folder.rglob("*")):
        yield str(file), str(file.relative_to(folder)).encode()
        if file.is_file():
            yield from _layers(str(file), file.read_bytes(), _DEEP)


def _layers(name: str, content: bytes, deep: int) -> Iterator[tuple[str, bytes]]:
    yield name, content
    if not deep:
        return
    for found in _BASE64.findall(content):
        text = found.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
        raw = base64.b64decode(text + b"=" * (-len(text) % 4)) if len(text) % 4 != 1 else b""
        yield from _layers(f"{name} > base64", raw, deep - 1)
        for window in (zlib.MAX_WBITS, -zlib.MAX_WBITS, zlib.MAX_WBITS | 16):
            try:
                plain = zlib.decompressobj(window).decompress(raw, 1_000_000)
            except zlib.error:
                continue
            if plain:
                yield from _layers(f"{name} > deflated", plain, deep - 1)


def found_in(parts: Iterable[tuple[str, bytes]], texts: Iterable[str]) -> list[str]:
    """What is found, and where."""
    wanted = [(text, form.lower()) for text in texts for form in forms_of(text) if len(form) > 4]
    return [
        f"{text!r} in {name}"
        for name, content in parts
        for text, form in wanted
        if form in content.lower()
    ]
