# Benchmarks beside the systems that people use today (bench/README.md).

BENCH_PROGRAMS := $(patsubst bench/%.c,$(B)/bench/%,$(wildcard bench/*.c))
$(BENCH_PROGRAMS): $(B)/bench/%: $(B)/obj/bench/%.o $(foreach layer,rpc base,$(call archive_of,$(layer)))
	@mkdir -p $(@D)
	$(if $(Q),@echo '  LD  $@')
	$(Q)$(CC) $(INDABA_LDFLAGS) -o $@ $(filter %.o,$^) \
		-Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(PKG_LIBS)

# Debian's etcd, unpacked and not installed: its package would start a service of its own.
$(B)/bench/etcd:
	@mkdir -p $(B)/bench/package
	@cd $(B)/bench/package && apt-get download -qq etcd-server && dpkg-deb -x etcd-server_*.deb .
	@cp $(B)/bench/package/usr/bin/etcd $@

.PHONY: bench-deps
bench-deps:
	@tools/deps.sh --bench

.PHONY: bench
bench: bench-deps ## our coordinators beside Debian's etcd (QUICK=1: under three minutes)
	@$(MAKE) --no-print-directory $(B)/indaba $(BENCH_PROGRAMS) $(B)/bench/etcd
	@PATH="$(abspath $(B)/bench):$$PATH" bench/coordination.py

.PHONY: bench-scale
bench-scale: bench-deps ## what a million keys, a million leaves, five members, large values cost
	@$(MAKE) --no-print-directory $(B)/indaba $(BENCH_PROGRAMS)
	@bench/scale.py

.PHONY: bench-gate
bench-gate: $(B)/indaba ## what the commit gate costs: PostgreSQL with it and without it, in turns (PAIRS, TRANSACTIONS)
	@bench/gate.py
