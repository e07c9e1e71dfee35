# The commands of the project. Each makes what it needs first; a second run goes straight on.
.PHONY: setup setup-check setup-test serve test test-engine check sim bench

PY := .venv/bin/python
# Arguments for the command behind a target: make serve ARGS="--port 9000".
ARGS ?=
SEEDS ?= 20000

# What the server needs: a virtual environment with pinned packages, and Debian's libraries.
setup:
	@sh scripts/setup.sh serve

setup-check: setup
	@sh scripts/setup.sh check

setup-test: setup-check
	@sh scripts/setup.sh test

# The server; prints the address of its page.
serve: setup
	@exec .venv/bin/antiphon serve $(ARGS)

# Style and types.
check: setup-check
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check -q . || { echo "not formatted; run: .venv/bin/ruff format ."; exit 1; }
	@.venv/bin/mypy

# Everything, a real browser included. The last line is pytest's. The engine first: its own tests
# have to go through every branch of it.
test: setup-test check test-engine
	@exec $(PY) -m pytest $(ARGS)

# Stories alone, so that the figure is the same every time; and what measures time is slower here.
STORIES := tests/engine -m "not hypothesis" \
  --deselect tests/engine/test_endpointing.py::test_it_is_cheap
test-engine: setup-test
	@d=$$(mktemp -d) && trap 'rm -rf "$$d"' EXIT && export COVERAGE_FILE="$$d/engine" && \
	  $(PY) -m coverage run --source=antiphon.engine -m pytest $(STORIES) && \
	  $(PY) -m coverage report --show-missing --skip-covered --fail-under=100

# Simulated conversations: no promise may break.
sim: setup
	@exec .venv/bin/antiphon sim --seeds $(SEEDS) $(ARGS)

# Latency, CPU, memory and tasks per call of the core.
bench: setup
	@exec .venv/bin/antiphon bench core $(ARGS)
