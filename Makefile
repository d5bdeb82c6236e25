# The verbs of this repository. `make test` is what CI runs.
.PHONY: dev lint test

UV := .venv/bootstrap/bin/uv
export UV_PROJECT_ENVIRONMENT := .venv

dev: .venv/ready  ## make the environment, exactly as uv.lock says

.venv/ready: uv.lock pyproject.toml
	@test -x $(UV) || { python3 -m venv .venv/bootstrap && .venv/bootstrap/bin/pip install --quiet 'uv==0.13.9'; }
	@$(UV) sync --frozen --quiet --allow-existing 2>/dev/null || $(UV) sync --frozen --quiet
	@touch $@

lint: .venv/ready  ## style, types, layers
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy shared functions kaos deploy
	.venv/bin/lint-imports

test: .venv/ready  ## everything that can fail
	.venv/bin/pytest
