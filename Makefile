# Every target sets up what it needs. PYTHON chooses the interpreter (>= 3.11), RUNS where demo writes.
PYTHON ?= python3
VENV ?= .venv
RUNS ?= runs
# Processes that run tests; each needs up to 5 GB.
WORKERS ?= 2
BIN := $(VENV)/bin

.PHONY: demo test test-ci slow newest bench claim lint format docs clean

# Simulates the embedded corpus, trains on it, scores the held-out part. What is there already is not made again.
demo: $(VENV)/.installed
	$(BIN)/python train.py --preset quick --workdir $(RUNS)/demo --cache $(RUNS)/cache
	$(BIN)/python eval.py $(RUNS)/demo --cache $(RUNS)/cache

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

# What `make test` leaves out to be quick: fine-tuning, sweeps, exports, notebooks, the README's Python, a browser.
test-ci: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "ci and not slow"

slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m slow

# `test-ci`, and what depends most on the versions of Python and JAX: parity, resume, checkpoints, export, commands.
newest: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "(ci or versions) and not slow"

# Prints ratios to plain JAX and PyTorch from one run and keeps the results. BENCH="step inference" runs some of it.
bench: $(VENV)/.installed-bench
	$(BIN)/python -m benchmarks $(BENCH) --output $(RUNS)/benchmarks.json

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Writes the tables and the picture of docs/claim.md from the finished runs.
claim: $(VENV)/.installed
	$(BIN)/python -m studies.claim.claim

# Warnings are errors: a link or a name that is not there fails.
docs: $(VENV)/.installed-docs
	$(BIN)/sphinx-build --fail-on-warning --keep-going -q -d build/doctrees docs build/docs
	@echo "open build/docs/index.html"

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(RUNS)/demo $(RUNS)/cache

$(VENV)/.installed: setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	touch $@

$(VENV)/.installed-bench: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,bench]'
	touch $@
