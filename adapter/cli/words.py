"""Words of a closed set on the command line: a wrong one is told with the one that was meant."""

import click

from adapter.errors import meant


class Word(click.Choice[str]):
    """As click's, for the longer sets."""

    def get_invalid_choice_message(self, value: object, ctx: click.Context | None) -> str:
        told = super().get_invalid_choice_message(value, ctx)
        return told.removesuffix(".") + (meant(str(value), self.choices) or ".")
