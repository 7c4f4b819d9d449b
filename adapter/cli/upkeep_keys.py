"""`openway keys`: the API keys that are in force, when each was used last, and their end."""

from typing import Final

import click

from adapter.cli.client import fields, segment
from adapter.cli.output import as_json, columns, say, show_list
from adapter.cli.session import Session, with_session

KEYS: Final = columns(
    "key",
    "id name roles",
    ("created", "created_at"),
    ("expires", "expires_at"),
    ("last used", "last_used_at"),
    "in_clear",
)


class _Keys(click.Group):
    """Tells who looks here for a way to make a key where it is."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] == "add":
            raise click.UsageError("`openway config new-key NAME ROLES --append` adds a key", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_Keys)
def keys() -> None:
    """Look at the API keys in force and withdraw them; `openway config new-key` makes one."""


@keys.command(name="list")
@as_json
@with_session
def list_(session: Session, /, as_json: bool) -> None:
    """List them, with when each was used last since the gateway was started."""
    _show(session.client.get("/keys"), as_json=as_json)


@keys.command()
@click.argument("key")
@click.option("--reason", default="", help="Goes into the audit.")
@as_json
@with_session
def withdraw(session: Session, /, key: str, reason: str, as_json: bool) -> None:
    """Withdraw KEY, by its id or its name: nobody is let in by it any more.

    Its line goes out of the file of api.keys_file.
    """
    if not key:
        raise click.UsageError("which? KEY is an id or a name")
    _show(
        session.client.post(f"/keys/{segment(key)}/withdraw", {"reason": reason}), as_json=as_json
    )


def _show(answer: object, *, as_json: bool) -> None:
    show_list(answer, KEYS, as_json=as_json)
    if problem := fields(answer).get("problem"):
        say(f"the file is not in force: {problem}")
