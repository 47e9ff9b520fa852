/* Which addresses a request may reach. What is not listed as public unicast is refused (RFC 6890 and IANA's registries
 * of special-purpose addresses), and so is what carries such an address inside. */
#include "host/guard.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { V4 = 12 }; /* where an IPv4 address begins in its mapped form */

static const struct {
	unsigned char prefix[4];
	unsigned bits;
} special4[] = {
	{ { 0 }, 8 },             /* this network */
	{ { 10 }, 8 },            /* private */
	{ { 100, 64 }, 10 },      /* carrier-grade NAT */
	{ { 127 }, 8 },           /* loopback */
	{ { 169, 254 }, 16 },     /* link-local, and the metadata services of clouds */
	{ { 172, 16 }, 12 },      /* private */
	{ { 192, 0, 0 }, 24 },    /* protocol assignments */
	{ { 192, 0, 2 }, 24 },    /* documentation */
	{ { 192, 88, 99 }, 24 },  /* relays of 6to4 */
	{ { 192, 168 }, 16 },     /* private */
	{ { 198, 18 }, 15 },      /* benchmarks */
	{ { 198, 51, 100 }, 24 }, /* documentation */
	{ { 203, 0, 113 }, 24 },  /* documentation */
	{ { 224 }, 4 },           /* multicast */
	{ { 240 }, 4 },           /* reserved, and broadcast */
};

static const struct {
	unsigned char prefix[6];
	unsigned bits;
} special6[] = {
	{ { 0x20, 0x01 }, 23 },             /* protocol assignments: Teredo, ORCHID, benchmarks */
	{ { 0x20, 0x01, 0x0d, 0xb8 }, 32 }, /* documentation */
	{ { 0x3f, 0xff }, 20 },             /* documentation */
};

static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
static const unsigned char nat64[12] = { 0x00, 0x64, 0xff, 0x9b };

static bool within(const unsigned char *address, const unsigned char *prefix, unsigned bits)
{
	unsigned bytes = bits / 8, rest = bits % 8;

	if (memcmp(address, prefix, bytes) != 0)
		return false;
	return rest == 0 || ((address[bytes] ^ prefix[bytes]) >> (8 - rest)) == 0;
}

static bool public4(const unsigned char *address)
{
	for (size_t i = 0; i < sizeof(special4) / sizeof(special4[0]); i++)
		if (within(address, special4[i].prefix, special4[i].bits))
			return false;
	return true;
}

static bool public16(const unsigned char *address)
{
	if (memcmp(address, mapped, 12) == 0 || memcmp(address, nat64, 12) == 0)
		return public4(address + V4);
	if ((address[0] & 0xe0) != 0x20) /* 2000::/3 alone is global unicast */
		return false;
	for (size_t i = 0; i < sizeof(special6) / sizeof(special6[0]); i++)
		if (within(address, special6[i].prefix, special6[i].bits))
			return false;
	if (address[0] == 0x20 && address[1] == 0x02) /* 6to4, RFC 3056 */
		return public4(address + 2);
	if ((address[8] & 0xfd) == 0 && address[9] == 0 && address[10] == 0x5e &&
	    address[11] == 0xfe) /* ISATAP, RFC 5214 */
		return public4(address + V4);
	return true;
}

/* Any address as 16 bytes; false for what is no Internet address at all. */
static bool flatten(const struct sockaddr *address, unsigned char out[16])
{
	if (address->sa_family == AF_INET) {
		memcpy(out, mapped, 12);
		memcpy(out + V4, &((const struct sockaddr_in *)address)->sin_addr, 4);
		return true;
	}
	if (address->sa_family == AF_INET6) {
		memcpy(out, &((const struct sockaddr_in6 *)address)->sin6_addr, 16);
		return true;
	}
	return false;
}

static unsigned port_of(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)address)->sin_port);
	return ntohs(((const struct sockaddr_in6 *)address)->sin6_port);
}

bool guard_public(const struct sockaddr *address)
{
	unsigned char flat[16];

	return flatten(address, flat) && public16(flat);
}

static bool same_host(const char *a, const char *b)
{
	size_t n = strlen(b);

	/* a name may end in the dot of the root */
	if (n > 0 && b[n - 1] == '.')
		n--;
	return strncasecmp(a, b, n) == 0 && a[n] == '\0';
}

bool guard_allows(const struct guard *g, const struct sockaddr *address, const char *host, unsigned port)
{
	unsigned char flat[16];

	if (!flatten(address, flat))
		return false;
	if (public16(flat))
		return true;
	for (size_t i = 0; i < g->count; i++) {
		const struct guard_entry *e = &g->entries[i];

		if (e->host[0] != '\0') {
			if (same_host(e->host, host) && (e->port == 0 || e->port == port))
				return true;
		} else if (within(flat, e->network, e->bits) && (e->port == 0 || e->port == port_of(address))) {
			return true;
		}
	}
	return false;
}

bool guard_allows_literal(const struct guard *g, const char *host, unsigned port)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM },
			*found = NULL;
	char name[GUARD_HOST], service[8];
	size_t len = strlen(host);
	const char *literal = host;
	bool allowed = true;

	if (len >= 2 && len < sizeof(name) && host[0] == '[') {
		memcpy(name, host + 1, len - 2);
		name[len - 2] = '\0';
		literal = name;
	} else if (same_host("localhost", host)) {
		literal = "127.0.0.1";
	}
	snprintf(service, sizeof(service), "%u", port);
	/* getaddrinfo knows the old forms of IPv4 too: 0x7f000001, 017700000001, 127.1 */
	if (getaddrinfo(literal, service, &hints, &found) == 0) {
		allowed = guard_allows(g, found->ai_addr, host, port);
		freeaddrinfo(found);
	}
	return allowed;
}

static bool parse_port(const char *text, unsigned *out)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);

	*out = (unsigned)port;
	return *text >= '0' && *text <= '9' && *end == '\0' && port >= 1 && port <= 65535;
}

static bool parse_address(const char *text, struct guard_entry *out)
{
	if (inet_pton(AF_INET, text, out->network + V4) == 1) {
		memcpy(out->network, mapped, 12);
		out->bits = 128;
		return true;
	}
	if (inet_pton(AF_INET6, text, out->network) == 1) {
		out->bits = 128;
		return true;
	}
	return false;
}

static bool parse_network(char *text, char *slash, struct guard_entry *out)
{
	unsigned long bits;
	bool v4 = strchr(text, ':') == NULL;
	char *end;

	*slash = '\0';
	if (slash[1] < '0' || slash[1] > '9' || !parse_address(text, out))
		return false;
	bits = strtoul(slash + 1, &end, 10);
	if (*end != '\0' || bits > (v4 ? 32 : 128))
		return false;
	out->bits = (unsigned)bits + (v4 ? 96 : 0);
	return true;
}

bool guard_parse(const char *text, struct guard_entry *out)
{
	char copy[GUARD_HOST], *host = copy, *mark;
	size_t len = strlen(text);

	memset(out, 0, sizeof(*out));
	if (len == 0 || len >= sizeof(copy))
		return false;
	memcpy(copy, text, len + 1);
	mark = strchr(copy, '/');
	if (mark != NULL)
		return parse_network(copy, mark, out);
	if (copy[0] == '[') {
		mark = strchr(copy, ']');
		if (mark == NULL || (mark[1] == ':' ? !parse_port(mark + 2, &out->port) : mark[1] != '\0'))
			return false;
		*mark = '\0';
		host = copy + 1;
		return strchr(host, ':') != NULL && parse_address(host, out);
	}
	if (parse_address(host, out))
		return true;
	mark = strchr(host, ':');
	if (mark != NULL) {
		if (!parse_port(mark + 1, &out->port))
			return false;
		*mark = '\0';
		if (parse_address(host, out))
			return true;
	}
	len = strlen(host);
	if (len > 0 && host[len - 1] == '.')
		host[--len] = '\0';
	if (len == 0)
		return false;
	memcpy(out->host, host, len + 1);
	return true;
}

void guard_text(const struct sockaddr *address, char *out, size_t size)
{
	const void *bytes = address->sa_family == AF_INET6
				? (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr
				: &((const struct sockaddr_in *)address)->sin_addr;

	if (inet_ntop(address->sa_family, bytes, out, (socklen_t)size) == NULL)
		snprintf(out, size, "an address of no known kind");
}
