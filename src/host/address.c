/* Addresses of clients: networks in CIDR form, and how many connections each address holds. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "host/server.h"

/* Any address as 16 bytes; IPv4 as IPv6 maps it (RFC 4291 section 2.5.5.2). */
static bool parse(const char *text, uint8_t out[16], bool *v4)
{
	memset(out, 0, 16);
	*v4 = inet_pton(AF_INET, text, out + 12) == 1;
	if (*v4) {
		out[10] = out[11] = 0xff;
		return true;
	}
	return inet_pton(AF_INET6, text, out) == 1;
}

bool address_is_valid(const char *text)
{
	uint8_t out[16];
	bool v4;
	return parse(text, out, &v4);
}

bool cidr_parse(const char *text, struct cidr *out)
{
	char address[64];
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	bool v4;
	if (len >= sizeof address)
		return false;
	memcpy(address, text, len);
	address[len] = '\0';
	if (!parse(address, out->address, &v4))
		return false;
	unsigned most = v4 ? 32 : 128, bits = most;
	if (slash) {
		char *end;
		unsigned long n = strtoul(slash + 1, &end, 10);
		if (slash[1] < '0' || slash[1] > '9' || *end || n > most)
			return false;
		bits = (unsigned)n;
	}
	out->bits = v4 ? bits + 96 : bits;
	return true;
}

bool cidr_has(const struct cidr *list, size_t n, const char *text)
{
	uint8_t a[16];
	bool v4;
	if (!parse(text, a, &v4))
		return false;
	for (size_t i = 0; i < n; i++) {
		unsigned bytes = list[i].bits / 8, rest = list[i].bits % 8;
		if (memcmp(a, list[i].address, bytes) != 0)
			continue;
		if (!rest || ((a[bytes] ^ list[i].address[bytes]) >> (8 - rest)) == 0)
			return true;
	}
	return false;
}

struct peer {
	struct peer *next;
	unsigned count;
	char address[48];
};

enum { BUCKETS = 1024 };
static struct peer *buckets[BUCKETS];

static struct peer **bucket_of(const char *address)
{
	uint32_t h = 2166136261u;
	for (; *address; address++)
		h = (h ^ (unsigned char)*address) * 16777619u;
	return &buckets[h % BUCKETS];
}

/* Counts one connection more; NULL when the address has `most` already. */
struct peer *peer_enter(const char *address, unsigned most)
{
	struct peer **bucket = bucket_of(address), *p = *bucket;
	while (p && strcmp(p->address, address) != 0)
		p = p->next;
	if (!p) {
		p = calloc(1, sizeof *p);
		if (!p)
			return NULL;
		strncpy(p->address, address, sizeof p->address - 1);
		p->next = *bucket;
		*bucket = p;
	}
	if (most && p->count >= most)
		return NULL;
	p->count++;
	return p;
}

void peer_leave(struct peer *peer)
{
	if (!peer || --peer->count)
		return;
	struct peer **at = bucket_of(peer->address);
	while (*at != peer)
		at = &(*at)->next;
	*at = peer->next;
	free(peer);
}
