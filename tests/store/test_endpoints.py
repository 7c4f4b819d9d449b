"""One endpoint, however it is written."""

from adapter.model.ids import endpoint_key


def test_spellings_of_one_endpoint_have_one_key() -> None:
    one = "2.16.840.1.114416.15.243.700001"
    spellings = (
        f" {one} ",
        one.replace(".7", ".007"),
        one.replace(".15.", ".015."),
        f"{one[:-3]}-{one[-3:]}",
    )
    assert {endpoint_key(each) for each in spellings} == {one}
    assert endpoint_key("AB-1") == endpoint_key("ab1") != endpoint_key("ab2")
    assert endpoint_key("2.0.1") != endpoint_key("2.1")
