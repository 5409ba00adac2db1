# The demo, installation, fuzzing, coverage, and what editors want.

.PHONY: demo
demo: deps ## three regions on this machine, in one command (ARGS: its options)
	@$(MAKE) --no-print-directory all
	@$(B)/indaba demo $(ARGS)

.PHONY: demo-many
demo-many: deps ## each kind of death N times (20), with a table of the pauses
	@$(MAKE) --no-print-directory $(B)/indaba
	@tools/demo_many.py -n $(or $(N),20) --binary $(B)/indaba --json $(B)/demo-many.json

# --- installation -------------------------------------------------------------------------------
PREFIX ?= /usr/local
DESTDIR ?=

.PHONY: install
install: $(B)/indaba ## install the binary and the systemd units (PREFIX, DESTDIR)
	install -D -m 755 $(B)/indaba $(DESTDIR)$(PREFIX)/bin/indaba
	$(foreach unit,$(wildcard deploy/systemd/*.service),\
		install -D -m 644 $(unit) $(DESTDIR)$(PREFIX)/lib/systemd/system/$(notdir $(unit));)
	$(foreach page,$(wildcard docs/man/*.1),\
		install -D -m 644 $(page) $(DESTDIR)$(PREFIX)/share/man/man1/$(notdir $(page));)

# --- fuzzing ------------------------------------------------------------------------------------
# tests/fuzz/fuzz_NAME.c holds one LLVMFuzzerTestOneInput; its corpus is tests/fuzz/corpus/NAME. New
# finds stay in the build folder. T="NAME …" chooses some, TIME is seconds for each; TIME=5 over the
# corpus is what CI runs.
FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_CHOSEN := $(or $(T),$(FUZZ_NAMES))
TIME ?= 60
FUZZ_LINKS ?= $(SIM_LINKS)
F := $(B)/fuzz

.PHONY: fuzz
fuzz: ## each fuzzer (T=name: some) for TIME seconds (60), needs clang
	@$(MAKE) --no-print-directory B=$(F) CC=clang SAN=address,undefined,fuzzer-no-link T= \
		fuzz-programs
	@tools/run_fuzzers.sh $(F) $(TIME) $(FUZZ_CHOSEN)

.PHONY: fuzz-corpus
fuzz-corpus: ## of the corpora and what was found: the fewest small inputs that reach as much (review, then commit)
	@MERGE=1 tools/run_fuzzers.sh $(F) 0 $(FUZZ_CHOSEN)

.PHONY: fuzz-programs
fuzz-programs: $(FUZZ_NAMES:%=$(B)/tests/fuzz/fuzz_%)
$(FUZZ_NAMES:%=$(B)/obj/tests/fuzz/fuzz_%.o): | $(GEN_H)
$(B)/tests/fuzz/fuzz_%: $(B)/obj/tests/fuzz/fuzz_%.o $(B)/lib/libsupport.a \
		$(foreach layer,$(FUZZ_LINKS),$(call archive_of,$(layer)))
	@mkdir -p $(@D)
	$(if $(Q),@echo '  LD  $@')
	$(Q)$(CC) -fsanitize=fuzzer $(INDABA_LDFLAGS) -o $@ $< \
		-Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(PKG_LIBS)

# --- mutation -----------------------------------------------------------------------------------
.PHONY: mutants
mutants: ## deliberate bugs that lose data or make two primaries: each must be killed by a test
	@tools/mutants.py $(T)

.PHONY: mutate
mutate: ## would the tests notice? N changes (50) in the layers T (raft state decide), one at a time
	@tools/mutate.py --seed $(or $(SEED),1) --count $(or $(N),50) $(or $(T),raft state decide)

# --- coverage -----------------------------------------------------------------------------------
.PHONY: coverage
coverage: ## branches and lines that unit, golden and simulator reach (needs gcovr)
	@$(MAKE) --no-print-directory B=$(B)/coverage OPT='-O0 -g --coverage' LDFLAGS=--coverage \
		SIM_TEST_RUNS=20 test-pure
	gcovr --root . --filter src/ --branches --sort-percentage $(B)/coverage

# --- editors ------------------------------------------------------------------------------------
.PHONY: compile_commands.json
compile_commands.json: $(GEN_H) ## for clangd and its like
	@{ echo '['; separator=; for source in $(filter %.c,$(OUR_C)); do \
		printf '%s{"directory": "%s", "file": "%s", "command": "gcc %s -c %s"}\n' \
			"$$separator" "$(CURDIR)" "$$source" "$(INDABA_CFLAGS)" "$$source"; separator=,; \
	done; echo ']'; } > $@
