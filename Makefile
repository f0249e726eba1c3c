# The two commands that matter: `make demo` and `make test`. Each sets up all it needs.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
LOG    ?= postgres
ARGS   ?=
# Test processes beside one another: most tests wait for a broker, a server or a process more than they compute.
TESTERS ?= 3

.PHONY: help install demo test lint types contracts bench bench-index bench-stream bench-pdq bench-look bench-suspension bench-orientations bench-reach fuzz kafka lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

install: $(STAMP) ## Make .venv with every locked dependency

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed") if sys.version_info < (3, 11) else None'
	@echo "Installing into $(VENV), once (a minute or two) …"
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)  # Debian without python3-venv leaves one that has no pip
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q services shared # pip does it for what it copies, not for what it points to
	@touch $(STAMP)

demo: install ## Watch the whole path on a small internet (LOG=kafka for Kafka, ARGS=--exit to end at once)
	$(BIN)/takedown demo --log $(LOG) $(ARGS)

lint: install ## Style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install ## Types
	$(BIN)/mypy

contracts: install ## Who may import whom
	$(BIN)/lint-imports

test: install ## Everything: style, types, import contracts, tests
	$(MAKE) --jobs=3 --output-sync lint types contracts
	$(BIN)/pytest --numprocesses $(TESTERS) --dist loadfile --no-loadscope-reorder $(ARGS)

bench: install ## Content confirmed to signed demand received, on both logs (ARGS=--json)
	$(BIN)/python -m bench.confirmed_to_demand $(ARGS)

bench-index: install ## Our PDQ index beside threatexchange and faiss (ARGS=--full for 10 million)
	$(BIN)/python -m bench.index $(ARGS)

bench-stream: install ## The whole matcher through Kafka: sightings per second on one core (ARGS=--help)
	$(BIN)/python -m bench.stream $(ARGS)

bench-pdq: install ## Fingerprinting a 1080p JPEG beside pdqhash
	$(BIN)/python -m bench.fingerprinting $(ARGS)

bench-look: install ## What looks see of what a person sees, without and with a browser (ARGS=--help)
	$(BIN)/python -m bench.looks $(ARGS)

bench-suspension: install ## A content with 10,000 URLs is suspended: what still leaves after the answer
	$(BIN)/python -m bench.stops.suspension $(ARGS)

bench-orientations: install ## What PDQ finds of turned and edited copies
	$(BIN)/python -m bench.orientations $(ARGS)

bench-reach: install ## What a check finds of pictures put up again in another guise, and what that costs (ARGS=--help)
	$(BIN)/python -m bench.reach $(ARGS)

fuzz: install ## What others wrote, changed at random (ARGS="--seconds 600 --target pages")
	$(BIN)/python -m tests.fuzz.run $(ARGS)

kafka: install ## A local Apache Kafka in the foreground
	$(BIN)/python deploy/kafka-local/kafka_local.py $(ARGS)

lock: install ## Resolve requirements.lock again
	$(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url --python-version 3.11 --all-extras pyproject.toml -o requirements.lock

clean: ## Remove the environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
