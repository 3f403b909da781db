# One command sets everything up. Each target first makes .venv and installs the pinned packages that it needs, once:
# $(STAMP) is what a learner needs, $(WITH)test and so on are extras of pyproject.toml.
# The plain commands behind the targets (for Windows, or after conda) are in docs/setup.md.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WITH := $(VENV)/.installed-
SITE := $(VENV)/lib/python3*/site-packages

# Where uv is on the machine, it installs the same packages faster. `make demo UV=` uses pip all the same.
# Nothing is compiled while it is installed: Python compiles a module when it is first imported, which saves 300 MB. Some
# containers tell Python not to keep what it compiled: then every process would compile all it imports anew.
unexport PYTHONDONTWRITEBYTECODE
UV ?= $(shell command -v uv 2>/dev/null)
INSTALL := $(if $(UV),$(UV) pip install --python $(BIN)/python,$(BIN)/python -m pip install --no-compile) --quiet --constraint constraints.txt
# From a USB stick that `make pack` filled, or from a class server, without internet: make demo PACK=/media/ada/STICK
ifneq ($(PACK),)
TRUSTED := $(if $(filter http://%,$(PACK)),--trusted-host $(firstword $(subst /, ,$(PACK:http://%=%))))
INSTALL := $(BIN)/python -m pip install --no-compile --no-index --find-links "$(PACK)/wheels" $(TRUSTED) --quiet --constraint constraints.txt
endif
# uv does not read pip's settings: who asked pip for PyTorch's CPU build gets it from uv too.
ifneq ($(findstring /whl/cpu,$(PIP_EXTRA_INDEX_URL)$(PIP_INDEX_URL)),)
export UV_TORCH_BACKEND ?= cpu
endif
# A Milvus server as the engine needs its client.
ENGINE := $(if $(findstring ://,$(MEMORA_ENGINE)$(SERVE)),$(WITH)milvus)
FETCH_test := 70 MB
FETCH_bench := 160 MB
FETCH_peers := 120 MB
FETCH_site := 15 MB
FETCH_dev := 30 MB
FETCH_milvus := 20 MB

.DEFAULT_GOAL := help
.PHONY: help setup demo lab app serve preflight models clean class progress handouts edition pack test test-all lint notebooks bench site lock

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1|\2/' | awk -F'|' '{printf "  %-16s %s\n", $$1, $$2}'

setup: $(STAMP) ## make .venv and install what a learner needs

# PyTorch's wheel for Linux carries 130 MB of test programs of its own, which nothing runs: they go.
$(STAMP): pyproject.toml constraints.txt
	@echo "Setting up $(VENV), once: about 540 MB to fetch, 1.7 GB on disk. On Linux several GB more, unless you ask for PyTorch's CPU build first (README.md)."
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "This kit needs Python 3.11 or newer; '$(PYTHON)' is older. Try: make PYTHON=python3.12 setup"; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' \
		|| { echo "Python's venv is missing. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	$(if $(filter-out http://% https://%,$(PACK)),@"$(PYTHON)" -m teaching.stick "$(PACK)")
	"$(PYTHON)" -m venv $(VENV)
	$(INSTALL) --editable .
	@rm -rf $(SITE)/torch/test $(SITE)/torch/bin/test_*
	@$(BIN)/python -m helpers.jupyter
	@touch $(STAMP)

$(WITH)%: $(STAMP)
	@echo "Adding the packages of the extra '$*', once: about $(FETCH_$*) to fetch."
	$(INSTALL) --editable ".[$*]"
	@touch $@

demo: $(STAMP) $(ENGINE) ## the main job: ingest our pictures, search them, draw the hits
	$(BIN)/python -m helpers.demo

lab: $(STAMP) $(ENGINE) ## open JupyterLab on the first notebook
	$(BIN)/jupyter lab --ServerApp.root_dir=. --ServerApp.tornado_settings="{'websocket_max_message_size': 104857600}" --LabApp.default_url=/lab/tree/notebooks/00_first_search.ipynb $(LAB)

serve: $(STAMP) $(ENGINE) ## serve the local Memora to other programs on this machine
	@$(BIN)/python -m local_memora $(SERVE)

app: $(STAMP) $(ENGINE) ## search by image as a page, without code
	$(BIN)/python -m helpers.page $(APP)

preflight: ## is this machine ready, and what to do where it is not; CODES=file reads what students sent
	@"$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON))" -m teaching.preflight $(if $(CODES),--codes "$(CODES)")

models: $(STAMP) ## fetch DINOv2 (88 MB) from the model hub, or with MODEL=clip CLIP (several hundred MB)
	$(BIN)/python -m helpers.features $(MODEL)

clean: ## remove the local Memora's data (not your pictures) and what was drawn
	rm -rf .memora demo.png

# ---- For teachers: docs/teaching/README.md. The student's edition ends above this line, the teacher's above the next.

# NAME and STUDENTS count when the class is made; CLASS is how it is served: CLASS="--on-network".
NAME ?= Class
STUDENTS ?= 30
class: $(STAMP) ## one Memora for a class: a key for each student, our pictures to read, a page for the teacher
	@test -e .memora-class/class.json || { $(BIN)/python -m local_memora class new "$(NAME)" --students $(STUDENTS) \
		&& $(BIN)/python -m teaching.shared .memora-class; }
	@$(BIN)/python -m local_memora class serve $(CLASS)

progress: $(STAMP) ## check a FOLDER of handed-in notebooks anew: what is right, tried, empty
	@$(BIN)/python -m teaching.progress "$(FOLDER)" $(PROGRESS)

handouts: $(STAMP) ## write slides, glossary, cheat sheet, quiz and more as pages to show and print
	@$(BIN)/python -m teaching.handouts

# ---- For contributors: CONTRIBUTING.md

edition: $(STAMP) ## write dist/student, dist/teacher and dist/nbgrader; ZIP=1 also as archives
	@$(BIN)/python -m teaching.editions $(if $(ZIP),--zip)

pack: $(STAMP) ## gather all that a class needs without internet in dist/pack: PLATFORMS="linux-x86_64 macos-arm64" PYTHONS="3.12"
	@$(BIN)/python -m teaching.pack $(if $(PLATFORMS),--platforms $(PLATFORMS)) $(if $(PYTHONS),--pythons $(PYTHONS))

# JOBS is how many tests run at once; each takes up to 2 GB of memory. TEST is what else pytest is told.
JOBS ?= 2

test: $(WITH)test $(WITH)dev ## run the tests: the helpers, every notebook, the local Memora (minutes)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n $(JOBS) $(TEST)

test-all: $(WITH)test $(WITH)dev $(WITH)bench $(WITH)site ## run every test: a Milvus server, all of the browser, killed processes too (half an hour)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n $(JOBS) -m "" $(TEST)

lint: $(WITH)dev ## check style, types and spelling only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell

notebooks: $(WITH)test ## execute the notebooks from a clean state and store their outputs
	$(BIN)/python -m tests.execute_notebooks

bench: $(WITH)bench $(WITH)peers ## measure speed and recall beside baselines; writes benchmarks/RESULTS.md; BEFORE=commit beside that
	$(BIN)/python -m benchmarks $(if $(BEFORE),--before $(BEFORE)) $(BENCH)

site: $(WITH)site ## the course as static pages, in dist/site
	$(BIN)/python -m sphinx -q -c docs/site . dist/site
	@echo "Open dist/site/README.html in a browser; the folder needs no server."

lock: ## renew constraints.txt after a change of pyproject.toml (with uv, if need be from a temporary folder)
	@set -e; uv="$(UV)"; if [ -z "$$uv" ]; then temporary=$$(mktemp -d); trap 'rm -rf "$$temporary"' EXIT; \
		"$(PYTHON)" -m venv "$$temporary"; "$$temporary/bin/python" -m pip install --quiet uv; uv="$$temporary/bin/uv"; fi; \
	"$$uv" pip compile --quiet --universal --python-version 3.11 --all-extras pyproject.toml --output-file constraints.txt
