# lunation: `make`, `make run`, `make test`; everything else is below, on one page.
VERSION := 0.1.0
PREFIX  ?= /usr/local

# What the build links, and the Debian packages that it, the specs and the benchmarks need. `make deps…` installs what is missing.
PKGS         := lua5.4 libuv openssl libcurl sqlite3 expat libical libnghttp2 zlib
DEPS_BUILD   := gcc pkg-config libc6-dev liblua5.4-dev libuv1-dev libssl-dev libcurl4-openssl-dev libsqlite3-dev \
                libexpat1-dev libical-dev libicu-dev libnghttp2-dev zlib1g-dev tzdata ca-certificates
DEPS_QUICK   := lua5.4 lua-busted lua-cjson lua-check clang-format-14 curl openssl python3 python3-dateutil python3-venv sqlite3 procps radicale
DEPS_SERVERS := xandikos davical postgresql php-cli php-pgsql php-sqlite3 php-curl php-mbstring php-xml php-sabre-dav \
                cyrus-caldav cyrus-imapd cyrus-common cyrus-admin sasl2-bin libsasl2-modules
DEPS_BROWSER := chromium fonts-dejavu-core fonts-noto-core
DEPS_BENCH   := nginx libnginx-mod-http-lua wrk nghttp2-client
DEPS_CORE    := g++ libcctz-dev
DEPS_FUZZ    := clang-14 libclang-rt-14-dev

ifdef SAN
BUILD  := build-san
OPT    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
else
BUILD  := build
OPT    := -O2 -g
endif

WARN   := -Wall -Wextra -Wshadow -Wstrict-prototypes $(if $(WERROR),-Werror)
CFLAGS += -std=c11 -D_GNU_SOURCE -Isrc -DLUNATION_VERSION='"$(VERSION)"' $(OPT) $(WARN) $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
# Lua is linked in whole, and its symbols are there for C modules that scripts load: calls need no indirection.
LIBS   := -Wl,-E -Wl,--whole-archive -l:liblua5.4.a -Wl,--no-whole-archive \
          $(filter-out -llua5.4,$(shell pkg-config --libs $(PKGS) 2>/dev/null)) -lpthread -lm -ldl

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

run:
	@tools/packages $(DEPS_BUILD) curl
	@$(MAKE) -s all
	@build/lunation run tools/first_run.lua
	@exec build/lunation serve

# A CalDAV server to try things with: Radicale on 127.0.0.1:5232, user alice, password secret, one calendar.
caldav:
	@tools/packages radicale curl
	@mkdir -p build/caldav/collections/collection-root/alice/home
	@test -e build/caldav/collections/collection-root/alice/home/.Radicale.props || printf \
	  '{"tag":"VCALENDAR","D:displayname":"Home","ICAL:calendar-color":"#3a6ea5"}' > build/caldav/collections/collection-root/alice/home/.Radicale.props
	@echo "Radicale answers on http://127.0.0.1:5232/; Ctrl-C ends it."
	@exec spec/servers/radicale.sh $(CURDIR)/build/caldav 5232

test: deps-test all clients
	build/lunation run spec/run.lua

# Without the slow specs and with Radicale as the only CalDAV server.
test-quick: deps-quick all
	LUNATION_SERVERS=radicale build/lunation run spec/run.lua --exclude-tags=slow,clients

# The specs of what is written in C, under ASan and UBSan.
test-san:
	$(MAKE) SAN=1 all
	ASAN_OPTIONS=detect_leaks=0 build-san/lunation run spec/run.lua --exclude-tags=slow,clients,servers spec/data spec/calendar spec/host

lint:
	luacheck -q --no-color $(LUA)
	clang-format-14 --dry-run --Werror $(SRC) $(HDR)

format:
	clang-format-14 -i $(SRC) $(HDR)

# Ratios against nginx with its Lua module; fails where one is below its floor.
bench-http: deps-bench-http all build/pace
	@build/lunation run bench/http.lua
build/pace: bench/pace.c
	$(CC) -std=c11 -D_GNU_SOURCE -O2 $(WARN) -o $@ $<

# Fuzzes the parsers of what strangers send, each for FUZZ_SECONDS, under ASan and UBSan.
FUZZ_SECONDS ?= 60
FUZZ_http1   := src/host/http1.c
FUZZ_CORE    := $(wildcard src/calendar/*.c)
FUZZ_JSON    := src/data/buffer.c src/data/fail.c src/data/json.c src/data/json_decode.c src/data/json_encode.c
FUZZ_ical    := $(FUZZ_CORE)
FUZZ_ical_doc := $(FUZZ_CORE)
FUZZ_jsonl   := $(FUZZ_CORE) $(FUZZ_JSON)
FUZZ_calendar := $(FUZZ_CORE) $(FUZZ_JSON)
FUZZ_tzif    := $(FUZZ_CORE)
FUZZ_rrule   := $(FUZZ_CORE)
FUZZ_LIBS    := $(shell pkg-config --cflags --libs lua5.4 2>/dev/null) -lical -lm
FUZZ         := $(patsubst fuzz/%.c,%,$(wildcard fuzz/*.c))
FUZZ_JOBS    ?= 2
fuzz: deps-fuzz $(FUZZ:%=build/fuzz/%)
	@printf '%s\n' $(FUZZ) | xargs -P $(FUZZ_JOBS) -I{} tools/fuzz {} $(FUZZ_SECONDS) $(FUZZ_FLAGS)
.SECONDEXPANSION:
build/fuzz/%: fuzz/%.c $(HDR) $$(FUZZ_$$*)
	@mkdir -p $(@D)
	clang-14 -std=c11 -D_GNU_SOURCE -Isrc -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -o $@ $< $(FUZZ_$*) $(FUZZ_LIBS)

# Random recurrence rules against python-dateutil and rrule-temporal, from SEED on, and what libical makes of such.
SEED ?= 1
fuzz-rrule: deps-fuzz-rrule all clients build/recurrence-libical
	build/lunation run tools/fuzz_rrule.lua $(FUZZ_SECONDS) $(SEED)
build/recurrence-libical: spec/clients/recurrence_libical.c
	$(CC) -std=c11 -D_GNU_SOURCE -O2 $(WARN) -o $@ $< -lical

# Installs what is missing, and asks for nothing when all is there.
deps:
	@tools/packages $(DEPS_BUILD)
deps-quick:
	@tools/packages $(DEPS_BUILD) $(DEPS_QUICK)
deps-test:
	@tools/packages $(DEPS_BUILD) $(DEPS_QUICK) $(DEPS_SERVERS) $(DEPS_BROWSER) node:nodejs npm:npm
deps-bench:
	@tools/packages $(DEPS_BUILD) $(DEPS_QUICK) $(DEPS_SERVERS) $(DEPS_BENCH) node:nodejs npm:npm
deps-bench-http:
	@tools/packages $(DEPS_BUILD) $(DEPS_BENCH) lua-cjson curl openssl
deps-bench-core:
	@tools/packages $(DEPS_BUILD) $(DEPS_CORE) python3 python3-venv node:nodejs npm:npm
deps-fuzz-rrule:
	@tools/packages $(DEPS_BUILD) python3-dateutil python3-venv node:nodejs npm:npm
deps-fuzz:
	@tools/packages $(DEPS_BUILD) $(DEPS_FUZZ)

# The scanner of calendar texts for ARM (NEON), under emulation: needs gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user.
ICAL_PURE := $(patsubst %,src/calendar/ical_%.c,doc doc_write lines out param plain utf8)
test-neon:
	@tools/packages gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
	@mkdir -p build
	aarch64-linux-gnu-gcc -static -std=c11 -D_GNU_SOURCE -Isrc -O2 $(WARN) -o build/ical_neon tools/replay.c fuzz/ical_doc.c $(ICAL_PURE)
	qemu-aarch64 build/ical_neon $(wildcard fuzz/seeds/ical_doc/* spec/fixtures/ical/*.ics)

# The vendors' own clients and the browser driver, of the versions that spec/clients names, into build/.
clients: build/python/.installed build/node/.installed
build/python/.installed: spec/clients/requirements.txt
	python3 -m venv build/python
	build/python/bin/pip install -q -r $<
	@touch $@
build/node/.installed: spec/clients/package.json
	@mkdir -p build/node
	cp $< build/node/package.json
	npm install --silent --no-audit --no-fund --no-package-lock --prefix build/node
	@touch $@

# GET /api/events against Fastify, Radicale and Cyrus: ratios, and how the cost of a page grows.
bench-events: deps-bench all build/bench-node/.installed
	build/lunation run bench/events.lua
build/bench-node/.installed: bench/events/package.json
	@mkdir -p build/bench-node
	cp $< build/bench-node/package.json
	npm install --silent --no-audit --no-fund --no-package-lock --prefix build/bench-node
	@touch $@

# A first sync against SQLite's own pace, its memory, and what an increment costs in a large mirror.
bench-sync: all
	build/lunation run bench/sync.lua

# The calendar core against its peers: a program for each group of rows, which fails where a ratio is below its floor.
CORE_OBJ   := $(patsubst %.c,build/%.o,$(wildcard src/calendar/*.c))
CORE_BENCH := $(patsubst bench/core/%,build/bench-core/%,$(basename $(wildcard bench/core/*.c bench/core/*.cc)))
CORE_PEERS := $(patsubst bench/core/%.c,build/bench-core/%,$(wildcard bench/core/peers/*.c)) build/bench-python/.installed \
              build/bench-core/node/.installed
bench-core: deps-bench-core all $(CORE_BENCH) $(CORE_PEERS)
	@status=0; for each in $(CORE_BENCH); do echo "== $$each"; $$each || status=1; done; \
	for each in $(wildcard bench/core/*.lua); do echo "== $$each"; build/lunation run $$each || status=1; done; exit $$status
build/bench-core/node/.installed: bench/core/package.json
	@mkdir -p build/bench-core/node
	cp $< build/bench-core/node/package.json
	npm install --silent --no-audit --no-fund --no-package-lock --prefix build/bench-core/node
	@touch $@
build/bench-core/%: bench/core/%.c $(CORE_OBJ)
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE -O2 $(WARN) -Isrc $(shell pkg-config --cflags lua5.4) -o $@ $< $(CORE_OBJ) -llua5.4 -lical -lm
build/bench-python/.installed: bench/core/requirements.txt
	python3 -m venv build/bench-python
	build/bench-python/bin/pip install -q -r $<
	@touch $@
build/bench-core/%: bench/core/%.cc $(CORE_OBJ)
	@mkdir -p $(@D)
	$(CXX) -O2 -Wall -Wextra -Isrc $(shell pkg-config --cflags lua5.4) -o $@ $< $(CORE_OBJ) -llua5.4 -lical -lcctz -lm

# Rewrites the table of Windows zone names after a new ICU (needs libicu-dev).
windows-zones:
	@mkdir -p build
	$(CC) -o build/windows_zones tools/windows_zones.c $(shell pkg-config --cflags --libs icu-i18n 2>/dev/null)
	build/windows_zones > src/calendar/windows_zones.h
	clang-format-14 -i src/calendar/windows_zones.h

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/lunation
	install build/lunation $(DESTDIR)$(PREFIX)/bin/lunation
	cp -R $(wildcard lua providers) $(DESTDIR)$(PREFIX)/share/lunation/

clean:
	rm -rf build build-san

.PHONY: all run caldav test test-quick test-san test-neon lint format fuzz-rrule deps deps-quick deps-test deps-bench deps-bench-http deps-bench-core bench-core deps-fuzz deps-fuzz-rrule fuzz bench-http clients bench-events bench-sync windows-zones install clean
