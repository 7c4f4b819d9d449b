"""Text that may be shown: secrets masked, in whatever form they come."""

import re
from typing import Final

MASK: Final = "***"
_CALLBACK: Final = re.compile(r"(/openway/status/[^/\s\"'<>]+/)[0-9A-Za-z_\-]+")
_HEADER: Final = re.compile(
    r"\b(Basic|Bearer|Digest|(?i:basic|bearer|digest)(?=\s+\S{8}))\s+[A-Za-z0-9+/=._~\-]{4,}"
)
_USERINFO: Final = re.compile(r"(https?://)[^/\s:@\"'<>]*:[^/\s@\"'<>]*@")
_ELEMENT: Final = re.compile(r"(<(?:[\w\-]+:)?(?:Password|Nonce)\b[^>]*>)[^<]*(</)", re.IGNORECASE)
_PAIR: Final = re.compile(
    r"(\b(?:password|passwd|secret|authorization|api[-_]?key|token_secret)\b[\"']?\s*[=:]\s*"
    r"[\"']?)(?!\*\*\*)[^\s\"',;&}]+",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """The text with callback secrets, credentials and passwords masked."""
    text = _CALLBACK.sub(rf"\1{MASK}", text)
    text = _HEADER.sub(rf"\1 {MASK}", text)
    text = _USERINFO.sub(rf"\1{MASK}@", text)
    text = _ELEMENT.sub(rf"\1{MASK}\2", text)
    return _PAIR.sub(rf"\1{MASK}", text)


def shown(text: str, *, most: int) -> str:
    """Redacted, its control characters escaped, cut after `most` characters."""
    plain = "".join(each if each.isprintable() else repr(each)[1:-1] for each in text[: 4 * most])
    return redact(plain)[:most]
