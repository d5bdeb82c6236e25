# The verbs of this repository. CI runs `make lint test`.
.PHONY: bench demo dev lint sandbox test

BOOTSTRAP := .bootstrap
UV := $(BOOTSTRAP)/bin/uv

demo: .venv/.ready sandbox  ## from nothing to trained models, on a stack of its own in .demo/
	@deploy/demo.sh

dev: .venv/.ready  ## make the environment, exactly as uv.lock says

.venv/.ready: uv.lock pyproject.toml | $(UV)
	@$(UV) sync --frozen --quiet
	@touch $@

$(UV):
	@python3 -m venv $(BOOTSTRAP) || { \
	  echo "python3 has no venv module: apt-get install python3-venv, then again." >&2; rm -rf $(BOOTSTRAP); exit 1; }
	@$(BOOTSTRAP)/bin/pip install --quiet 'uv==0.13.9'

lint: .venv/.ready  ## style, types, layers
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy shared functions kaos deploy bench
	.venv/bin/lint-imports

test: .venv/.ready sandbox  ## everything that can fail, against real servers on free ports
	.venv/bin/pytest -n 3 --dist loadfile # mostly, tests wait for servers: three keep two cores busy

bench: .venv/.ready sandbox  ## what kaos adds to the bare script, measured in one run with it
	.venv/bin/python -m bench

sandbox:  # what jobs are isolated with; kaos does without where it must, and says so
	@command -v bwrap > /dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null \
	  && apt-get update -qq && apt-get install -qq -y --no-install-recommends bubblewrap > /dev/null; } \
	  || echo "bubblewrap is not installed: jobs will run without isolation." >&2
