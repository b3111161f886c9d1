# Everything a clone needs. `make demo` and `make test` work on a bare Debian 12 or 13 as root.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Daemons are started some hundred times in a test run: where nothing is kept of a compilation each of them compiles MMM.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install servers demo test pictures lint vectors simulate model fuzz bench rewind torture rejoin-matrix deploy undeploy clean deb test-deb test-pythons release-check

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml setup/packages setup/constraints.txt
	setup/packages
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint setup/constraints.txt --editable '.[test]'
	touch $@

# The servers of other Debian suites that tests and `mmm_sandbox up --server` run; those fetch what is missing, too.
servers: install
	$(BIN)/python -m mmm.sandbox.machines.fetch

demo: install
	$(BIN)/python -m mmm.sandbox.demo

# The Python of Debian 12 and of Debian 13: the library's types differ between them.
lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(BIN)/mypy --python-version 3.11 & other=$$!; \
	$(BIN)/mypy --python-version 3.13; failed=$$?; \
	wait $$other && exit $$failed
	$(BIN)/lint-imports

vectors: install
	$(BIN)/pytest tests/vectors

# SEEDS runs, from seed FIRST on, and a tenth as many with two monitors; docs/simulation.md tells what they come to.
SEEDS ?= 1000
FIRST ?= 0
simulate: install
	$(BIN)/python -m tests.simulation $(SEEDS) --first $(FIRST)
	$(BIN)/python -m tests.simulation $$(( ($(SEEDS) + 9) / 10 )) --first $(FIRST) --monitors 2

# Every state that the rules of the writer lease can come to; docs/safety.md tells what that comes to.
model: install
	$(BIN)/python -m tests.model

# RUNS inputs for each target in TARGETS; stops at the first finding.
RUNS ?= 1000000
TARGETS ?= $$($(BIN)/python -c 'from tests.fuzz.targets import TARGETS; print(*TARGETS)')
fuzz: install
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	for target in $(TARGETS); do $(BIN)/python -m tests.fuzz $$target -runs=$(RUNS) || exit 1; done

# What runs in virtual time, or in none: it may take as long as it likes.
VIRTUAL := tests/model tests/simulation tests/vectors

# Tests with servers mostly wait for these and for time-outs, so more of them run than there are cores, and those in virtual
# time have what is left. All parts run, whatever the first one says. The longest files of scenarios come first.
# The tests of a copy that comes by ssh start the sshd of openssh-server, those of proxies HAProxy and keepalived; those of
# snapshots have a file system of ext4 and one of btrfs; those of the page look at it in Chromium, those of the alert rules
# ask promtool; zsh completes.
# What they need is fetched while lint runs.
test: install
	@(setup/packages openssh-server haproxy e2fsprogs btrfs-progs chromium keepalived zsh && { setup/promtool || true; }) & \
	fetching=$$!; \
	$(MAKE) --no-print-directory lint; failed=$$?; \
	wait $$fetching && exit $$failed
	@failed=0; mkdir -p build; \
	setsid setup/aside $(BIN)/pytest -n 2 --dist loadfile -o timeout=900 $(VIRTUAL) >build/virtual.log 2>&1 & virtual=$$!; \
	trap 'kill $$virtual; exit 1' INT TERM; \
	$(BIN)/pytest -n 4 --dist loadfile --ignore=tests/sandbox $(VIRTUAL:%=--ignore=%) || failed=1; \
	$(BIN)/pytest -n 5 --dist loadfile --no-loadscope-reorder tests/sandbox || failed=1; \
	wait $$virtual || failed=1; \
	cat build/virtual.log; \
	setup/leftovers; \
	exit $$failed

# What docs/web.md shows, from a real cluster.
pictures: install
	setup/packages chromium
	mkdir -p docs/images
	MMM_PICTURES=$(CURDIR)/docs/images $(BIN)/pytest tests/sandbox/test_web.py

# All of bench/ in some 20 minutes; writes docs/performance.md, and fails where a ratio has become worse. ARGS: see there.
bench: install
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(BIN)/python -m bench $(ARGS)

# What servers have done alone is undone exactly, or not at all: this for REWIND seconds.
REWIND ?= 600
rewind: install
	MMM_REWIND_SECONDS=$(REWIND) $(BIN)/pytest -q -s tests/unit/test_rewind_random.py

# MOVES of the writer on SERVER, as for mmm_sandbox up, while clients write; SEMI_SYNC=1: nothing may be lost then.
# AUTO_REJOIN=1: no host may need hands.
# docs/torture.md tells what they come to.
SERVER ?= mariadb
MOVES ?= 200
torture: install
	$(BIN)/python -m bench.torture --server $(SERVER) --moves $(MOVES) $(if $(SEMI_SYNC),--semi-sync) $(if $(AUTO_REJOIN),--auto-rejoin)

# Each step of mmm_rejoin times each thing that can break beside it; ARGS: see there. An hour where others work, too.
rejoin-matrix: install
	$(BIN)/python -m bench.rejoin_matrix $(ARGS)

# The Debian packages of this tree into build/packages; needs git, and what debian/control says in Build-Depends.
deb:
	setup/deb

# Builds, installs, upgrades and purges them on booted machines of each of SUITES, with a cluster between; docs/install.md.
# PART=packages, perl or units: that alone.
SUITES ?= bookworm trixie
test-deb: install
	$(BIN)/python -m tests.deb $(SUITES) $(if $(PART),--only $(PART))

# The unit tests, without servers and network namespaces, with each Python that MMM runs on and that can be had here.
PYTHONS ?= 3.11 3.12 3.13 3.14
test-pythons: install
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint setup/constraints.txt --editable '.[release]'
	$(BIN)/python -m tests.pythons $(PYTHONS)

# Says of each thing that must hold before a release whether it does; SKIP="tests packages" leaves these out. docs/releasing.md.
release-check: install
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint setup/constraints.txt --editable '.[release]'
	$(BIN)/python -m tests.release --skip $(SKIP)

deploy:
	setup/deploy

undeploy:
	setup/undeploy

clean:
	rm -rf $(VENV) build *.egg-info .fuzz .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
	setup/leftovers --remove
