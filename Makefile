# Everything runs in .venv, which is made from requirements.lock and nothing else.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help install browser sweep ui docs pictures gallery test test-long test-gpu check format lock clean

help: ## what can be made (this list)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(READY) ## create .venv from the lock file

# Compiled here once: every process of a sweep imports torch or mlflow, and where PYTHONDONTWRITEBYTECODE is set, each one
# would spend seconds on compiling them.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check uv==0.13.9
	$(BIN)/uv pip install --quiet --compile-bytecode --require-hashes --requirement requirements.lock
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

browser: ## install Chromium, which the tests of pages drive, where apt-get can
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
		|| (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -yqq chromium >/dev/null) \
		|| (echo "Chromium is not here and can't be installed: the tests of pages need it"; exit 1)

sweep: $(READY) ## run search_spaces/vae.yaml on a corpus that it makes itself
	$(BIN)/orchestrate sweep search_spaces/vae.yaml

ui: $(READY) ## open what the sweeps recorded in the MLflow UI
	$(BIN)/orchestrate ui

docs: $(READY) ## build the documentation into site/ (open site/index.html)
	$(BIN)/python -m docs.generate_reference
	$(BIN)/mkdocs build --quiet --strict

pictures: RUNS ?= runs
pictures: SWEEP ?= vae
pictures: $(READY) browser ## take the pictures of docs/pictures from a recorded sweep (RUNS=runs SWEEP=vae)
	$(BIN)/python -m docs.take_pictures $(RUNS) $(SWEEP)

gallery: RUNS ?= runs
gallery: $(READY) ## make docs/gallery, a page with sounds for each question, from recorded sweeps (RUNS=runs)
	$(BIN)/python -m docs.make_gallery $(RUNS)

# Whole sweeps wait for processes more than half of their time, so that two processors have work for three.
test: MARKED := not gpu and not long$(if $(filter 0,$(shell id -u)),, and not root)
test: $(READY) browser ## the tests that need neither a graphics card nor many minutes, nor root unless this is root
	$(BIN)/python -m pytest -m "$(MARKED)" -n 3 --dist loadfile --no-loadscope-reorder

test-long: $(READY) ## whole sweeps that take minutes: random kills, every way to go wrong, clusters
	$(BIN)/python -m pytest -m long -n 3 --dist loadfile --no-loadscope-reorder

test-gpu: $(READY) ## the tests that train on a real graphics card
	$(BIN)/python -m pytest -m gpu

check: $(READY) ## formatting, lint, types, and every test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(MAKE) test test-long

format: $(READY) ## let ruff format and sort
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(READY) ## resolve the dependencies of pyproject.toml anew
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --generate-hashes \
		--upgrade pyproject.toml --output-file requirements.lock

clean: ## delete .venv and what tools cached; runs/ stays
	rm -rf .venv site .mypy_cache .pytest_cache .ruff_cache *.egg-info
