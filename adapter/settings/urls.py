"""URLs among the settings, as one would write them down: whole, and without a surprise in them."""

from urllib.parse import urlsplit


def url_problem(url: str, *, query: bool = False) -> str | None:
    """What is wrong with an http or https URL; None where it is good. `query`: it may have one."""
    if any(each.isspace() or not each.isprintable() for each in url):
        return "a URL has no blanks and no control characters"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "a URL with a port from 1 to 65535 is needed"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "an http or https URL with a host is needed"
    if port == 0:
        return "a URL with a port from 1 to 65535 is needed"
    if parts.username is not None or parts.password is not None:
        return "no credentials in a URL"
    if "#" in url or ("?" in url and not query):
        return f"a URL without {'' if query else 'query and '}fragment is needed"
    return None
