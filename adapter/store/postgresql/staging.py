"""One load's measurements, put by another process than the gateway's, over a session of its own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from adapter.engine.readings.ports import Batch, Staged, StagingTarget
from adapter.errors import StoreFailed
from adapter.model.ids import EndpointId
from adapter.readings.lookups import Lookups
from adapter.store.connection import StatementFailed
from adapter.store.postgresql.session import ServerSession
from adapter.store.readings.file import seal
from adapter.store.readings.staging import Staging


def place_of(url: str, password: str | None) -> str:
    """As it is told to the process: over a pipe, never on a command line."""
    return msgspec.json.encode([url, password]).decode()


class StagingSession:
    """Rows that nobody sees before the gateway shows the load. Raises StoreFailed only."""

    def __init__(self, place: StagingTarget, lookups: Lookups) -> None:
        url, password = msgspec.json.decode(place.store, type=tuple[str, str | None])
        self._session = ServerSession(url, password=password, reads_only=False, longest_s=None)
        self._load = place.load
        self._staging = Staging(place.payload, place.load, lookups)

    def put(self, batches: Sequence[Batch]) -> Staged:
        """Put the values of some batches; what else is in them is for the gateway."""
        staged = Staged()
        endpoints: dict[EndpointId, None] = {}
        serials: dict[str, None] = {}
        with _storage():
            self._session.execute("BEGIN")
            for batch in batches:
                endpoints.update((EndpointId(item.identifier), None) for item in batch.normals)
                serials.update((item.serial, None) for item in batch.normals if item.serial)
                counts, rest = self._staging.put(self._session, self._session, batch)
                staged.counts.add(counts)
                staged.rest.append(rest)
            self._session.execute("COMMIT")
        staged.endpoints, staged.serials = list(endpoints), list(serials)
        return staged

    def seal(self) -> None:
        """All that was put was committed, and is on disk."""
        with _storage():
            seal(self._session, self._load)

    def close(self) -> None:
        self._session.close()


open_place = StagingSession


@contextmanager
def _storage() -> Iterator[None]:
    try:
        yield
    except StatementFailed as error:
        raise StoreFailed(f"measurements: {error}") from error
