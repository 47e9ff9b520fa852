# lunation: `make`, `make run`, `make test`; everything else is below, on one page.
VERSION := 0.1.0
PREFIX  ?= /usr/local

# What the build links, and what the specs and the lint need besides.
PKGS       := lua5.4 libuv openssl libcurl sqlite3 expat libical libnghttp2 zlib
DEPS_BUILD := make gcc pkg-config libc6-dev liblua5.4-dev libuv1-dev libssl-dev libcurl4-openssl-dev libsqlite3-dev \
              libexpat1-dev libical-dev libnghttp2-dev zlib1g-dev tzdata ca-certificates
DEPS_TEST  := lua-busted lua-check lua-cjson clang-format-14 curl openssl python3 python3-venv sqlite3
SUDO       := $(if $(filter-out 0,$(shell id -u)),sudo)

ifdef SAN
BUILD  := build-san
OPT    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
else
BUILD  := build
OPT    := -O2 -g
endif

WARN   := -Wall -Wextra -Wshadow -Wstrict-prototypes $(if $(WERROR),-Werror)
CFLAGS += -std=c11 -D_GNU_SOURCE -Isrc -DLUNATION_VERSION='"$(VERSION)"' $(OPT) $(WARN) $(shell pkg-config --cflags $(PKGS))
LIBS   := $(shell pkg-config --libs $(PKGS)) -lpthread -lm

SRC := $(wildcard src/*.c src/*/*.c)
HDR := $(wildcard src/*.h src/*/*.h)
OBJ := $(SRC:%.c=$(BUILD)/%.o)
LUA := $(wildcard lua providers scripts spec bench) $(wildcard *.rockspec)

all: $(BUILD)/lunation

$(BUILD)/lunation: $(OBJ)
	$(CC) $(OPT) -o $@ $(OBJ) -Wl,--as-needed $(LDFLAGS) $(LIBS)

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

-include $(OBJ:.o=.d)

test: all
	build/lunation run spec/run.lua

test-quick: all
	build/lunation run spec/run.lua --exclude-tags=slow

lint:
	luacheck -q --no-color $(LUA)
	clang-format-14 --dry-run --Werror $(SRC) $(HDR)

format:
	clang-format-14 -i $(SRC) $(HDR)

# Installs what is missing, and asks for nothing when all is there.
deps:
	@missing=$$(for p in $(DEPS_BUILD) $(DEPS_TEST); do \
	  dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q ' installed$$' || echo $$p; done); \
	test -z "$$missing" || { $(SUDO) apt-get update -q && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing; }

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/lunation
	install build/lunation $(DESTDIR)$(PREFIX)/bin/lunation
	cp -R $(wildcard lua providers) $(DESTDIR)$(PREFIX)/share/lunation/

clean:
	rm -rf build build-san

.PHONY: all test test-quick lint format deps install clean
