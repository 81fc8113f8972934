"""The rules of a row, through real files and real Spark."""

import json
from collections import Counter
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from pit_pipeline import ingest
from pit_pipeline.landing import Landing
from pit_pipeline.sources import FolderSource
from pit_pipeline.tables import REJECTED_VISITS, VISITS
from pit_pipeline.transforms import visits
from pit_pipeline_tests.conftest import HEADER, visit

DAY = date(2024, 3, 31)


def judged(spark: SparkSession, root: Path, files: dict[str, bytes], shares: int = 1) -> DataFrame:
    folder = root / "visits" / f"visit_date={DAY}"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    landing = Landing(FolderSource(str(root)))
    days = [landing.scan(DAY)]
    rows = ingest.landed_rows(spark, landing.source, days)
    return visits.judged(rows, ingest.headers(days), 2 * shares, {DAY: shares}).persist()


def test_values_are_typed_as_the_contract_says(spark: SparkSession, tmp_path: Path) -> None:
    shop = HEADER + '"Ana, Lu", 17 , a b ,toys, 08 ,\t5,SIM,2.5, 3 \n' + ",,b,,23,59,Não,10,0\n"
    web = "quantity,price,extra,bought,hour,pit category,pit,id\r\n1,0.01,x,t,0,,c,\r\n"
    rows = visits.accepted(judged(spark, tmp_path, {"shop.csv": shop.encode(), "web.csv": web.encode()}))
    assert [(f.name, f.dataType) for f in rows.schema] == [(f.name, f.dataType) for f in VISITS.partitioned_schema]
    assert [tuple(row) for row in rows.orderBy("pit").collect()] == [
        ("17", "Ana, Lu", "a b", "toys", datetime(2024, 3, 31, 8, 5), True, Decimal("2.50"), 3, "shop.csv", DAY),
        (None, None, "b", None, datetime(2024, 3, 31, 23, 59), False, Decimal("10.00"), 0, "shop.csv", DAY),
        (None, None, "c", None, datetime(2024, 3, 31), True, Decimal("0.01"), 1, "web.csv", DAY),
    ]


GOOD = {"hour": "10", "minute": "0", "bought": "1", "price": "1.00", "quantity": "1", "pit": "a"}


def test_every_spelling_of_bought_is_taken(spark: SparkSession, tmp_path: Path) -> None:
    spellings = ["true", "1", "yes", "sim", "t", "s", "TRUE", "Sim", "false", "0", "no", "nao", "não", "f", "n", "NÃO"]
    lines = "".join(visit(pit=spelling, bought=spelling) for spelling in spellings)
    rows = visits.accepted(judged(spark, tmp_path, {"a.csv": (HEADER + lines).encode()})).collect()
    assert {row["pit"]: row["bought"] for row in rows} == {
        spelling: spelling.lower() in {"true", "1", "yes", "sim", "t", "s"} for spelling in spellings
    }


BROKEN: list[tuple[dict[str, str], list[str]]] = [
    ({"pit": "  "}, ["pit"]),
    *(({"hour": value}, ["hour"]) for value in ("24", "-1", "+7", "1e1", "7.0", "", "99999999999999999999", "८")),
    *(({"minute": value}, ["minute"]) for value in ("60", "", "1:30", '"5\n"')),
    *(({"bought": value}, ["bought"]) for value in ("", "maybe", "2", "y")),
    *(
        ({"price": value}, ["price"])
        for value in ("", "-1", "+1", "1.005", ".5", "1.", "1e1", '"1,50"', "R$ 1", "10000000000", "NaN", "1_0")
    ),
    *(({"quantity": value}, ["quantity"]) for value in ("", "-1", "1.0", "2147483648", "two")),
    ({"quantity": "0"}, ["bought_quantity"]),
    (
        {"pit": "", "hour": "x", "minute": "x", "bought": "x", "price": "x", "quantity": "x"},
        ["pit", "hour", "minute", "bought", "price", "quantity"],
    ),
]


def test_a_row_that_breaks_a_rule_is_kept_with_every_reason(spark: SparkSession, tmp_path: Path) -> None:
    lines = [visit("p", **{**GOOD, **changes}) for changes, _ in BROKEN]
    rows = visits.rejected(judged(spark, tmp_path, {"a.csv": (HEADER + "".join(lines)).encode()})).collect()
    found = [(json.loads(row["record"]), row["reasons"]) for row in rows]
    assert len(found) == len(BROKEN)
    for changes, reasons in BROKEN:
        names = {
            "pit": "pit",
            "hour": "hora",
            "minute": "minuto",
            "bought": "comprou",
            "price": "preço",
            "quantity": "quantidade",
        }
        expected = {names[key]: value.strip('"') for key, value in {**GOOD, **changes}.items()}
        assert ({"nome": "Ana", "id": "p", "categoria": "toys", **expected}, reasons) in found, changes


def test_the_largest_legal_values_pass(spark: SparkSession, tmp_path: Path) -> None:
    line = visit(price="9999999999.99", quantity=2147483647, hour="0000000000000000000023", minute=59)
    (row,) = visits.accepted(judged(spark, tmp_path, {"a.csv": (HEADER + line).encode()})).collect()
    assert (row["price"], row["quantity"]) == (Decimal("9999999999.99"), 2147483647)
    assert row["visited_at"] == datetime(2024, 3, 31, 23, 59)


def test_rows_whose_fields_do_not_match_are_kept_as_their_text(spark: SparkSession, tmp_path: Path) -> None:
    content = HEADER + "short,row\n" + visit().strip() + ",more\n" + visit().replace("Ana", '"Ana"x')
    rows = visits.rejected(judged(spark, tmp_path, {"a.csv": content.encode()})).collect()
    assert {row["record"].strip() for row in rows} == {
        "short,row",
        visit().strip() + ",more",
        visit().replace("Ana", '"Ana"x').strip(),
    }
    assert all(row["reasons"] == ["fields"] for row in rows)


def test_bytes_that_are_not_utf8_reject_their_row_and_only_that(spark: SparkSession, tmp_path: Path) -> None:
    content = (HEADER + visit("p1")).encode() + visit("José", price="x").encode("latin-1") + visit("p2").encode()
    all_rows = judged(spark, tmp_path, {"a.csv": content})
    (row,) = visits.rejected(all_rows).collect()
    assert row["reasons"] == ["encoding", "price"]
    assert json.loads(row["record"])["id"] == "Jos\\xe9"
    assert visits.accepted(all_rows).count() == 2


def test_header_names_that_repeat_keep_all_their_values(spark: SparkSession, tmp_path: Path) -> None:
    content = HEADER.strip() + ",x,x,x_2\n" + visit(hour=99).strip() + ",1,2,3\n"
    (row,) = visits.rejected(judged(spark, tmp_path, {"a.csv": content.encode()})).collect()
    record = json.loads(row["record"])
    assert sorted(value for name, value in record.items() if name.startswith("x")) == ["1", "2", "3"]


def test_exact_duplicates_are_kept_once_from_the_first_file(spark: SparkSession, tmp_path: Path) -> None:
    line, other, rejected = visit("p", price="2.5"), visit("", pit="u"), visit(hour=99)
    files = {
        "b.csv": (HEADER + line + line + other + rejected).encode(),
        "a.csv": (HEADER + line.replace("2.5", "02.50") + other + rejected).encode(),
    }
    all_rows = judged(spark, tmp_path, files)
    assert sorted((row["pit"], row["source_file"]) for row in visits.accepted(all_rows).collect()) == [
        ("a", "a.csv"),
        ("u", "a.csv"),
    ]
    assert visits.rejected(all_rows).count() == 2
    counts: Counter[str] = Counter()
    for row in visits.tally(all_rows).collect():
        counts[row["outcome"]] += row["count"]
    assert counts == {"accepted": 2, "duplicate": 3, "rejected": 2, "file": 2}


def test_a_day_of_headers_only_has_no_rows_but_typed_columns(spark: SparkSession, tmp_path: Path) -> None:
    all_rows = judged(spark, tmp_path, {"a.csv": HEADER.encode()})
    assert visits.accepted(all_rows).count() == 0
    assert visits.rejected(all_rows).columns == REJECTED_VISITS.partitioned_schema.names


def test_a_day_in_shares_is_spread_over_partitions_and_gives_the_same_rows(spark: SparkSession, tmp_path: Path) -> None:
    rows = "".join(visit(f"p{i}", f"pit{i % 7}", hour=i % 25) for i in range(200))
    files = {"a.csv": (HEADER + rows).encode(), "b.csv": (HEADER + rows).encode()}
    whole, shared = (judged(spark, tmp_path / str(shares), files, shares) for shares in (1, 4))
    assert sorted(map(str, visits.accepted(shared).collect())) == sorted(map(str, visits.accepted(whole).collect()))
    tallies = [sorted(map(str, visits.tally(frame).drop("file").collect())) for frame in (whole, shared)]
    assert tallies[0] == tallies[1]
    sizes = visits.accepted(shared).rdd.glom().map(len).collect()
    assert sum(size > 0 for size in sizes) > 1
