# Everything runs in .venv, which is made anew where pyproject.toml or constraints.txt changed.
#   make demo   the whole of cotforge on real data, no key, no GPU (DEMO=short for the small form)
#   make test   every test        make check   lint, format, types, versions in range
#   make screenshots   the pictures in docs/images/: report and viewer of the demo, in Chromium (DEMO=short here too)
#   make docs   the generated parts of docs/, and the site in build/book/site
#   make bench  the tables of benchmarks/README.md (make bench-smoke: the same in seconds, too short to mean anything)

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.PHONY: demo test check reference docs screenshots bench bench-smoke
.DELETE_ON_ERROR:

demo: $(VENV)/.demo
	$(BIN)/cotforge demo $(if $(filter short,$(DEMO)),--short)

test: $(VENV)/.dev
	$(BIN)/python -m pytest --quiet --numprocesses 2 --dist loadfile --no-loadscope-reorder

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m cotforge.train.versions
	$(BIN)/python -m tests.check_names

reference: $(VENV)/.dev
	$(BIN)/python -m cotforge.reference docs

docs: $(VENV)/.docs
	$(BIN)/python -m cotforge.reference docs
	$(BIN)/python -m cotforge.reference.site build/book
	cd build/book && $(abspath $(BIN))/zensical build --strict --config-file mkdocs.yml

screenshots: $(VENV)/.dev
	$(BIN)/cotforge demo $(if $(filter short,$(DEMO)),--short)
	$(BIN)/python -m tests.screenshots runs/demo

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks.forge --rows 2000 20000 --curate 40000
	$(BIN)/python -m benchmarks.forge.trouble
	$(BIN)/python -m benchmarks.forge.sequential
	$(BIN)/python -m benchmarks.forge.counters
	$(BIN)/python -m benchmarks.forge.scale
	$(BIN)/python -m benchmarks.images
	$(BIN)/python -m benchmarks.replies
	$(BIN)/python -m benchmarks.replies.hostile
	$(BIN)/python -m benchmarks.fuzz
	$(BIN)/python -m benchmarks.consensus
	$(BIN)/python -m benchmarks.consensus.sweep --big
	$(BIN)/python -m benchmarks.consensus.claims
	$(BIN)/python -m benchmarks.consensus.promises
	$(BIN)/python -m benchmarks.train
	$(BIN)/python -m benchmarks.families
	$(BIN)/python -m benchmarks.pretrained
	$(BIN)/python -m benchmarks.sums
	$(BIN)/python -m benchmarks.followups
	$(BIN)/python -m benchmarks.student
	$(BIN)/python -m benchmarks.merging
	$(BIN)/python -m benchmarks.priors
	$(BIN)/python -m benchmarks.gpu
	$(BIN)/python -m benchmarks.share
	$(BIN)/python -m benchmarks.curation
	$(BIN)/python -m benchmarks.curation --throughput

bench-smoke: $(addprefix smoke-,forge forge.trouble forge.sequential forge.counters forge.scale images replies replies.hostile fuzz consensus consensus.sweep consensus.claims consensus.promises train families pretrained followups student merging priors gpu share curation)

smoke-images: small = --rows 40
smoke-%: $(VENV)/.dev
	$(BIN)/python -m benchmarks.$* $(or $(small),--smoke)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) '.[demo,train]'
	@touch $@

$(VENV)/.docs: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) '.[docs]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) '.[demo,dev]'
	@touch $@ $(VENV)/.demo
