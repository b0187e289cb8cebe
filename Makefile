# Every target sets up what it needs. ENV names the environment: Pulumi.<ENV>.yaml.
ENV ?= dev
# Files of the end-to-end suite, for a part of it.
E2E ?= tests/e2e
SHELL := /bin/bash
export PATH := $(HOME)/.local/bin:$(PATH)
RUN := uv run --no-sync
SHELL_FILES = tools/setup.sh .ci/run image/bin/fleet-init image/bin/fleet-start \
  fleet/alicloud/files/*.sh

.PHONY: help setup engine up down clean-data test lint format schema unit smoke e2e e2e-failed image-test door-test cloud-test drills pictures bench mutants

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup:
	@tools/setup.sh

engine: setup ## Build Pulumi and its Kubernetes provider where the machine has none
	@$(RUN) python -m tools.engine_build build

up: setup ## Deploy ENV (default dev) and print everybody's URL
	@$(RUN) python -m tools.deploy up -s $(ENV)

down: setup ## Stop what `make up` started; data is kept
	@$(RUN) python -m tools.deploy down -s $(ENV)

clean-data: setup ## Delete the bundled cluster with all data (asks for CONFIRM=yes)
	@$(RUN) python -m tools.cluster delete $(if $(filter yes,$(CONFIRM)),--yes-delete-all-data)

test: ## Static checks and all tests that need no cluster
	@tools/setup.sh cloud-init nftables nginx openssl e2fsprogs util-linux mount
	@$(MAKE) --no-print-directory --jobs 2 lint unit

lint: ## ruff, pyright, hadolint, shellcheck, who imports whom
	@$(RUN) ruff check --quiet .
	@$(RUN) ruff format --quiet --check .
	@told=$$($(RUN) lint-imports --no-logo) || { echo "$$told"; exit 1; }
	@$(RUN) hadolint image/Dockerfile door/Dockerfile
	@$(RUN) shellcheck $(SHELL_FILES)
	@$(RUN) pyright --warnings | grep -v '^0 errors' || true; exit $${PIPESTATUS[0]}

# Where Python is told to keep no compiled modules, as in many containers, every process of the tests
# would compile every library anew: a fifth of their time.
unit: export PYTHONDONTWRITEBYTECODE =
unit: export PYTHONPYCACHEPREFIX = $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/opencode-fleet/bytecode
unit:
	@$(RUN) pytest -q -n 2

mutants: setup ## Change the sources and list what no test notices (hours; MUTANTS='fleet.plan.*')
	@uv sync --quiet --locked --group mutants
	@$(RUN) mutmut run --max-children 2 $(if $(MUTANTS),'$(MUTANTS)')
	@$(RUN) mutmut results | grep -E 'survived|no tests' || true

format: setup ## Format the code
	@$(RUN) ruff check --quiet --fix . && $(RUN) ruff format --quiet .

schema: setup ## Write schema/stack.schema.json anew
	@mkdir -p schema && $(RUN) fleet schema >schema/stack.schema.json

smoke: ## A few end-to-end tests against the deployed ENV
	@tools/setup.sh chromium
	@FLEET_STACK=$(ENV) $(RUN) pytest -q -m "e2e and smoke" tests/e2e

e2e: ## The whole end-to-end suite (bundled cluster, or FLEET_E2E_CONTEXT), or E2E='files'
	@tools/setup.sh chromium
	@$(RUN) pytest -q -m e2e $(E2E)

e2e-failed: ## Those end-to-end tests again that failed in the last run
	@$(RUN) pytest -q -m e2e --last-failed --last-failed-no-failures none $(E2E)

image-test: setup ## Tests of the runtime image (needs a Docker daemon)
	@$(RUN) pytest -q -m image tests/image

drills: ## Backups, losses and the way back from each, on the cluster (half an hour)
	@$(RUN) pytest -q -m drill tests/e2e/test_backups.py

door-test: ## The attack on a running door in Chromium, and what takes longer (needs nginx)
	@tools/setup.sh chromium nginx
	@$(RUN) pytest -q -m door tests/door

pictures: ## Take the pictures of the door's pages in docs/images anew
	@tools/setup.sh chromium pngquant fonts-noto-core fonts-wqy-microhei
	@$(RUN) python -m tests.support.door_pictures docs/images

cloud-test: setup ## Variants, edits and failures of the cloud files (needs `make engine` once)
	@$(RUN) pytest -q -m cloud tests/program

bench: setup ## Measure the figures of docs/figures.md beside their bounds
	@$(RUN) pytest -q -s -m bench tests/bench
