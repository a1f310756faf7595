# make report: the default study, from nothing to its findings page. make test: linters, types and the quick tests;
# make test-all: the thorough and the slow ones too. Each sets up what it needs in .venv.

PYTHON ?= python3
CORES ?= all
WORKERS ?= 2
# Where make test-slow looks for tests.
SLOW ?= tests
CONFIG ?= config/config.yaml
BIN := .venv/bin
# By env, with no shell between: what ends make ends Snakemake.
SNAKEMAKE := env PATH="$(CURDIR)/$(BIN):$(PATH)" $(BIN)/snakemake

.PHONY: report check bundle compare verify crate test test-all test-thorough test-slow faults lint format tiny bench graph lock audit coverage mutation clean

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Files as they were when they were pinned, whatever an index says now.
LOCKED := $(PIP) --require-hashes --no-deps
# By its version alone, as its builds have the same version and other hashes. Where pip takes one with gigabytes of CUDA
# libraries, TORCH_INDEX names PyTorch's own index of builds for CPUs.
TORCH = $(shell sed -n 's/^torch==/&/p' requirements.in) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))

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

# Whether results are whole and unaltered: make verify, or make verify CONFIG=config/own-data.yaml
verify: .venv/installed $(NEEDS)
	@$(SNAKEMAKE) --cores 1 --configfile $(CONFIG) --quiet all -- verify

# What changed between two studies: make compare A=results/x B=results/y
ifneq ($(filter compare,$(MAKECMDGOALS)),)
$(if $(and $(A),$(B)),,$(error Name two folders of results, as in: make compare A=results/x B=results/y))
endif
compare: .venv/installed
	@PYTHONPATH=workflow $(BIN)/python -m retrieval_heads.cli compare "$(A)" "$(B)"

# What made the study, from what, when and where, for those who archive it.
crate: .venv/installed $(NEEDS)
	@$(SNAKEMAKE) crate --cores $(CORES) --configfile $(CONFIG)

# A file of tests stays together, for what its tests share, and files come in their order.
PYTEST := PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test: lint
	$(PYTEST) -m "not slow and not thorough"

test-thorough: .venv/installed-dev
	$(PYTEST) -m "thorough and not slow"

test-slow: .venv/installed-dev
	$(PYTEST) -m slow $(SLOW)

test-all: test test-thorough test-slow

# Which lines and branches the quick and the thorough tests reach.
coverage: .venv/installed-dev
	$(PYTEST) -m "not slow" --cov=retrieval_heads --cov-branch --cov-report=term:skip-covered --cov-fail-under=95

# Whether the tests notice a wrong line.
mutation: .venv/installed-dev
	PATH="$(CURDIR)/$(BIN):$$PATH" OMP_WAIT_POLICY=PASSIVE PYTHONPATH=. $(BIN)/python benchmarks/mutation.py

# Kills the tiny study at 35 moments, goes on, and compares: make faults FAULTS="--only 2" does one part again.
faults: .venv/installed-dev
	PATH="$(CURDIR)/$(BIN):$$PATH" PYTHONPATH=workflow:tests $(BIN)/python tests/faults/kill_anywhere.py $(FAULTS)

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

.venv/installed: requirements.txt requirements-model.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if $(SUPPORTED) else "$(ADVICE)")'
	@echo "Setting up .venv: some minutes, once"
	$(PYTHON) -m venv .venv
	$(LOCKED) -r requirements.txt -r requirements-model.txt
	$(PIP) $(TORCH)
	touch $@

.venv/installed-dev: .venv/installed requirements-dev.txt
	$(LOCKED) -r requirements-dev.txt
	touch $@

.venv/installed-for-%: config/%.txt .venv/installed
	$(LOCKED) -r $<
	touch $@

graph: .venv/installed
	@$(SNAKEMAKE) --rulegraph mermaid-js 2>/dev/null | $(BIN)/python docs/rule_graph.py

# Pins everything anew from the .in files: requirements, and the versions of conda's environments. With options for
# uv pip compile, as in: make lock LOCK="--upgrade-package pandas"
lock:
	$(PYTHON) -m venv .venv/lock
	.venv/lock/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	PATH="$(CURDIR)/.venv/lock/bin:$$PATH" .venv/lock/bin/python envs/lock.py $(LOCK)
	rm -rf .venv/lock

# Which pinned packages have known vulnerabilities, as far as the network lets it ask.
audit: .venv/installed
	test -d .venv/audit || $(PYTHON) -m venv .venv/audit
	.venv/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	.venv/audit/bin/python envs/audit.py

clean:
	rm -rf .venv .cache .snakemake .pytest_cache .ruff_cache .mypy_cache .hypothesis
