# `make` lists what there is. Everything runs in .venv, which is made when it is missing and again when the locks change,
# or the plugin's pyproject.toml, which names its programs.
PYTHON ?= python3
NAME ?= dynamiq

BIN := .venv/bin
READY := .venv/.ready
SDK_READY := .venv-sdk/.ready
DOCS_READY := .venv-docs/.ready
LOCKED := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
	--python-version 3.11 --custom-compile-command "make locks"
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Says every 10 s that the command after it still runs.
TICKING := (while sleep 10 >/dev/null 2>&1; do seconds=$$((seconds + 10)); echo "  … $$seconds s"; done) & ticker=$$!; trap "kill $$ticker" EXIT;

# Programs of ours are started by the hundred: without it each one compiles all of its modules anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help venv demo console console-dev console-build console-test console-pictures cluster cluster-down generate locks lint check coverage test test-all test-versions test-sdk flaky ci docs bench soak mutants end-waiting images chart dist release release-check clean

help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  PYTHON=python3.12   the Python that makes .venv, 3.11 or newer        NAME=other   another cluster than $(NAME)"
	@echo "  PORT=8081           another port for make console             TLS=1        its console by HTTPS, as Safari needs it"
	@echo "  KUBERNETES=1.36     that Kubernetes, built once; 1.35 and 1.36 beside the newest, see docs/versions.md"
	@echo "  UNDER=busy          make test beside busy loops; half: with half of the processors; frozen: with freezes of 5 s; the latter as root"
	@echo "  CLUSTER=my-context  a cluster of yours, by its kube context    PROFILE=control-plane   no root: simulated pods"

venv: $(READY) ## the virtual environment .venv, from locks/dev.txt

$(READY): locks/dev.txt operator/kubectl/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed, and $(PYTHON) is "\
		+ sys.version.split()[0] + ": name another one, make PYTHON=python3.12 $(MAKECMDGOALS)")'
	@echo ".venv: installing from locks/dev.txt, a minute or two when nothing is cached"
	@rm -rf .venv
	@$(PYTHON) -m venv .venv || { echo "$(PYTHON) has no venv: install it, on Debian and Ubuntu apt-get install python3-venv"; exit 1; }
	@$(if $(filter file,$(origin PYTHON)),$(BIN)/python local/fast_python.py .venv)
	@# The lock names everything: resolved anew, an extra would be taken in its newest version, which has no hash here.
	@$(TICKING) $(PIP) --no-deps --require-hashes -r locks/dev.txt
	@$(PIP) --no-deps --no-build-isolation -e . -e operator/kubectl
	@touch $@

# Pytest stays in .venv and starts programs in this one: the SDK pins other versions of what both need.
$(SDK_READY): locks/sdk.txt | $(READY)
	@echo ".venv-sdk: installing Dynamiq's SDK from locks/sdk.txt, 1.9 GB, some minutes when nothing is cached"
	@rm -rf .venv-sdk
	@$(BIN)/python -m venv --without-pip .venv-sdk
	@$(TICKING) $(BIN)/uv pip install --quiet --python .venv-sdk/bin/python --require-hashes -r locks/sdk.txt
	@touch $@

$(DOCS_READY): locks/docs.txt | $(READY)
	@echo ".venv-docs: installing MkDocs from locks/docs.txt"
	@rm -rf .venv-docs
	@$(BIN)/python -m venv --without-pip .venv-docs
	@$(BIN)/uv pip install --quiet --python .venv-docs/bin/python --require-hashes -r locks/docs.txt
	@touch $@

demo: $(READY) ## a real Kubernetes, and on it: deploy, redeploy, roll back, switch and sleep, while somebody calls
	@$(BIN)/python -m local.demo --name $(NAME)

console: $(READY) ## the web console on the demo's cluster, which is started where it does not run; says how to sign in, until Ctrl-C
	@$(BIN)/python -m local.console --name $(NAME) $(if $(PORT),--port $(PORT)) $(if $(TLS),--tls)

console-dev: $(READY) ## the same from its sources by Vite, which shows each change at once
	@$(BIN)/python -m local.console --name $(NAME) --dev $(if $(PORT),--port $(PORT))

console-build: $(READY) ## the console's files, which the API serves; built where its sources have changed
	@$(BIN)/python -m local.console_build

console-test: $(READY) ## its style, types and unit tests, and its screens in Chromium on clusters started for them; six minutes
	@$(BIN)/python -m tests.run console

console-pictures: $(READY) ## docs/images: every screen, dark, light and on a phone, drawn anew; look at them
	@$(BIN)/python -m tests.support.browser.chromium
	@PICTURES=docs/images $(BIN)/python -m pytest --quiet tests/console/test_pictures.py

cluster: $(READY) ## a real Kubernetes on this machine, or what runs already
	@$(BIN)/python -m local up --name $(NAME)

cluster-down: $(READY) ## stop it, and remove all that it took
	@$(BIN)/python -m local down --name $(NAME)

generate: $(READY) ## crds/ from the models, the OpenAPI document that the console's types are made of
	@$(BIN)/python -m dynamiq_operator.generate crds --openapi operator/console/openapi.json

locks: $(READY) ## locks/*.txt from pyproject.toml and operator/kubectl/pyproject.toml, and locks/debian.txt from Debian's archives
	$(LOCKED) pyproject.toml -o locks/operator.txt
	$(LOCKED) pyproject.toml --group dev -c locks/operator.txt -o locks/dev.txt
	$(LOCKED) --group pyproject.toml:console -c locks/dev.txt -o locks/console.txt
	$(LOCKED) operator/kubectl/pyproject.toml -c locks/dev.txt -o locks/kubectl.txt
	$(LOCKED) --group pyproject.toml:runtime -c locks/dev.txt -o locks/runtime.txt
	$(LOCKED) --group pyproject.toml:recorder -c locks/dev.txt -o locks/recorder.txt
	$(LOCKED) --group pyproject.toml:sdk -o locks/sdk.txt
	$(LOCKED) --group pyproject.toml:gateway -o locks/gateway.txt
	$(LOCKED) --group pyproject.toml:docs -o locks/docs.txt
	$(BIN)/python -m local.debian_lock

lint: $(READY) ## style, types, layers, and that what is generated is fresh
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { $(BIN)/ruff format --check .; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m dynamiq_operator.generate crds --openapi operator/console/openapi.json --check

check: $(READY) ## lint, and those tests without a cluster that take no time: under a minute, before each commit
	@$(BIN)/python -m tests.run check

coverage: $(READY) ## all tests without a cluster, and what they reach of each layer; five minutes
	@$(BIN)/python -m tests.run coverage

test: $(READY) ## every behaviour once, on clusters that are started for it and stopped after it; what is missing is built first, once
	@$(BIN)/python $(if $(UNDER),-m tests.support.conditions $(UNDER) $(BIN)/python) -m tests.run test

test-all: $(READY) $(SDK_READY) ## the long tests, which make test leaves out: an hour or so, before an issue is resolved
	@$(BIN)/python -m tests.run test-all

ci: $(READY) ## what has to pass: lint, the documentation, and make test
	@$(BIN)/python -m tests.run ci

test-versions: $(READY) ## ledger, rollouts and surfaces on Kubernetes 1.35, 1.36 and 1.37, each of which is built once; docs/versions.md
	@$(BIN)/python -m tests.run versions

test-sdk: $(READY) $(SDK_READY) ## the runtime with Dynamiq's SDK as its engine: servers of .venv-sdk, a model of our own, no network
	@echo "tests: tests/sdk, with the SDK in .venv-sdk, which takes seconds to load each time"
	@$(BIN)/python -m pytest tests/sdk

flaky: $(READY) ## TEST=tests/… TIMES=10: a test many times beside busy loops, under half a processor, and with freezes of 5 s; as root
	@$(BIN)/python -m tests.flaky $(TEST) $(if $(TIMES),--times $(TIMES))

bench: $(READY) $(SDK_READY) ## figures: requests of the operator for a deploy, a redeploy, and at rest; what the runtime adds to a run
	@$(BIN)/python -m pytest tests/bench --capture=no

soak: $(READY) $(SDK_READY) ## the full counts of all that runs long, an hour or two; what it says is kept in docs/measured
	@$(BIN)/python -m tests.run soak

mutants: $(READY) ## picks SEED=1 COUNT=200 mutants and runs the tests that reach them, SUITES=unit,api; OLD=b9dca142 also those of that commit
	@$(BIN)/python -m tests.mutants --seed $(or $(SEED),1) --count $(or $(COUNT),200) $(if $(FIRST),--first $(FIRST)) \
		$(if $(REF),--ref $(REF)) $(if $(SUITES),--suites $(SUITES)) $(if $(OLD),--old $(OLD)) $(if $(AGAIN),--again)

end-waiting: ## reject every row that waits, of the cluster that kubectl talks to: before going back to an operator without guards
	@mkdir -p build
	@kubectl get deployments.dynamiq -A -o go-template-file=manifests/waiting-rows.tmpl >build/waiting-rows.yaml
	@if [ -s build/waiting-rows.yaml ]; then kubectl create -f build/waiting-rows.yaml; else echo "no row waits"; fi

docs: $(READY) $(DOCS_READY) ## the documentation as a site, in build/docs/site, with references made of the code; every link of it is checked
	@$(BIN)/python -m local.docs

images: $(READY) ## our images as archives that docker and kind load, in build/images; IMAGES=runtime-sdk is another one
	@$(BIN)/python -m local.release images $(IMAGES)

chart: $(READY) ## the Helm chart in build/chart, from manifests/ and local/chart; helm installs it from there
	@$(BIN)/python -m local.chart.build

dist: $(READY) ## what a release consists of: the wheels of operator and plugin, the chart, and the manifests in one file each, in build/dist
	@$(BIN)/python -m local.dist

release: $(READY) ## the files of a release in build/release: wheels, images, chart, manifests, bills of materials, sums; VERSION=0.1.0 has to be the project's
	@$(BIN)/python -m local.release build "$(VERSION)"

release-check: $(READY) ## install from the files in build/release alone, on a fresh cluster, and run the demo there
	@$(BIN)/python -m local.release check

clean: ## remove .venv, .venv-sdk, .venv-docs and what tools keep; clusters and builds stay
	rm -rf .venv .venv-sdk .venv-docs .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build operator/*.egg-info \
		operator/console/node_modules tests/console/provider/node_modules operator/dynamiq_operator/rest/static
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
