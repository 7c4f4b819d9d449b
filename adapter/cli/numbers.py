"""Whole numbers on the command line: written as everywhere else, in a range."""

import click

from adapter.model.whole_numbers import LONG, read_whole


class WholeNumber(click.IntRange):
    """As click's, but of ASCII digits alone: `1_0` and the digits of other scripts are none."""

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        if isinstance(value, int):
            return super().convert(value, param, ctx)
        try:
            number = read_whole(str(value), LONG)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return super().convert(number, param, ctx)
