# Every target sets up what it needs: the virtual environment is made on demand and only redone when the pins change.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

# Compiled modules are kept whatever the surroundings say: every worker and test process would compile all of them again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: reproduce test test-slow test-oracle test-cluster test-browser test-gpu test-all lint bench docs figures results clean

reproduce: $(STAMP)
	$(BIN)/sharpdiv reproduce

test: $(STAMP)
	$(BIN)/pytest

# What `make test` leaves out, three seconds or more each, or many processes, but for what takes four seconds with all its cases.
test-slow: $(STAMP)
	$(BIN)/pytest -m 'slow and not long' --ignore tests/oracle

# Against other people's implementations, which it installs. Where they cannot be, it says so and is no failure: nothing of ours is.
test-oracle: $(STAMP)
	@if $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,oracle]' >$(BIN)/../oracle.log 2>&1; then \
	  $(BIN)/pytest -m "" -rs tests/oracle tests/empirical/predictions/test_streaming.py; \
	else \
	  echo "test-oracle: not run, the extra 'oracle' could not be installed: $$(grep -m 1 ERROR $(BIN)/../oracle.log || tail -n 1 $(BIN)/../oracle.log)"; \
	fi

# Engines on this machine as on a cluster, with the extra "cluster" and, where it is installed, a SLURM of two nodes of its own.
ENGINES :=
test-cluster: $(STAMP)
	@if $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,cluster]' >$(BIN)/../cluster.log 2>&1; then \
	  $(BIN)/pytest -m "" -rs -k "$(ENGINES)" tests/cluster; \
	else \
	  echo "test-cluster: not run, the extra 'cluster' could not be installed: $$(grep -m 1 ERROR $(BIN)/../cluster.log || tail -n 1 $(BIN)/../cluster.log)"; \
	fi

BROWSER := browser
# Pages in a real browser, chromium of the system, with the extra that drives it. Where there is none, it says so and is no failure.
test-browser: $(STAMP)
	@if ! command -v chromium >/dev/null; then \
	  echo "test-browser: not run, there is no chromium: apt-get install chromium"; \
	elif $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[browser]' >$(BIN)/../browser.log 2>&1; then \
	  $(BIN)/pytest -m "$(BROWSER)" -rs tests/browser; \
	else \
	  echo "test-browser: not run, the extra 'browser' could not be installed: $$(grep -m 1 ERROR $(BIN)/../browser.log || tail -n 1 $(BIN)/../browser.log)"; \
	fi

# The tests that need a GPU of NVIDIA, and times of some steps, in runs/gpu/. Where there is none, it says so and is no failure.
test-gpu: $(STAMP)
	$(BIN)/python -m tests.gpu

# Everything, with twice the examples.
test-all: $(STAMP)
	$(BIN)/pytest -m ""

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy sharpdiv tests benchmarks

# Beside other people's libraries, where they can be installed; renews benchmarks/measured.json and the table of the README.
bench: $(STAMP)
	-@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,oracle]' >$(BIN)/../oracle.log 2>&1
	$(BIN)/python -m benchmarks

# The site, in runs/site: opens from the folder, without a network; "python -m http.server -d runs/site" adds its search.
docs: $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,docs]'
	NO_MKDOCS_2_WARNING=1 DISABLE_MKDOCS_2_WARNING=true $(BIN)/python -m mkdocs build --clean

figures: $(STAMP)
	$(BIN)/sharpdiv figures --out runs/figures

# Trains what is missing of the committed results, and renews paper_checks.md, its pages and the README's pictures. Takes many hours.
PICTURES := tradeoff_measured.png tradeoff_measured-dark.png
results: $(STAMP)
	$(BIN)/sharpdiv reproduce --profile cpu --have results
	cp -r $(addprefix runs/reproduce/,digits fashion-mnist cifar10-jpeg) results/
	find runs/reproduce -maxdepth 1 -name '*.json' ! -name '*-quick.json' -exec cp {} results/ ';'
	cp $(addprefix runs/reproduce/figures/,$(PICTURES)) results/
	$(BIN)/sharpdiv check --write

$(STAMP): constraints.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sharpdiv needs Python 3.11 or later")'
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

clean:
	rm -rf .venv runs build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
