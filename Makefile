# Every job of the work tree by name; `make` alone lists them. The work is in scripts/, one file a job.

PREFIX ?= /usr/local

.DEFAULT_GOAL := help
.PHONY: help setup build install images test test-engines mutants fuzz soak demo bench bench-policy lint clean

help: ## List these jobs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install the Debian packages that are missing
	scripts/setup

build: ## Build target/release/clawker, the whole product in one file
	scripts/setup build
	scripts/build

install: build ## Copy it to $(PREFIX)/bin, its manual pages and completions to $(PREFIX)/share
	install -D -m 755 target/release/clawker $(DESTDIR)$(PREFIX)/bin/clawker
	scripts/install-share target/release/clawker $(DESTDIR)$(PREFIX)/share

images: build ## Pull or assemble the images
	scripts/setup images
	scripts/engine up
	scripts/images

test: ## Set everything up, then run lint and every test on the real parts
	@scripts/test

test-engines: ## Run a part of the tests on other releases of the Docker engine
	scripts/with-parts test scripts/test-engines

mutants: images ## Leave each of the firewall's rules out once: clawker prove must find it; ARGS=--all tries every fault
	scripts/mutants $(ARGS)

soak: ## A thousand faults under full fire, and the long versions of other tests: hours
	scripts/soak

demo: ## Set everything up, then show the main job on a made-up internet
	@scripts/demo

bench: ## Set everything up, then measure
	@scripts/bench

bench-policy: ## Set everything up, measure growing policies, and write docs/policy-growth.md
	@scripts/bench-policy --write

fuzz: ## Try every parser of foreign bytes on made-up ones, for FUZZ_SECONDS each
	scripts/setup test
	scripts/fuzz

lint: ## Check formatting and warnings
	scripts/lint

clean: ## Remove what was built here; images and downloads stay
	rm -rf target
