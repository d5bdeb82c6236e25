# The verbs of this repository. CI runs `make lint test`.
.PHONY: dev lint test

BOOTSTRAP := .bootstrap
UV := $(BOOTSTRAP)/bin/uv

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
	.venv/bin/mypy shared functions kaos deploy
	.venv/bin/lint-imports

test: .venv/.ready  ## everything that can fail, against real servers on free ports
	.venv/bin/pytest
