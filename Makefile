# Everything here needs Python 3.11 or newer and make; `make help` lists the targets.
PYTHON ?= python3
BIN := .venv/bin
PROMPT ?= a beautiful beach at sunset
SEED ?= 1

.PHONY: help demo test flows train-smoke lint types contracts page page-test parity slow bench faults docs clean

help:
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

$(BIN)/python:
	$(PYTHON) -m venv .venv

.venv/.run: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

.venv/.train: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[train]'
	@touch $@ .venv/.run

# Of k-diffusion the tests load sampling.py alone, which needs none of torchvision, wandb and the rest of its dependencies.
# spandrel names torchvision, of which it calls nothing for upscalers; the usual wheel does not load beside torch for CPUs.
.venv/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps k-diffusion==0.1.1.post1 spandrel==0.4.2
	@touch $@ .venv/.run .venv/.train

demo: export WORDS := $(PROMPT)
demo: .venv/.run ## paint PROMPT with the bundled model
	@$(BIN)/sfumato txt2img "$$WORDS" --seed $(SEED) -o outputs/demo.png

# Each process has one thread, since two of them are at work at a time.
test train-smoke flows: export OMP_NUM_THREADS = 1

# These wait for a browser more than they compute: continuous integration runs them too, after the tests.
FLOWS := tests/page/test_screens.py tests/page/test_flow.py
SMOKES := smoke-nano smoke-teach smoke-one_step smoke-restore

test: lint ## lint, types, import contracts, train-smoke and the fast tests: what CI runs
	@$(MAKE) --no-print-directory -j2 types $(SMOKES) contracts
	$(BIN)/python -m pytest -n 2 -q $(addprefix --ignore=,$(FLOWS))

train-smoke: ## every recipe with tiny sizes: nano from drawing pictures to painting, fine-tuning, one step, restoring
	@$(MAKE) --no-print-directory -j2 $(SMOKES)

smoke-%: .venv/.train
	rm -rf runs/$@
	$(BIN)/python -m recipes.$*.smoke --out runs/$@

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.dev
	$(BIN)/mypy

contracts: .venv/.dev
	$(BIN)/lint-imports

page: web/node_modules ## build the page of the service from web/
	cd web && npm run --silent check && npm run --silent build

flows: .venv/.dev ## every screen and flow of the page, in Chromium
	$(BIN)/python -m pytest -n 2 -q $(FLOWS)

page-test: web/node_modules ## the logic of the page
	cd web && npm run --silent check && npm test --silent

# npm ci asks for an optional package for Windows alone that no registry need have.
web/node_modules: web/package-lock.json
	cd web && npm install --silent --no-audit --no-fund
	@touch $@

parity: .venv/.dev ## compare with diffusers and transformers on random weights
	$(BIN)/python -m pytest tests/parity tests/diffusion/test_diffusers_parity.py -q

slow: .venv/.dev ## full-size networks
	$(BIN)/python -m pytest -m slow -q

bench: .venv/.run ## cold start, time a step, images a second, peak memory
	$(BIN)/sfumato bench txt2img

faults: .venv/.dev ## kills, floods, full disks and the like, many times; writes docs/reliability.md; an hour
	$(BIN)/python -m tests.faults.page

docs: .venv/.dev ## regenerate the generated pages
	$(BIN)/python -m docs.readme
	$(BIN)/python -m docs.families
	$(BIN)/python -m docs.shorthand
	$(BIN)/python -m docs.index
	$(BIN)/python -m docs.api
	$(BIN)/python -m tests.diffusion.sampler_page

clean:
	rm -rf .venv outputs
