/*
 * lunation.rscale.core: the times of recurrence rules of other calendars than the Gregorian (RFC 7529), reckoned by
 * libical with ICU. Neither can be told to stop, and some rules keep them for ever: they run on a thread of their own,
 * one rule at a time. A rule that has not ended in its time is given up together with its thread, and there are no more
 * answers until the program is started anew.
 */
#include "calendar/civil.h"
#include "host/state.h"
#include "modules.h"

#include <dlfcn.h>
#include <lauxlib.h>
#include <libical/ical.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* libical knows no time behind this year. */
enum { LAST_YEAR = 2582 };

/* How far behind a window is looked, in seconds; how long who cannot wait does, and how often it is looked, in
 * milliseconds. */
enum { AHEAD = 366 * CIVIL_DAY, SHORT_WAIT = 250, LOOK = 20 };

/* A rule's time is what its thread computes, so that a busy machine makes nothing late; but it has an end by the clock,
 * too. */
enum { BY_THE_CLOCK = 5 };

struct job {
	/* the question */
	char *text;
	int64_t start, from, to;
	bool date;
	int64_t most, count, steps;
	unsigned weekdays; /* that the rule allows, Sunday first; 0: all */
	uint64_t time;     /* nanoseconds that it may take */
	/* the answer */
	int64_t *times;
	size_t n, room;
	int64_t covered, known;
	const char *failed;
	/* under the desk's lock */
	enum { QUEUED, RUNNING, DONE } state;
	uint64_t asked, began, computed; /* computed: by the thread, before this */
	int refs;                        /* who asked, and the thread or its queue */
	bool listens;
	struct job *next;
	/* of a task that waits */
	uv_async_t ready;
	uv_timer_t look;
	int handles;
	task_ticket ticket;
};

/* One for the process: libical and ICU are, too. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t asked, done;
	struct job *first, *last, *running;
	bool started, off;
	id_t thread;
	clockid_t clock; /* what the thread computes */
	/* The limits, the same for all Lua states of the process. */
	bool limited;
	int64_t steps;
	uint64_t time;
} desk = { .lock = PTHREAD_MUTEX_INITIALIZER, .asked = PTHREAD_COND_INITIALIZER, .done = PTHREAD_COND_INITIALIZER };

/* libical is loaded when it is first needed: with ICU it would double the time that the program takes to start. */
static struct {
	struct icalrecurrencetype (*read)(const char *);
	icalrecur_iterator *(*open)(struct icalrecurrencetype, struct icaltimetype);
	struct icaltimetype (*next)(icalrecur_iterator *);
	void (*close)(icalrecur_iterator *);
	void (*set_fatal)(int);
	void (*clear_error)(void);
} libical;

static bool load(void)
{
	static const char *const names[] = {
		"icalrecurrencetype_from_string", "icalrecur_iterator_new",         "icalrecur_iterator_next",
		"icalrecur_iterator_free",        "icalerror_set_errors_are_fatal", "icalerror_clear_errno",
	};
	void *library, *found[6];

	if (libical.read)
		return true;
	library = dlopen("libical.so.3", RTLD_NOW | RTLD_LOCAL);
	for (int i = 0; i < 6; i++) {
		found[i] = library ? dlsym(library, names[i]) : NULL;
		if (found[i] == NULL)
			return false;
	}
	memcpy(&libical, found, sizeof(libical));
	libical.set_fatal(false);
	return true;
}

/* --- the thread --- */

static bool keep(struct job *job, int64_t at)
{
	if (job->n == job->room) {
		size_t room = job->room ? 2 * job->room : 64;
		int64_t *grown = realloc(job->times, room * sizeof(*grown));

		if (grown == NULL)
			return false;
		job->times = grown;
		job->room = room;
	}
	job->times[job->n++] = at;
	return true;
}

/* Whether a time can be the rule's, as far as can be told without its calendar. */
static bool plausible(const struct job *job, int64_t at, int64_t last)
{
	int64_t day = civil_floor(at, CIVIL_DAY);

	return at > last && at >= job->start &&
	       (job->weekdays == 0 || job->weekdays >> (day + 4 - 7 * civil_floor(day + 4, 7)) & 1);
}

/* Where libical goes astray, what it said of the time from there on is not to be trusted. Gives how many of those were
 * asked for. */
static int64_t forget(struct job *job, int64_t at)
{
	int64_t n = 0;

	while (job->n > 0 && job->times[job->n - 1] >= at)
		n += job->times[--job->n] >= job->from;
	return n;
}

static icaltimetype start_of(const struct job *job)
{
	icaltimetype t = { 0 };
	int64_t day = civil_floor(job->start, CIVIL_DAY), rest = job->start - day * CIVIL_DAY;

	civil_from_days(day, &t.year, &t.month, &t.day);
	t.is_date = job->date;
	if (!job->date) {
		t.hour = (int)(rest / 3600);
		t.minute = (int)(rest / 60 % 60);
		t.second = (int)(rest % 60);
	}
	return t;
}

static int64_t seconds_of(const icaltimetype *t)
{
	return civil_days(t->year, t->month, t->day) * CIVIL_DAY +
	       (t->is_date ? 0 : t->hour * 3600 + t->minute * 60 + t->second);
}

static uint64_t computed(void)
{
	struct timespec t = { 0, 0 };

	clock_gettime(desk.clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Whether a job that is being done has had a part of its time. */
static bool spent(const struct job *job, int quarters)
{
	uint64_t time = job->time / 4 * (unsigned)quarters;

	return computed() - job->computed >= time || uv_hrtime() - job->began >= BY_THE_CLOCK * time;
}

/* All times up to the first that is not before `to`, or `most` from `from` on, and some more, as the next window often
 * lies behind this one. */
static void reckon(struct job *job)
{
	struct icalrecurrencetype rule;
	icalrecur_iterator *it;
	int64_t last = INT64_MIN, wanted = 0;

	if (!load()) {
		job->failed = "absent";
		return;
	}
	libical.clear_error();
	rule = libical.read(job->text);
	if (rule.freq == ICAL_NO_RECURRENCE) {
		job->failed = "refused";
		return;
	}
	job->covered = job->known = INT64_MAX;
	it = libical.open(rule, start_of(job));
	if (it == NULL) {
		job->failed = "refused";
		return;
	}
	for (int64_t n = 1;; n++) {
		icaltimetype t = libical.next(it);
		int64_t at;

		if (t.year == 0 && t.month == 0 && t.day == 0) {
			if (job->count == 0 || n <= job->count)
				job->known = civil_days(LAST_YEAR, 1, 1) * CIVIL_DAY;
			break;
		}
		at = seconds_of(&t);
		if (!plausible(job, at, last)) {
			wanted -= forget(job, at);
			job->failed = at >= job->to || wanted >= job->most ? NULL : "astray";
			job->covered = at;
			break;
		}
		last = at;
		wanted += at >= job->from;
		job->covered = at + 1;
		if (!keep(job, at))
			job->failed = "memory";
		else if (at < job->to && wanted < job->most)
			job->failed = n == job->steps ? "steps" : spent(job, 3) ? "slow" : NULL;
		if (job->failed || wanted >= job->most || at >= job->to + AHEAD || n >= job->steps || spent(job, 3))
			break;
		job->covered = INT64_MAX;
	}
	libical.close(it);
}

static void release(struct job *job)
{
	bool last;

	pthread_mutex_lock(&desk.lock);
	last = --job->refs == 0;
	pthread_mutex_unlock(&desk.lock);
	if (!last)
		return;
	free(job->text);
	free(job->times);
	free(job);
}

/* With the lock held. */
static void tell(struct job *job)
{
	job->state = DONE;
	if (job->listens)
		uv_async_send(&job->ready);
	pthread_cond_broadcast(&desk.done);
}

static void *work(void *unused)
{
	bool off = false;

	while (!off) {
		struct job *job;

		pthread_mutex_lock(&desk.lock);
		desk.thread = (id_t)gettid();
		pthread_getcpuclockid(pthread_self(), &desk.clock);
		while (desk.first == NULL)
			pthread_cond_wait(&desk.asked, &desk.lock);
		job = desk.first;
		desk.first = job->next;
		desk.running = job;
		job->state = RUNNING;
		job->began = uv_hrtime();
		job->computed = computed();
		pthread_mutex_unlock(&desk.lock);
		reckon(job);
		pthread_mutex_lock(&desk.lock);
		desk.running = NULL;
		tell(job);
		off = desk.off;
		pthread_mutex_unlock(&desk.lock);
		release(job);
	}
	return unused;
}

/* --- the desk: all with the lock held --- */

static bool start_thread(void)
{
	pthread_attr_t attributes;
	pthread_t thread;

	if (desk.started)
		return true;
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	desk.started = pthread_create(&thread, &attributes, work, NULL) == 0;
	pthread_attr_destroy(&attributes);
	return desk.started;
}

static void enqueue(struct job *job)
{
	job->next = NULL;
	if (desk.first)
		desk.last->next = job;
	else
		desk.first = job;
	desk.last = job;
	pthread_cond_signal(&desk.asked);
}

static void dequeue(struct job *job)
{
	struct job **at = &desk.first;

	while (*at != job)
		at = &(*at)->next;
	*at = job->next;
	if (desk.last == job)
		for (desk.last = desk.first; desk.last && desk.last->next;)
			desk.last = desk.last->next;
	job->refs--;
}

/* What ICU would clear away at the program's end is still in use by its thread. */
static void leave_at_once(int status, void *unused)
{
	(void)unused;
	fflush(NULL);
	_exit(status);
}

/* The thread is left to itself, behind everybody else; who stands in the queue is sent away. */
static void give_up(void)
{
	if (!desk.off)
		on_exit(leave_at_once, NULL);
	desk.off = true;
	setpriority(PRIO_PROCESS, desk.thread, 19);
	while (desk.first) {
		struct job *job = desk.first;

		dequeue(job);
		job->failed = "off";
		tell(job);
	}
}

/* What there is to say to who asked: NULL is nothing yet, "" the answer. Who has no time to find out whether a rule is
 * stuck is told that the desk is busy. */
static const char *verdict(struct job *job, bool hurried)
{
	uint64_t patience = hurried ? SHORT_WAIT * UINT64_C(1000000) : BY_THE_CLOCK * job->time;

	if (job->state != DONE && desk.running && spent(desk.running, 4)) {
		give_up();
		if (job->state == RUNNING)
			return "stuck";
	}
	if (job->state == DONE)
		return job->failed ? job->failed : "";
	if (uv_hrtime() - job->asked < patience || (job->state == RUNNING && !hurried) || desk.running == NULL)
		return NULL;
	if (job->state == QUEUED)
		dequeue(job);
	return "busy";
}

/* --- Lua --- */

/* times, covered, known; or nil and a word for what is wrong. */
static int push_answer(lua_State *L, const struct job *job, const char *said)
{
	if (said[0]) {
		lua_pushnil(L);
		lua_pushstring(L, said);
		return 2;
	}
	lua_pushlstring(L, job->times ? (const char *)job->times : "", job->n * sizeof(*job->times));
	lua_pushinteger(L, job->covered);
	lua_pushinteger(L, job->known);
	return 3;
}

static void handle_closed(uv_handle_t *handle)
{
	struct job *job = handle->data;

	if (--job->handles == 0)
		release(job);
}

/* Nobody waits for it any more. */
static void leave(struct job *job)
{
	pthread_mutex_lock(&desk.lock);
	job->listens = false;
	pthread_mutex_unlock(&desk.lock);
	uv_close((uv_handle_t *)&job->ready, handle_closed);
	uv_close((uv_handle_t *)&job->look, handle_closed);
}

static void cancelled(void *op)
{
	struct job *job = op;

	pthread_mutex_lock(&desk.lock);
	if (job->state == QUEUED)
		dequeue(job);
	pthread_mutex_unlock(&desk.lock);
	leave(job);
}

static void look(struct job *job)
{
	task_ticket ticket = job->ticket;
	const char *said;
	lua_State *L;

	pthread_mutex_lock(&desk.lock);
	said = verdict(job, false);
	pthread_mutex_unlock(&desk.lock);
	if (said == NULL)
		return;
	L = task_wake(ticket);
	if (L) {
		int results = push_answer(L, job, said);

		leave(job);
		task_continue(ticket, results);
	} else {
		leave(job);
	}
}

static void on_ready(uv_async_t *handle)
{
	if (!uv_is_closing((uv_handle_t *)handle))
		look(handle->data);
}

static void on_look(uv_timer_t *handle)
{
	look(handle->data);
}

static int wait_in_task(lua_State *L, struct job *job)
{
	uv_loop_t *loop = engine_loop(engine_of(L));

	uv_async_init(loop, &job->ready, on_ready);
	uv_timer_init(loop, &job->look);
	job->ready.data = job->look.data = job;
	job->handles = 2;
	uv_timer_start(&job->look, on_look, LOOK, LOOK);
	job->ticket = task_suspend(L, cancelled, job);
	pthread_mutex_lock(&desk.lock);
	job->listens = true;
	enqueue(job);
	pthread_mutex_unlock(&desk.lock);
	return task_wait(L);
}

static int wait_here(lua_State *L, struct job *job)
{
	bool hurried = engine_of(L)->running != NULL;
	const char *said;
	int results;

	pthread_mutex_lock(&desk.lock);
	enqueue(job);
	while ((said = verdict(job, hurried)) == NULL) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += LOOK * 1000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&desk.done, &desk.lock, &until);
	}
	pthread_mutex_unlock(&desk.lock);
	results = push_answer(L, job, said);
	release(job);
	return results;
}

/* limit(steps, seconds, once): `once` is for who only has the defaults */
static int l_limit(lua_State *L)
{
	int64_t steps = luaL_checkinteger(L, 1);
	lua_Number seconds = luaL_checknumber(L, 2);

	luaL_argcheck(L, seconds >= 0 && seconds < 1e6, 2, "seconds expected");
	pthread_mutex_lock(&desk.lock);
	if (!desk.limited || !lua_toboolean(L, 3)) {
		desk.limited = true;
		desk.steps = steps;
		desk.time = (uint64_t)(seconds * 1e9);
	}
	pthread_mutex_unlock(&desk.lock);
	return 0;
}

/* times(rule, start, date, from, to, most, count, weekdays) --> times, covered, known | nil, word */
static int l_times(lua_State *L)
{
	const char *text = luaL_checkstring(L, 1);
	struct job question = {
		.start = luaL_checkinteger(L, 2),
		.date = lua_toboolean(L, 3),
		.from = luaL_checkinteger(L, 4),
		.to = luaL_checkinteger(L, 5),
		.most = luaL_checkinteger(L, 6),
		.count = luaL_optinteger(L, 7, 0),
		.weekdays = (unsigned)luaL_optinteger(L, 8, 0),
		.refs = 2,
		.asked = uv_hrtime(),
	};
	struct job *job;
	bool open;

	if (question.to > CIVIL_END)
		question.to = CIVIL_END;
	pthread_mutex_lock(&desk.lock);
	question.steps = desk.steps;
	question.time = desk.time;
	open = !desk.off && start_thread();
	pthread_mutex_unlock(&desk.lock);
	if (!open)
		return push_answer(L, &question, "off");
	job = malloc(sizeof(*job));
	question.text = strdup(text);
	if (job == NULL || question.text == NULL)
		abort();
	*job = question;
	return task_may_wait(L) ? wait_in_task(L, job) : wait_here(L, job);
}

static const luaL_Reg functions[] = {
	{ "limit", l_limit },
	{ "times", l_times },
	{ NULL, NULL },
};

int luaopen_lunation_rscale_core(lua_State *L)
{
	luaL_newlib(L, functions);
	return 1;
}
