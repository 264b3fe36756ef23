# Two commands: `make demo` runs the main job, `make test` the tests; each starts from a bare checkout.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
OUT    ?= demo-out
# Label Studio pins its dependencies tightly: it gets an environment of its own, and the tests find it there.
LABEL_STUDIO ?= .venv-label-studio
export HF_HUB_OFFLINE = 1

.PHONY: install label-studio demo test check format pictures bench campaign campaigns

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("pinpoint-data needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt 'torch==2.13.0'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

label-studio: $(LABEL_STUDIO)/installed

$(LABEL_STUDIO)/installed: Makefile
	$(PYTHON) -m venv $(LABEL_STUDIO)
	$(LABEL_STUDIO)/bin/python -m pip install --quiet 'label-studio==1.23.2'
	touch $@

demo: install
	$(BIN)/pinpoint demo $(OUT)

test: install label-studio
	PINPOINT_LABEL_STUDIO=$(abspath $(LABEL_STUDIO)/bin/label-studio) $(BIN)/python -m pytest -n auto --dist loadgroup

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What the README shows, made anew from a demo of its own.
pictures: install
	rm -rf build/pictures
	$(BIN)/pinpoint demo build/pictures
	$(BIN)/pinpoint benchmark build/pictures/run --dataset build/pictures/dataset \
	  --workspace build/pictures/workspace --out build/pictures/benchmark --examples 1
	$(BIN)/python docs/make_pictures.py build/pictures docs/images

# A whole annotation campaign against a real Label Studio: 500 tasks, an upload killed half way, three annotators.
campaign: install label-studio
	rm -rf build/campaign
	PINPOINT_LABEL_STUDIO=$(abspath $(LABEL_STUDIO)/bin/label-studio) \
	  $(BIN)/python -m tests.e2e.campaign build/campaign --tasks 500 --pictures docs/images

# Every ratio of the README and of benchmarks/ in one table, medians of three runs. With real pages:
# `make bench DATA=FOLDER LONG=--long`; LONG also trains what takes hours.
bench: install label-studio
	$(BIN)/python benchmarks/run_all.py build/bench $(if $(DATA),--data $(DATA)) $(LONG)

# Kills, full disks and meetings; hostile files; growth to a million questions. Hours; the tables are in docs/campaigns.
campaigns: install label-studio
	rm -rf build/campaigns/crash build/campaigns/hostile
	PINPOINT_LABEL_STUDIO=$(abspath $(LABEL_STUDIO)/bin/label-studio) \
	  $(BIN)/python -m tests.campaigns.crash build/campaigns/crash
	$(BIN)/python -m tests.campaigns.hostile build/campaigns/hostile --cases 10000 --jobs 2
	$(BIN)/python benchmarks/growth.py build/campaigns/growth
