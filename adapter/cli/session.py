"""What the subcommands share: where the settings are, and the client of the API."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from adapter.cli.client import Client
    from adapter.service.settings import LoadedSettings, Settings

HERE: Final = Path("openway.toml")


@dataclass
class Session:
    """`config` is the settings file that was asked for; else OPENWAY_CONFIG, else openway.toml."""

    config: Path | None = None

    @property
    def file(self) -> Path | None:
        if self.config is not None:
            return self.config
        if named := os.environ.get("OPENWAY_CONFIG"):
            return Path(named)
        return HERE if HERE.is_file() else None

    def at(self, config: Path | None) -> "Session":
        """With the settings file of a subcommand's own option, where it was given."""
        return self if config is None else Session(config=config)

    @cached_property
    def loaded(self) -> "LoadedSettings":
        from adapter.service.settings import load_with_origin

        return load_with_origin(self.file)

    @property
    def settings(self) -> "Settings":
        return self.loaded.settings

    @cached_property
    def client(self) -> "Client":
        from adapter.cli.client import Client
        from adapter.service.settings import load_with_origin

        # Who calls needs no key but his own, and may not be allowed to read those of others.
        api = load_with_origin(self.file, skipped=frozenset({"api.keys"})).settings.api
        return Client(
            url=api.address,
            key=api.key,
            second_key=api.second_key,
            ca_file=api.ca_file,
            timeout_s=api.timeout_s,
        )


with_session = click.make_pass_decorator(Session, ensure=True)
