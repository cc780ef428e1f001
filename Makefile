# make demo                       translate the sample into both phases
# make demo INPUT=my_ncct.nii.gz  the same for a volume or DICOM folder of your own
# make test                       the fast tests
# make test-slow                  the slow ones
# make test-integration           those against other people's DICOM programs; installs them on Debian
# make lint                       ruff, import-linter, mypy
# make package                    build wheel and sdist, and use the wheel where the sources are out of reach
# make lowest                     the fast tests of the engine on the lowest versions that pyproject.toml allows
# make libraries                  what Qt and VTK load, for the tests of the Slicer modules (Debian)
# make benchmark INPUT=ncct.nii.gz
# make model DATA=folder          prepare the data and train the demonstration model; RESUME=--resume goes on
#
# TORCH names the build of PyTorch, e.g. TORCH="torch==2.13.0 --index-url ..." for another one.
PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
DATA ?= ../shared/data
ATTRIBUTION = TCIA HCC-TACE-Seg (CC BY 4.0), LIDC-IDRI-0001 (CC BY 3.0), TotalSegmentator test data (Apache-2.0), procedural phantoms
BIN = $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
READY = $(VENV)/.installed
INTEGRATION = $(VENV)/.integration
# LOWEST=yes installs the lowest versions; `make lowest` sets it, for an environment of its own.
LOWEST ?=

.PHONY: demo test test-engine test-slow test-integration lint package lowest libraries benchmark model clean

$(READY): pyproject.toml setup.py Testing/requirements.txt $(wildcard */Resources/Requirements/*.txt)
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "Python 3.11, 3.12 or 3.13 is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) $(TORCH)
	$(BIN)/python -c 'import torch; print("torch==" + torch.__version__)' > $(VENV)/constraints.txt
	$(if $(LOWEST),$(BIN)/python .ci/lowest.py >> $(VENV)/constraints.txt)
	$(PIP) --constraint $(VENV)/constraints.txt --editable '.[test]'
	touch $@

demo: $(READY)
	$(BIN)/s2ldm demo --out demo $(if $(INPUT),--input "$(INPUT)")

test: $(READY)
	$(BIN)/pytest -n 2 --dist loadfile -m "not slow and not integration"

test-engine: $(READY)
	$(BIN)/pytest -n 2 --dist loadfile -m "not slow and not integration" --ignore Testing/panel --ignore Testing/benchmarks

test-slow: $(READY)
	$(BIN)/pytest -m "slow and not integration"

$(INTEGRATION): $(READY)
	$(PIP) --constraint $(VENV)/constraints.txt --editable '.[test,integration]'
	touch $@

test-integration: $(INTEGRATION)
	bash Testing/integration/install.sh
	$(BIN)/pytest -n 2 --dist loadfile Testing/integration

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYTHONPATH=S2LDMTranslate:S2LDMTrainer $(BIN)/lint-imports
	MYPYPATH=S2LDMTranslate:S2LDMTrainer $(BIN)/mypy S2LDMTranslate/S2LDMLib S2LDMTrainer/S2LDMTrainerLib

package:
	PYTHON='$(PYTHON)' TORCH='$(TORCH)' bash .ci/package

lowest:
	$(MAKE) test-engine VENV=$(VENV)-lowest LOWEST=yes

libraries:
	bash .ci/libraries

benchmark: $(READY)
	$(BIN)/python Testing/benchmarks/translate.py $(if $(INPUT),"$(INPUT)")

model: $(READY)
	$(BIN)/s2ldm-train prepare $(DATA)/pairs data/prepared --patient '(HCC_\d+)_' --spacing 1.5 1.5 5 --split none \
	  --cect-only $(DATA)/cect_only --labelled $(DATA)/labelled --recolour 8 --phantoms 6 --jobs 2
	$(BIN)/s2ldm-train train data/prepared runs/demo --preset demo --attribution "$(ATTRIBUTION)" $(RESUME)
	@echo "runs/demo/model is the model; 's2ldm-train evaluate' scores it"

clean:
	rm -rf $(VENV) $(VENV)-lowest demo build dist *.egg-info
