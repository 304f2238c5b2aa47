# Everything a developer does more than once. "make help" lists it.

.DEFAULT_GOAL := help
SHELL         := /bin/sh
GO            ?= go
BENCHFLAGS    ?=
DEMOFLAGS     ?=
TESTFLAGS     ?=
STATICCHECK   := honnef.co/go/tools/cmd/staticcheck@v0.8.2
MODULES       := . integration/bench

# A recipe that begins with $(scratch) has a directory $$scratch, which is removed
# at its end, by Ctrl-C as well.
scratch = scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && trap 'exit 130' INT && trap 'exit 143' TERM

# Runs the command after it with a PostgreSQL for tests (PGQ_DATABASE_URL, or one
# that is started for it).
withpg = $(GO) build -buildvcs=false -o "$$scratch/withpg" ./internal/pgserver/withpg && "$$scratch/withpg" -tests --

# Sets $$race to -race where a C compiler works, without which Go has no race detector.
race = if printf 'int main(void) { return 0; }' | $$($(GO) env CC) -x c -o /dev/null - 2>/dev/null; \
	then race=-race; export CGO_ENABLED=1; \
	else race=; echo "make: no C compiler works here, so the tests run WITHOUT the race detector" >&2; fi

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: postgres ## show PGQ at work on a PostgreSQL of its own (DEMOFLAGS=…)
	@$(scratch); \
	$(GO) build -buildvcs=false -o "$$scratch/pgq-admin" ./cmd/pgq-admin && "$$scratch/pgq-admin" demo $(DEMOFLAGS)

.PHONY: test
test: postgres compiler ## run all tests, with the race detector, in random order (TESTFLAGS=…)
	@$(scratch); $(race); \
	docker version >/dev/null 2>&1 || echo "make: no Docker here, so the tests that need it are SKIPPED" >&2; \
	python3 -c 'import psycopg2' 2>/dev/null || /usr/bin/python3 -c 'import psycopg2' 2>/dev/null || \
		echo "make: no Python with psycopg2 here, so examples/python-worker is NOT TESTED" >&2; \
	command -v psql >/dev/null || echo "make: no psql here, so the examples in SQL and shell are NOT TESTED" >&2; \
	$(withpg) $(GO) test $$race -shuffle=on $(TESTFLAGS) ./...

.PHONY: cover
cover: postgres ## run all tests and show what they do not reach (coverage.out)
	@$(scratch); \
	$(withpg) $(GO) test -coverpkg=./pgq/...,./dagsql/...,./worker/... -coverprofile=coverage.out ./... && \
	$(GO) tool cover -func=coverage.out

.PHONY: lint
lint: ## check format, go vet, staticcheck and go.mod, in every module
	@failed=0; unformatted=$$(gofmt -l .); \
	if [ -n "$$unformatted" ]; then echo "not formatted, run make fmt:" $$unformatted >&2; failed=1; fi; \
	for module in $(MODULES); do \
		for check in "vet ./..." "run $(STATICCHECK) ./..." "mod tidy -diff"; do \
			( cd $$module && $(GO) $$check ) || { echo "lint: in $$module: go $$check failed" >&2; failed=1; }; \
		done; \
	done; exit $$failed

.PHONY: bench
bench: postgres ## measure, beside the peers (BENCHFLAGS=…)
	@cd integration/bench && $(GO) run -buildvcs=false . $(BENCHFLAGS)

.PHONY: migrations
migrations: ## write the function migration anew from pgq/sql
	$(GO) generate ./pgq/migrations

.PHONY: build
build: ## compile everything
	@set -e; for module in $(MODULES); do ( cd $$module; $(GO) build -buildvcs=false -o /dev/null ./... ); done

.PHONY: fmt
fmt: ## format the Go code
	gofmt -w .

.PHONY: clean
clean: ## remove what make has written
	rm -f coverage.out

# What follows installs, on a Debian where we are root, what is missing. It does
# nothing elsewhere: there the tests say what to install.

debian_root   = [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null
apt_install   = apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends
find_postgres = for p in "$$(command -v postgres)" /usr/lib/postgresql/*/bin/postgres /usr/pgsql-*/bin/postgres /usr/local/pgsql/bin/postgres; \
	do if [ -x "$$p" ]; then exit 0; fi; done

.PHONY: postgres
postgres:
	@if [ -n "$$PGQ_DATABASE_URL" ]; then exit 0; fi; \
	case "$$PGQ_POSTGRES" in ""|local) ;; *) exit 0 ;; esac; \
	$(find_postgres); \
	if [ -z "$$PGQ_POSTGRES" ] && docker version >/dev/null 2>&1; then exit 0; fi; \
	if $(debian_root); then echo "make: no PostgreSQL here, installing Debian's" >&2; $(apt_install) postgresql >/dev/null; fi

.PHONY: compiler
compiler:
	@$(race) 2>/dev/null; \
	if [ -z "$$race" ] && $(debian_root); then echo "make: no C compiler here, installing Debian's for the race detector" >&2; \
		$(apt_install) gcc libc6-dev >/dev/null; fi
