# Targets for developers. Everything is built and cached in target/.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test check build image manifests testbed bench bench-scale fuzz clean run install deploy-daemonset podman-build podman-push deckhouse-module bundle release release-check

# Name of the agent's image: make podman-push IMAGE=registry.example/hypermirror:v1
IMAGE ?= registry.example/hypermirror/hypermirror:latest

# An image of hypermirror that is in a registry already, for make deckhouse-module; without it, one is built.
MODULE_IMAGE ?=

# Seconds for each target of make fuzz
FUZZ_SECONDS ?= 60

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Demonstrate hypermirror on real API servers
	@hack/setup demo
	@hack/demo

test: ## Run all tests: unit tests, properties, scenarios on real API servers
	@hack/setup test
	@hack/testbed/build
	@hack/testbed/agent-image
	@hack/tests

check: ## Check formatting, lints, generated files, sizes, layering, manifests, scripts
	@hack/setup test
	cargo fmt --all --check
	@hack/check/sizes
	@hack/check/purity
	@hack/check/rbac
	@hack/check/scripts
	@hack/check/docs
	@hack/check/chart
	@hack/check/deckhouse
	@hack/check/bundle
	@hack/check/monitoring
	@hack/check/release
	cargo clippy --workspace --locked --all-targets -- -D warnings
	@hack/check/generated

build: ## Build the release binary: target/release/hypermirror
	@hack/setup build
	cargo build --release --locked
	@ls -l target/release/hypermirror

image: ## Build the container image (needs docker or podman)
	$$(command -v docker || command -v podman || echo docker) build -t hypermirror:dev .

manifests: ## Regenerate the generated files
	@hack/setup build
	@hack/check/generated --write
	@hack/check/monitoring --write
	@hack/check/chart --write
	@hack/check/deckhouse --write

run: ## Run the agent against the current cluster; it writes to target/node instead of /
	@hack/setup build
	@mkdir -p target/node/etc/containers/registries.conf.d
	cargo run --locked -- agent --source=cluster --root=target/node --reload=none --log-format=text \
	  --node-name="$${NODE_NAME:-$$(hostname)}"

install: ## Install the CRDs for an agent without a manager in the current cluster
	kubectl apply --server-side -k manifests/crd/agent

deploy-daemonset: ## Deploy the agent, without a manager, to the current cluster (IMAGE=...)
	kubectl kustomize manifests/overlays/standalone-agent \
	  | sed 's|image: registry.example/hypermirror/hypermirror:latest|image: $(IMAGE)|' \
	  | kubectl apply --server-side -f -

podman-build: ## Build the container image as IMAGE with podman
	podman build -t $(IMAGE) .

podman-push: ## Push IMAGE with podman
	podman push $(IMAGE)

deckhouse-module: ## Build the Deckhouse module and push it (VERSION=... REGISTRY=.../modules/registry-operator)
	@hack/deckhouse "$(VERSION)" "$(REGISTRY)" $(MODULE_IMAGE)

bundle: ## Generate the OLM bundle and a catalog in target/bundle (VERSION=..., IMAGE=...@sha256:...)
	@VERSION='$(VERSION)' IMAGE='$(IMAGE)' hack/bundle/generate target/bundle

release: ## Make a release of the last commit in target/release-VERSION (VERSION=...; IMAGE, MODULE, COSIGN_KEY: hack/release/make)
	@IMAGE='$(if $(filter file,$(origin IMAGE)),,$(IMAGE))' hack/release/make '$(VERSION)'

release-check: ## Make a release twice and check it: signatures, hashes, bills of materials, programs of each architecture
	@hack/release/check

testbed: ## Build the servers of the test bed (to start them: hack/testbed/testbed up)
	@hack/setup demo
	@hack/testbed/build

bench: ## Run the benchmarks (for results see docs/performance.md)
	@hack/setup demo
	@hack/testbed/build
	@hack/bench/run

bench-scale: ## Run the benchmarks of scale and faults, for hours (for results see docs/performance.md, docs/reliability.md)
	@hack/setup demo
	@hack/testbed/build
	@hack/bench/run --scale
	@hack/bench/run --guests-many
	@hack/bench/run --faults

fuzz: ## Fuzz the parsers (FUZZ_SECONDS=... for each target)
	@hack/setup test
	@hack/fuzz/run $(FUZZ_SECONDS)

clean: ## Remove all build output
	cargo clean
