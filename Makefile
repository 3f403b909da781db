# One command sets everything up: each target first makes .venv and installs the pinned packages, once.
# The plain commands behind the targets (for Windows, or after conda) are in README.md.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo lab app serve test test-all lint notebooks bench models lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1|\2/' | awk -F'|' '{printf "  %-16s %s\n", $$1, $$2}'

setup: $(STAMP) ## make .venv and install the pinned packages

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "This kit needs Python 3.11 or newer; '$(PYTHON)' is older. Try: make PYTHON=python3.12 setup"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' \
		|| { echo "Python's venv is missing. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test]"
	@$(BIN)/python -m helpers.jupyter
	@touch $(STAMP)

demo: $(STAMP) ## the main job: ingest our pictures, search them, draw the hits
	$(BIN)/python -m helpers.demo

lab: $(STAMP) ## open JupyterLab on the first notebook
	$(BIN)/jupyter lab --ServerApp.root_dir=. --ServerApp.tornado_settings="{'websocket_max_message_size': 104857600}" --LabApp.default_url=/lab/tree/notebooks/01_create_a_collection.ipynb $(LAB)

serve: $(STAMP) ## serve the local Memora to other programs on this machine
	@$(BIN)/python -m local_memora $(SERVE)

app: $(STAMP) ## search by image as a page, without code
	$(BIN)/python -m helpers.explore $(APP)

# JOBS is how many tests run at once; each takes up to 2 GB of memory. TEST is what else pytest is told.
JOBS ?= 2

test: $(STAMP) ## run the tests: the helpers, every notebook, the local Memora (minutes)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n $(JOBS) $(TEST)

test-all: lint ## run every test: a Milvus server, all of the browser, killed processes too (half an hour)
	$(BIN)/python -m pytest -n $(JOBS) -m "" $(TEST)

lint: $(STAMP) ## check style and types only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

notebooks: $(STAMP) ## execute the notebooks from a clean state and store their outputs
	$(BIN)/python -m tests.execute_notebooks

bench: $(STAMP) ## measure speed and recall beside baselines; writes benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks $(BENCH)

models: $(STAMP) ## fetch DINOv2 (88 MB) from the model hub
	$(BIN)/python -m helpers.features.weights

lock: $(STAMP) ## renew constraints.txt after a change of pyproject.toml
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra test pyproject.toml --output-file constraints.txt

clean: ## remove the local Memora's data (not your pictures) and what was drawn
	rm -rf .memora demo.png
