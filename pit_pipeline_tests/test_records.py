import io
import random
from collections.abc import Callable

import pytest

from pit_pipeline.records import BadFile, contract_columns, count_records, normalized, read_rows

REQUIRED = ["id", "pit", "categoria", "hora", "comprou", "preço", "quantidade"]


def rows(content: bytes) -> list[list[str] | None]:
    return [row.fields for row in read_rows(io.BytesIO(content))]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a,b\n1,2\n", [["a", "b"], ["1", "2"]]),
        (b"a,b\r\n1,2\n3,4\r\n5,6", [["a", "b"], ["1", "2"], ["3", "4"], ["5", "6"]]),
        (b"\xef\xbb\xbfa,b\n1,2", [["a", "b"], ["1", "2"]]),
        (b'a,b\n"x\r\ny",2\n', [["a", "b"], ["x\ny", "2"]]),
        (b'a,b\n"say ""hi""",\\"\n', [["a", "b"], ['say "hi"', '\\"']]),
        (b'a,b\n12" pan,2\n', [["a", "b"], ['12" pan', "2"]]),
        (b"\n  \na,b\n\r\n \t\n1,2\n\n", [["a", "b"], ["1", "2"]]),
        (b'a,b\n""\n', [["a", "b"], [""]]),
        (b'a,b\n"x"y,2\n3,4\n', [["a", "b"], None, ["3", "4"]]),
        (b"a,b\n1,x\ry\n3,4\n", [["a", "b"], None, ["3", "4"]]),
        (b"", []),
    ],
)
def test_records_are_told_apart_as_the_contract_says(content: bytes, expected: list[list[str] | None]) -> None:
    assert rows(content) == expected
    assert count_records(io.BytesIO(content)) == len(expected) - 1


@pytest.mark.parametrize("read", [rows, lambda content: count_records(io.BytesIO(content))])
def test_an_open_quote_is_an_error_that_names_its_row(read: object) -> None:
    with pytest.raises(BadFile, match="ends inside quotes that open in row 2"):
        read(b'a,b\n1,2\n3,"x\n4,5\n')  # type: ignore[operator]


def test_counting_and_reading_agree_on_any_bytes() -> None:
    draw = random.Random(7)
    pieces = [b"a", b'"', b",", b"\n", b"\r\n", b"\r", b'""', b" ", b"\xff", b"\x0b"]
    for _ in range(20_000):
        content = b"".join(draw.choices(pieces, k=draw.randint(0, 14)))
        assert counted(lambda c: len(rows(c)) - 1, content) == counted(lambda c: count_records(io.BytesIO(c)), content)


def counted(count: Callable[[bytes], int], content: bytes) -> int | str:
    try:
        return count(content)
    except BadFile as error:
        return str(error)


def test_header_names_are_compared_without_case_accents_blanks_and_hyphens() -> None:
    assert normalized("  Preço ") == "preco"
    assert normalized("Categoria-do PIT") == "categoria_do_pit"


def test_columns_are_found_in_any_order_and_others_ignored() -> None:
    found = contract_columns(["Quantidade", "PREÇO", "extra", "bought", "hora", "pit", "Categoria do Pit", "Id"])
    assert found == {"quantity": 0, "price": 1, "bought": 3, "hour": 4, "pit": 5, "pit_category": 6, "person_id": 7}


def test_a_missing_column_is_named_with_what_would_be_accepted_and_what_was_found() -> None:
    with pytest.raises(BadFile) as error:
        contract_columns([name for name in REQUIRED if name != "preço"])
    assert "no column for price (accepted: price, preco)" in str(error.value)
    assert "Found: id, pit, categoria, hora, comprou, quantidade" in str(error.value)


def test_a_column_named_twice_is_an_error() -> None:
    with pytest.raises(BadFile, match=r"person_id is named 2 times \(id, person_id\)"):
        contract_columns([*REQUIRED, "person_id"])


def test_another_delimiter_and_encoding_are_pointed_out() -> None:
    (header,) = rows(";".join(REQUIRED).encode("latin-1"))
    with pytest.raises(BadFile, match="delimiter seen: semicolon, encoding seen: not UTF-8"):
        contract_columns(header or [])
