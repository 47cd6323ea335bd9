# The two commands to know: `make demo` and `make test`.

CARGO ?= cargo
# Real parts that tests talk to.
WITH_PARTS = LIFEBOAT_TEST_PG17=$$(.ci/postgresql-17) LIFEBOAT_TEST_S3=$$(.ci/s3-server) \
	LIFEBOAT_TEST_PROMETHEUS=$$(.ci/prometheus) LIFEBOAT_TEST_SCHEMATHESIS=$$(.ci/schemathesis)
# What only a build with the feature has. All other tests are of the build that
# most people get: to run them with both would take twice as long.
OTEL = --features otel --test otel
.DEFAULT_GOAL := help
.PHONY: help demo test soak bench lint fmt prerequisites test-prerequisites

help: ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

prerequisites:
	@.ci/prerequisites

# They know one version, and start its servers as another user.
test-prerequisites:
	@.ci/prerequisites 15

demo: prerequisites ## Run a real drill against a throw-away database, and its negative control
	$(CARGO) run --quiet -- demo

test: test-prerequisites ## Run all tests
	$(WITH_PARTS) $(CARGO) test
	LIFEBOAT_TEST_OTEL_COLLECTOR=$$(.ci/otel-collector) $(CARGO) test $(OTEL)

soak: test-prerequisites ## Run the long tests: 1,000 random kills, 1,000 random schemas
	$(WITH_PARTS) $(CARGO) test --test it -- --ignored --nocapture

bench: test-prerequisites ## Measure beside baselines; ONLY=fingerprint for one workload, ARGS=--help for options
	LIFEBOAT_BENCH_PGCOPYDB=$$(.ci/pgcopydb) LIFEBOAT_BENCH_WRK=$$(.ci/wrk) $(CARGO) bench --bench drills -- $(if $(ONLY),--only $(ONLY)) $(ARGS)

lint: ## Check format and lints
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --test cluster -- -D warnings
	$(CARGO) clippy $(OTEL) -- -D warnings

fmt: ## Format
	$(CARGO) fmt
