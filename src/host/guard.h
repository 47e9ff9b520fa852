/* Which addresses a request may reach: the guard against requests that a stranger aims into our own network (SSRF). */
#ifndef LUNATION_HOST_GUARD_H
#define LUNATION_HOST_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

enum { GUARD_HOST = 256 };

/* One exception: a network, or the name of a host; a port of 0 is any. */
struct guard_entry {
	unsigned char network[16]; /* IPv4 as IPv6 maps it */
	unsigned bits;
	unsigned port;
	char host[GUARD_HOST]; /* empty: `network` counts */
};

struct guard {
	size_t count;
	struct guard_entry entries[];
};

/* "10.0.0.0/8", "127.0.0.1", "127.0.0.1:5232", "[::1]:5232", "::1", "dav.example.org", "dav.example.org:8443". */
bool guard_parse(const char *text, struct guard_entry *out);

/* Whether the address is one of the public Internet. Addresses that carry an IPv4 address count as that one. */
bool guard_public(const struct sockaddr *address);

/* Whether a request to `host` (as its URL names it) and `port` may open a socket to this address. */
bool guard_allows(const struct guard *g, const struct sockaddr *address, const char *host, unsigned port);

/* The same for a literal address; true for a name. For a proxy, which resolves names by itself. */
bool guard_allows_literal(const struct guard *g, const char *host, unsigned port);

/* The address as text, for messages. */
void guard_text(const struct sockaddr *address, char *out, size_t size);

#endif
