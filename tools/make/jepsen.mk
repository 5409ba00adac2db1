# Real processes, real databases and faults, drawn from a seed, and checkers of what they did
# (jepsen/README.md).

JEPSEN_FABRIC_OBJECTS := $(patsubst %,$(B)/obj/jepsen/%.o,fabric fabric_host fabric_queue)
JEPSEN_CHECK_OBJECTS := $(patsubst jepsen/%.c,$(B)/obj/jepsen/%.o,$(sort $(wildcard jepsen/check*.c)))
# Fuzzers have a TIME of their own, which is there by default.
JEPSEN_TIME = $(if $(filter command% environment%,$(origin TIME)),$(TIME))
JEPSEN_PROGRAMS := $(B)/jepsen/fabric $(B)/jepsen/check

$(B)/jepsen/fabric: $(JEPSEN_FABRIC_OBJECTS)
$(B)/jepsen/check: $(JEPSEN_CHECK_OBJECTS)
$(JEPSEN_PROGRAMS): $(B)/lib/libsupport.a $(call archive_of,base)
	@mkdir -p $(@D)
	$(if $(Q),@echo '  LD  $@')
	$(Q)$(CC) $(INDABA_LDFLAGS) -o $@ $(filter %.o,$^) \
		-Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(PKG_LIBS) $(CMOCKA_LIBS)

.PHONY: jepsen-programs
jepsen-programs: $(JEPSEN_PROGRAMS)

.PHONY: jepsen
jepsen: deps ## a world of three regions under faults, judged (SEED, WORKLOAD, NEMESIS, TIME, RUNS)
	@$(MAKE) --no-print-directory $(B)/indaba $(JEPSEN_PROGRAMS) $(FAILPOINT_BINARY) $(PRELOADED)
	@SEED="$(SEED)" RUNS="$(RUNS)" WORKLOAD="$(WORKLOAD)" NEMESIS="$(NEMESIS)" MODE="$(MODE)" \
		TIME="$(JEPSEN_TIME)" DISTANCE="$(DISTANCE)" SHAPE="$(SHAPE)" \
		ALLOW_MISSING="$(ALLOW_MISSING)" jepsen/run.py

.PHONY: jepsen-campaign
jepsen-campaign: deps ## ten seeds of ten minutes, all workloads and nemeses, five members; one report (SEED, RUNS, TIME, …)
	@$(MAKE) --no-print-directory $(B)/indaba $(JEPSEN_PROGRAMS)
	@SEED="$(SEED)" RUNS="$(RUNS)" WORKLOAD="$(WORKLOAD)" NEMESIS="$(NEMESIS)" MODE="$(MODE)" \
		TIME="$(JEPSEN_TIME)" DISTANCE="$(DISTANCE)" SHAPE="$(SHAPE)" \
		ALLOW_MISSING="$(ALLOW_MISSING)" jepsen/campaign.py

.PHONY: jepsen-compare
jepsen-compare: $(JEPSEN_PROGRAMS) ## our judges beside Debian's Z3: histories right and wrong, the same verdicts (N=300, SEED)
	@tools/deps.sh --compare
	@jepsen/compare.py $(or $(filter-out 0,$(N)),300) $(or $(SEED),1)

.PHONY: jepsen-planted
jepsen-planted: $(JEPSEN_PROGRAMS) ## can it fail? bugs planted into a copy of the tree, each found by a run (SHORT=1: two, in seconds)
	@jepsen/planted.py $(if $(SHORT),--short) $(T)

.PHONY: jepsen-shown
jepsen-shown: deps ## does a nemesis do anything? each once, and how the product met it (NEMESIS, SEED, SHAPE)
	@$(MAKE) --no-print-directory $(B)/indaba $(JEPSEN_PROGRAMS) $(FAILPOINT_BINARY) $(PRELOADED)
	@SEED="$(SEED)" NEMESIS="$(NEMESIS)" MODE="$(MODE)" DISTANCE="$(or $(DISTANCE),near)" \
		SHAPE="$(SHAPE)" ALLOW_MISSING="$(ALLOW_MISSING)" jepsen/shown.py
