# `make help` lists the targets. Each sets up what it needs in $(VENV) first, and does nothing twice.
# A Python 3.11 or newer, git and make are all that a machine has to have.

VENV ?= .venv
PYTHON ?=
ARGS ?=
RUN = $(VENV)/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-faults test-differential test-rehearsals lint types bench bench-peers docs lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

setup: ## Make the virtual environment; every target below does so by itself
	@VENV='$(VENV)' PYTHON='$(PYTHON)' .ci/setup

demo: setup ## Rehearse stacks/prod on an emulated AWS: apply, plan again, destroy; a few minutes
	@$(RUN) .ci/demo/demo.py $(ARGS)

# A file's tests stay together and in order: some share what takes seconds to make. The longest files are begun first,
# by tests/conftest.py, and not those of the most tests, as pytest-xdist would have it.
test: setup ## Run the tests on every core; ARGS="-k git -x" is handed to pytest
	PATH="$$PATH:$(abspath $(VENV))/engine" $(RUN) -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

test-faults: setup ## Kill runs at random moments, ROUNDS=20 of each kind, and check that nothing is lost
	FAULTS_ROUNDS=$(or $(ROUNDS),20) FAULTS_CLOUD_ROUNDS=$(or $(ROUNDS),20) FAULTS_TWO_ROUNDS=50 $(RUN) -m pytest -n auto --hypothesis-profile=default tests/faults $(ARGS)

test-differential: setup ## Compare Terraform through the provider gateway with Terraform without it, in every case
	DIFFERENTIAL=whole DIFFERENTIAL_RUNS=200 $(RUN) -m pytest -n auto --dist loadfile tests/gateway $(ARGS)

test-rehearsals: setup ## Rehearse every stack that ships, whole, on the emulated AWS; several minutes
	REHEARSALS=all PATH="$$PATH:$(abspath $(VENV))/engine" $(RUN) -m pytest -n auto tests/shipped/test_shipped_rehearsals.py $(ARGS)

lint: setup ## Check style, the layers' imports, the format of the Terraform files, and the workflows
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(VENV)/bin/lint-imports
	$(RUN) .ci/terraform_fmt.py modules stacks .ci/demo/modules
	$(VENV)/bin/zizmor --offline --quiet .github
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-actions .github/actions/*/action.yml
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/feature.yml

# Each stack by itself, because all of them are called stack.
types: setup ## Check the types of the package, and of the stacks as a user would
	$(RUN) -m mypy
	@set -e; for stack in stacks/*/stack.py; do echo "$$stack"; $(RUN) -m mypy --strict --config-file= "$$stack"; done
	$(RUN) -m mypy --strict --config-file= .ci/demo/demo.py .ci/check_links.py .ci/terraform_fmt.py
	MYPYPATH=.ci/docs $(RUN) -m mypy --strict --config-file= .ci/docs/build_site.py .ci/docs/graph_picture.py

bench: setup ## Measure a stack of 100 units against bare Terraform
	$(RUN) -m benchmarks $(ARGS)

bench-peers: setup ## Measure the same modules with Terragrunt and Terramate, where they are on PATH
	$(RUN) -m benchmarks --only peers $(ARGS)

docs: setup ## Build the documentation as a site, in site/public, without a network; check every link
	$(RUN) .ci/check_links.py
	$(RUN) .ci/docs/build_site.py

lock: ## Choose the versions in .ci/requirements/ anew (needs uv)
	.ci/lock

clean: ## Remove what can be made again: the virtual environment, caches, built packages
	rm -rf '$(VENV)' dist site .hypothesis .import_linter_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
