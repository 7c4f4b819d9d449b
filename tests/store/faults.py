"""A SQLite file layer whose disk can be broken at will."""

import threading
from typing import Any

import apsw


class Disk:
    """What still works. `broken` names calls that fail; `after` lets so many succeed before.

    While `moving` is cleared, a sync of the log does not return; `reached` tells that one waits.
    """

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self.after = 0
        self.syncs = 0
        self.moving = threading.Event()
        self.moving.set()
        self.reached = threading.Event()

    def touch(self, call: str, file: str) -> None:
        if call == "sync" and file.endswith("-wal"):
            self.syncs += 1
            self.reached.set()
            assert self.moving.wait(timeout=30)
        if call in self.broken:
            if self.after > 0:
                self.after -= 1
                return
            if call == "write full":
                raise apsw.FullError("the disk is full")
            raise apsw.IOError(f"{call} failed")


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, filename: Any, flags: list[int]) -> None:
        self._disk = disk
        self._name = filename.filename() if isinstance(filename, apsw.URIFilename) else filename
        super().__init__("", filename, flags)

    def xSync(self, flags: int) -> None:
        self._disk.touch("sync", self._name)
        super().xSync(flags)

    def xWrite(self, data: Any, offset: int) -> None:
        self._disk.touch("write", self._name)
        self._disk.touch("write full", self._name)
        super().xWrite(data, offset)

    def xRead(self, amount: int, offset: int) -> bytes:
        self._disk.touch("read", self._name)
        return super().xRead(amount, offset)


class FaultyFiles(apsw.VFS):
    """Registered under `name` until it is unregistered."""

    def __init__(self, name: str, disk: Disk) -> None:
        self._disk = disk
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _File(self._disk, name, flags)
