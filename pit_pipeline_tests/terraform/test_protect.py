"""Destroying is refused, with the reason, before anything is gone; and refused for every resource there is."""

import re
from pathlib import Path

import pytest

from pit_pipeline_tests.terraform.conftest import SOURCE, Terraform

pytestmark = pytest.mark.terraform

GUARD = "terraform_data.protect"


def test_every_resource_waits_for_the_guard_to_let_destroy_pass(folder: Path, terraform: Terraform) -> None:
    graph = terraform("graph", folder=folder).stdout
    needs: dict[str, set[str]] = {name: set() for name in re.findall(r'^ *"([^"]+)" \[label', graph, re.MULTILINE)}
    for one, other in re.findall(r'"([^"]+)" -> "([^"]+)"', graph):
        needs[one].add(other)
    reached, ahead = set(), {GUARD}
    while ahead:
        reached |= ahead
        ahead = set().union(*(needs[name] for name in ahead)) - reached
    assert len(needs) > 80
    assert set(needs) - reached == set()


@pytest.fixture
def guarded(tmp_path: Path, terraform: Terraform) -> Path:
    """The guard as it is, before one thing that stands for all it guards."""
    guard = re.sub(
        r"depends_on = \[.*?\]",
        "depends_on = [terraform_data.zone]",
        (SOURCE / "protect.tf").read_text(),
        flags=re.DOTALL,
    )
    (tmp_path / "main.tf").write_text(
        f'variable "protect_data" {{\n  type = bool\n}}\n\nlocals {{\n  name = "pit-pipeline-test"\n}}\n\n'
        f'resource "terraform_data" "zone" {{}}\n\n{guard}'
    )
    assert terraform("init", "-input=false", folder=tmp_path).returncode == 0
    return tmp_path


def _apply(terraform: Terraform, folder: Path, protect: str, *more: str) -> tuple[int, str]:
    done = terraform("apply", "-auto-approve", "-no-color", f"-var=protect_data={protect}", *more, folder=folder)
    return done.returncode, done.stdout + done.stderr


def test_destroy_is_refused_with_the_reason_and_nothing_is_gone(guarded: Path, terraform: Terraform) -> None:
    assert _apply(terraform, guarded, "true")[0] == 0
    for given in ("true", "false"):  # what counts is what was applied, not what is said while destroying
        code, said = _apply(terraform, guarded, given, "-destroy")
        assert code != 0
        assert "would lose its zones, its database and their backups" in said
        assert "terraform apply -var protect_data=false, then terraform destroy" in " ".join(said.split())
        assert terraform("state", "list", folder=guarded).stdout.split() == [GUARD, "terraform_data.zone"]


def test_destroy_passes_once_protection_has_been_given_up(guarded: Path, terraform: Terraform) -> None:
    assert _apply(terraform, guarded, "true")[0] == 0
    assert _apply(terraform, guarded, "false")[0] == 0
    assert _apply(terraform, guarded, "false", "-destroy")[0] == 0
    assert terraform("state", "list", folder=guarded).stdout == ""
