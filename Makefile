# Indaba. `make help` lists the targets; every habit is a target, and CI calls nothing else.
.DEFAULT_GOAL := all
SHELL := /bin/bash
# V=1 shows whole commands.
Q := $(if $(V),,@)
B ?= build
ifeq ($(origin CC),default)
CC := gcc
endif
WERROR ?= -Werror
PROTOC_C ?= protoc-c

include tools/make/flags.mk
include tools/make/sources.mk

.PHONY: all
all: deps $(B)/indaba ## build the one binary, build/indaba

include tools/make/failpoints.mk
include tools/make/jepsen.mk
include tools/make/tests.mk
include tools/make/checks.mk
include tools/make/dev.mk
include tools/make/bench.mk

.PHONY: clean
clean: ## remove the build folder
	rm -rf $(B)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST) | sort
