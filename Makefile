# The two commands: `make demo` and `make test`. Both do all set-up by themselves.
# Needs python3 (3.11 to 3.13), make and git; no uv, no compiler, no configuration.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

export UV_PROJECT_ENVIRONMENT := .venv
export UV_PYTHON := .venv/bin/python
export UV_PYTHON_DOWNLOADS := never
export PYTHON
# Without compiled modules each of the many processes of the tests would compile them all.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE

bin := .venv/bin
ready := .venv/.synced
code := crdt protocol node cli tui tests $(wildcard bench)

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

# Up to date when newer than everything that decides what is installed.
$(ready): pyproject.toml uv.lock scripts/setup.sh $(wildcard node/commons_node/locale/*/LC_MESSAGES/*.po)
	@sh scripts/setup.sh

.PHONY: setup
setup: $(ready) ## make .venv with all that is locked

.PHONY: demo
demo: $(ready) ## three nodes share a real tool library on this machine
	@$(bin)/commons-node demo

.PHONY: lint
lint: $(ready) ## style, format, types and import rules
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy $(code)
	$(bin)/lint-imports --no-logo

# A third of these tests is waiting: three at a time keep two cores busy, and no test depends on speed.
.PHONY: test
test: lint ## lint, then every test that is not marked long
	$(bin)/pytest -m "not long" -n 3 --dist loadfile

.PHONY: test-long
test-long: $(ready) ## the tests that take minutes
	$(bin)/pytest -m long -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: bench
bench: $(ready) ## make bench NAME=sync: one figure beside its floor
	@test -n "$(NAME)" || { echo "say which: make bench NAME=sync" >&2; exit 2; }
	@$(bin)/python bench/run.py $(NAME)

.PHONY: simulate
simulate: $(ready) ## make simulate SEEDS=200 FIRST=1: whole neighbourhoods, each from a seed
	@$(bin)/python -m commons_node.testing --seeds $(or $(SEEDS),10) --first $(or $(FIRST),1)

.PHONY: fuzz
fuzz: $(ready) ## make fuzz SECONDS=60 TARGET=header: decoders, led by coverage (Python 3.12)
	@sh tests/fuzz/setup.sh
	@.venv-fuzz/bin/python -m tests.fuzz.fuzz --seconds $(or $(SECONDS),60) $(if $(TARGET),--target $(TARGET))

.PHONY: soak
soak: $(ready) ## make soak MINUTES=5 SEED=7: real daemons, written to, killed and cut off at random
	@$(bin)/python -m tests.soak --minutes $(or $(MINUTES),5) --nodes $(or $(NODES),5) $(if $(SEED),--seed $(SEED))

# Not in the tests: a fresh clone may hold no earlier commit, and setting one up takes the network.
.PHONY: two-versions
two-versions: $(ready) ## make two-versions OLDER=COMMIT: a real earlier release and this one in one community
	@$(bin)/python -m tests.two_versions $(or $(OLDER),750d46c)

.PHONY: scale
scale: $(ready) ## make scale SIZE=small: a thousand nodes, a thousand communities; docs/scale.md
	@$(bin)/python -m commons_node.testing.scale --size $(or $(SIZE),large) --seed $(or $(SEED),1) $(if $(WRITE),--write docs/scale.md)

# After texts were added or changed: what is new stands empty in each .po, to be translated.
.PHONY: texts
texts: $(ready) ## take new texts into every language, compile, say what is missing
	$(bin)/python -m commons_node.api.generate cli/commons_cli/verbs.json
	@$(bin)/python scripts/texts.py update
	@$(bin)/python scripts/texts.py compile
.PHONY: capabilities
capabilities: $(ready) ## docs/capabilities.md, from what is declared
	@$(bin)/python -m commons_node.capabilities.reference docs/capabilities.md
.PHONY: homes
homes: $(ready) ## a home for each schema number of which none is kept yet; commit what it writes
	@$(bin)/python -m tests.homes.make

.PHONY: runner
runner: $(ready) ## build the runner of agents again and compare; WRITE=1 replaces it
	@$(bin)/python scripts/runner.py $(if $(WRITE),--write)

.PHONY: format
format: $(ready) ## rewrite the code in the house style
	$(bin)/ruff check --fix-only .
	$(bin)/ruff format .

# Always from the public registry, whatever this machine's configuration says.
.PHONY: lock
lock: ## refresh uv.lock, requirements.lock and overrides.txt after a change
	@sh scripts/setup.sh uv
	$(bin)/uv lock --default-index https://pypi.org/simple
	@{ echo "# For hosts: uv tool install --overrides overrides.txt .   (docs/decisions/0001)"; \
	   $(bin)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["tool"]["uv"]["override-dependencies"], sep="\n")'; \
	 } > overrides.txt
	$(bin)/uv export --locked --quiet --no-dev --no-emit-project --no-annotate --no-header --output-file requirements.lock
	$(bin)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --only-binary :all: --default-index https://pypi.org/simple --no-annotate --no-header packaging/build.in --output-file packaging/build.lock
	@sh scripts/setup.sh

# What is in a release, for whoever asks: CycloneDX 1.5, from the lock.
.PHONY: sbom
sbom: $(ready) ## dist/sbom.cdx.json: every package that a host installs, with versions and hashes
	@$(bin)/python scripts/sbom.py

# Known weaknesses of what is locked, as the Python Packaging Advisory Database has them.
.PHONY: audit
audit: $(ready) ## ask the public database of weaknesses about every locked package; STRICT=1 fails where it is not reached
	@$(bin)/python scripts/audit.py $(if $(STRICT),--strict)

.PHONY: clean
clean: ## remove .venv and every cache
	rm -rf .venv .venv-fuzz .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage .coverage.* htmlcov dist build
	find crdt protocol node cli tui tests bench scripts -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
