"""Which address a path is: of one communication, of a service, or of nothing."""

from yarl import URL

from adapter.web.listener.addresses import Addresses
from tests.support import for_every
from tests.web.both_servers import DATA, STATUS


@for_every("prefix", ["", "/itron/gw"])
@for_every(
    ("path", "communication", "secret"),
    [
        ("/openway/status/attempt-1/ab12", "attempt-1", "ab12"),
        ("/openway/status/attempt%2D1/%61b12", "attempt-1", "ab12"),
        ("/openway/status/a%2Fb/c%25d", "a/b", "c%d"),
        ("/openway/status/a/b?wsdl", "a", "b"),
    ],
)
def test_a_path_with_two_more_parts_is_of_one_communication(
    prefix: str, path: str, communication: str, secret: str
) -> None:
    found = Addresses(prefix).find(URL(prefix + path, encoded=True).path_safe)
    assert found is not None
    assert (found.operation, found.communication) == (STATUS, communication)
    assert (found.path, found.secret) == ("/openway/status", secret)


@for_every(("path", "operation"), [("/openway/status", STATUS), ("/openway/d%61ta", DATA)])
def test_a_path_of_a_service_is_of_no_communication(path: str, operation: str) -> None:
    found = Addresses("").find(URL(path, encoded=True).path_safe)
    assert found is not None
    assert (found.operation, found.communication, found.secret) == (operation, None, "")


@for_every(
    "path",
    [
        *("/", "/openway", "/openway/status/", "/openway/statusx", "/openway/data/a/b", "*", ""),
        *("/openway/status/a", "/openway/status/a/", "/openway/status//b", "//openway/status"),
        *(
            "/openway/status/a/b/",
            "/openway/status/a/b/c",
            "/openway/status/{a}/b",
            "/Openway/data",
        ),
        *("/itron/gw/openway/data", "/openway%2Fdata", "/Openway/data"),
    ],
)
def test_any_other_path_is_no_address(path: str) -> None:
    assert Addresses("").find(path) is None
