# From sources to objects to one archive per layer to the binary. Sources are found by wildcard, so
# a new file needs no line here. A layer that is empty makes an empty archive.

# Dependants first, as a linker reads them.
LAYERS := cmd replication client etcd api node peers decide state raft config storage rpc wire model base

sources_of = $(sort $(wildcard src/$(1)/*.c src/$(1)/*/*.c src/$(1)/*/*/*.c))
objects_of = $(patsubst %.c,$(B)/obj/%.o,$(call sources_of,$(1)))
archive_of = $(B)/lib/lib$(1).a
ARCHIVES := $(foreach layer,$(LAYERS),$(call archive_of,$(layer))) $(B)/lib/libproto.a

# --- library paths -----------------------------------------------------------------------------
# Goals that compile nothing must work on a bare machine.
NO_CONFIG_GOALS := bench bench-deps help clean deps lint-deps layers style format format-check asan tsan test fuzz coverage mutate mutants demo asan-integration tsan-integration
CONFIGURED := $(if $(MAKECMDGOALS),$(filter-out $(NO_CONFIG_GOALS),$(MAKECMDGOALS)),all)
ifneq ($(CONFIGURED),)
include $(B)/config.mk
endif
$(B)/config.mk: tools/make/configure.sh
	@tools/make/configure.sh $@

# --- stamps ------------------------------------------------------------------------------------
# $(call stamp,FILE,TEXT) rewrites FILE only when TEXT changed: objects depend on the flags they were
# compiled with, archives on the list of their members (a renamed file leaves no ghost behind).
stamp = $(call stamp_text,$(1),stamp: $(2))
stamp_text = $(if $(filter-out $(file <$(1)),$(2))$(filter-out $(2),$(file <$(1))),$(file >$(1),$(2)))
ifneq ($(CONFIGURED),)
$(shell mkdir -p $(B)/stamp)
$(call stamp,$(B)/stamp/flags,$(COMPILE))
$(foreach layer,$(LAYERS),$(call stamp,$(B)/stamp/$(layer),$(call sources_of,$(layer))))
endif

# --- protobuf ----------------------------------------------------------------------------------
PROTOS := $(sort $(shell find proto -name '*.proto' 2>/dev/null))
# Well-known types that our files import; their C code is not packaged, so we generate it as well.
PROTOS_WELL_KNOWN := $(sort $(if $(PROTOS),$(shell \
	grep -hoE '^import "google/protobuf/[a-z_]+\.proto"' $(PROTOS) | cut -d'"' -f2)))
GEN_NAMES := $(patsubst proto/%.proto,%,$(PROTOS)) $(PROTOS_WELL_KNOWN:.proto=)
GEN_C := $(patsubst %,$(B)/gen/%.pb-c.c,$(GEN_NAMES))
GEN_H := $(GEN_C:.c=.h)
PROTO_INCLUDE := /usr/include

$(B)/gen/google/protobuf/%.pb-c.c $(B)/gen/google/protobuf/%.pb-c.h &: $(PROTO_INCLUDE)/google/protobuf/%.proto
	@mkdir -p $(B)/gen
	$(Q)$(PROTOC_C) -I$(PROTO_INCLUDE) --c_out=$(B)/gen $<

$(B)/gen/%.pb-c.c $(B)/gen/%.pb-c.h &: proto/%.proto
	@mkdir -p $(B)/gen
	$(Q)$(PROTOC_C) -Iproto -I$(PROTO_INCLUDE) --c_out=$(B)/gen $<

$(B)/gen/%.pb-c.o: $(B)/gen/%.pb-c.c | $(GEN_H)
	$(Q)$(COMPILE_GENERATED) -c -o $@ $<

# What the public files declare, for reflection: a FileDescriptorSet as a C array.
PUBLIC_PROTOS := $(filter-out proto/indaba/internal/%,$(PROTOS))
GEN_H += $(B)/gen/indaba/descriptors.h
$(B)/gen/indaba/descriptors.h: $(PUBLIC_PROTOS)
	@mkdir -p $(@D)
	$(Q)protoc -Iproto -I$(PROTO_INCLUDE) --include_imports \
		--descriptor_set_out=$(B)/gen/indaba/descriptors.bin $(PUBLIC_PROTOS)
	$(Q){ echo 'static const unsigned char proto_descriptors[] = {'; \
		od -An -v -tu1 $(B)/gen/indaba/descriptors.bin | sed 's/  */,/g; s/^,//; s/$$/,/'; \
		echo '};'; } > $@.new && mv $@.new $@

$(B)/lib/libproto.a: $(GEN_C:.c=.o)
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)ar rcs $@ $^

# --- the commit gate ---------------------------------------------------------------------------
# A library for PostgreSQL, carried in the binary: it is loaded from where the sidecar puts it, so it
# is never missing and always of the same build. Its host is not instrumented, and neither is it.
GATE_SOURCES := $(sort $(wildcard src/gate/*.c))
GATE_OBJECTS := $(GATE_SOURCES:src/%.c=$(B)/%.o)
GATE_LIBRARY := $(B)/gate/indaba_gate.so
GATE_CFLAGS = -std=gnu17 -O2 -g -fPIC -fno-omit-frame-pointer -fno-strict-aliasing \
	-fwrapv -D_GNU_SOURCE -Isrc -isystem $(PG_SERVER_INCLUDE)
$(GATE_OBJECTS): $(B)/gate/%.o: src/gate/%.c $(B)/stamp/flags
	@mkdir -p $(@D)
	$(if $(Q),@echo '  CC  $<')
	$(Q)$(CCACHE) $(CC) $(GATE_CFLAGS) $(WARN) -MMD -MP -c -o $@ $<

$(GATE_LIBRARY): $(GATE_OBJECTS)
	$(if $(Q),@echo '  LD  $@')
	$(Q)$(CC) -shared -Wl,-z,relro,-z,now -s -o $@ $^

GEN_H += $(B)/gen/indaba/gate_image.h
$(B)/gen/indaba/gate_image.h: $(GATE_LIBRARY)
	@mkdir -p $(@D)
	$(Q){ echo 'static const unsigned char gate_image[] = {'; \
		od -An -v -tu1 $< | sed 's/  */,/g; s/^,//; s/$$/,/'; \
		echo '};'; } > $@.new && mv $@.new $@
$(B)/obj/src/replication/postgres/pg_gate.o: $(B)/gen/indaba/gate_image.h
# Checks of form compile it like everything else.
$(B)/obj/src/gate/%.o $(B)/tidy/src/gate/%.ok: INDABA_CFLAGS += -isystem $(PG_SERVER_INCLUDE)
-include $(GATE_OBJECTS:.o=.d)

.PHONY: gen
gen: $(GEN_H) ## generate C from proto/ into build/gen

# --- objects, archives, binary -----------------------------------------------------------------
# These see generated headers, which must exist before the first compilation.
WIRED := wire client peers node api etcd replication cmd
$(foreach layer,$(WIRED),$(eval $(call objects_of,$(layer)): | $(GEN_H)))

$(B)/obj/%.o: %.c $(B)/stamp/flags
	@mkdir -p $(@D)
	$(if $(Q),@echo '  CC  $<')
	$(Q)$(COMPILE) -c -o $@ $<

define layer_rule
$(call archive_of,$(1)): $(call objects_of,$(1)) $(B)/stamp/$(1)
	@mkdir -p $$(@D)
	@rm -f $$@
	$(Q)ar rcs $$@ $$(filter %.o,$$^)
endef
$(foreach layer,$(LAYERS),$(eval $(call layer_rule,$(layer))))

$(B)/indaba: $(ARCHIVES)
	$(if $(Q),@echo '  LD  $@')
	$(Q)$(CC) $(INDABA_LDFLAGS) -o $@ -Wl,--whole-archive $(call archive_of,cmd) \
		-Wl,--no-whole-archive -Wl,--start-group $(filter-out %/libcmd.a,$^) -Wl,--end-group \
		$(PKG_LIBS)

$(B)/stamp/%: ;
-include $(shell find $(B)/obj $(B)/gen -name '*.d' 2>/dev/null)
