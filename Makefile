# What a person runs. Everything is built and cached under target/.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test check build image manifests testbed bench fuzz clean run install deploy-daemonset podman-build podman-push

# What the agent's image is called: make podman-push IMAGE=registry.example/hypermirror:v1
IMAGE ?= registry.example/hypermirror/hypermirror:latest

# How long make fuzz runs each target
FUZZ_SECONDS ?= 60

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Show what hypermirror does, on real API servers
	@hack/setup demo
	@hack/demo

test: ## Test everything: units, properties, scenarios on real API servers
	@hack/setup test
	@hack/testbed/build
	cargo build --workspace --locked --bins
	@hack/testbed/agent-image
	cargo test --workspace --locked --no-fail-fast

check: ## Format, lints, generated files, sizes, layering, manifests, scripts
	@hack/setup test
	cargo fmt --all --check
	@hack/check/sizes
	@hack/check/purity
	@hack/check/rbac
	@hack/check/scripts
	cargo clippy --workspace --locked --all-targets -- -D warnings
	@hack/check/generated

build: ## Build the release binary: target/release/hypermirror
	@hack/setup build
	cargo build --release --locked
	@ls -l target/release/hypermirror

image: ## Build the container image (needs docker or podman)
	$$(command -v docker || command -v podman || echo docker) build -t hypermirror:dev .

manifests: ## Write the generated files anew
	@hack/setup build
	@hack/check/generated --write

run: ## Run the agent on the mirror objects of the current cluster, below target/node instead of /
	@hack/setup build
	@mkdir -p target/node/etc/containers/registries.conf.d
	cargo run --locked -- agent --source=cluster --root=target/node --reload=none --log-format=text \
	  --node-name="$${NODE_NAME:-$$(hostname)}"

install: ## Install the kinds of an agent without a manager in the current cluster
	kubectl apply --server-side -k manifests/crd/agent

deploy-daemonset: ## Put the agent, without a manager, on every node of the current cluster (IMAGE=...)
	kubectl kustomize manifests/overlays/standalone-agent \
	  | sed 's|image: registry.example/hypermirror/hypermirror:latest|image: $(IMAGE)|' \
	  | kubectl apply --server-side -f -

podman-build: ## Build the container image as IMAGE with podman
	podman build -t $(IMAGE) .

podman-push: ## Push IMAGE with podman
	podman push $(IMAGE)

testbed: ## Build the servers of the test bed (hack/testbed/testbed up starts them)
	@hack/setup demo
	@hack/testbed/build

bench: ## Measure (the results are in docs/performance.md)
	@hack/setup demo
	@hack/testbed/build
	@hack/bench/run

fuzz: ## Look for inputs that no reader can take (FUZZ_SECONDS=... for each target)
	@hack/setup test
	@hack/fuzz/run $(FUZZ_SECONDS)

clean: ## Remove everything that was built
	cargo clean
