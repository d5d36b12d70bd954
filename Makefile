# make demo: search, retrain and test on the embedded data; make test: lint and the fast tests;
# make docs: the site, in build/site.
VENV ?= .venv
PYTHON ?= python3
# processes that run the tests; each needs about 1.5 GB
JOBS ?= 2
PY := $(VENV)/bin/python
STAMP := $(VENV)/.bmtas-installed

.PHONY: install demo test test-all lint docs
install: $(STAMP)

$(STAMP): setup.py pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -q --upgrade pip
	$(PY) -m pip install -q -c constraints.txt -e ".[test,boundaries,balancing,tensorboard,export]"
	touch $@

demo: $(STAMP)
	$(PY) -m bmtas demo --overwrite

docs: $(STAMP)
	$(PY) -m pip install -q -e ".[docs]"
	$(PY) -m mkdocs build -q

lint: $(STAMP)
	$(PY) -m ruff check . && $(PY) -m ruff format --check -q .

test: lint
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -n $(JOBS) --dist loadfile -m "not slow"

test-all: lint
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -n $(JOBS) --dist loadfile
