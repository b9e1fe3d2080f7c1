# Two commands do everything on a fresh machine with Python 3.11+: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
JOBS ?= 2

.PHONY: help demo test test-slow check bench docs clean
help:
	@echo "make demo       train four cells over three seeds on a real series and compare them"
	@echo "make test       lint, type-check and run the tests (fast ones first)"
	@echo "make test-slow  run the slow tests too (minutes)"
	@echo "make bench      measure cells, pipeline, data and sweeps in about 15 minutes (see docs/benchmarks.md);"
	@echo "                CELL_PEERS='PYTHON ...' and FORECAST_PEER=PYTHON add libraries of other environments"
	@echo "make docs       write the generated pages and build the site into site/"

$(VENV)/.run: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11) and "seqlab needs Python 3.11 or newer")'
	$(PIP) install 'pip>=25.1'
	$(PIP) install -c constraints.txt -e .
	touch $@

$(VENV)/.test: $(VENV)/.run
	$(PIP) install -c constraints.txt --group test
	touch $@

$(VENV)/.docs: $(VENV)/.run
	$(PIP) install -c constraints.txt --group docs
	touch $@

demo: $(VENV)/.run
	$(BIN)/seqlab train -m data=co2 cell=rnn,lstm,gru,uncoupled_gru seed=0,1,2 name=demo
	$(BIN)/seqlab compare outputs/demo
	$(BIN)/seqlab report outputs/demo

test: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m process

test-slow: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow -n $(JOBS) --dist worksteal

check: test

# A bar that is missed is said and does not stop the rest.
bench: $(VENV)/.run
	$(BIN)/python benchmarks/cells.py --rounds 5 $(CELL_PEERS:%=--peer-python %)
	-$(BIN)/python benchmarks/pipeline.py --rounds 5 $(FORECAST_PEER:%=--peers %)
	$(BIN)/python benchmarks/data.py
	-$(BIN)/python benchmarks/sweep.py --jobs 4 --seconds 5

docs: $(VENV)/.docs
	$(BIN)/python -m docs.generate
	$(BIN)/python -m mkdocs build -q
	@echo "site/index.html"

clean:
	rm -rf $(VENV) site build dist .pytest_cache .mypy_cache .ruff_cache
