# Every target sets up what it needs: the virtual environment is made on demand and only redone when the pins change.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: reproduce test lint bench figures results clean

reproduce: $(STAMP)
	$(BIN)/sharpdiv reproduce

test: $(STAMP)
	$(BIN)/pytest

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy sharpdiv.py theory empirical checks figures tests benchmarks

bench: $(STAMP)
	$(BIN)/python -m benchmarks

figures: $(STAMP)
	$(BIN)/sharpdiv figures --out runs/figures

# Renews what is committed: the results of both profiles, the README's pictures and paper_checks.md. Takes hours.
FASHION := fashion-mnist $(addprefix fashion-mnist-,variants widths sparsities sizes)
RESULTS := $(addsuffix .json,digits cifar10-jpeg $(FASHION) comparison-cifar10-jpeg comparison-fashion-mnist dial)
PICTURES := tradeoff_measured.png tradeoff_cifar10_jpeg.png bridge.png
results: reproduce
	$(BIN)/sharpdiv reproduce --profile cpu
	cp $(addprefix runs/reproduce/,$(RESULTS)) results/
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
