"""Files that only their owner may look into, whatever the umask, and that are whole or not there.

The store beside them holds who lives where and whose electricity was cut; the key signs callbacks.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

OWNER_ONLY: Final = 0o600
_PARTIAL: Final = ".part"


def owner_only(path: str, flags: int) -> int:
    """The opener for `open`: a file that is made is its owner's alone."""
    return os.open(path, flags, OWNER_ONLY)


def close_to_others(path: Path) -> None:
    """What was left open by an older program is closed; a file of another owner stays."""
    with suppress(FileNotFoundError, PermissionError):
        path.chmod(OWNER_ONLY)


def write_whole(path: Path, content: bytes | Callable[[int], bytes]) -> None:
    """Durable when it returns; a crash leaves the file as it was before. Raises OSError.

    `content` may depend on the new file: then it is asked with the file's descriptor.
    """
    partial = path.with_name(path.name + _PARTIAL)
    partial.unlink(missing_ok=True)
    with open(partial, "xb", opener=owner_only) as out:
        out.write(content if isinstance(content, bytes) else content(out.fileno()))
        out.flush()
        os.fsync(out.fileno())
    partial.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """The names in a folder are on disk when this returns. Raises OSError."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
