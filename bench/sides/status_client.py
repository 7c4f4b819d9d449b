"""A head end that sends a status message every so often, in a process of its own.

python -m bench.sides.status_client PUBLIC_URL KEY EACH_S

It sends until its input ends; then it writes a line of JSON: [[when it was sent, seconds to its
answer], ...], by the clock of time.perf_counter
"""

import http.client
import json
import sys
import threading
import time
from urllib.parse import urlsplit
from uuid import UUID

from adapter.engine.commands.identity import CallbackIdentity
from adapter.model.ids import CommunicationId
from adapter.wire.codec import packaged_codec
from bench.sides.head_end import status_body

_XML = {"Content-Type": "text/xml; charset=utf-8"}


def main() -> None:
    url, key, each = sys.argv[1], sys.argv[2].encode(), float(sys.argv[3])
    codec, identity = packaged_codec(), CallbackIdentity(url, (key,))
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    ended = threading.Event()

    def listen() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=listen, daemon=True).start()
    print("ready", flush=True)
    sent: list[tuple[float, float]] = []
    due = time.perf_counter()
    while not ended.is_set():
        number = len(sent)
        status = status_body(str(UUID(int=number + 1)), "Executing")
        body = codec.encode_request("RequestStatusChangedService.StatusChanged", status)
        place = urlsplit(identity.address(CommunicationId(f"bench-{number}"))).path
        time.sleep(max(0.0, due - time.perf_counter()))
        due += each
        started = time.perf_counter()
        connection.request("POST", place, body, _XML)
        answer = connection.getresponse()
        answer.read()
        sent.append((started, time.perf_counter() - started))
        if answer.status != 200:
            raise SystemExit(f"StatusChanged: HTTP {answer.status}")
    print(json.dumps(sent), flush=True)


if __name__ == "__main__":
    main()
