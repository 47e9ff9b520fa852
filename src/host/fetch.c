/* lunation.fetch: one HTTP request and its answer (libcurl). Redirects, retries and all that is pleasant are
 * lunation.http's. */
#include "host/fetch.h"

#include "host/guard.h"
#include "host/task.h"
#include "modules.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FETCH_BOX "lunation.fetch.box"

enum { EASY_IDLE = 32, HEAD_MAX = 256 * 1024, FIELDS_MAX = 1000 };

/* Handles kept for reuse: a fresh one costs more than the request's own work. */
static CURL *idle[EASY_IDLE];
static size_t idle_count;

static void fetch_free(struct fetch *f)
{
	if (f->easy != NULL) {
		curl_easy_reset(f->easy);
		if (idle_count < EASY_IDLE)
			idle[idle_count++] = f->easy;
		else
			curl_easy_cleanup(f->easy);
	}
	curl_url_cleanup(f->url);
	curl_slist_free_all(f->headers);
	inflater_free(f->inflater);
	free(f->guard);
	free(f->body);
	free(f);
}

/* --- what curl calls ------------------------------------------------------------------------------------------- */

/* Every connection passes here with the address that was resolved, so that a name cannot mean one address when it is
 * checked and another when it is used. */
static curl_socket_t open_socket(void *ud, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct fetch *f = ud;

	(void)purpose;
	if (f->guard != NULL && !f->proxied && !guard_allows(f->guard, &address->addr, f->host, f->port)) {
		f->blocked = true;
		guard_text(&address->addr, f->blocked_address, sizeof(f->blocked_address));
		return CURL_SOCKET_BAD;
	}
	f->tried = true;
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static size_t take_header(char *line, size_t size, size_t n, void *ud)
{
	struct fetch *f = ud;
	size_t len = size * n;

	if (len > 5 && memcmp(line, "HTTP/", 5) == 0) { /* after an interim answer, or after a challenge */
		f->head_complete = false;
		inflater_free(f->inflater);
		f->inflater = NULL;
		f->len = 0;
		f->head = 0;
		f->fields = 0;
	}
	f->head += len;
	/* to read the fields costs the square of their number */
	if (f->head > HEAD_MAX || ++f->fields > FIELDS_MAX) {
		f->too_large = true;
		return 0;
	}
	if (len <= 2 && (line[0] == '\r' || line[0] == '\n'))
		f->head_complete = true;
	return len;
}

/* Counts what comes out of decompression, whatever the answer said of its length. */
static bool keep(void *ud, const char *data, size_t len)
{
	struct fetch *f = ud;

	f->too_large = f->too_large || len > f->max - f->len;
	if (!f->too_large && f->cap - f->len < len) {
		size_t cap = f->cap < 4096 ? 4096 : f->cap;
		char *body;

		while (cap - f->len < len)
			cap *= 2;
		body = realloc(f->body, cap);
		f->too_large = body == NULL;
		if (body != NULL) {
			f->body = body;
			f->cap = cap;
		}
	}
	if (f->too_large)
		return false;
	memcpy(f->body + f->len, data, len);
	f->len += len;
	return true;
}

static size_t take_body(char *data, size_t size, size_t n, void *ud)
{
	struct fetch *f = ud;
	struct curl_header *encoding;

	if (f->decompress && f->inflater == NULL && f->len == 0 &&
	    curl_easy_header(f->easy, "content-encoding", 0, CURLH_HEADER, -1, &encoding) == CURLHE_OK &&
	    strcasecmp(encoding->value, "identity") != 0) {
		f->inflater = inflater_new(encoding->value);
		f->unreadable = f->inflater == NULL;
	}
	if (f->unreadable)
		return 0;
	if (f->inflater == NULL)
		return keep(f, data, size * n) ? size * n : 0;
	f->unreadable = !inflater_feed(f->inflater, data, size * n, keep, f);
	return f->unreadable ? 0 : size * n;
}

/* --- the end ---------------------------------------------------------------------------------------------------- */

static const char *code_of(const struct fetch *f, CURLcode result)
{
	if (f->too_large)
		return "too_large";
	if (f->unreadable)
		return "network";
	switch (result) {
	case CURLE_URL_MALFORMAT: /* a name that cannot be written in ASCII */
		return "invalid_request";
	case CURLE_OPERATION_TIMEDOUT:
		return "timeout";
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return "resolve";
	case CURLE_COULDNT_CONNECT:
		return f->blocked && !f->tried ? "blocked_address" : "refused";
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_USE_SSL_FAILED:
		return "tls";
	case CURLE_FILESIZE_EXCEEDED:
	case CURLE_OUT_OF_MEMORY:
		return "too_large";
	case CURLE_PARTIAL_FILE:
		return "truncated";
	default:
		return f->head > 0 ? "truncated" : "network";
	}
}

/* The URL without what may be secret in it. */
static void push_url(lua_State *L, const struct fetch *f, bool whole)
{
	CURLU *copy = curl_url_dup(f->url);
	char *text = NULL;

	if (copy != NULL) {
		curl_url_set(copy, CURLUPART_FRAGMENT, NULL, 0);
		if (!whole)
			curl_url_set(copy, CURLUPART_QUERY, NULL, 0);
		curl_url_get(copy, CURLUPART_URL, &text, 0);
	}
	lua_pushstring(L, text != NULL ? text : "");
	curl_free(text);
	curl_url_cleanup(copy);
}

static int push_failure(lua_State *L, const struct fetch *f, CURLcode result)
{
	const char *code = code_of(f, result), *detail = f->error[0] != '\0' ? f->error : curl_easy_strerror(result);

	char limit[24];

	snprintf(limit, sizeof(limit), "%zu", f->max);
	lua_pushnil(L);
	if (strcmp(code, "too_large") == 0 && f->head > HEAD_MAX)
		error_push(L, code, "the answer's header has more than %d bytes", HEAD_MAX);
	else if (strcmp(code, "too_large") == 0 && f->fields > FIELDS_MAX)
		error_push(L, code, "the answer's header has more than %d fields", FIELDS_MAX);
	else if (strcmp(code, "too_large") == 0)
		error_push(L, code, "the answer has more than %s bytes", limit);
	else if (strcmp(code, "blocked_address") == 0)
		error_push(L, code, "requests to the address %s are not allowed", f->blocked_address);
	else if (f->unreadable)
		error_push(L, code, "the answer's content encoding cannot be read");
	else
		error_push(L, code, "%s", detail);
	push_url(L, f, false);
	lua_setfield(L, -2, "url");
	return 2;
}

static void push_headers(lua_State *L, CURL *easy)
{
	struct curl_header *h = NULL;
	luaL_Buffer name;

	lua_newtable(L);
	while ((h = curl_easy_nextheader(easy, CURLH_HEADER, -1, h)) != NULL) {
		size_t len = strlen(h->name), value_len = strlen(h->value);
		char *lower = luaL_buffinitsize(L, &name, len);

		for (size_t i = 0; i < len; i++)
			lower[i] = (char)(h->name[i] >= 'A' && h->name[i] <= 'Z' ? h->name[i] | 0x20 : h->name[i]);
		luaL_pushresultsize(&name, len);
		/* curl leaves the line's end on a value that is empty */
		while (value_len > 0 && (h->value[value_len - 1] == '\r' || h->value[value_len - 1] == '\n'))
			value_len--;
		lua_pushvalue(L, -1);
		if (lua_rawget(L, -3) == LUA_TSTRING) {
			lua_pushliteral(L, ", ");
			lua_pushlstring(L, h->value, value_len);
			lua_concat(L, 3);
		} else {
			lua_pop(L, 1);
			lua_pushlstring(L, h->value, value_len);
		}
		lua_rawset(L, -3);
	}
}

static int push_answer(lua_State *L, const struct fetch *f)
{
	long status = 0, version = 0;

	curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(f->easy, CURLINFO_HTTP_VERSION, &version);
	lua_createtable(L, 0, 6);
	lua_pushinteger(L, status);
	lua_setfield(L, -2, "status");
	push_headers(L, f->easy);
	lua_setfield(L, -2, "headers");
	lua_pushlstring(L, f->body != NULL ? f->body : "", f->len);
	lua_setfield(L, -2, "body");
	push_url(L, f, true);
	lua_setfield(L, -2, "url");
	lua_pushstring(L, version == CURL_HTTP_VERSION_2_0 ? "2" : version == CURL_HTTP_VERSION_1_0 ? "1.0" : "1.1");
	lua_setfield(L, -2, "version");
	return 1;
}

static void fetch_done(CURL *easy, CURLcode result)
{
	struct fetch *f = NULL;
	task_ticket ticket;
	lua_State *L;
	int n = 0;

	curl_easy_getinfo(easy, CURLINFO_PRIVATE, &f);
	ticket = f->ticket;
	L = task_wake(ticket);
	if (L != NULL) {
		lua_checkstack(L, 16);
		if (result == CURLE_OK &&
		    (!f->head_complete || (f->inflater != NULL && !inflater_complete(f->inflater))))
			result = CURLE_PARTIAL_FILE;
		n = result == CURLE_OK ? push_answer(L, f) : push_failure(L, f, result);
	}
	fetch_free(f);
	if (L != NULL)
		task_continue(ticket, n);
}

static void fetch_cancel(void *op)
{
	struct fetch *f = op;

	pool_remove(f->pool, f->easy);
	fetch_free(f);
}

/* --- the beginning ------------------------------------------------------------------------------------------------ */

static void set_callbacks(struct fetch *f)
{
	curl_easy_setopt(f->easy, CURLOPT_PRIVATE, f);
	curl_easy_setopt(f->easy, CURLOPT_ERRORBUFFER, f->error);
	curl_easy_setopt(f->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(f->easy, CURLOPT_QUICK_EXIT, 1L); /* a resolver that hangs is left alone, not waited for */
	curl_easy_setopt(f->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(f->easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(f->easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(f->easy, CURLOPT_OPENSOCKETDATA, f);
	curl_easy_setopt(f->easy, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(f->easy, CURLOPT_HEADERDATA, f);
	curl_easy_setopt(f->easy, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(f->easy, CURLOPT_WRITEDATA, f);
}

static int box_gc(lua_State *L)
{
	struct fetch **box = lua_touserdata(L, 1);

	if (*box != NULL)
		fetch_free(*box);
	*box = NULL;
	return 0;
}

/* fetch.request(table): waits for the answer. */
static int fetch_request(lua_State *L)
{
	struct fetch **box, *f;
	char key[FETCH_KEY];
	int n;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	task_check(L);
	/* Until the transfer is under way a box owns it, for reading the options may raise. */
	box = lua_newuserdatauv(L, sizeof(*box), 0);
	*box = NULL;
	luaL_setmetatable(L, FETCH_BOX);
	f = *box = calloc(1, sizeof(*f));
	if (f == NULL)
		return luaL_error(L, "out of memory");
	f->easy = idle_count > 0 ? idle[--idle_count] : curl_easy_init();
	if (f->easy == NULL)
		return luaL_error(L, "out of memory");
	set_callbacks(f);
	n = fetch_options(L, f, key);
	if (n != 0)
		return n;
	f->pool = pool_of(engine_loop(engine_of(L)), key, fetch_done);
	if (f->pool == NULL || pool_add(f->pool, f->easy) != CURLM_OK)
		return luaL_error(L, "out of memory");
	*box = NULL;
	f->ticket = task_suspend(L, fetch_cancel, f);
	return task_wait(L);
}

int luaopen_lunation_fetch(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "request", fetch_request }, { "parts", fetch_parts }, { "join", fetch_join },
		{ "private", fetch_private }, { NULL, NULL },
	};
	static bool ready;

	if (!ready)
		curl_global_init(CURL_GLOBAL_DEFAULT);
	ready = true;
	luaL_newmetatable(L, FETCH_BOX);
	lua_pushcfunction(L, box_gc);
	lua_setfield(L, -2, "__gc");
	lua_pop(L, 1);
	luaL_newlib(L, functions);
	return 1;
}
