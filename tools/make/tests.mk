# Test programs. A unit test of a layer is linked with the archives that the layer may know, and no
# others, so that half a tree is testable.

LINKS_base := base
LINKS_model := model base
LINKS_raft := raft model base
LINKS_state := state model base
LINKS_decide := decide model base
LINKS_storage := storage model base
LINKS_wire := wire raft proto model base
LINKS_rpc := rpc base
LINKS_client := client rpc wire raft proto model base
LINKS_config := config rpc model base
LINKS_replication := replication client config rpc wire raft proto model base
LINKS_peers := peers config rpc wire raft proto model base
LINKS_node := node peers decide state raft storage config rpc wire proto model base
LINKS_api := api $(LINKS_node)
LINKS_etcd := etcd $(LINKS_api)
LINKS_cmd := $(LAYERS) proto
LINKS_lint := base
LINKS_jepsen := base
LINKS_golden := replication decide state raft model base

# --- fixtures ----------------------------------------------------------------------------------
SUPPORT_OBJECTS := $(patsubst %.c,$(B)/obj/%.o,$(sort $(wildcard tests/support/*.c)))
$(if $(CONFIGURED),$(call stamp,$(B)/stamp/support,$(SUPPORT_OBJECTS)))
$(B)/lib/libsupport.a: $(SUPPORT_OBJECTS) $(B)/stamp/support
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)ar rcs $@ $(filter %.o,$^)

# --- unit and golden ---------------------------------------------------------------------------
# Folder -> programs (test_*.c), helpers (other .c files of the folder, linked into each program).
test_sources_of = $(sort $(wildcard $(1)/test_*.c))
helper_sources_of = $(filter-out $(call test_sources_of,$(1)),$(sort $(wildcard $(1)/*.c)))
programs_of = $(patsubst tests/%.c,$(B)/tests/%,$(call test_sources_of,$(1)))

# $(call test_rules,FOLDER,LAYERS LINKED)
define test_rules
$(call programs_of,$(1)): $(B)/tests/%: $(B)/obj/tests/%.o \
		$(patsubst %.c,$(B)/obj/%.o,$(call helper_sources_of,$(1))) \
		$(B)/lib/libsupport.a $(foreach layer,$(2),$(call archive_of,$(layer)))
	@mkdir -p $$(@D)
	$$(if $$(Q),@echo '  LD  $$@')
	$$(Q)$$(CC) $$(INDABA_LDFLAGS) -o $$@ $$(filter %.o,$$^) \
		-Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group $$(PKG_LIBS) $$(CMOCKA_LIBS)
endef

UNIT_FOLDERS := $(patsubst %/,%,$(wildcard tests/unit/*/))
UNIT_LAYERS := $(notdir $(UNIT_FOLDERS))
$(foreach layer,$(UNIT_LAYERS),$(eval $(call test_rules,tests/unit/$(layer),$(LINKS_$(layer)))))
$(eval $(call test_rules,tests/golden,$(LINKS_golden)))

# Tests of layers that use generated headers, and fixtures, see them too.
TEST_OBJECTS_WIRED := $(foreach layer,$(WIRED),$(patsubst %.c,$(B)/obj/%.o,\
	$(wildcard tests/unit/$(layer)/*.c)))
$(TEST_OBJECTS_WIRED) $(patsubst %.c,$(B)/obj/%.o,$(wildcard tests/sim/*.c)): | $(GEN_H)

UNIT_PROGRAMS := $(foreach folder,$(if $(T),$(addprefix tests/unit/,$(T)),$(UNIT_FOLDERS)),\
	$(call programs_of,$(folder)))
GOLDEN_PROGRAMS := $(call programs_of,tests/golden)
UNIT_TIMEOUT ?= 120
INTEGRATION_TIMEOUT ?= 300
RUN_TESTS := tools/run_tests.py --logs $(B)/test-logs
# FIRST_FAILURE=--first-failure: begin no further program after one that failed.
FIRST_FAILURE ?=

.PHONY: unit
unit: $(UNIT_PROGRAMS) ## run the unit tests (T=raft: those of one layer)
	@$(RUN_TESTS) $(FIRST_FAILURE) --jobs 2 --timeout $(UNIT_TIMEOUT) $(UNIT_PROGRAMS)

.PHONY: golden
golden: $(GOLDEN_PROGRAMS) ## run the golden traces of the Raft core and of failovers
	@$(RUN_TESTS) --timeout $(UNIT_TIMEOUT) $(GOLDEN_PROGRAMS)

.PHONY: golden-update
golden-update: $(GOLDEN_PROGRAMS) ## write the traces anew; review the difference as prose
	@GOLDEN_UPDATE=1 $(RUN_TESTS) --timeout $(UNIT_TIMEOUT) $(GOLDEN_PROGRAMS)
	@git --no-pager diff --stat -- tests/golden docs

# --- simulator ---------------------------------------------------------------------------------
SIM_SOURCES := $(sort $(wildcard tests/sim/*.c))
SIM_LINKS := $(filter-out cmd,$(LAYERS)) proto
# Every mark there is in what is simulated, so that those never hit can be told.
SIM_MARK_SOURCES := $(sort $(wildcard $(foreach layer,state raft decide node,src/$(layer)/*.c) \
	src/storage/wal*.c src/storage/snapshot*.c))
$(B)/gen/sim_marks.inc: $(SIM_MARK_SOURCES)
	@mkdir -p $(@D)
	@grep -hoE '\bMARK\("[a-z0-9_.]+"\)' $^ | sed 's/.*("/"/; s/)/,/' | sort -u >$@
$(B)/obj/tests/sim/sim_main.o: $(B)/gen/sim_marks.inc

$(B)/sim: $(patsubst %.c,$(B)/obj/%.o,$(SIM_SOURCES)) $(B)/lib/libsupport.a \
		$(foreach layer,$(SIM_LINKS),$(call archive_of,$(layer)))
	$(if $(Q),@echo '  LD  $@')
	$(Q)$(CC) $(INDABA_LDFLAGS) -o $@ $(filter %.o,$^) \
		-Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(PKG_LIBS) $(CMOCKA_LIBS)

.PHONY: sim
sim: $(B)/sim ## run the simulator (SEED=n replays one run, N=count tries that many)
	$(if $(SEED),SEED=$(SEED)) $(if $(N),N=$(N)) $(if $(START),START=$(START)) $(B)/sim

.PHONY: sim-long
sim-long: $(B)/sim ## N (20000) seeds of the simulator from START (1001) on: what a night is for
	N=$(or $(N),20000) START=$(or $(START),1001) $(B)/sim

# A build of its own with counters; gcov is gcc's.
.PHONY: sim-units
sim-units: ## which units of node and peers no run of the simulator enters (N seeds, 60)
	@$(MAKE) --no-print-directory WERROR= B=$(B)/coverage OPT='-O1 -g --coverage' LDFLAGS=--coverage \
		$(B)/coverage/sim
	@find $(B)/coverage -name '*.gcda' -delete
	@N=$(or $(N),60) START=1 $(B)/coverage/sim | grep 'seeds,'
	@tools/sim_units.py $(B)/coverage

# --- integration -------------------------------------------------------------------------------
INTEGRATION_C := $(call programs_of,tests/integration)
$(eval $(call test_rules,tests/integration,$(LAYERS) proto))
$(patsubst %.c,$(B)/obj/%.o,$(wildcard tests/integration/*.c)): | $(GEN_H)
INTEGRATION_SCRIPTS := $(sort $(wildcard tests/integration/test_*.sh tests/integration/test_*.py \
	tests/interop/test_*.py))
# The longest begin first, so that none of them runs alone at the end.
LONGEST := $(patsubst %,tests/integration/test_%.py,failover_steps failover_sidecar older_folders \
	demo_kills members_snapshot) tests/interop/test_etcdctl_perf.py $(patsubst \
	%,tests/integration/test_%.py,members_divergence settings_watched failover_fails operators \
	standby_copies etcd_restarts members_space members_strangers strangers_world)
INTEGRATION_PROGRAMS := $(filter $(INTEGRATION_SCRIPTS),$(LONGEST)) $(INTEGRATION_C) \
	$(filter-out $(LONGEST),$(INTEGRATION_SCRIPTS))
# So many at once: each waits for more than half of its time, for timers, deaths and disks. Ports are
# reserved by locks, and folders, namespaces and loop devices are each script's own.
INTEGRATION_JOBS ?= 3
export INDABA ?= $(abspath $(B)/indaba)
export B

# Preloaded into real processes; a library of its own, without what instruments the rest.
PRELOADED := $(B)/tests/preload/disk_faults.so $(B)/tests/preload/clock_skew.so
$(PRELOADED): $(B)/tests/preload/%.so: tests/preload/%.c tests/preload/preload_control.h
	@mkdir -p $(@D)
	$(if $(Q),@echo '  LD  $@')
	$(Q)$(CC) -std=gnu17 -D_GNU_SOURCE -O2 -g -fPIC -shared $(WARN) -Wno-pedantic -o $@ $< -ldl
export DISK_FAULTS := $(abspath $(B)/tests/preload/disk_faults.so)
export CLOCK_SKEW := $(abspath $(B)/tests/preload/clock_skew.so)

# A sidecar that drives one more kind of database: the proof that a driver is not PostgreSQL's alone.
KEYVALUE_OBJECTS := $(patsubst %.c,$(B)/obj/%.o,$(sort $(wildcard tests/keyvalue/*.c)))
KEYVALUE := $(B)/tests/keyvalue/indaba-keyvalue
$(KEYVALUE_OBJECTS): | $(GEN_H)
$(KEYVALUE): $(KEYVALUE_OBJECTS) $(foreach layer,$(LAYERS) proto,$(call archive_of,$(layer)))
	@mkdir -p $(@D)
	$(if $(Q),@echo '  LD  $@')
	$(Q)$(CC) $(INDABA_LDFLAGS) -o $@ $(filter %.o,$^) \
		-Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(PKG_LIBS)
export INDABA_KEYVALUE := $(abspath $(KEYVALUE))

.PHONY: integration
integration: $(B)/indaba $(INTEGRATION_C) $(PRELOADED) $(KEYVALUE) $(JEPSEN_PROGRAMS) $(FAILPOINT_BINARY) ## real databases, real TLS, real processes (T=name: some)
	@$(RUN_TESTS) --jobs $(INTEGRATION_JOBS) --timeout $(INTEGRATION_TIMEOUT) \
		$(if $(T),$(foreach name,$(T),$(filter %$(name) %$(name).sh %$(name).py,\
			$(INTEGRATION_PROGRAMS))),$(INTEGRATION_PROGRAMS))

# Needs node and npm, and fetches pinned packages; so it is no part of `make test`.
.PHONY: interop-npm
interop-npm: $(B)/indaba ## stock gRPC clients from npm: grpc-js and buf curl (tests/interop/npm)
	@tests/interop/npm/run.py

# The loops of which `make test` runs a short version, at length. Seeded: SEED=n.
.PHONY: powercut
powercut: $(B)/indaba ## N (60) power cuts of members under load; needs root and loop devices
	@CUTS=$(or $(N),60) $(RUN_TESTS) --timeout 3600 tests/integration/test_members_power.py

.PHONY: restarts
restarts: $(B)/indaba ## N (200) restarts of members under load
	@RESTARTS=$(or $(N),200) $(RUN_TESTS) --timeout 3600 tests/integration/test_members_restarts.py

.PHONY: restarts-etcd
restarts-etcd: $(B)/indaba ## N (200) restarts of members under load of etcd's API, watches included
	@RESTARTS=$(or $(N),200) $(RUN_TESTS) --timeout 3600 tests/integration/test_etcd_restarts.py

# --- everything --------------------------------------------------------------------------------
# The simulator takes part as soon as it has sources; so do checks of our own tools (tests/lint).
SIM_PROGRAM := $(if $(SIM_SOURCES),$(B)/sim)
SIM_TEST_RUNS ?= 500
LINT_TESTS := $(sort $(wildcard tests/lint/test_*.sh tests/lint/test_*.py))

.PHONY: test
test: deps ## unit, golden, simulator, integration; ends with "N passed, N failed"
	@$(MAKE) --no-print-directory test-now

.PHONY: test-now
test-now: $(B)/indaba $(UNIT_PROGRAMS) $(GOLDEN_PROGRAMS) $(SIM_PROGRAM) $(INTEGRATION_C) \
		$(PRELOADED) $(KEYVALUE) $(JEPSEN_PROGRAMS) $(FAILPOINT_BINARY)
	@$(RUN_TESTS) --jobs 2 --timeout $(UNIT_TIMEOUT) $(UNIT_PROGRAMS) $(GOLDEN_PROGRAMS) $(LINT_TESTS) \
		--jobs $(INTEGRATION_JOBS) --timeout 900 --env N=$(SIM_TEST_RUNS) $(SIM_PROGRAM) \
		--timeout $(INTEGRATION_TIMEOUT) $(INTEGRATION_PROGRAMS)

# Everything that runs fast and alone, for the instrumented builds below.
.PHONY: test-pure
test-pure: $(UNIT_PROGRAMS) $(GOLDEN_PROGRAMS) $(SIM_PROGRAM)
	@$(RUN_TESTS) --jobs 2 --timeout 300 $(UNIT_PROGRAMS) $(GOLDEN_PROGRAMS) \
		--timeout 900 --env N=$(SIM_TEST_RUNS) $(SIM_PROGRAM)

.PHONY: asan
asan: ## unit, golden and simulator under address and undefined-behaviour sanitizers
	@$(MAKE) --no-print-directory B=$(B)/asan SAN=address,undefined SIM_TEST_RUNS=10 test-pure

# Real processes of an instrumented build. The stack of what is found is in the log of the process that
# ended; the preloaded library comes before the sanitizer's own, which minds.
.PHONY: asan-integration
asan-integration: ## integration tests with an instrumented binary (T=name: some)
	@ASAN_OPTIONS=$(ASAN_OPTIONS):verify_asan_link_order=0 $(MAKE) --no-print-directory \
		B=$(B)/asan INDABA=$(abspath $(B)/asan/indaba) SAN=address,undefined \
		INTEGRATION_TIMEOUT=900 INTEGRATION_JOBS=2 integration

.PHONY: tsan-integration
tsan-integration: ## the same under the thread sanitizer
	@TSAN_OPTIONS=$(TSAN_OPTIONS):suppressions=$(abspath tools/tsan_suppressions.txt) \
		$(MAKE) --no-print-directory B=$(B)/tsan INDABA=$(abspath $(B)/tsan/indaba) SAN=thread \
		INTEGRATION_TIMEOUT=900 INTEGRATION_JOBS=2 integration

.PHONY: tsan
tsan: ## the same under the thread sanitizer
	@$(MAKE) --no-print-directory B=$(B)/tsan SAN=thread SIM_TEST_RUNS=10 test-pure
