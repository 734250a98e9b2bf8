# `make demo` and `make test` need nothing done before them: Python 3.11+, make and, optionally, a C++ compiler.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint bench clean

demo: $(READY)
	$(BIN)/ssm-sense demo

test: lint
	$(BIN)/python -m pytest -n 2

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/pip install --quiet --constraint requirements.lock --editable ".[dev,bench]"
	$(BIN)/ssm-sense bench ops

# The lock is a constraints file: it pins what the platform needs and adds nothing that it does not.
$(READY): pyproject.toml requirements.lock $(wildcard CMakeLists.txt kernels/*.cpp kernels/*.h kernels/*.cu)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint requirements.lock --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build demo
