"""Whole numbers on the command line: written as everywhere else, in a range."""

import click

from adapter.model.whole_numbers import LONG, Span, read_whole


class WholeNumber(click.IntRange):
    """As click's, but of ASCII digits alone: `1_0` and the digits of other scripts are none."""

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        span = Span(_or(self.min, LONG.least), _or(self.max, LONG.most))
        try:
            return read_whole(str(value), span)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _or(bound: float | None, otherwise: int) -> int:
    return otherwise if bound is None else int(bound)
