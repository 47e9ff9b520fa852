/* Listening sockets: how they are bound, who is let in through them, and how they are closed. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/server.h"

enum { ACCEPTS_PER_WAKE = 16 };

static void on_accept(uv_poll_t *handle, int status, int events);

void listeners_watch(void)
{
	for (struct listener *l = server.listeners; l; l = l->next) {
		if (l->accepting || l->closing)
			continue;
		l->accepting = uv_poll_start(&l->poll, UV_READABLE, on_accept) == 0;
	}
}

/* The connection that has been idle longest, or NULL. */
static struct conn *idlest(void)
{
	struct conn *found = NULL;
	for (struct conn *c = server.conns; c; c = c->next)
		if (!c->busy && conn_idle(c) && !conn_pending(c) && (!found || c->idle_since <= found->idle_since))
			found = c;
	return found;
}

/* Closes it, so that there is room for one more. */
static bool make_room(void)
{
	struct conn *c = idlest();
	if (c)
		conn_close(c);
	return c != NULL;
}

static void address_text(const struct sockaddr_storage *from, char *text, size_t len)
{
	if (getnameinfo((const struct sockaddr *)from, sizeof *from, text, (socklen_t)len, NULL, 0, NI_NUMERICHOST) !=
	    0)
		snprintf(text, len, "unknown");
	/* IPv4 through a socket for both is written as IPv4. */
	if (strncmp(text, "::ffff:", 7) == 0 && strchr(text, '.'))
		memmove(text, text + 7, strlen(text + 7) + 1);
}

static void turn_away(struct listener *l, int fd)
{
	static const char busy[] =
	    "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n"
	    "retry-after: 1\r\ncontent-length: 23\r\nconnection: close\r\n\r\n{\"error\":\"unavailable\"}";
	if (!l->tls && send(fd, busy, sizeof busy - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		errno = 0;
	close(fd);
}

static void welcome(struct listener *l, int fd, const struct sockaddr_storage *from)
{
	char address[48];
	struct peer *peer;
	int on = 1;
	address_text(from, address, sizeof address);
	bool proxy = l->nproxies && cidr_has(l->proxies, l->nproxies, address);
	peer = peer_enter(address, proxy ? 0 : l->limits.connections_per_address);
	if (!peer) {
		turn_away(l, fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (!conn_new(server.loop, l, fd, address, peer)) {
		peer_leave(peer);
		close(fd);
		return;
	}
	server.nconns++;
	l->nconns++;
}

/* Out of descriptors the pending connection would wake the loop for ever: the spare one lets it be taken and closed.
 * The kernel says so before it looks at the queue; false: nothing waited there. */
static bool shed(struct listener *l)
{
	close(server.spare_fd);
	int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		turn_away(l, fd);
	server.spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return fd >= 0;
}

/* Takes what waits; false: nothing more to take. */
static bool accept_one(struct listener *l)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof from;
	memset(&from, 0, sizeof from);
	if (server.nconns >= l->limits.connections && !idlest()) {
		uv_poll_stop(&l->poll);
		l->accepting = false;
		return false;
	}
	int fd = accept4(l->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		if (server.nconns >= l->limits.connections)
			make_room();
		welcome(l, fd, &from);
		return true;
	}
	if (errno == EMFILE || errno == ENFILE) {
		return make_room() || shed(l);
	}
	return errno == EINTR || errno == ECONNABORTED;
}

static void on_accept(uv_poll_t *handle, int status, int events)
{
	struct listener *l = handle->data;
	(void)status;
	(void)events;
	for (int i = 0; i < ACCEPTS_PER_WAKE && accept_one(l); i++)
		;
}

static void on_listener_closed(uv_handle_t *handle)
{
	listener_release(handle->data);
}

/* No more connections through this socket; those that wait in its queue are taken first. */
void listener_stop(struct listener *l)
{
	if (l->closing)
		return;
	while (accept_one(l))
		;
	l->closing = true;
	struct listener **at = &server.listeners;
	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	uv_poll_stop(&l->poll);
	close(l->fd);
	uv_close((uv_handle_t *)&l->poll, on_listener_closed);
	server_watch_drain();
	for (struct conn *c = server.conns, *next; c; c = next) {
		next = c->next;
		if (c->listener == l)
			conn_drain(c);
	}
	server_end_when_empty();
}

void listener_drop_conns(struct listener *l)
{
	for (struct conn *c = server.conns, *next; c; c = next) {
		next = c->next;
		if (c->listener == l)
			conn_close(c);
	}
}

/* "http://127.0.0.1:8080" into its parts; a host may be in brackets, "*" or empty for all addresses. */
static bool split_url(const char *url, bool *https, char *host, size_t host_room, char port[8])
{
	const char *at, *end;
	*https = strncmp(url, "https://", 8) == 0;
	if (!*https && strncmp(url, "http://", 7) != 0)
		return false;
	at = url + (*https ? 8 : 7);
	if (*at == '[') {
		at++;
		end = strchr(at, ']');
		if (!end)
			return false;
	} else {
		end = at + strcspn(at, ":/");
	}
	if ((size_t)(end - at) >= host_room)
		return false;
	memcpy(host, at, (size_t)(end - at));
	host[end - at] = '\0';
	if (*end == ']')
		end++;
	snprintf(port, 8, "%s", *https ? "443" : "80");
	if (*end == ':') {
		size_t digits = strspn(end + 1, "0123456789");
		if (digits == 0 || digits > 5)
			return false;
		memcpy(port, end + 1, digits);
		port[digits] = '\0';
		end += 1 + digits;
	}
	return *end == '\0' || strcmp(end, "/") == 0;
}

static bool has_ipv6(void)
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

/* A bound socket, or -1 with the reason in *error. */
int listener_bind(const char *url, bool reuseport, const char **error)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *list = NULL;
	char host[256], port[8];
	bool https;
	int fd = -1, on = 1;
	*error = "not a listen URL: http://HOST:PORT or https://HOST:PORT";
	if (!split_url(url, &https, host, sizeof host, port))
		return -1;
	bool any = !*host || strcmp(host, "*") == 0;
	/* Every address: an IPv6 socket takes IPv4 too, where there is IPv6 at all. */
	if (any)
		hints.ai_family = AF_INET6;
	int rc = getaddrinfo(any ? NULL : host, port, &hints, &list);
	if (any && (rc != 0 || !has_ipv6())) {
		if (rc == 0)
			freeaddrinfo(list);
		hints.ai_family = AF_INET;
		rc = getaddrinfo(NULL, port, &hints, &list);
	}
	if (rc != 0) {
		*error = gai_strerror(rc);
		return -1;
	}
	for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (fd < 0) {
			*error = strerror(errno);
			continue;
		}
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
		if (reuseport)
			setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
		if (bind(fd, a->ai_addr, a->ai_addrlen) != 0) {
			*error = strerror(errno);
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(list);
	return fd;
}

void listener_real_url(const char *url, int fd, char *real, size_t room)
{
	char host[256], port[8];
	bool https;
	struct sockaddr_storage at;
	socklen_t len = sizeof at;
	if (!split_url(url, &https, host, sizeof host, port) || getsockname(fd, (struct sockaddr *)&at, &len) != 0 ||
	    getnameinfo((struct sockaddr *)&at, len, NULL, 0, port, sizeof port, NI_NUMERICSERV) != 0) {
		snprintf(real, room, "%s", url);
		return;
	}
	bool v6 = strchr(host, ':') != NULL;
	snprintf(real, room, "%s://%s%s%s:%s", https ? "https" : "http", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

void listener_push_url(lua_State *L, const char *url, int fd)
{
	char real[LISTEN_URL_MAX];
	listener_real_url(url, fd, real, sizeof real);
	lua_pushstring(L, real);
}
