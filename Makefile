# Every target sets up what it needs first. `make` alone lists them.

PYTHON ?= python3
# The CPU build. Without a pin pip takes the newest build with CUDA, 5 GB of it.
TORCH ?= torch==2.13.0

.DEFAULT_GOAL := help
SHELL := /bin/bash
BIN := .venv/bin
CMAKE = $(BIN)/cmake -S . -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN)/ninja) -DPython_EXECUTABLE=$(abspath $(BIN)/python)
export MPLBACKEND := Agg
export OMP_WAIT_POLICY := PASSIVE # threads that wait do not hold up those that work

test docs: export OPENBLAS_NUM_THREADS := 1 # their processes share the cores

.PHONY: help install demo test slow sanitize lint types imports docs bench format hooks ci clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: .make/install ## set up .venv with CPU torch, edgewise and its tools

demo: .make/install ## fit the airfoil table; pictures, formula and report go to runs/airfoil
	$(BIN)/edgewise fit examples/airfoil/airfoil.csv --target sound_pressure_level --seed 0 --out runs/airfoil
	@echo "Open runs/airfoil/report.html"

test: .make/install ## run the tests and the examples of docstrings and README
	$(BIN)/python -m pytest -m "not slow" -q -n auto --dist worksteal

slow: .make/install ## run the studies that take minutes
	$(BIN)/python -m pytest -m slow -q

sanitize: .make/install ## run the tests of the kernels with address and undefined-behavior sanitizers
	$(CMAKE) -B build/sanitize -DEDGEWISE_SANITIZE=ON > /dev/null
	$(BIN)/cmake --build build/sanitize
	rm -rf build/sanitized && cp -r src build/sanitized && rm -f build/sanitized/edgewise/_kernels/_core*
	$(BIN)/cmake --install build/sanitize --prefix build/sanitized
	LD_PRELOAD=$$($(CXX) -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc \
		$(BIN)/python -m pytest -q -o pythonpath="build/sanitized tests" tests/kernels

lint: .make/install ## check format and style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .make/install ## check types
	$(BIN)/pyright

imports: .make/install ## check the order of imports
	$(BIN)/lint-imports

docs: .make/docs ## build the pages into docs/_build; tutorials are executed, warnings are errors
	$(BIN)/python -m sphinx -W --keep-going -q -j auto -b html docs docs/_build/html
	@echo "Open docs/_build/html/index.html"

bench: .make/install ## run the benchmarks and write their results into docs/benchmarks
	for study in toys symbolic symbolic_peers special scaling sums parquet layer pykan recovery moons moons_pykan pde; do $(BIN)/python -m benchmarks.$$study || exit 1; done

format: .make/install ## bring the code into its format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

hooks: .make/install ## check format, style and imports before each commit
	$(BIN)/prek install

ci: lint types imports test docs ## all that has to pass

clean: ## remove what make has made
	rm -rf .venv .make build dist docs/_build runs .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# A stamp is older than pyproject.toml when dependencies may have changed.
.make/venv:
	@echo "Setting up .venv (once; some minutes)"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	@mkdir -p .make && touch $@

.make/packages: .make/venv pyproject.toml
	$(BIN)/python -m pip install --quiet --editable ".[all]" --group dev
	@touch $@

# Without a C++ compiler nothing is built, and the kernels run in plain torch.
.make/install: .make/packages CMakeLists.txt $(wildcard native/*)
	@echo "Building the compiled core (about a minute)"
	@$(CMAKE) -B build/core > .make/core.log 2>&1 && $(BIN)/cmake --build build/core >> .make/core.log 2>&1 \
		&& $(BIN)/cmake --install build/core --prefix src >> .make/core.log 2>&1 \
		|| { cat .make/core.log; exit 1; }
	@touch $@

.make/docs: .make/install
	$(BIN)/python -m pip install --quiet --group docs
	@touch $@
