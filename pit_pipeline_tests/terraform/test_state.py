"""The state lies in S3 and is locked there: Terraform's own backend, as versions.tf sets it, on an S3 server (moto)."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest
from moto.server import ThreadedMotoServer

from pit_pipeline_tests.terraform.conftest import SOURCE, Terraform

pytestmark = pytest.mark.terraform

BUCKET = "pit-pipeline-111122223333-us-east-2-tfstate"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


@pytest.fixture
def server() -> Iterator[str]:
    moto = ThreadedMotoServer("127.0.0.1", port=0)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    urlopen(Request(f"http://{host}:{port}/moto-api/reset", method="POST")).close()
    moto.stop()


@pytest.fixture
def bucket(server: str) -> Any:
    s3 = boto3.resource(
        "s3",
        endpoint_url=server,
        region_name="us-east-2",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    return s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-east-2"})


@pytest.fixture
def root(tmp_path: Path, server: str, terraform: Terraform, bucket: Any) -> Path:
    backend = re.search(r'  backend "s3" \{.*?\n  \}\n', (SOURCE / "versions.tf").read_text(), re.DOTALL)
    assert backend is not None
    (tmp_path / "main.tf").write_text(
        f'terraform {{\n{backend[0]}}}\n\nresource "terraform_data" "this" {{\n  input = "made"\n}}\n'
    )
    (tmp_path / "backend.hcl").write_text(
        f'bucket = "{bucket.name}"\nregion = "us-east-2"\nkey = "dev.tfstate"\n'
        f'endpoints = {{ s3 = "{server}" }}\nuse_path_style = true\nskip_credentials_validation = true\n'
        "skip_requesting_account_id = true\nskip_metadata_api_check = true\nskip_s3_checksum = true\n"
    )
    done = terraform("init", "-input=false", "-backend-config=backend.hcl", folder=tmp_path, environment=CREDENTIALS)
    assert done.returncode == 0, done.stderr
    return tmp_path


def _apply(terraform: Terraform, root: Path) -> tuple[int, str]:
    done = terraform("apply", "-auto-approve", "-no-color", folder=root, environment=CREDENTIALS)
    return done.returncode, done.stdout + done.stderr


def test_the_state_is_kept_in_the_bucket_and_the_lock_goes(terraform: Terraform, root: Path, bucket: Any) -> None:
    code, said = _apply(terraform, root)
    assert code == 0, said
    assert [item.key for item in bucket.objects.all()] == ["dev.tfstate"]
    assert bucket.Object("dev.tfstate").server_side_encryption == "AES256"
    assert not list(root.glob("*.tfstate"))


def test_two_cannot_change_the_state_at_once(terraform: Terraform, root: Path, bucket: Any) -> None:
    bucket.put_object(Key="dev.tfstate.tflock", Body=b'{"ID": "1", "Who": "somebody@elsewhere"}')
    code, said = _apply(terraform, root)
    assert code != 0
    assert "Error acquiring the state lock" in said
    assert "somebody@elsewhere" in said
    assert [item.key for item in bucket.objects.all()] == ["dev.tfstate.tflock"]
