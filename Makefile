# Two commands set everything up: `make demo` and `make test`.
# Nothing but Python >= 3.11 with venv, and make, has to be there before.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help demo test slow lint docs types lock bench paper picture clean

help:
	@echo 'make demo   install, plan the networked IEEE 37 case, try it 10 000 times, show the result'
	@echo 'make test   install with the test tools, run the tests'
	@echo 'make slow   the tests that test leaves out for their length'
	@echo 'make lint   ruff and mypy'
	@echo 'make docs   the documentation as a site, in build/site; a broken link fails'
	@echo 'make bench  benchmarks, both sides of each ratio in one run (minutes)'
	@echo 'make paper  the studies with published numbers (minutes)'
	@echo 'make picture  the pictures of README.md (needs Chromium)'
	@echo 'make lock   resolve the locks anew (needs uv)'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'gridproof needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)'; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Every file that is installed has the digest that its lock says. What builds gridproof itself is locked, too,
# since pip would else fetch it anew, into a place of its own, by no lock.
$(VENV)/.runtime: requirements.lock requirements-build.lock pyproject.toml | $(BIN)/python
	$(PIP) install --require-hashes -r requirements.lock -r requirements-build.lock
	$(PIP) install --no-index --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

picture: $(VENV)/.runtime
	$(BIN)/python .ci/picture.py

demo: $(VENV)/.runtime
	@rm -rf campaigns/demo
	$(BIN)/gridproof run ieee37-networked --out campaigns/demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --maxprocesses 5 --dist loadfile

slow: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile -m 'slow and not paper'

# All under one name in one folder, for programs that read Python and do not run it.
types:
	@mkdir -p .types/gridproof && cd .types/gridproof && \
	  ln -sf ../../gridproof/*.py . && ln -sfn ../../scenarios ../../optimizer ../../simulator ../../federation .

lint: $(VENV)/.dev types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	cd .types && ../$(BIN)/mypy --config-file ../pyproject.toml --cache-dir ../.mypy_cache

$(VENV)/.docs: requirements-docs.lock $(VENV)/.runtime
	$(PIP) install --require-hashes -r requirements-docs.lock
	@touch $@

docs: $(VENV)/.docs types
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

paper: $(VENV)/.dev
	$(BIN)/python -m pytest -m paper

LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes --no-strip-extras \
          --no-header --no-emit-index-url --quiet
lock: | $(BIN)/python
	$(LOCK) pyproject.toml -o requirements.lock
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' | \
	  $(LOCK) - -c requirements.lock -o requirements-build.lock
	$(LOCK) pyproject.toml --extra dev -c requirements.lock -c requirements-build.lock -o requirements-dev.lock
	$(LOCK) pyproject.toml --extra docs -c requirements-dev.lock -o requirements-docs.lock

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .types build dist
