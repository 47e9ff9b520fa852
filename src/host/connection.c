/* One accepted socket: bytes in and out, TLS between, deadlines, and the orderly ways to close it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "host/server.h"

enum { SHARED = 64 * 1024, LINGER_TIME = 2000, DRAIN_GRACE = 100, READS_PER_WAKE = 8 };

/* One loop, one thread: input is read into one buffer for all, and the answers to what one read brought leave in one
 * write. */
static char shared_in[SHARED];
static char shared_out[SHARED];
static size_t shared_out_len;
static struct conn *corked;
static bool shared_in_busy; /* requests in it are being answered */

bool bytes_reserve(struct bytes *b, size_t more)
{
	if (b->at == b->len)
		b->at = b->len = 0;
	if (b->at && b->cap - b->len < more) {
		memmove(b->data, b->data + b->at, b->len - b->at);
		b->len -= b->at;
		b->at = 0;
	}
	if (b->cap - b->len >= more)
		return true;
	size_t cap = b->cap ? b->cap : 1024;
	while (cap - b->len < more)
		cap *= 2;
	char *data = realloc(b->data, cap);
	if (!data)
		return false;
	b->data = data;
	b->cap = cap;
	return true;
}

bool bytes_append(struct bytes *b, const void *data, size_t len)
{
	if (!bytes_reserve(b, len))
		return false;
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	return true;
}

void bytes_consume(struct bytes *b, size_t len)
{
	b->at += len;
	if (b->at == b->len)
		bytes_free(b);
}

void bytes_free(struct bytes *b)
{
	free(b->data);
	memset(b, 0, sizeof *b);
}

size_t conn_pending(const struct conn *c)
{
	return c->out.len - c->out.at;
}

bool conn_idle(const struct conn *c)
{
	if (c->h2)
		return http2_idle(c);
	return c->phase == PHASE_IDLE && !c->ex && c->in.len == c->in.at;
}

/* Writes what the socket takes now; -1: nothing for the moment, -2: the connection is broken. */
static ssize_t write_some(struct conn *c, const char *data, size_t len)
{
	if (c->ssl)
		return tls_write(c, data, len);
	for (;;) {
		ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);
		if (n >= 0)
			return n;
		if (errno == EINTR)
			continue;
		return errno == EAGAIN || errno == EWOULDBLOCK ? -1 : -2;
	}
}

static void keep_for_later(struct conn *c, const char *data, size_t len)
{
	if (!len)
		return;
	if (!conn_pending(c))
		c->write_deadline = server_now() + c->listener->limits.write_time;
	if (!bytes_append(&c->out, data, len))
		c->failed = true;
}

static void write_or_keep(struct conn *c, const char *data, size_t len)
{
	while (len && !conn_pending(c)) {
		ssize_t n = write_some(c, data, len);
		if (n == -2) {
			c->failed = true;
			return;
		}
		if (n == -1)
			break;
		data += n;
		len -= (size_t)n;
	}
	keep_for_later(c, data, len);
}

static void uncork(struct conn *c)
{
	if (corked != c || !shared_out_len)
		return;
	size_t len = shared_out_len;
	shared_out_len = 0;
	write_or_keep(c, shared_out, len);
}

void conn_write(struct conn *c, const void *data, size_t len)
{
	if (c->closed || c->failed || !len)
		return;
	if (corked == c && !conn_pending(c)) {
		if (len <= SHARED - shared_out_len) {
			memcpy(shared_out + shared_out_len, data, len);
			shared_out_len += len;
			return;
		}
		uncork(c);
	}
	if (conn_pending(c))
		keep_for_later(c, data, len);
	else
		write_or_keep(c, data, len);
}

void conn_write2(struct conn *c, const void *head, size_t head_len, const void *data, size_t len)
{
	bool fits = corked == c && head_len + len <= SHARED - shared_out_len;
	if (c->ssl || fits || conn_pending(c) || c->closed || c->failed || !len) {
		conn_write(c, head, head_len);
		conn_write(c, data, len);
		return;
	}
	uncork(c);
	if (conn_pending(c) || c->failed) {
		conn_write(c, head, head_len);
		conn_write(c, data, len);
		return;
	}
	struct iovec parts[2] = { { (void *)head, head_len }, { (void *)data, len } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	ssize_t n;
	do
		n = sendmsg(c->fd, &message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
		c->failed = true;
		return;
	}
	size_t done = n > 0 ? (size_t)n : 0;
	if (done < head_len) {
		keep_for_later(c, (const char *)head + done, head_len - done);
		done = head_len;
	}
	if (conn_pending(c))
		keep_for_later(c, (const char *)data + (done - head_len), len - (done - head_len));
	else
		write_or_keep(c, (const char *)data + (done - head_len), len - (done - head_len));
}

bool conn_flush(struct conn *c)
{
	uncork(c);
	while (conn_pending(c) && !c->failed) {
		ssize_t n = write_some(c, c->out.data + c->out.at, conn_pending(c));
		if (n == -2)
			c->failed = true;
		if (n < 0)
			break;
		bytes_consume(&c->out, (size_t)n);
		c->write_deadline = server_extend(c->write_deadline, (size_t)n, c->listener->limits.write_time);
	}
	if (!conn_pending(c))
		c->write_deadline = 0;
	return !conn_pending(c) && !c->failed;
}

static void on_closed(uv_handle_t *handle)
{
	struct conn *c = handle->data;
	listener_release(c->listener);
	free(c);
}

void conn_close(struct conn *c)
{
	if (c->closed)
		return;
	c->closed = true;
	if (corked == c) {
		corked = NULL;
		shared_out_len = 0;
	}
	if (c->prev)
		c->prev->next = c->next;
	else
		server.conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	http2_free(c);
	if (c->ex) {
		struct exchange *ex = c->ex;
		c->ex = NULL;
		exchange_gone(ex);
	}
	if (c->ssl) {
		if (c->phase != PHASE_TLS && !c->failed)
			SSL_shutdown(c->ssl);
		ERR_clear_error();
		SSL_free(c->ssl);
		c->ssl = NULL;
	}
	bytes_free(&c->in);
	bytes_free(&c->out);
	uv_poll_stop(&c->poll);
	close(c->fd);
	c->fd = -1;
	uv_close((uv_handle_t *)&c->poll, on_closed);
	server_conn_gone(c);
}

static void process(struct conn *c, const char *data, size_t len, bool kept)
{
	size_t used = len;
	if (!c->h2 && c->phase <= PHASE_HEAD && c->requests == 0 && !c->ssl && data[0] == 'P') {
		static const char preface[] = "PRI * HTTP/2.0\r\n";
		size_t n = len < sizeof preface - 1 ? len : sizeof preface - 1;
		if (memcmp(data, preface, n) == 0) {
			if (n == sizeof preface - 1)
				c->failed = !http2_start(c);
			else
				used = 0;
		}
	}
	if (c->h2 && !c->failed) {
		if (!http2_input(c, data, len))
			c->close_after = c->lingers = true;
	} else if (used && !c->failed) {
		used = http1_input(c, data, len);
	}
	if (c->closed)
		return;
	if (kept)
		bytes_consume(&c->in, used);
	else if (used < len && !bytes_append(&c->in, data + used, len - used))
		c->failed = true;
}

/* Takes up what was left in the buffer when the exchange before it has ended. */
static void process_kept(struct conn *c)
{
	size_t before;
	do {
		before = c->in.len - c->in.at;
		if (!before || c->ex || c->failed)
			return;
		process(c, c->in.data + c->in.at, before, true);
	} while (!c->closed && c->in.len - c->in.at < before);
}

static ssize_t read_some(struct conn *c, char *into, size_t len)
{
	if (c->ssl)
		return tls_read(c, into, len);
	for (;;) {
		ssize_t n = recv(c->fd, into, len, 0);
		if (n >= 0)
			return n;
		if (errno == EINTR)
			continue;
		return errno == EAGAIN || errno == EWOULDBLOCK ? -1 : -2;
	}
}

static bool wants_input(const struct conn *c)
{
	size_t kept = c->in.len - c->in.at;
	if (c->ended || conn_pending(c) > CONN_HIGH_WATER)
		return false;
	return c->h2 || !c->ex || c->phase == PHASE_BODY || kept < c->listener->limits.pipeline;
}

/* What TLS has read ahead no longer makes the socket readable: it must be asked for. */
static bool tls_holds_input(const struct conn *c)
{
	return c->ssl && !c->tls_dry && SSL_has_pending(c->ssl);
}

static void conn_read(struct conn *c)
{
	for (int i = 0; i < READS_PER_WAKE; i++) {
		if (c->closed || c->failed || !wants_input(c))
			return;
		bool kept = c->in.len > c->in.at || shared_in_busy;
		char *into = shared_in;
		size_t room = SHARED;
		if (kept) {
			room = 16 * 1024;
			if (!bytes_reserve(&c->in, room)) {
				c->failed = true;
				return;
			}
			into = c->in.data + c->in.len;
		}
		ssize_t n = read_some(c, into, room);
		if (n == -1)
			return;
		if (n <= 0) {
			c->ended = true;
			c->failed = c->failed || n < 0;
			return;
		}
		if (c->phase == PHASE_LINGER)
			continue;
		if (kept) {
			c->in.len += (size_t)n;
			process(c, c->in.data + c->in.at, c->in.len - c->in.at, true);
		} else {
			shared_in_busy = true;
			process(c, into, (size_t)n, false);
			shared_in_busy = false;
		}
		if (c->ssl ? !tls_holds_input(c) : (size_t)n < room)
			return;
	}
}

/* The answer is out but the client may still be sending: a plain close would reset the connection and lose the answer.
 */
static void linger(struct conn *c)
{
	http2_free(c);
	if (c->ssl) {
		SSL_shutdown(c->ssl);
		ERR_clear_error();
	}
	shutdown(c->fd, SHUT_WR);
	c->phase = PHASE_LINGER;
	c->deadline = server_now() + LINGER_TIME;
	bytes_free(&c->in);
}

static void on_poll(uv_poll_t *handle, int status, int events);

static void watch(struct conn *c, int events)
{
	if (events == c->events)
		return;
	c->events = events;
	if (uv_poll_start(&c->poll, events, on_poll) != 0)
		c->failed = true;
}

void conn_settle(struct conn *c)
{
	if (c->closed || c->busy)
		return;
	if (corked == c) {
		uncork(c);
		corked = NULL;
	}
	if (c->ended && c->phase != PHASE_TLS && (c->ex || c->h2 || !conn_pending(c))) {
		conn_close(c);
		return;
	}
	if (!c->failed && c->close_after && !c->ex && !conn_pending(c) && c->phase != PHASE_LINGER) {
		if (!c->lingers) {
			conn_close(c);
			return;
		}
		linger(c);
	}
	if (!c->failed) {
		int events = wants_input(c) ? UV_READABLE : 0;
		/* input that TLS still holds is come back to, after the other connections have had their turn */
		if (conn_pending(c) || c->tls_wants_write || (events && tls_holds_input(c)))
			events |= UV_WRITABLE;
		watch(c, events ? events : UV_DISCONNECT);
	}
	if (c->failed)
		conn_close(c);
}

static void handshake(struct conn *c)
{
	int rc = tls_handshake(c);
	if (rc == TLS_FAILED) {
		c->failed = true;
		return;
	}
	if (rc == TLS_AGAIN)
		return;
	c->phase = PHASE_IDLE;
	c->deadline = server_now() + c->listener->limits.head_time;
	if (tls_is_h2(c) && !http2_start(c))
		c->failed = true;
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
	struct conn *c = handle->data;
	if (c->closed)
		return;
	if (status < 0)
		c->failed = true;
	corked = c;
	shared_out_len = 0;
	if (!c->failed && c->phase == PHASE_TLS)
		handshake(c);
	if (!c->failed && c->phase != PHASE_TLS) {
		if (conn_pending(c) && conn_flush(c) && c->h2)
			http2_send(c);
		if (!c->closed && c->ex && conn_pending(c) <= CONN_LOW_WATER)
			exchange_room(c->ex);
		if (!c->closed && !c->ended && ((events & (UV_READABLE | UV_DISCONNECT)) || tls_holds_input(c)))
			conn_read(c);
		if (!c->closed && (events & UV_DISCONNECT) && !(events & UV_READABLE))
			c->ended = true;
	}
	conn_settle(c);
	if (corked == c)
		corked = NULL;
}

/* After an exchange that ended on its own time: whatever the client sent meanwhile is next. */
void conn_next(struct conn *c)
{
	if (c->closed || c->busy)
		return;
	struct conn *outer = corked;
	size_t outer_len = shared_out_len;
	/* Another connection's answers are being gathered: this one writes straight to its socket. */
	if (!outer || outer == c) {
		corked = c;
		if (!outer)
			shared_out_len = 0;
	}
	if (!c->h2)
		process_kept(c);
	if (!c->closed && tls_holds_input(c) && wants_input(c))
		conn_read(c);
	if (outer && outer != c) {
		corked = outer;
		shared_out_len = outer_len;
	}
	if (outer != c)
		conn_settle(c);
}

void conn_flush_soon(struct conn *c)
{
	conn_flush(c);
	if (!c->closed && !c->failed && conn_pending(c) && !(c->events & UV_WRITABLE))
		watch(c, c->events | UV_WRITABLE);
}

void conn_drain(struct conn *c)
{
	if (c->closed || c->draining)
		return;
	c->draining = true;
	if (c->h2) {
		http2_drain(c);
		conn_settle(c);
		return;
	}
	/* A request may be on its way to us: it is answered, with "connection: close". Who has sent none by then is
	 * idle. */
	if (conn_idle(c)) {
		uint64_t end = server_now() + DRAIN_GRACE;
		if (!c->deadline || c->deadline > end)
			c->deadline = end;
	}
}

void conn_sweep(struct conn *c, uint64_t now)
{
	if (c->closed)
		return;
	bool late = c->deadline && now >= c->deadline;
	if (c->failed || (c->write_deadline && now >= c->write_deadline)) {
		c->failed = true;
	} else if (c->h2) {
		http2_sweep(c, now);
	} else if (c->ex && c->phase == PHASE_WORK) {
		exchange_sweep(c->ex, now);
	} else if (late && (c->phase == PHASE_HEAD || c->phase == PHASE_BODY)) {
		http1_refuse(c, 408, "the request did not arrive in time");
	} else if (late && c->phase == PHASE_IDLE) {
		c->close_after = true;
	} else if (late) {
		c->failed = true;
	}
	conn_settle(c);
}

struct conn *conn_new(uv_loop_t *loop, struct listener *l, int fd, const char *address, struct peer *peer)
{
	struct conn *c = calloc(1, sizeof *c);
	if (!c)
		return NULL;
	c->fd = fd;
	c->listener = l;
	c->peer = peer;
	memcpy(c->address, address, strlen(address) + 1);
	if (l->tls) {
		c->ssl = SSL_new(l->tls);
		if (!c->ssl || !SSL_set_fd(c->ssl, fd)) {
			SSL_free(c->ssl);
			free(c);
			return NULL;
		}
		SSL_set_accept_state(c->ssl);
		c->phase = PHASE_TLS;
	} else {
		c->phase = PHASE_IDLE;
	}
	if (uv_poll_init(loop, &c->poll, fd) != 0) {
		SSL_free(c->ssl);
		free(c);
		return NULL;
	}
	l->references++;
	c->poll.data = c;
	c->idle_since = server_now();
	c->deadline = c->idle_since + l->limits.head_time;
	c->next = server.conns;
	if (c->next)
		c->next->prev = c;
	server.conns = c;
	watch(c, UV_READABLE);
	return c;
}
