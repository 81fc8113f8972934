from dataclasses import replace
from datetime import date
from pathlib import Path

from pit_pipeline.landing import Landing
from pit_pipeline.samples import Samples, World, write_samples
from pit_pipeline.sources import FolderSource

SMALL = Samples(days=2, people=300, pits=60, visits=3000)


def test_the_same_seed_lands_the_same_files_and_another_does_not(tmp_path: Path) -> None:
    fingerprints = []
    for folder, samples in (("a", SMALL), ("b", SMALL), ("c", replace(SMALL, seed=2))):
        days = write_samples(tmp_path / folder, samples)
        landing = Landing(FolderSource(str(tmp_path / folder)))
        fingerprints.append([landing.scan(day).fingerprint for day in days])
    assert fingerprints[0] == fingerprints[1]
    assert fingerprints[0] != fingerprints[2]


def test_a_day_does_not_depend_on_the_days_before_it() -> None:
    alone = World(SMALL).day(date(2024, 1, 2))
    world = World(SMALL)
    world.day(date(2024, 1, 1))
    assert world.day(date(2024, 1, 2)).equals(alone)


def test_it_has_the_texture_of_the_real_thing() -> None:
    day = World(replace(SMALL, visits=20_000)).day(date(2024, 1, 1)).to_pandas()
    known = day[day.person_id != ""]
    assert 0.13 < 1 - len(known) / len(day) < 0.17
    visits = day.pit.value_counts()
    assert visits.iloc[0] > 5 * visits.iloc[-1]
    assert (day.groupby("pit").price.nunique() <= 2).all()
    # People keep to their tastes: half of a person's visits fall into one or two of the categories.
    favourite = known.groupby(["person_id", "pit_category"]).size().groupby("person_id").max().sum()
    assert favourite > 0.4 * len(known)
    # A second look is bought more often than a first.
    again = known.duplicated(["person_id", "pit"])
    assert (known[again].bought == "true").mean() > 1.5 * (known[~again].bought == "true").mean()
    assert (day[day.bought == "true"].quantity.astype(int) >= 1).all()


def test_an_empty_world_is_a_valid_day(tmp_path: Path) -> None:
    (day,) = write_samples(tmp_path, replace(SMALL, days=1, visits=0))
    assert Landing(FolderSource(str(tmp_path))).scan(day).records == 0
