# A binary with places where it can be made to crash, to sleep or to fail (src/base/failpoint.h). Only
# what has such places is compiled again; everything else is the product's own. FAILPOINTS is its path.

FAILPOINT_SOURCES := $(shell grep -rl '"base/failpoint.h"' src --include='*.c')
FAILPOINT_OBJECTS := $(patsubst %.c,$(B)/obj/failpoints/%.o,$(FAILPOINT_SOURCES) \
	tests/failpoints/failpoint.c)
FAILPOINT_BINARY := $(B)/failpoints/indaba
$(FAILPOINT_OBJECTS): | $(GEN_H)
$(FAILPOINT_OBJECTS): $(B)/obj/failpoints/%.o: %.c $(B)/stamp/flags
	@mkdir -p $(@D)
	$(if $(Q),@echo '  CC  $< (with failpoints)')
	$(Q)$(COMPILE) -DFAILPOINTS -c -o $@ $<

# What is named first defines its symbols, so the archives' own objects of these names are not taken.
$(FAILPOINT_BINARY): $(FAILPOINT_OBJECTS) $(ARCHIVES)
	@mkdir -p $(@D)
	$(if $(Q),@echo '  LD  $@')
	$(Q)$(CC) $(INDABA_LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--whole-archive \
		$(call archive_of,cmd) -Wl,--no-whole-archive -Wl,--start-group \
		$(filter-out %/libcmd.a,$(filter %.a,$^)) -Wl,--end-group $(PKG_LIBS)
export FAILPOINTS_INDABA := $(abspath $(FAILPOINT_BINARY))

.PHONY: failpoints
failpoints: $(B)/indaba $(FAILPOINT_BINARY) ## a crash at each failpoint once, in real worlds: all comes back, nothing is lost (T=name: some, ACTION=error)
	@ACTION="$(ACTION)" jepsen/failpoints.py $(T)
