"""The state lies in S3 and is locked there: Terraform's own backend, as versions.tf sets it, on an S3 server."""

import re
from pathlib import Path
from typing import Any

import pytest

from pit_pipeline_tests.s3_server import KEY_ID, REGION, SECRET, S3Server
from pit_pipeline_tests.terraform.conftest import SOURCE, Terraform

pytestmark = pytest.mark.terraform

CREDENTIALS = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET}


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    return s3_server.new_bucket()


@pytest.fixture
def root(tmp_path: Path, s3_server: S3Server, terraform: Terraform, bucket: str) -> Path:
    backend = re.search(r'  backend "s3" \{.*?\n  \}\n', (SOURCE / "versions.tf").read_text(), re.DOTALL)
    assert backend is not None
    (tmp_path / "main.tf").write_text(
        f'terraform {{\n{backend[0]}}}\n\nresource "terraform_data" "this" {{\n  input = "made"\n}}\n'
    )
    (tmp_path / "backend.hcl").write_text(
        f'bucket = "{bucket.removeprefix("s3a://")}"\nregion = "{REGION}"\nkey = "dev.tfstate"\n'
        f'endpoints = {{ s3 = "{s3_server.endpoint}" }}\nuse_path_style = true\nskip_credentials_validation = true\n'
        "skip_requesting_account_id = true\nskip_metadata_api_check = true\nskip_s3_checksum = true\n"
    )
    done = terraform("init", "-input=false", "-backend-config=backend.hcl", folder=tmp_path, environment=CREDENTIALS)
    assert done.returncode == 0, done.stderr
    return tmp_path


def _apply(terraform: Terraform, root: Path) -> tuple[int, str]:
    done = terraform("apply", "-auto-approve", "-no-color", folder=root, environment=CREDENTIALS)
    return done.returncode, done.stdout + done.stderr


def test_the_state_is_kept_in_the_bucket_and_the_lock_goes(
    terraform: Terraform, root: Path, s3_server: S3Server, bucket: str
) -> None:
    code, said = _apply(terraform, root)
    assert code == 0, said
    assert s3_server.keys(bucket) == ["dev.tfstate"]
    assert any("PUT" in request and "dev.tfstate.tflock" in request for request in s3_server.requests)
    client: Any = s3_server.access.client()
    state = client.head_object(Bucket=bucket.removeprefix("s3a://"), Key="dev.tfstate")
    assert state["ServerSideEncryption"] == "AES256"
    assert not list(root.glob("*.tfstate"))


def test_two_cannot_change_the_state_at_once(
    terraform: Terraform, root: Path, s3_server: S3Server, bucket: str
) -> None:
    lock = {"Key": "dev.tfstate.tflock", "Body": b'{"ID": "1", "Who": "somebody@elsewhere"}'}
    s3_server.access.client().put_object(Bucket=bucket.removeprefix("s3a://"), **lock)
    code, said = _apply(terraform, root)
    assert code != 0
    assert "Error acquiring the state lock" in said
    assert "somebody@elsewhere" in said
    assert s3_server.keys(bucket) == ["dev.tfstate.tflock"]
