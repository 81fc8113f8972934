from pathlib import Path

import pytest

from pit_pipeline.settings import BadSetting, Settings


def test_nothing_has_to_be_set() -> None:
    settings = Settings.from_environment({})
    assert settings.landing_uri == str(Path("workspace").absolute() / "landing")
    assert (settings.reject_threshold, settings.window_days, settings.timezone) == (0.05, 90, "America/Sao_Paulo")


def test_settings_survive_being_handed_to_another_process() -> None:
    given = {"PIT_SPARK_CONF": '{"spark.driver.memory": "4g"}', "PIT_FIRST_DAY": "2020-02-29", "PIT_WORKSPACE": "/w"}
    settings = Settings.from_environment(given)
    assert settings.spark_conf == {"spark.driver.memory": "4g"}
    assert settings.consumer_uri == "/w/consumer"
    assert Settings.from_environment(settings.environment()) == settings


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "PIT_TIMEZONE",
            "Sao Paulo",
            "PIT_TIMEZONE='Sao Paulo'.*not a time zone; use a name such as America/Sao_Paulo",
        ),
        ("PIT_REJECT_THRESHOLD", "5%", "PIT_REJECT_THRESHOLD='5%'.*valid number.*share of a day's rows"),
        ("PIT_WINDOW_DAYS", "0", "PIT_WINDOW_DAYS='0'.*greater than or equal to 1"),
        ("PIT_SPARK_CONF", "{", "PIT_SPARK_CONF='{'.*not a JSON object"),
        ("PIT_AWS_REGION", "São Paulo", "PIT_AWS_REGION='São Paulo'.*not an AWS region; use a name such as sa-east-1"),
        ("PIT_GLUE_DATABASE", "my-pits", "PIT_GLUE_DATABASE='my-pits'.*use a-z, 0-9 and _"),
        ("PIT_CRAWL_MINUTES", "0", "PIT_CRAWL_MINUTES='0'.*greater than or equal to 1"),
        ("PIT_TRESHOLD", "1", "PIT_TRESHOLD is not a setting; there are .*PIT_REJECT_THRESHOLD"),
    ],
)
def test_a_wrong_setting_is_named_with_what_would_be_right(name: str, value: str, message: str) -> None:
    with pytest.raises(BadSetting, match=message):
        Settings.from_environment({name: value})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"PIT_GLUE_DATABASE": "pits"}, "^PIT_ATHENA_WORKGROUP has to be set where PIT_GLUE_DATABASE is$"),
        (
            {"PIT_GLUE_DATABASE": "pits", "PIT_ATHENA_WORKGROUP": "pits"},
            "^PIT_AWS_REGION has to be set where PIT_GLUE_DATABASE is$",
        ),
        ({"PIT_ATHENA_WORKGROUP": "pits"}, "^PIT_GLUE_DATABASE has to be set where PIT_ATHENA_WORKGROUP is$"),
    ],
)
def test_a_catalog_on_aws_is_set_as_a_whole(given: dict[str, str], message: str) -> None:
    with pytest.raises(BadSetting, match=message):
        Settings.from_environment(given)
    whole = {"PIT_GLUE_DATABASE": "pits", "PIT_ATHENA_WORKGROUP": "pits", "PIT_AWS_REGION": "sa-east-1"}
    assert Settings.from_environment(whole).glue_database == "pits"
