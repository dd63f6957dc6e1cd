# Everything from a fresh clone to a transcript: `make demo`. An active virtual environment is used, otherwise .venv is made.
# Packages come from wherever your own pip configuration points.

PYTHON ?= python3
# Processes that share the tests, each a file at a time: they wait more than they compute.
TEST_PROCESSES ?= 2
VENV := $(or $(VIRTUAL_ENV),.venv)
PY := $(VENV)/bin/python
# Nothing calls home: pyannote's telemetry is off.
export PYANNOTE_METRICS_ENABLED := 0

RUNTIME := $(VENV)/.crosstalk-runtime
DEV := $(VENV)/.crosstalk-dev
REQUIREMENTS := pyproject.toml constraints.txt

.DELETE_ON_ERROR:
.PHONY: help demo serve test lint audit models sbom format clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

demo: $(RUNTIME) ## install, fetch the weights, and transcribe a bundled conversation
	@$(PY) -m models.fetch --profile default
	@$(VENV)/bin/crosstalk transcribe "$$($(PY) -c 'import importlib.util as u, pathlib; print(pathlib.Path(u.find_spec("pyannote.audio").origin).parent / "sample" / "sample.wav")')"

serve: $(RUNTIME) ## the HTTP server on port 8000
	@$(PY) -m models.fetch --profile default
	@$(VENV)/bin/crosstalk serve

models: $(RUNTIME) ## fetch and verify every weight file
	@$(PY) -m models.fetch --profile all

test: $(DEV) models ## all tests but the slow ones, real weights included
	@.ci/system-packages
	@$(PY) -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile $(PYTEST_ARGS)

lint: $(DEV) ## style, types, layers, dangerous calls, sizes, licences, known vulnerabilities
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(VENV)/bin/lint-imports
	@$(PY) -m bandit -q -c pyproject.toml -r app models deploy
	@$(PY) -m pytest -q tests/test_sizes.py
	@$(PY) .ci/licences.py
	@# Status 2: nobody answered. That is said, and is no fault of the code.
	@PYTHON=$(PY) .ci/audit || [ $$? -eq 2 ]

audit: $(DEV) ## known vulnerabilities alone; fails also where pypi.org does not answer
	@PYTHON=$(PY) .ci/audit

sbom: $(DEV) ## sbom.cdx.json, the CycloneDX bill of materials of what is installed
	@$(VENV)/bin/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml --output-file sbom.cdx.json $(PY)

format: $(DEV) ## rewrite the code in the project's style
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

clean: ## remove caches and the environment, keep weights and data
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(PY):
	@$(PYTHON) -m venv $(VENV)

$(RUNTIME): $(REQUIREMENTS) | $(PY)
	@echo 'installing into $(VENV) (minutes, the first time) ...'
	@$(PY) -m pip install -qq --constraint constraints.txt --editable .
	@touch $@

$(DEV): $(REQUIREMENTS) | $(PY)
	@echo 'installing into $(VENV) with the tools for development (minutes, the first time) ...'
	@$(PY) -m pip install -qq --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(RUNTIME)
