# The two commands to know: `make demo` and `make test`.

CARGO ?= cargo
.DEFAULT_GOAL := help
.PHONY: help demo test soak lint fmt prerequisites

help: ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

prerequisites:
	@.ci/prerequisites

demo: prerequisites ## Run a real drill against a throw-away database, and its negative control
	$(CARGO) build --quiet
	target/debug/lifeboat demo

test: prerequisites ## Run all tests
	LIFEBOAT_TEST_PG17=$$(.ci/postgresql-17) LIFEBOAT_TEST_S3=$$(.ci/s3-server) $(CARGO) test

soak: prerequisites ## Run the long test: 1,000 random kills
	LIFEBOAT_TEST_PG17=$$(.ci/postgresql-17) $(CARGO) test --test it -- --ignored --nocapture

lint: ## Check format and lints
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings

fmt: ## Format
	$(CARGO) fmt
