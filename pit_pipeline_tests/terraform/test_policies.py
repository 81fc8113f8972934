"""Each role does its job and is refused its neighbour's, by the policies that Terraform renders."""

from collections.abc import Mapping

import pytest

from pit_pipeline_tests.terraform.policy import Request, Statement, allowed

pytestmark = pytest.mark.terraform

HERE = "111122223333"
LANDING, PROCESSING, CONSUMER, LOGS, RESULTS = (
    f"arn:aws:s3:::pit-pipeline-test-{HERE}-us-east-2-{bucket}"
    for bucket in ("landing", "processing", "consumer", "logs", "athena-results")
)
DAY = "visit_date=2026-11-01"
FILE = f"{LANDING}/visits/{DAY}/till-1.csv"
TABLES = {"visits": PROCESSING, "rejected_visits": PROCESSING, "daily_metrics": CONSUMER, "recommendations": CONSUMER}
GLUE = f"arn:aws:glue:us-east-2:{HERE}"
DATABASE = f"{GLUE}:database/pit_pipeline_test"
CRAWLERS = {table: f"{GLUE}:crawler/pit_pipeline_test-{table}" for table in TABLES}
WORKGROUP = f"arn:aws:athena:us-east-2:{HERE}:workgroup/pit-pipeline-test"
DATA_KEY, PLATFORM_KEY = (f"arn:aws:kms:us-east-2:{HERE}:key/{key}" for key in ("da7a", "91a7"))
SECRET = f"arn:aws:secretsmanager:us-east-2:{HERE}:secret:rds!db-mock-AbCdEf"
IMAGES = f"arn:aws:ecr:us-east-2:{HERE}:repository/pit-pipeline-test"
BY_S3 = {"kms:ViaService": "s3.us-east-2.amazonaws.com"}
BY_SECRETS_MANAGER = {"kms:ViaService": "secretsmanager.us-east-2.amazonaws.com"}

WRITES = ("s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")


def table_object(table: str) -> str:
    return f"{TABLES[table]}/{table}/{DAY}/data.parquet"


def glue_table(table: str) -> str:
    return f"{GLUE}:table/pit_pipeline_test/{table}"


def listing(bucket: str, prefix: str) -> Request:
    return Request("s3:ListBucket", bucket, {"s3:prefix": prefix})


STAGED = [f"{zone}/_staging/token/{name}" for zone in (PROCESSING, CONSUMER) for name in ("part", "__magic/part")]
SERVICE = [f"{zone}/{prefix}/x" for zone in (PROCESSING, CONSUMER) for prefix in ("_manifests", "_failed")]
ELSEWHERE = "arn:aws:s3:::somebody-elses-bucket"

DOES: dict[str, list[Request]] = {
    "platform": [
        listing(LANDING, "visits/"),
        listing(LANDING, f"visits/{DAY}/"),
        *(Request(a, f"{LOGS}/compute-logs/run/step.err") for a in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject")),
        listing(LOGS, "compute-logs/run"),
        *(
            Request(f"glue:{verb}Crawler", crawler)
            for verb in ("Get", "Start", "Stop")
            for crawler in CRAWLERS.values()
        ),
        Request("glue:GetDatabase", DATABASE),
        *(Request(a, glue_table(t)) for a in ("glue:GetTable", "glue:GetPartitions") for t in TABLES),
        Request("secretsmanager:GetSecretValue", SECRET),
        Request("kms:Decrypt", PLATFORM_KEY, BY_SECRETS_MANAGER),
    ],
    "step": [
        Request("s3:ListBucket", LANDING),
        Request("s3:ListBucket", PROCESSING),
        Request("s3:ListBucket", CONSUMER),
        Request("s3:GetObject", FILE),
        *(Request(a, table_object(t)) for t in TABLES for a in ("s3:GetObject", *WRITES)),
        *(Request(a, o) for o in (*STAGED, *SERVICE) for a in ("s3:GetObject", *WRITES)),
        *(Request("s3:ListBucketMultipartUploads", zone) for zone in (PROCESSING, CONSUMER)),
        Request("s3:PutObject", f"{LOGS}/compute-logs/run/step.err"),
        Request("kms:Decrypt", DATA_KEY, BY_S3),
        Request("kms:GenerateDataKey", DATA_KEY, BY_S3),
    ],
    "executor": [
        Request("s3:ListBucket", LANDING),
        Request("s3:ListBucket", PROCESSING),
        Request("s3:ListBucket", CONSUMER),
        Request("s3:GetObject", FILE),
        *(Request("s3:GetObject", table_object(table)) for table in TABLES),
        *(Request(a, o) for o in STAGED for a in ("s3:GetObject", *WRITES)),
        Request("kms:Decrypt", DATA_KEY, BY_S3),
        Request("kms:GenerateDataKey", DATA_KEY, BY_S3),
    ],
    "crawler": [
        *(listing(zone, f"{table}/") for table, zone in TABLES.items()),
        *(Request("s3:GetObject", table_object(table)) for table in TABLES),
        *(
            Request(f"glue:{a}", glue_table(t))
            for t in TABLES
            for a in ("GetTable", "GetPartitions", "BatchCreatePartition", "BatchGetPartition")
        ),
        Request("glue:BatchCreatePartition", DATABASE),
        Request("kms:Decrypt", DATA_KEY, BY_S3),
        Request(
            "logs:PutLogEvents",
            f"arn:aws:logs:us-east-2:{HERE}:log-group:/aws-glue/crawlers-role/"
            "pit-pipeline-test-crawler-pit-pipeline-test:log-stream:x",
        ),
    ],
    "producer": [
        Request("s3:PutObject", FILE),
        Request("s3:PutObject", FILE + ".gz"),
        Request("s3:AbortMultipartUpload", FILE),
        Request("kms:GenerateDataKey", DATA_KEY, BY_S3),
        Request("kms:Decrypt", DATA_KEY, BY_S3),
    ],
    "analyst": [
        *(Request(f"athena:{a}", WORKGROUP) for a in ("StartQueryExecution", "GetQueryResults", "ListNamedQueries")),
        *(Request("glue:GetTable", glue_table(t)) for t in ("visits", "daily_metrics", "recommendations")),
        *(Request("s3:GetObject", table_object(t)) for t in ("visits", "daily_metrics", "recommendations")),
        *(listing(TABLES[t], f"{t}/{DAY}/") for t in ("visits", "daily_metrics", "recommendations")),
        Request("s3:PutObject", f"{RESULTS}/results/query.csv"),
        Request("s3:GetObject", f"{RESULTS}/results/query.csv"),
        Request("s3:GetBucketLocation", RESULTS),
        Request("kms:Decrypt", DATA_KEY, BY_S3),
        Request("kms:GenerateDataKey", DATA_KEY, BY_S3),
    ],
    "web-shop": [
        Request("s3:GetObject", table_object("recommendations")),
        listing(CONSUMER, f"recommendations/{DAY}/"),
        Request("kms:Decrypt", DATA_KEY, BY_S3),
    ],
    "ci": [
        Request("ecr:GetAuthorizationToken", "*"),
        *(Request(f"ecr:{a}", IMAGES) for a in ("PutImage", "InitiateLayerUpload", "UploadLayerPart")),
    ],
}

EVERY_WRITE = [
    *(Request("s3:PutObject", o) for o in (FILE, *map(table_object, TABLES), *STAGED, *SERVICE)),
    *(Request("s3:DeleteObject", o) for o in (FILE, *map(table_object, TABLES), *STAGED, *SERVICE)),
]
EVERY_READ = [Request("s3:GetObject", o) for o in (FILE, *map(table_object, TABLES), *STAGED, *SERVICE)]
NOBODYS = [
    Request("s3:GetObject", f"{ELSEWHERE}/x"),
    Request("s3:ListBucket", ELSEWHERE),
    Request("s3:DeleteBucket", LANDING),
    Request("s3:PutBucketPolicy", CONSUMER),
    Request("s3:DeleteObjectVersion", FILE),
    Request("s3:PutObject", f"{LANDING}/elsewhere/x.csv"),
    Request("s3:GetObject", f"{LOGS}/s3-access/landing/x"),
    Request("iam:PassRole", f"arn:aws:iam::{HERE}:role/pit-pipeline-test-crawler"),
    Request("sts:AssumeRole", f"arn:aws:iam::{HERE}:role/pit-pipeline-test-step"),
    Request("kms:Decrypt", DATA_KEY),
    Request("kms:ScheduleKeyDeletion", DATA_KEY, BY_S3),
    Request("secretsmanager:GetSecretValue", SECRET.replace("mock", "other")),
    Request("glue:StartCrawler", f"{GLUE}:crawler/somebody-elses"),
    Request("glue:DeleteTable", glue_table("visits")),
    Request("glue:UpdateCrawler", CRAWLERS["visits"]),
    Request("glue:GetTable", f"{GLUE}:table/other/visits"),
    Request("athena:StartQueryExecution", WORKGROUP.replace("pit-pipeline-test", "primary")),
    Request("athena:UpdateWorkGroup", WORKGROUP),
    Request("ecr:DeleteRepository", IMAGES),
    Request("ecr:PutImage", IMAGES.replace("pit-pipeline-test", "other")),
]
NO_CATALOG = [
    Request("glue:StartCrawler", CRAWLERS["visits"]),
    Request("athena:StartQueryExecution", WORKGROUP),
    Request("glue:GetTable", glue_table("visits")),
]
NO_PASSWORD = [
    Request("secretsmanager:GetSecretValue", SECRET),
    Request("kms:Decrypt", PLATFORM_KEY, BY_SECRETS_MANAGER),
]

REFUSED: dict[str, list[Request]] = {
    "platform": [
        *EVERY_READ,
        *EVERY_WRITE,
        Request("s3:ListBucket", LANDING),
        Request("s3:ListBucket", PROCESSING),
        Request("s3:ListBucket", CONSUMER),
        Request("kms:Decrypt", DATA_KEY, BY_S3),
        Request("kms:Decrypt", PLATFORM_KEY),
        Request("athena:StartQueryExecution", WORKGROUP),
        Request("glue:BatchCreatePartition", glue_table("visits")),
    ],
    "step": [
        *NO_CATALOG,
        *NO_PASSWORD,
        Request("s3:PutObject", FILE),
        Request("s3:DeleteObject", FILE),
        Request("s3:PutObject", f"{PROCESSING}/elsewhere/x"),
        Request("s3:PutObject", f"{PROCESSING}/recommendations/x"),
        Request("s3:GetObject", f"{LOGS}/compute-logs/run/step.err"),
        Request("s3:GetObject", f"{RESULTS}/results/query.csv"),
    ],
    "executor": [
        *NO_CATALOG,
        *NO_PASSWORD,
        Request("s3:PutObject", FILE),
        *(Request(a, table_object(t)) for t in TABLES for a in ("s3:PutObject", "s3:DeleteObject")),
        *(Request(a, o) for o in SERVICE for a in ("s3:PutObject", "s3:DeleteObject")),
        Request("s3:PutObject", f"{PROCESSING}/visits/__magic/part"),
        Request("s3:PutObject", f"{LOGS}/compute-logs/run/step.err"),
        Request("s3:GetObject", f"{RESULTS}/results/query.csv"),
    ],
    "crawler": [
        *EVERY_WRITE,
        *NO_PASSWORD,
        Request("s3:GetObject", FILE),
        Request("s3:GetObject", STAGED[0]),
        Request("s3:GetObject", SERVICE[1]),
        listing(PROCESSING, "_staging/"),
        *(Request("glue:CreateTable", arn) for arn in (DATABASE, glue_table("visits"), glue_table("visits_2"))),
        Request("glue:UpdateTable", glue_table("visits_2")),
        Request("glue:BatchDeletePartition", glue_table("visits")),
        Request("kms:GenerateDataKey", DATA_KEY, BY_S3),
    ],
    "producer": [
        *EVERY_READ,
        *NO_CATALOG,
        *NO_PASSWORD,
        listing(LANDING, "visits/"),
        Request("s3:DeleteObject", FILE),
        Request("s3:PutObject", f"{LANDING}/visits/till-1.csv"),
        Request("s3:PutObject", table_object("visits")),
    ],
    "analyst": [
        *EVERY_WRITE,
        *NO_PASSWORD,
        Request("s3:GetObject", FILE),
        Request("s3:GetObject", table_object("rejected_visits")),
        Request("glue:GetTable", glue_table("rejected_visits")),
        listing(PROCESSING, "rejected_visits/"),
        listing(PROCESSING, ""),
        Request("s3:GetObject", STAGED[0]),
        Request("glue:StartCrawler", CRAWLERS["visits"]),
        Request("glue:UpdateTable", glue_table("visits")),
        Request("athena:DeleteNamedQuery", WORKGROUP),
    ],
    "web-shop": [
        *EVERY_WRITE,
        *NO_CATALOG,
        *NO_PASSWORD,
        *(Request("s3:GetObject", o) for o in (FILE, *STAGED, *SERVICE)),
        *(Request("s3:GetObject", table_object(t)) for t in ("visits", "rejected_visits", "daily_metrics")),
        listing(CONSUMER, ""),
        listing(CONSUMER, "daily_metrics/"),
        Request("kms:GenerateDataKey", DATA_KEY, BY_S3),
    ],
    "ci": [*EVERY_READ, *EVERY_WRITE, *NO_CATALOG, *NO_PASSWORD, Request("ecr:BatchDeleteImage", IMAGES)],
}


def _cases(table: dict[str, list[Request]]) -> list[tuple[str, Request]]:
    return [(role, request) for role, requests in table.items() for request in requests]


def _label(value: object) -> str:
    if not isinstance(value, Request):
        return str(value)
    resource = value.resource.split(":", 5)[-1].replace(f"pit-pipeline-test-{HERE}-us-east-2-", "")
    return " ".join([value.action, resource, *value.context.values()])


@pytest.mark.parametrize(("role", "request_"), _cases(DOES), ids=_label)
def test_a_role_may_do_its_job(policies: Mapping[str, list[Statement]], role: str, request_: Request) -> None:
    assert allowed(policies[role], request_)


@pytest.mark.parametrize(
    ("role", "request_"),
    [*_cases(REFUSED), *((role, request) for role in DOES for request in NOBODYS)],
    ids=_label,
)
def test_a_role_is_refused_what_is_not_its_job(
    policies: Mapping[str, list[Statement]], role: str, request_: Request
) -> None:
    assert not allowed(policies[role], request_)


def test_every_role_with_a_policy_is_judged_here(policies: Mapping[str, list[Statement]]) -> None:
    assert set(policies) == {*DOES, "cluster"}  # the cluster's own adds its key to what AWS's policies give it
