# What a newcomer types. Each target sets up what it needs in .venv, once: a stamp file says the
# set-up is done and is older than nothing it depends on.

PYTHON ?= python3
ARGS   ?=

VENV  := .venv
PY    := $(VENV)/bin/python
READY := $(VENV)/.stamp-venv
RUN   := $(VENV)/.stamp-run
DEV   := $(VENV)/.stamp-dev
SIGHT := $(VENV)/.stamp-browser
GATE  := results/runs/gate

# Modules come from this checkout and its .venv, not from the caller's environment.
unexport PYTHONPATH PYTHONHOME

# An environment is tied to its place. One that was moved or copied, or whose Python has gone,
# is set up again: otherwise it would run the code of the folder it came from.
STALE := $(shell [ -x $(PY) ] && [ "$$(cat $(READY) 2>/dev/null)" = "$$(pwd -P)" ] || echo force)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.SUFFIXES:
.PHONY: help bench lint test gate reference perf gpu long chaos fuzz format clean force

help:
	@echo "make bench      run the default suite, print its table and where the figure is"
	@echo "make lint       lint, format check and types, in seconds"
	@echo "make test       make lint, the whole test suite, then make gate"
	@echo "make gate       train small cells, in torch and in C, and check their learning curves against the reference's"
	@echo "make reference  train what results/reference lacks, write its figures, tables and report again"
	@echo "make perf       the timings in tests/perf"
	@echo "make gpu        on a machine with a GPU: correctness, speed, then the paper's suites, in pieces of 9 minutes"
	@echo "make long       the few tests that are too long for make test: machines of a cluster that come and go, a sanitizer"
	@echo "make chaos      disturb sweeps in hundreds of ways, then look whether anything was lost (minutes)"
	@echo "make fuzz       10,000 wrong, odd and damaged inputs: no traceback, no hang (minutes)"
	@echo "make format     put the code into the form that make test asks for"
	@echo "make clean      remove .venv, caches and build products; results stay"
	@echo
	@echo "PYTHON=python3.12 names the interpreter (>= 3.11) that .venv is made from."
	@echo "ARGS='...' is passed on: make bench ARGS='--scale tiny', make test ARGS='-k layout'."

bench: $(RUN)
	@$(VENV)/bin/bench run $(ARGS)

lint: $(DEV)
	@$(PY) -m ruff check --quiet --output-format concise
	@$(PY) -m ruff format --check --quiet || { echo "Some files are not formatted: make format" >&2; exit 1; }
	@$(PY) -m mypy --no-error-summary

# A worker that dies ends the tests: given another one, pytest-xdist 3.8 waits for ever.
test: lint $(SIGHT)
	@OMP_NUM_THREADS=1 $(PY) -m pytest -q --numprocesses 2 --dist loadfile --max-worker-restart=0 --benchmark-disable --durations=10 $(ARGS)
	@$(if $(ARGS),,$(MAKE) --no-print-directory gate)

# Always trained anew, with seeds that the reference does not have: finished cells of an earlier state of the code would
# be taken as they are. A cell that fails is for the check to judge. In C a cell takes about a second, so that twelve
# seeds are less work than three in torch: one process, for starting one takes three times as long. Its curves are
# another rounding's, by which single cells differ and means hardly do: a tolerance of their own.
gate: $(RUN)
	@echo "Training the cells of the gate"
	@rm -rf $(GATE) && mkdir -p $(GATE)
	@$(VENV)/bin/bench run gate --scale tiny --seeds 100,101,102 --out $(GATE) >$(GATE).log 2>&1 || cat $(GATE).log
	@$(VENV)/bin/bench check $(GATE) --against results/reference/gate-tiny --either-way
	@if why=$$($(PY) -m baselines.native.build 2>&1); then \
	  echo "Training them with blocks in C, twelve seeds"; rm -rf $(GATE)-native; \
	  OMP_NUM_THREADS=1 $(VENV)/bin/bench run gate --scale tiny --seeds 100-111 --backend native --executor serial \
	    --out $(GATE)-native >$(GATE)-native.log 2>&1 || cat $(GATE)-native.log; \
	  $(VENV)/bin/bench check $(GATE)-native --against results/reference/gate-tiny --either-way --tolerance 0.05; \
	else echo "The gate ran in torch alone: $$why"; fi

reference: $(DEV)
	@$(VENV)/bin/bench reference $(ARGS)

perf: $(DEV)
	@$(PY) -m pytest -q tests/perf $(ARGS)

gpu: $(DEV)
	@$(PY) tests/gpu/run.py $(ARGS)

# What takes longest of the tests and rarely breaks; the rest is `make test`.
long: $(DEV)
	@OMP_NUM_THREADS=1 $(PY) -m pytest -q -m long $(ARGS)

chaos fuzz: $(DEV)
	@OMP_NUM_THREADS=1 PYTHONPATH=tests $(PY) -m $@ $(ARGS)

format: $(DEV)
	@$(PY) -m ruff format --quiet
	@$(PY) -m ruff check --fix --quiet

clean:
	@rm -f $(READY) $(RUN) $(DEV) $(SIGHT)
	@rm -rf $(VENV) build dist .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A .venv made by hand is used as it is.
$(READY): $(STALE)
	@[ -x $(PY) ] || { \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "sleepbench needs Python >= 3.11, but $(PYTHON) is: $$($(PYTHON) -V 2>/dev/null || echo not found)." >&2; \
	    echo "Name another: make PYTHON=/path/to/python3" >&2; exit 1; }; \
	  echo "Making $(VENV)"; $(PYTHON) -m venv --clear $(VENV); }
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "sleepbench needs Python >= 3.11, but $(VENV) holds $$($(PY) -V). Remove it: make clean" >&2; exit 1; }
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PY) -m ensurepip >/dev/null
	@pwd -P > $@

# The stamp takes the time at which the install began, and its name only when that went well.
# Constraints do not reach isolated builds, so the pinned backends (setuptools: cellpylib comes as
# source) are installed first and used.
install = @touch $@.new && echo "Installing sleepbench$(1) (the first time takes minutes)" && \
	$(PY) -m pip install --disable-pip-version-check -qq -c constraints.txt hatchling editables setuptools && \
	$(PY) -m pip install --disable-pip-version-check -qq -c constraints.txt --no-build-isolation -e '.$(1)' $(2) && \
	mv $@.new $@

$(RUN): $(READY) pyproject.toml constraints.txt
	$(call install)

# The tests run over installed plug-ins too: tests/toy is one.
$(DEV): $(READY) pyproject.toml constraints.txt tests/toy/pyproject.toml
	$(call install,[dev],-e tests/toy)
	@cp -p $@ $(RUN)

# Tests of the report look at it in Chromium, if there is one. Where this user may install the distribution's package that
# is tried, once; where it fails the tests are skipped and say so.
apt = DEBIAN_FRONTEND=noninteractive timeout 600 apt-get -qq -o Acquire::Retries=0 -o Acquire::http::Timeout=20

$(SIGHT): | $(READY)
	@{ command -v chromium || command -v chromium-browser || command -v google-chrome || { \
	  [ "$$(id -u)" = 0 ] && command -v apt-get && echo "Installing Chromium for the tests of the report" >&2 && \
	  { $(apt) install -y --no-install-recommends chromium || \
	    { $(apt) update && $(apt) install -y --no-install-recommends chromium; }; } 2>&1; }; } >/dev/null || true
	@touch $@
