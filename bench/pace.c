/* Sends HTTP/1.1 requests at a steady rate over kept connections and prints the latencies, each counted from the moment
 * its request was due, so that a server that stalls is charged for what had to wait (no coordinated omission).
 * pace PORT PATH RATE CONNECTIONS SECONDS → "requests=N failed=N p50=US p99=US p999=US max=US" */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 16384, EVENTS = 256 };

struct client {
	int fd;
	double
	    due; /* microseconds: when the next request is to leave; it is the present one's while one is under way */
	int busy;
	size_t len;
	char buf[ROOM];
};

static double now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int dial(int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
		perror("pace: connect");
		exit(1);
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	return fd;
}

/* How long the response at the front of the buffer is; 0: not complete. */
static size_t response_length(struct client *c)
{
	c->buf[c->len] = '\0';
	char *end = strstr(c->buf, "\r\n\r\n");
	if (!end)
		return 0;
	size_t head = (size_t)(end + 4 - c->buf);
	char *length = strcasestr(c->buf, "\r\ncontent-length:");
	char *chunked = strcasestr(c->buf, "\r\ntransfer-encoding: chunked");
	if (length && length < end) {
		size_t body = strtoul(length + 17, NULL, 10);
		return c->len >= head + body ? head + body : 0;
	}
	if (chunked && chunked < end) {
		char *last = strstr(end + 2, "\r\n0\r\n\r\n");
		return last ? (size_t)(last + 7 - c->buf) : 0;
	}
	return head;
}

static int by_value(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	if (argc != 6) {
		fprintf(stderr, "usage: pace PORT PATH RATE CONNECTIONS SECONDS\n");
		return 2;
	}
	int port = atoi(argv[1]), n = atoi(argv[4]);
	double rate = atof(argv[3]), seconds = atof(argv[5]), interval = 1e6 * n / rate;
	char request[1024];
	int request_len = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", argv[2]);
	size_t most = (size_t)(rate * seconds * 1.1) + 1024, count = 0, failed = 0;
	float *times = malloc(most * sizeof *times);
	struct client *clients = calloc((size_t)n, sizeof *clients);
	int poll = epoll_create1(0), timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	struct epoll_event events[EVENTS], tick = { .events = EPOLLIN, .data.ptr = NULL };
	if (!times || !clients || rate <= 0 || n <= 0)
		return 1;
	/* The timer is the clock that sends; it ticks more often than requests are due. */
	struct itimerspec every = { .it_interval = { 0, 100000 }, .it_value = { 0, 100000 } };
	timerfd_settime(timer, 0, &every, NULL);
	epoll_ctl(poll, EPOLL_CTL_ADD, timer, &tick);
	double start = now_us() + 50000, stop = start + seconds * 1e6;
	for (int i = 0; i < n; i++) {
		clients[i].fd = dial(port);
		clients[i].due = start + interval * i / n;
		struct epoll_event e = { .events = EPOLLIN, .data.ptr = &clients[i] };
		epoll_ctl(poll, EPOLL_CTL_ADD, clients[i].fd, &e);
	}
	for (double now = now_us(); now < stop + 1e6; now = now_us()) {
		int under_way = 0;
		for (int i = 0; i < n; i++) {
			struct client *c = &clients[i];
			if (!c->busy && c->due <= now && c->due < stop) {
				if (send(c->fd, request, (size_t)request_len, MSG_NOSIGNAL) != request_len)
					failed++;
				c->busy = 1;
			}
			under_way += c->busy;
		}
		if (now >= stop && !under_way)
			break;
		int ready = epoll_wait(poll, events, EVENTS, 100);
		for (int i = 0; i < ready; i++) {
			struct client *c = events[i].data.ptr;
			uint64_t ticks;
			if (!c) {
				if (read(timer, &ticks, sizeof ticks) < 0 && errno != EAGAIN)
					return 1;
				continue;
			}
			ssize_t got = recv(c->fd, c->buf + c->len, ROOM - 1 - c->len, MSG_DONTWAIT);
			if (got <= 0) {
				fprintf(stderr, "pace: the server ended a connection\n");
				return 1;
			}
			c->len += (size_t)got;
			if (!response_length(c))
				continue;
			if (count < most)
				times[count++] = (float)(now_us() - c->due);
			failed += strncmp(c->buf, "HTTP/1.1 200", 12) != 0;
			c->len = 0;
			c->busy = 0;
			c->due += interval;
		}
	}
	if (!count)
		return 1;
	qsort(times, count, sizeof *times, by_value);
	printf("requests=%zu failed=%zu p50=%.0f p99=%.0f p999=%.0f max=%.0f\n", count, failed, times[count / 2],
	       times[count * 99 / 100], times[count * 999 / 1000], times[count - 1]);
	return 0;
}
