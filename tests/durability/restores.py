"""Ways to put a copy of a store back, as people do it."""

import shutil
from pathlib import Path
from typing import Final

STORE: Final = ("gateway.db", "gateway.db-wal", "gateway.measurements.db")
WAYS: Final = (
    "put back, the witness left there",
    "put back with its witness, over the one that is there",
    "put back with its witness, after all was removed",
    "put back, the witness lost",
    "started in another folder, with its witness",
    "started in another folder, without",
)


def copied(source: Path, to: Path, *names: str) -> None:
    """Over what is there: a copy in place keeps the inode of the file."""
    to.mkdir(exist_ok=True)
    for name in names:
        if (source / name).exists():
            shutil.copy2(source / name, to / name)
        else:
            (to / name).unlink(missing_ok=True)


def put_back(way: str, copy: Path, folder: Path) -> Path:
    """Where the restored store is."""
    if "another folder" in way:
        if "without" in way:
            (copy / "gateway.witness").unlink(missing_ok=True)
        return copy
    if "removed" in way:
        shutil.rmtree(folder)
    if "lost" in way:
        (folder / "gateway.witness").unlink(missing_ok=True)
    copied(copy, folder, *STORE, *(("gateway.witness",) if "its witness" in way else ()))
    return folder
