# Dependencies and checks of form: layers, headers, style, format, lint.

.PHONY: deps
deps: ## install the packages that are missing (apt)
	@tools/deps.sh

.PHONY: lint-deps
lint-deps: ## the same, with what lint needs
	@tools/deps.sh --lint

OUR_C := $(sort $(shell find src tests bench jepsen -name '*.[ch]' 2>/dev/null))
OUR_SHELL := $(sort $(shell find tools tests deploy hooks bench jepsen .ci -type f \
	\( -name '*.sh' -o -path 'hooks/*' -o -path '.ci/run' \) 2>/dev/null))

# --- form ---------------------------------------------------------------------------------------
# One process a file: clang-format 14, aligning initializers, may crash on what files before left in
# its memory.
EACH_C = printf '%s\n' $(OUR_C) | xargs -n 1 -P 2

.PHONY: format
format: ## lay the C code out as .clang-format says
	@$(EACH_C) clang-format -i

.PHONY: format-check
format-check: ## refuse code that `make format` would change
	@$(EACH_C) clang-format --dry-run --Werror

.PHONY: layers
layers: ## who may include whom, rings, who may wait for a disk, file sizes, unique names
	@tools/check_layers.py
	@tools/check_rings.py . $(B)/obj
	@tools/check_waits.py

.PHONY: style
style: ## banned calls, leftovers, long functions, missing purpose comments, places of mutants
	@tools/check_style.py
	@tools/mutants.py --places

.PHONY: headers
headers: $(GEN_H) ## each header compiles alone
	@failed=0; for header in $(filter src/%.h,$(OUR_C)); do \
		$(CC) $(INDABA_CFLAGS) -isystem $(PG_SERVER_INCLUDE) $(WARN) -Wno-unused-macros -fsyntax-only -x c -include $$header \
			/dev/null || failed=1; \
	done; exit $$failed

# --- clang-tidy ---------------------------------------------------------------------------------
# One stamp a file, remade when the file, a header of it (through its object) or the rules change.
TIDY_SOURCES := $(filter src/%.c,$(OUR_C))
TIDY_STAMPS := $(patsubst %.c,$(B)/tidy/%.ok,$(TIDY_SOURCES))
CHANGED = $(shell git diff --name-only HEAD -- src; git ls-files -o --exclude-standard -- src)

$(B)/tidy/%.ok: %.c $(B)/obj/%.o .clang-tidy
	@mkdir -p $(@D)
	@echo '  TIDY $<'
	@clang-tidy --quiet $< -- $(INDABA_CFLAGS) 2>&1 | \
		{ grep -vE '^[0-9]+ warnings? (generated|treated)|^Suppressed|^Use -header' || true; } \
		> $@.new; \
		if grep -qE '(error|warning):' $@.new; then cat $@.new; exit 1; fi; mv $@.new $@

.PHONY: tidy
tidy: $(TIDY_STAMPS) ## clang-tidy over src (only what changed since its last run here)

# --- others -------------------------------------------------------------------------------------
CPPCHECK_FLAGS := --quiet --std=c11 --language=c --inline-suppr --error-exitcode=1 -j2 \
	--enable=warning,style,performance,portability --library=posix \
	--suppress=missingIncludeSystem --suppress=unusedStructMember --suppress=variableScope \
	--suppress=constParameter --suppress=constParameterCallback --suppress=unmatchedSuppression \
	--suppress=knownConditionTrueFalse \
	--suppress=badBitmaskCheck --suppress=readdirCalled --suppress=unreadVariable \
	--suppress=preprocessorErrorDirective --suppress=unknownMacro --suppress=internalAstError

.PHONY: cppcheck
cppcheck:
	@mkdir -p $(B)/cppcheck
	@cppcheck $(CPPCHECK_FLAGS) --cppcheck-build-dir=$(B)/cppcheck -Isrc $(TIDY_SOURCES)

.PHONY: shellcheck
shellcheck:
	@$(if $(OUR_SHELL),shellcheck -x $(OUR_SHELL))

.PHONY: codespell
codespell:
	@codespell --quiet-level=2 --ignore-words=tools/codespell_ignore.txt \
		--skip='*.svg,*.json,*/corpus/*,*codespell_ignore.txt' Makefile README.md *.md $(wildcard src proto tests tools docs deploy bench jepsen) 2>/dev/null

# What must be pure has no data that changes: marks (base/log.h) are counters for tests.
.PHONY: pure
pure: $(foreach layer,model raft state decide,$(call archive_of,$(layer)))
	@tools/check_pure.sh $^

.PHONY: unused
unused: all $(UNIT_PROGRAMS) $(GOLDEN_PROGRAMS) $(SIM_PROGRAM) ## functions that nobody calls, by the symbols of what was built
	@tools/check_unused.py $(B)

.PHONY: lint-fast
lint-fast: layers style ## the checks of a commit: form, and clang-tidy on what changed
	@$(MAKE) --no-print-directory $(patsubst %.c,$(B)/tidy/%.ok,$(filter %.c,$(CHANGED)))

.PHONY: lint
lint: layers style headers pure unused tidy cppcheck shellcheck codespell ## every check of form

.PHONY: analyze
analyze: $(GEN_H) ## gcc's analyzer over src (slow, advisory)
	@printf '%s\n' $(TIDY_SOURCES) | xargs -P2 -I{} \
		$(CC) $(INDABA_CFLAGS) $(WARN) -fanalyzer -c -o /dev/null {}
