"""What Python compiles is kept for the processes that a test starts, by the hundred in some.

Where Python is told to write no bytecode each of them would compile everything again, which takes
longer than what is tested. It is kept where nobody looks: not beside the sources.
"""

import os
import sys
from pathlib import Path


def kept() -> None:
    """From here on, for this process and those that it starts."""
    if sys.dont_write_bytecode:
        sys.pycache_prefix = str(Path(__file__).resolve().parents[1] / ".pytest_cache/bytecode")
        sys.dont_write_bytecode = False
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
