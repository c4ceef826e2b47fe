# Everything CI does is a target here. Only Go and make are needed.

GO ?= go
# A number of runs. With a time, such as 1m, go test before 1.27 now and then fails when it is up (golang/go#75804).
FUZZTIME ?= 20000x
# The race detector needs a C compiler. Without one the tests run without it; .ci/run insists on it.
RACE ?= $(if $(filter 1,$(shell $(GO) env CGO_ENABLED)),-race)
COVERAGE ?= 90

# Modules of their own, because they need drivers, OpenTelemetry, Prometheus, or libraries to compare with or to parse a command line.
NESTED := cmd/connectpsp otel dashboards integration examples/receiver examples/payouts bench internal/specsync

# The nested modules that make integration tests with servers, under the race detector.
SERVED := integration examples/receiver examples/payouts cmd/connectpsp

# Packages that other tests cover: those of their callers, of make integration, or of make spec-shapes.
ELSEWHERE := gen examples/quickstart connectpsp/journaltest webhook/inboxtest sqlstore internal/mortal internal/release

# Passes on what go test prints, and fails if that says FAIL, if it tells no coverage, or if a
# package is covered too little. The shell takes the status of a pipe's last command, so the first
# one has to say FAIL when it fails.
COVERED = awk '{ print } /^(FAIL|---)/ { bad = 1 } \
	/coverage: [0-9]/ $(foreach package,$(EXEMPT),&& $$0 !~ "/connectpsp-go/$(package)\t") { \
		told = 1; split($$0, part, "coverage: "); if (part[2] + 0 < $(COVERAGE)) bad = 1 } \
	END { if (bad || !told) print "coverage: failed, $(COVERAGE) % is the least"; exit bad || !told }'

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
ACTIONLINT := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
CYCLONEDX := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## See a payment come in, go back and go out, against the sandbox (or staging, with CONNECTPSP_* set)
	@$(GO) run ./examples/quickstart

.PHONY: demo-webhooks
demo-webhooks: ## See webhooks credit a wallet, once each (on SQLite in memory, or on DATABASE_URL)
	@cd examples/receiver && $(GO) run .

.PHONY: demo-payouts
demo-payouts: ## See withdrawals paid, failed, held and stopped, with River on a PostgreSQL server that it starts
	@.ci/with-postgres sh -c 'cd examples/payouts && DATABASE_URL=$$CONNECTPSP_TEST_POSTGRES $(GO) run . demo'

.PHONY: demo-fleet
demo-fleet: ## See four processes pay while they are killed, frozen and cut off and PostgreSQL crashes (some minutes)
	@.ci/with-postgres sh -c 'cd examples/payouts && PAYOUTS_TOKEN_KEY=for-demonstrations-only-for-demonstrations-only DATABASE_URL=$$CONNECTPSP_TEST_POSTGRES $(GO) run . fleet'

# A seed draws the same schedule of faults each time; 0 is a random one.
fleet-chaos: SEED ?= 0

.PHONY: fleet-chaos
fleet-chaos: ## Kill, freeze and cut off workers behind PgBouncer by the schedule of SEED (eight minutes); BROKEN=1 takes the leases out
	@.ci/with-postgres --pgbouncer sh -c 'cd examples/payouts && $(GO) test -count=1 -timeout 30m -v -run \
		"^$(if $(BROKEN),TestAFleetWithoutLeasesIsFoundToPayWhatItHasGivenBack,TestAFleetPaysEachWithdrawalOnceWhateverFailsAroundIt)$$" \
		./... -chaos -chaos.seed $(SEED)'

# The engine of Prometheus, on which the tests of dashboards spend their time, needs no race detector.
.PHONY: test
test: ## Run all tests that need no server, with the race detector where there is a C compiler (dashboards: without)
	$(GO) test $(RACE) ./...
	@for module in $(NESTED); do (cd $$module && $(GO) test $$(test $$module = dashboards || echo $(RACE)) ./...) || exit 1; done

# The release after the one in go.mod. It comes through the module proxy.
NEXT ?= go1.27.0

# One run for both, because the tests of the core module take minutes.
.PHONY: test-next
test-next: ## Run the tests of the core module on the next release of Go, as make cover does
	@GOTOOLCHAIN=$(NEXT) $(MAKE) --no-print-directory cover

.PHONY: generate
generate: ## Regenerate gen/ from the description
	$(GO) generate ./...

.PHONY: drift
drift: ## Fail if gen/ or go.mod is not what it would be if made anew
	@kept=$$(mktemp); cp gen/gen.gen.go $$kept; rm gen/gen.gen.go; \
	if $(GO) generate ./... && cmp $$kept gen/gen.gen.go; then rm $$kept; \
	else cp $$kept gen/gen.gen.go; echo 'gen/ is not what go generate makes of openapi/'; exit 1; fi
	$(GO) mod tidy -diff
	@for module in $(NESTED); do (cd $$module && $(GO) mod tidy -diff) || exit 1; done

.PHONY: contract
contract: ## Check the SDK's types and operations, the description and its examples against each other
	$(GO) test $(RACE) -count=1 ./internal/contract
	$(GO) test $(RACE) -count=1 -v ./openapi

# Where the description comes from: FROM, an https address or a file; without it the provider's download. The shell reads this and
# VERSION from its environment, where make puts them: what make itself writes into a line of shell, the shell would run.
SPECSYNC := $(GO) run -C internal/specsync . -root ../..

.PHONY: spec-sync
spec-sync: ## Take the provider's description in, from FROM: compared, tried, and then written down with what is generated
	@$(SPECSYNC) sync $${FROM:+-from "$$FROM"}

.PHONY: spec-watch
spec-watch: ## The same, and open a pull request if anything has changed (needs git's origin and gh)
	@$(SPECSYNC) watch $${FROM:+-from "$$FROM"}

.PHONY: spec-report
spec-report: ## Tell what differs between the descriptions OLD and NEW, as Markdown
	@$(SPECSYNC) report "$$OLD" "$$NEW"

.PHONY: spec-shapes
spec-shapes: ## Take in descriptions of every shape, and a made-up next version up to its release, in copies of the project
	@{ cd internal/specsync && $(GO) test -count=1 -timeout 30m -cover . -whole || echo FAIL; } | $(COVERED)
	@$(GO) test -count=1 -timeout 30m ./internal/release -whole

.PHONY: api
api: ## Tell what has changed for users since the last release, and fail if they break and the version does not say so
	@$(GO) run ./internal/release api

.PHONY: contract-staging
contract-staging: ## Check the live gateway against the description (needs CONNECTPSP_*; with MOVE_MONEY=1 also what moves money)
	@$(GO) run ./internal/staging $(if $(MOVE_MONEY),-move-money)

.PHONY: vulncheck
vulncheck: ## Look for known vulnerabilities in what is used (needs the vulnerability database's host)
	$(GO) run $(GOVULNCHECK) ./...
	@for module in $(NESTED); do (cd $$module && $(GO) run $(GOVULNCHECK) ./...) || exit 1; done

.PHONY: cross
cross: ## Compile everything, tests too, for the other systems
	GOOS=darwin GOARCH=arm64 $(GO) vet ./...
	GOOS=windows $(GO) vet ./...

.PHONY: release-check
release-check: ## Check that VERSION (v1.2.3) may be released: number, changelog, and what has changed for users
	@$(GO) run ./internal/release check "$$VERSION"

.PHONY: dist
dist: ## Make what a release of VERSION consists of, in dist/: notes, source and bill of materials
	@mkdir -p dist
	@$(GO) run ./internal/release check "$$VERSION" >dist/notes.md
	git archive --format=tar.gz --prefix="connectpsp-go-$$VERSION/" --output="dist/connectpsp-go-$$VERSION.tar.gz" "$$VERSION"
	$(GO) run $(CYCLONEDX) mod -json -output "dist/connectpsp-go-$$VERSION.cdx.json"

.PHONY: publish
publish: ## Publish dist/ as the release of the signed tag VERSION (needs gh)
	@test "$$(gh api "repos/{owner}/{repo}/git/tags/$$(git rev-parse "refs/tags/$$VERSION")" --jq .verification.verified)" = true || \
		{ echo 'the tag is not signed by a key that GitHub knows'; exit 1; }
	gh release create "$$VERSION" --verify-tag --title "$$VERSION" --notes-file dist/notes.md dist/connectpsp-go-*

.PHONY: lint
lint: ## Run gofmt, vet, staticcheck and actionlint
	@unformatted=$$(gofmt -l .) && test -z "$$unformatted" || { echo "gofmt fails or would change:" $$unformatted; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	@for module in $(NESTED); do (cd $$module && $(GO) vet ./... && $(GO) run $(STATICCHECK) ./...) || exit 1; done
	$(GO) run $(ACTIONLINT)

.PHONY: cover
cover: EXEMPT := $(ELSEWHERE)
cover: ## Fail if the tests of a handwritten package cover less than COVERAGE percent of it
	@{ $(GO) test -cover ./... || echo FAIL; } | $(COVERED)

# What tests of webhooks run on: events in memory; a tenth of that on PostgreSQL, a fortieth on SQLite.
integration: N ?= 20000

.PHONY: integration
integration: ## Test what needs a database, on a PostgreSQL server that it starts (or installs) and on SQLite, with N events
	@{ .ci/with-postgres --pgbouncer sh -c 'cd integration && $(GO) test $(RACE) -count=1 -timeout 1h \
		-coverpkg=github.com/connectpsp/connectpsp-go/sqlstore ./... && cd .. && \
		for module in $(filter-out integration,$(SERVED)); do (cd $$module && $(GO) test $(RACE) -count=1 ./...) || exit 1; done' \
		|| echo FAIL; } | $(COVERED)
	.ci/with-postgres sh -c 'cd integration && $(GO) test -count=1 -timeout 10h -v -run EveryEffect ./... \
		-storm.memory $(N) -storm.postgres $$(($(N) / 10)) -storm.sqlite $$(($(N) / 40))'

fleet-linearizable: N ?= 10000

.PHONY: fleet-linearizable
fleet-linearizable: ## Check N operations of killed and frozen processes on a shared journal, and that broken journals are found
	@.ci/with-postgres sh -c 'cd integration && $(GO) test -count=1 -timeout 1h -v -run "^TestAJournalThat.*Linearizable$$" ./... \
		-linearizable $(N) -linearizable.broken'

.PHONY: docs
docs: ## Write the pages that come from the code, docs/errors.md in both languages and llms.txt; the tests compare them
	$(GO) test -count=1 -run '^TestTheGeneratedPagesAreWhatTheCodeSays$$' ./internal/readme -docs.write

.PHONY: readme-run
readme-run: ## Run the commands of the READMEs, as they stand, on a clone of this tree
	$(GO) test -count=1 -timeout 15m -run '^TestTheCommandsOfTheREADMEsRunAsTheyStand$$' ./internal/readme -readme.run

# Where the screenshots of make page and make dashboard go; make page makes none without it.
SHOTS ?=

.PHONY: page
page: ## Test the sandbox's page in a browser without a window, which it installs; SHOTS is a directory for screenshots
	.ci/with-chromium sh -c 'cd integration && $(GO) test -count=1 -timeout 5m -run ThePage ./... $(if $(SHOTS),-page.shots $(SHOTS))'

.PHONY: dashboard
dashboard: ## Draw the dashboard with a day in the sandbox, without Grafana, into SHOTS or dashboards/out
	.ci/with-chromium sh -c 'cd dashboards && $(GO) test -count=1 -timeout 5m -run "^TestTheDashboardShowsADay$$" ./... \
		-dashboard.shots $(or $(SHOTS),out)'

# How much of it: schedules, orders, kills.
simulate: N ?= 1000000
sockets: N ?= 100000
crash: N ?= 100

.PHONY: simulate
simulate: ## Simulate payments in N schedules and every short sequence of faults, and check that it finds broken clients
	$(GO) test -count=1 -timeout 10h -v -run '^TestSimulatedPaymentsKeepTheirPromises$$' ./internal/simulation -simulate.n $(N)
	$(GO) test -count=1 -timeout 1h -v -run '^TestEveryShortSequenceOfFaults' ./internal/simulation -exhaustive.attempts 3
	$(GO) test -count=1 -timeout 1h ./internal/mutations -mutations

.PHONY: sockets
sockets: ## Pay N orders over real sockets that break: HTTP/1.1, TLS and HTTP/2
	$(GO) test -count=1 -timeout 10h -v -run '^TestOverRealSockets' ./connectpsp -sockets.n $(N)

.PHONY: crash
crash: ## Kill a program that pays N times, as kill -9 does
	$(GO) test -count=1 -timeout 10h -v ./internal/crash -crash.kills $(N)

.PHONY: soak
soak: ## Simulate, break sockets and kill ten times as much as CI does, which takes half an hour
	@$(MAKE) --no-print-directory simulate N=10000000
	@$(MAKE) --no-print-directory sockets N=1000000
	@$(MAKE) --no-print-directory crash N=1000

# How many times each benchmark runs.
ROUNDS ?= 5

.PHONY: bench
bench: ## Print the cost of the SDK beside the same work by hand, medians of ROUNDS; all figures are in bench/out/bench.txt
	@cd bench && $(GO) run ./table -rounds $(ROUNDS)

.PHONY: bench-otel
bench-otel: ## Print the p99 of payments without an observer, with spans in batches, and with an exporter that hangs
	cd otel && $(GO) test -run '^$$' -bench Payments -benchtime 5000x ./...

# Events in the backlog that is drained, and among those that are done.
bench-inbox: N ?= 1000000

.PHONY: bench-inbox
bench-inbox: ## Print what the inbox costs on PostgreSQL beside the same work by hand, which takes six minutes
	@CONNECTPSP_TEST_FSYNC=on .ci/with-postgres sh -c 'cd integration && $(GO) test -count=1 -timeout 2h -v -run "^TestFiguresOfTheInbox$$" ./... \
		-figures -figures.rows $(N)'

# Withdrawals that are done in the fullest database; the others have a tenth and a hundredth.
fleet-load: N ?= 1000000

.PHONY: fleet-load
fleet-load: ## Print what a payout costs PostgreSQL, and how many 1, 2 and 4 workers make a second (some minutes)
	@CONNECTPSP_TEST_FSYNC=on .ci/with-postgres sh -c 'cd examples/payouts && $(GO) test -count=1 -timeout 1h -v \
		-run "^TestFiguresOfPayouts$$" ./... -load -load.rows $(N)'

.PHONY: bench-docs
bench-docs: ## The same, and write the table into docs/performance.md
	@cd bench && $(GO) run ./table -rounds $(ROUNDS) -document ../docs/performance.md

# Payments of one client, to see whether its memory grows.
bench-plots: N ?= 10000000

.PHONY: bench-plots
bench-plots: ## Measure how the cost grows, with N payments of one client, and draw the plots of docs/performance.md
	@cd bench && $(GO) run ./growth -calls $(N) && $(GO) run ./plot

.PHONY: bench-smoke
bench-smoke: ## Run every benchmark once, to see that it works; no time is checked
	cd bench && $(GO) test -count=1 -bench . -benchtime 1x ./...

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME
	@for file in $$(grep -rl '^func Fuzz' --include='*_test.go' .); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z]*\).*/\1/p' $$file); do \
			echo "$$target in $$(dirname $$file)"; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 50x $$(dirname $$file) || exit 1; \
		done; \
	done
