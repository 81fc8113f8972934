"""Made-up landing files with the texture of real ones, the same for the same seed.

People have tastes (two favourite categories) and habits (some come daily, most rarely); few pits are popular and
many are rare; a pit has its price; people look first and buy on a second look more often; some visitors are not
identified; a stated share of rows is malformed or delivered twice. Each day comes as two files of different
shape: the shop's (Portuguese header) and the web's (English header, other order, gzip).
"""

import gzip
import io
import os
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv

from pit_pipeline.landing import DATASET, DAY_PREFIX

_FIRST_NAMES = ["Ana", "Bruno", "Carla", "Diego", "Elisa", "Fábio", "Hugo", "Inês", "João", "Lívia", "Nina", "Otávio"]
_LAST_NAMES = [
    "Almeida",
    "Barbosa",
    "Costa",
    "Dias",
    "Esteves",
    "Ferreira",
    "Gomes",
    "Lima",
    "Moraes",
    "Nunes",
    "Souza",
]
# Contract column -> its name in the file's header, in the file's order.
_SHOP = {
    "person_name": "nome", "person_id": "id", "pit": "pit", "pit_category": "categoria do pit", "hour": "hora",
    "minute": "minuto", "bought": "comprou", "price": "preço", "quantity": "quantidade",
}  # fmt: skip
_WEB = {
    "pit": "pit", "person_id": "person_id", "hour": "hour", "minute": "minute", "bought": "bought",
    "quantity": "quantity", "price": "price", "pit_category": "category", "person_name": "name",
}  # fmt: skip
_MALFORMED = (
    ("hour", "25"), ("minute", "60"), ("price", "12,50"), ("price", "-3.00"), ("quantity", "two"),
    ("bought", "maybe"), ("pit", "  "), ("hour", ""),
)  # fmt: skip


@dataclass(frozen=True)
class Samples:
    """What to make: how many days, people and pits, visits on an average day, and shares of rows (0 to 1)."""

    seed: int = 1
    first_day: date = date(2024, 1, 1)
    days: int = 7
    people: int = 800
    pits: int = 200
    visits: int = 2_000
    unidentified: float = 0.15
    malformed: float = 0.01
    duplicates: float = 0.005


class World:
    """The people and pits of one seed; `day` draws the visits of one day, whatever other days were drawn."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        rng = np.random.default_rng(samples.seed)
        categories = max(3, samples.pits // 20)
        self._category = np.sort(rng.integers(0, categories, samples.pits))
        rank = rng.permutation(samples.pits)
        appeal = 1 / (rank + 5.0) ** 0.9
        self._appeal = np.cumsum(appeal)
        # Where each category's stretch of cumulated appeal begins and ends, to draw a pit of a category.
        ends = np.searchsorted(self._category, np.arange(categories), side="right")
        starts = np.searchsorted(self._category, np.arange(categories), side="left")
        total = np.concatenate([[0.0], self._appeal])
        self._low, self._high = total[starts], total[ends]
        self._price = np.round(np.exp(rng.normal(3.2, 0.8, samples.pits)), 2) + 0.5
        filled = np.flatnonzero(ends > starts)
        self._favourites = rng.choice(filled, (samples.people, 2))
        activity = rng.lognormal(0, 1.2, samples.people)
        self._activity = np.cumsum(activity) / activity.sum()
        self._first_name = rng.choice(_FIRST_NAMES, samples.people)
        self._last_name = rng.choice(_LAST_NAMES, samples.people)

    def day(self, day: date) -> pa.Table:
        """The visits of a day as clean text columns, named by the contract, in order of time."""
        samples = self._samples
        rng = np.random.default_rng([samples.seed, day.toordinal()])
        weekend = 1.4 if day.weekday() >= 5 else 0.9
        count = int(rng.poisson(samples.visits * weekend))
        person = np.sort(np.searchsorted(self._activity, rng.random(count)).clip(max=samples.people - 1))
        pit = self._pits(rng, person)
        # A second look: the same person at the same pit once more.
        again = np.concatenate([[False], (person[1:] == person[:-1]) & (rng.random(max(count - 1, 0)) < 0.25)])[:count]
        pit[again] = np.concatenate([[0], pit[:-1]])[again] if count else pit[again]
        bought = rng.random(count) < np.where(again, 0.45, 0.08)
        minute = np.clip(rng.normal(np.where(rng.random(count) < 0.4, 12.5, 18.0) * 60, 90), 0, 1439).astype(int)
        minute = minute[np.lexsort((minute, person))]
        quantity = np.where(bought, rng.geometric(0.6, count), rng.integers(0, 2, count))
        price = self._price[pit] * rng.choice([1.0, 1.0, 1.0, 0.9], count)
        identified = rng.random(count) >= samples.unidentified
        names = np.char.add(np.char.add(self._first_name[person], " "), self._last_name[person])
        columns: dict[str, npt.NDArray[np.str_]] = {
            "person_name": np.where(identified, names, ""),
            "person_id": np.where(identified, _text("P%06d", person), ""),
            "pit": _text("pit-%05d", pit),
            "pit_category": _text("category-%02d", self._category[pit]),
            "hour": (minute // 60).astype(str),
            "minute": (minute % 60).astype(str),
            "bought": np.where(bought, "true", "false"),
            "price": _text("%.2f", price),
            "quantity": quantity.astype(str),
        }
        order = np.argsort(minute, kind="stable")
        return pa.table({name: pa.array(values[order].tolist(), pa.string()) for name, values in columns.items()})

    def _pits(self, rng: np.random.Generator, person: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
        """A pit for each visit: mostly of the person's favourite categories, else any by its appeal."""
        which = rng.choice(3, len(person), p=[0.55, 0.25, 0.2])
        category = self._favourites[person, which.clip(max=1)]
        low = np.where(which < 2, self._low[category], 0.0)
        high = np.where(which < 2, self._high[category], self._appeal[-1])
        drawn: npt.NDArray[np.int64] = np.searchsorted(
            self._appeal, low + rng.random(len(person)) * (high - low), side="right"
        )
        drawn[drawn == self._samples.pits] = self._samples.pits - 1
        return drawn


def write_samples(landing: Path, samples: Samples) -> list[date]:
    """Write the landing files of every day under `<landing>/visits/` and return the days."""
    world = World(samples)
    days = [samples.first_day + timedelta(days=i) for i in range(samples.days)]
    for day in days:
        folder = landing / DATASET / f"{DAY_PREFIX}{day}"
        folder.mkdir(parents=True, exist_ok=True)
        visits = world.day(day)
        rng = np.random.default_rng([samples.seed, day.toordinal(), 1])
        in_shop = rng.random(visits.num_rows) < 0.6
        _write(folder / "shop.csv", _spoiled(visits.filter(in_shop), samples, rng), _SHOP)
        _write(folder / "web.csv.gz", _spoiled(visits.filter(~in_shop), samples, rng), _WEB)
    return days


def _spoiled(visits: pa.Table, samples: Samples, rng: np.random.Generator) -> pa.Table:
    """The visits with their share of duplicates added and of values broken."""
    count = visits.num_rows
    twice = rng.choice(count, int(count * samples.duplicates), replace=False)
    visits = pa.concat_tables([visits, visits.take(twice)])
    broken = rng.choice(count, int(count * samples.malformed), replace=False)
    for kind, (column, value) in enumerate(_MALFORMED):
        values = np.array(visits.column(column).to_pylist(), dtype=object)
        values[broken[kind :: len(_MALFORMED)]] = value
        visits = visits.set_column(visits.schema.get_field_index(column), column, pa.array(values, pa.string()))
    return visits


def _write(path: Path, visits: pa.Table, header: dict[str, str]) -> None:
    plain = io.BytesIO()
    plain.write((",".join(header.values()) + "\n").encode())
    csv.write_csv(visits.select(list(header)), plain, csv.WriteOptions(include_header=False))
    content = plain.getvalue()
    if path.suffix == ".gz":
        content = gzip.compress(content, 6, mtime=0)
    # Whoever lists the folder meanwhile sees a whole file or none.
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_bytes(content)
    os.replace(unfinished, path)


def _text(pattern: str, values: npt.NDArray[np.generic]) -> npt.NDArray[np.str_]:
    distinct, where = np.unique(values, return_inverse=True)
    return np.char.mod(pattern, distinct)[where]
