/* lunation.ratelimit.core: how full each key's minute is, in memory that all workers of a supervisor share. A slot
 * holds the time at which its key's bucket would be empty again (the generic cell rate algorithm), so nothing has to
 * refill it. */
#include "host/ratelimit.h"

#include <lauxlib.h>
#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "modules.h"

enum { SLOTS = 16384, PROBES = 8, TRIES = 16 };

struct slot {
	_Atomic uint64_t key;  /* 0: never used */
	_Atomic uint64_t full; /* nanoseconds: when the bucket is empty again */
};

static struct table {
	uint64_t seed[2];
	struct slot slots[SLOTS];
} * table;

void ratelimit_share(void)
{
	if (table)
		return;
	table = mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (table == MAP_FAILED || getrandom(table->seed, sizeof table->seed, 0) != sizeof table->seed)
		abort();
}

static uint64_t rotate(uint64_t x, int by)
{
	return x << by | x >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

/* SipHash-2-4: without the seed nobody can choose keys that meet in one slot. */
static uint64_t hash(const unsigned char *data, size_t len)
{
	uint64_t v[4] = { table->seed[0] ^ 0x736f6d6570736575u, table->seed[1] ^ 0x646f72616e646f6du,
			  table->seed[0] ^ 0x6c7967656e657261u, table->seed[1] ^ 0x7465646279746573u };
	uint64_t last = (uint64_t)len << 56;
	size_t whole = len - len % 8;
	for (size_t i = 0; i <= whole; i += 8) {
		uint64_t m = 0;
		size_t n = i < whole ? 8 : len % 8;
		for (size_t b = 0; b < n; b++)
			m |= (uint64_t)data[i + b] << (8 * b);
		if (i == whole)
			m |= last;
		v[3] ^= m;
		sip_round(v);
		sip_round(v);
		v[0] ^= m;
	}
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	uint64_t h = v[0] ^ v[1] ^ v[2] ^ v[3];
	return h ? h : 1;
}

/* The key's slot. Where all its places are taken, the one that is nearest to being empty is given up. */
static struct slot *slot_of(uint64_t key, uint64_t now, bool make)
{
	struct slot *spare = NULL;
	uint64_t least = UINT64_MAX;
	for (unsigned i = 0; i < PROBES; i++) {
		struct slot *s = &table->slots[(key + i) % SLOTS];
		uint64_t there = atomic_load(&s->key), full = atomic_load(&s->full);
		if (there == key)
			return s;
		if (!there || full <= now)
			full = 0;
		if (full < least) {
			least = full;
			spare = s;
		}
	}
	if (!make)
		return NULL;
	atomic_store(&spare->full, 0);
	atomic_store(&spare->key, key);
	return spare;
}

/* Seconds until a request of this key is allowed, 0 for now; with `take` an allowed one is counted. */
static double ask(uint64_t key, double per_minute, double seconds, bool take)
{
	uint64_t now = (uint64_t)(seconds * 1e9), each = (uint64_t)(60e9 / per_minute);
	uint64_t ahead = 60000000000u - each; /* how far a burst may run ahead of the steady rate */
	struct slot *s = slot_of(key, now, take);
	if (!s)
		return 0;
	uint64_t full = atomic_load(&s->full);
	for (int i = 0; i < TRIES; i++) {
		uint64_t base = full > now ? full : now;
		if (base - now > ahead)
			return (double)(base - now - ahead) / 1e9;
		if (!take || atomic_compare_exchange_weak(&s->full, &full, base + each))
			return 0;
	}
	return 0;
}

/* take(key, per_minute, now, count) --> allowed, seconds to wait; without `count` it only looks */
static int core_take(lua_State *L)
{
	size_t len;
	const char *key = luaL_checklstring(L, 1, &len);
	lua_Number per_minute = luaL_checknumber(L, 2), now = luaL_checknumber(L, 3);
	luaL_argcheck(L, per_minute >= 1 && per_minute <= 1e9, 2, "a number of one or more expected");
	luaL_argcheck(L, now >= 0 && now < 1e9, 3, "seconds expected");
	ratelimit_share();
	double wait = ask(hash((const unsigned char *)key, len), per_minute, now, lua_toboolean(L, 4));
	lua_pushboolean(L, wait <= 0);
	if (wait <= 0)
		return 1;
	lua_pushinteger(L, (lua_Integer)fmax(1, ceil(wait)));
	return 2;
}

int luaopen_lunation_ratelimit_core(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "take", core_take },
		{ NULL, NULL },
	};
	luaL_newlib(L, functions);
	return 1;
}
