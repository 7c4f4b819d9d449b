"""`openway top`: how a running gateway stands, on one screen, again and again."""

import shutil
import time

import click

from adapter.cli.output import full_screen, print_text
from adapter.cli.session import Session, with_session
from adapter.cli.times import SECONDS
from adapter.client.errors import Unreachable


@click.command()
@click.option("--every", type=SECONDS, default="2s", show_default=True, help="Look so often.")
@click.option("--once", is_flag=True, help="Print one frame, for scripts.")
@with_session
def top(session: Session, every: float, once: bool) -> None:
    """Show on one screen how the gateway stands.

    COLUMNS and LINES say how large a frame is where nobody looks.
    """
    from adapter.cli.upkeep_top_frame import Scrapes

    scrapes = Scrapes(session.client)
    if once:
        for text, _ in scrapes.frame().lines(*shutil.get_terminal_size()):
            print_text(text)
        return
    with full_screen() as show:
        while True:
            width, height = shutil.get_terminal_size()
            try:
                lines = scrapes.frame().lines(width, height)
            except Unreachable as error:
                lines = [("NO ANSWER", "bold red"), (str(error)[:width], "")]
            show(lines)
            time.sleep(max(every, 0.1))
