"""Inbound messages as values: how an engine reads what it stored, or was just given."""

from collections.abc import Callable, Sequence
from datetime import UTC, tzinfo
from operator import itemgetter
from typing import Final, TypeAlias

from adapter.commands.calls import RequestStatus
from adapter.errors import ContractViolation
from adapter.wire.codec import Codec, DecodedMessage, ReadMessage
from adapter.wire.forms import FormTexts, MessageForm
from adapter.wire.notifications import status_changed, status_told
from adapter.wire.scalars import optional_instant, token_of

_STATUS: Final = "input/RequestStatus/"
_PLACES: Final = tuple(
    _STATUS + path
    for path in (
        *("RequestToken/Id", "CreatedWhen", "FinishedWhen"),
        *("State", "Result", "EndpointsScheduled", "SuccessfulEndpoints", "FailedEndpoints"),
    )
)
_MOST_KNOWN: Final = 256
_LONGEST: Final = 16
"""Characters: words and numbers of a status have no more."""

_Texts: TypeAlias = Sequence[str | None]


class InboxReader:
    """`zone` is the head end's, for times that say none. Raises WireError."""

    def __init__(self, codec: Codec, zone: tzinfo = UTC) -> None:
        self._codec = codec
        self._zone = zone
        self._pickers: dict[MessageForm, Callable[[_Texts], _Texts] | None] = {}
        """What gives the texts of _PLACES; None: the form has not all of them."""
        self._known: dict[_Texts, RequestStatus] = {}
        """By all texts of a status but its token and its times: there are few."""

    def status(self, raw: bytes) -> RequestStatus:
        return status_changed(self._codec, raw, zone=self._zone)

    def status_told(self, message: ReadMessage) -> RequestStatus:
        if isinstance(message, DecodedMessage):
            return status_told(message, zone=self._zone)
        form = message.form
        pick = self._pickers[form] if form in self._pickers else self._picker(form)
        if pick is None:
            return status_told(self._decoded(message), zone=self._zone)
        token, created, finished, *others = pick(message.groups)
        texts = tuple(others)
        known = self._known.get(texts)
        if known is None:
            return self._unknown(message, texts)
        return RequestStatus(
            token=token_of(token, "RequestStatus/RequestToken/Id"),
            state=known.state,
            result=known.result,
            scheduled=known.scheduled,
            succeeded=known.succeeded,
            failed=known.failed,
            created_at=optional_instant(created and created.strip(), zone=self._zone),
            finished_at=optional_instant(finished and finished.strip(), zone=self._zone),
        )

    def _picker(self, form: MessageForm) -> Callable[[_Texts], _Texts] | None:
        places = [form.places.get(path, -1) for path in _PLACES]
        self._pickers[form] = None if -1 in places else itemgetter(*places)
        return self._pickers[form]

    def _unknown(self, message: FormTexts, texts: tuple[str | None, ...]) -> RequestStatus:
        status = status_told(self._decoded(message), zone=self._zone)
        if len(self._known) < _MOST_KNOWN and all(len(each or "") <= _LONGEST for each in texts):
            self._known[texts] = status
        return status

    def _decoded(self, message: FormTexts) -> DecodedMessage:
        try:
            return self._codec.decode_texts(message)
        except ValueError as error:
            raise ContractViolation(str(error)) from error
