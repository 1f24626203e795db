# Every target sets up what it needs: a virtual environment in .venv with the pinned dependencies.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
UV := $(shell command -v uv)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
FAMILIES := vae,realnvp,glow,pixelcnn,dcgan,sngan,ddpm,ebm,injective_flow

# Programs that tests start find the package compiled, also where the environment asks for no compiled files.
TESTING := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=

.PHONY: help setup demo test test-slow test-faults lint format bench constraints

help:
	@echo "make setup | demo | test | test-slow | test-faults | lint | format | bench"

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
ifdef UV
	test -x $(BIN)/python || $(UV) venv --quiet --python $(PYTHON) $(VENV)
	$(UV) pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev]'
else
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
endif
	touch $@

# Every family on the digits of scikit-learn with the same arithmetic, then the leaderboard. Under ten minutes on two cores.
demo: setup
	$(BIN)/python train.py -m data=digits model=uniform,gaussian,memoriser,heldout,$(FAMILIES) \
	    budget=flops_2t launcher.slots=2 runs_dir=runs/demo; status=$$?; \
	$(BIN)/python scripts/leaderboard.py runs_dir=runs/demo out=leaderboard && exit $$status

test: lint
	$(TESTING) $(BIN)/python -m pytest -n 2 --dist worksteal -q -m "not slow and not gpu and not network and not faults"

test-slow: setup
	$(TESTING) $(BIN)/python -m pytest -n 2 --dist worksteal -q -m "slow and not faults"

# Random kills, damaged files, signals, full disks, dead ranks: about a quarter of an hour; prints trials and failures.
test-faults: setup
	$(TESTING) $(BIN)/python -m pytest -n 2 --dist worksteal -q -m faults tests/faults

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Start-up, a busy machine, and speed against peers: on a machine that does nothing else.
bench: setup
	$(BIN)/python scripts/bench.py

constraints: setup
	$(UV) pip compile pyproject.toml --extra dev --no-header --no-annotate --no-emit-index-url --upgrade \
	    --python-version 3.11 -o constraints.txt
