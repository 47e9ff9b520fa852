/* What a request's table says, told to curl. */
#include "host/fetch.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Fields of the request's table at 1. */
static const char *text_field(lua_State *L, const char *name, size_t *len)
{
	const char *s = NULL;

	/* the table keeps the string alive */
	if (lua_getfield(L, 1, name) != LUA_TNIL) {
		if (lua_type(L, -1) != LUA_TSTRING)
			luaL_error(L, "%s: a string expected", name);
		s = lua_tolstring(L, -1, len);
	}
	lua_pop(L, 1);
	return s;
}

static lua_Number number_field(lua_State *L, const char *name, lua_Number otherwise)
{
	lua_Number value = otherwise;

	if (lua_getfield(L, 1, name) != LUA_TNIL) {
		if (!lua_isnumber(L, -1) || !(lua_tonumber(L, -1) >= 0))
			luaL_error(L, "%s: a number, zero or more, expected", name);
		value = lua_tonumber(L, -1);
	}
	lua_pop(L, 1);
	return value;
}

static bool flag_field(lua_State *L, const char *name, bool otherwise)
{
	bool value = otherwise;

	if (lua_getfield(L, 1, name) != LUA_TNIL)
		value = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return value;
}

static long milliseconds(lua_Number seconds)
{
	return seconds > 1e6 ? 1000000000 : (long)(seconds * 1000 + 0.999);
}

static bool is_token(const char *s, size_t len)
{
	static const char allowed[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

	return len > 0 && strspn(s, allowed) == len;
}

static int refuse(lua_State *L, const char *code, const char *message)
{
	lua_pushnil(L);
	error_push(L, code, "%s", message);
	return 2;
}

/* The URL: http or https, with a host, without user and password. 0, or what is to be returned. */
static int set_url(lua_State *L, struct fetch *f)
{
	size_t len = 0;
	const char *text = text_field(L, "url", &len);
	char *scheme = NULL, *host = NULL, *port = NULL, *user = NULL, *password = NULL;
	const char *wrong = NULL;

	if (text == NULL)
		return luaL_error(L, "url: a string expected");
	f->url = curl_url();
	if (f->url == NULL || strlen(text) != len || curl_url_set(f->url, CURLUPART_URL, text, 0) != CURLUE_OK) {
		wrong = "this is not an http or https URL";
	} else {
		curl_url_get(f->url, CURLUPART_SCHEME, &scheme, 0);
		curl_url_get(f->url, CURLUPART_HOST, &host, 0);
		curl_url_get(f->url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
		curl_url_get(f->url, CURLUPART_USER, &user, 0);
		curl_url_get(f->url, CURLUPART_PASSWORD, &password, 0);
		if (scheme == NULL || (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
			wrong = "this is not an http or https URL";
		else if (user != NULL || password != NULL)
			wrong = "a user or a password may not stand in a URL";
		else if (host == NULL || *host == '\0' || strlen(host) >= sizeof(f->host))
			wrong = "the URL names no host";
	}
	if (wrong == NULL) {
		strcpy(f->host, host);
		f->port = port != NULL ? (unsigned)atoi(port) : 0;
		curl_url_set(f->url, CURLUPART_FRAGMENT, NULL, 0);
		curl_easy_setopt(f->easy, CURLOPT_CURLU, f->url);
		if (strcmp(scheme, "https") == 0)
			curl_easy_setopt(f->easy, CURLOPT_PIPEWAIT, 1L);
	}
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_free(user);
	curl_free(password);
	return wrong != NULL ? refuse(L, "invalid_request", wrong) : 0;
}

/* The guard, and the key of the pool that belongs to it. */
static void set_guard(lua_State *L, struct fetch *f, char key[FETCH_KEY])
{
	size_t n, at;

	strcpy(key, "trusted");
	if (lua_getfield(L, 1, "guard") == LUA_TNIL) {
		lua_pop(L, 1);
		return;
	}
	luaL_checktype(L, -1, LUA_TTABLE);
	lua_getfield(L, -1, "allow_private");
	if (lua_toboolean(L, -1)) {
		lua_pop(L, 2);
		return;
	}
	lua_pop(L, 1);
	n = lua_getfield(L, -1, "allow") == LUA_TTABLE ? (size_t)lua_rawlen(L, -1) : 0;
	f->guard = calloc(1, sizeof(*f->guard) + n * sizeof(f->guard->entries[0]));
	if (f->guard == NULL)
		luaL_error(L, "out of memory");
	strcpy(key, "guarded");
	at = strlen(key);
	for (size_t i = 0; i < n; i++) {
		size_t len;
		const char *entry;

		lua_rawgeti(L, -1, (lua_Integer)i + 1);
		entry = luaL_checklstring(L, -1, &len);
		if (!guard_parse(entry, &f->guard->entries[f->guard->count]))
			luaL_error(L, "guard.allow: %s is neither a network nor a host", entry);
		f->guard->count++;
		/* A list too long for a key has a pool of its own, never met again. */
		if (at + len + 2 < FETCH_KEY) {
			key[at++] = ' ';
			memcpy(key + at, entry, len + 1);
			at += len;
		} else {
			static unsigned long serial;

			snprintf(key, FETCH_KEY, "long %lu", ++serial);
			at = FETCH_KEY;
		}
		lua_pop(L, 1);
	}
	lua_pop(L, 2);
}

static bool add_header(struct fetch *f, const char *name, const char *value)
{
	size_t size = strlen(name) + strlen(value) + 4;
	char *line = malloc(size);
	struct curl_slist *list = NULL;

	if (line != NULL) {
		/* curl writes a header without a value as "Name;" and takes "Name:" for one to be left out */
		if (*value == '\0')
			snprintf(line, size, "%s;", name);
		else
			snprintf(line, size, "%s: %s", name, value);
		list = curl_slist_append(f->headers, line);
	}
	free(line);
	if (list != NULL)
		f->headers = list;
	return list != NULL;
}

static int set_headers(lua_State *L, struct fetch *f, bool has_body)
{
	bool typed = false, encoded = false;
	struct curl_slist *list;

	if (lua_getfield(L, 1, "headers") == LUA_TTABLE) {
		lua_pushnil(L);
		while (lua_next(L, -2)) {
			size_t name_len, len;
			const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &name_len) : NULL;
			const char *value = lua_tolstring(L, -1, &len);

			if (name == NULL || value == NULL)
				return luaL_error(L, "headers: strings by name expected");
			if (!is_token(name, name_len) || strlen(value) != len || strpbrk(value, "\r\n") != NULL)
				return refuse(L, "invalid_request", "a header cannot be sent as it is");
			if (strcasecmp(name, "content-length") == 0 || strcasecmp(name, "transfer-encoding") == 0)
				return luaL_error(L, "headers: the length of the body is not the caller's to say");
			typed = typed || strcasecmp(name, "content-type") == 0;
			encoded = encoded || strcasecmp(name, "accept-encoding") == 0;
			if (!add_header(f, name, value))
				return luaL_error(L, "out of memory");
			lua_pop(L, 1);
		}
	}
	lua_pop(L, 1);
	/* No "Expect: 100-continue", and no type for the body that nobody gave. */
	list = curl_slist_append(f->headers, "Expect:");
	if (list != NULL && has_body && !typed)
		list = curl_slist_append(f->headers = list, "Content-Type:");
	if (list == NULL)
		return luaL_error(L, "out of memory");
	f->headers = list;
	f->decompress = !encoded && flag_field(L, "decompress", true);
	if (f->decompress && !add_header(f, "Accept-Encoding", "gzip, deflate"))
		return luaL_error(L, "out of memory");
	return 0;
}

static int set_auth(lua_State *L, struct fetch *f)
{
	const char *kind, *user, *password;
	char *value;
	bool added;

	if (lua_getfield(L, 1, "auth") == LUA_TNIL) {
		lua_pop(L, 1);
		return 0;
	}
	luaL_checktype(L, -1, LUA_TTABLE);
	lua_getfield(L, -1, "kind");
	kind = luaL_checkstring(L, -1);
	if (strcmp(kind, "bearer") == 0) {
		lua_getfield(L, -2, "token");
		user = luaL_checkstring(L, -1);
		if (strpbrk(user, "\r\n") != NULL)
			return refuse(L, "invalid_request", "the token cannot be sent as it is");
		lua_pushfstring(L, "Bearer %s", user);
		value = (char *)lua_tostring(L, -1);
		added = add_header(f, "Authorization", value);
		if (!added)
			return luaL_error(L, "out of memory");
		lua_pop(L, 4);
		return 0;
	}
	luaL_argcheck(L, strcmp(kind, "basic") == 0 || strcmp(kind, "digest") == 0, 1,
		      "auth.kind is basic, digest or bearer");
	lua_getfield(L, -2, "username");
	user = luaL_checkstring(L, -1);
	lua_getfield(L, -3, "password");
	password = luaL_optstring(L, -1, "");
	if (strcmp(kind, "basic") == 0 && strchr(user, ':') != NULL)
		return refuse(L, "invalid_request", "a user name with a colon cannot be sent (RFC 7617)");
	curl_easy_setopt(f->easy, CURLOPT_USERNAME, user);
	curl_easy_setopt(f->easy, CURLOPT_PASSWORD, password);
	curl_easy_setopt(f->easy, CURLOPT_HTTPAUTH, strcmp(kind, "basic") == 0 ? CURLAUTH_BASIC : CURLAUTH_DIGEST);
	lua_pop(L, 4);
	return 0;
}

static int set_method(lua_State *L, struct fetch *f, bool *has_body)
{
	size_t method_len = 3, len = 0;
	const char *method = text_field(L, "method", &method_len), *body = text_field(L, "body", &len);
	bool writes;

	if (method == NULL)
		method = "GET";
	if (!is_token(method, method_len) || method_len > 32 || strcmp(method, "CONNECT") == 0)
		return refuse(L, "invalid_request", "there is no such method");
	writes = strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;
	*has_body = body != NULL;
	if (strcmp(method, "HEAD") == 0) {
		curl_easy_setopt(f->easy, CURLOPT_NOBODY, 1L);
		*has_body = false;
		return 0;
	}
	if (body != NULL || writes) {
		curl_easy_setopt(f->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
		if (curl_easy_setopt(f->easy, CURLOPT_COPYPOSTFIELDS, body != NULL ? body : "") != CURLE_OK)
			return luaL_error(L, "out of memory");
	}
	*has_body = *has_body || writes;
	curl_easy_setopt(f->easy, CURLOPT_CUSTOMREQUEST, method);
	if (f->max < 0x7fffffff)
		curl_easy_setopt(f->easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)f->max);
	return 0;
}

static void set_connection(lua_State *L, struct fetch *f)
{
	const char *proxy = text_field(L, "proxy", NULL), *ca = text_field(L, "ca_file", NULL);
	const char *agent = text_field(L, "user_agent", NULL);
	lua_Number stall = number_field(L, "stall", 0);

	curl_easy_setopt(f->easy, CURLOPT_PROXY, proxy != NULL ? proxy : ""); /* "": not the environment's either */
	curl_easy_setopt(f->easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	f->proxied = proxy != NULL && *proxy != '\0';
	if (ca != NULL)
		curl_easy_setopt(f->easy, CURLOPT_CAINFO, ca);
	if (flag_field(L, "insecure", false)) {
		curl_easy_setopt(f->easy, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(f->easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	curl_easy_setopt(f->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(f->easy, CURLOPT_HTTP_VERSION,
			 flag_field(L, "http2", true) ? (long)CURL_HTTP_VERSION_2TLS : (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(f->easy, CURLOPT_FRESH_CONNECT, flag_field(L, "fresh", false) ? 1L : 0L);
	curl_easy_setopt(f->easy, CURLOPT_MAXLIFETIME_CONN, 600L);
	curl_easy_setopt(f->easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(f->easy, CURLOPT_USERAGENT, agent != NULL ? agent : "lunation/" LUNATION_VERSION);
	curl_easy_setopt(f->easy, CURLOPT_TIMEOUT_MS, milliseconds(number_field(L, "timeout", 30)));
	curl_easy_setopt(f->easy, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(number_field(L, "connect_timeout", 10)));
	if (stall > 0) {
		curl_easy_setopt(f->easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
		curl_easy_setopt(f->easy, CURLOPT_LOW_SPEED_TIME, stall < 1 ? 1L : (long)stall);
	}
}

/* The method comes before the headers, the headers before the credentials, which may add one. */
int fetch_options(lua_State *L, struct fetch *f, char key[FETCH_KEY])
{
	bool has_body = false;
	lua_Number max;
	int n;

	max = number_field(L, "max_body", 32 * 1024 * 1024);
	f->max = max < 1e15 ? (size_t)max : (size_t)1e15;
	if ((n = set_url(L, f)) != 0 || (n = set_method(L, f, &has_body)) != 0 ||
	    (n = set_headers(L, f, has_body)) != 0 || (n = set_auth(L, f)) != 0)
		return n;
	curl_easy_setopt(f->easy, CURLOPT_HTTPHEADER, f->headers);
	set_guard(L, f, key);
	set_connection(L, f);
	if (f->guard != NULL && f->proxied && !guard_allows_literal(f->guard, f->host, f->port))
		return refuse(L, "blocked_address", "requests to this address are not allowed");
	return 0;
}

/* --- URLs -----------------------------------------------------------------------------------------------------------
 */

static void url_part(lua_State *L, CURLU *url, CURLUPart part, unsigned flags, const char *name)
{
	char *text = NULL;

	if (curl_url_get(url, part, &text, flags) == CURLUE_OK) {
		if (part == CURLUPART_PORT)
			lua_pushinteger(L, atoi(text));
		else
			lua_pushstring(L, text);
		lua_setfield(L, -2, name);
	}
	curl_free(text);
}

/* fetch.parts(url) --> { scheme=, host=, port=, path=, query= } | nil */
int fetch_parts(lua_State *L)
{
	const char *text = luaL_checkstring(L, 1);
	CURLU *url = curl_url();

	if (url == NULL)
		return luaL_error(L, "out of memory");
	if (curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK) {
		curl_url_cleanup(url);
		lua_pushnil(L);
		return 1;
	}
	lua_createtable(L, 0, 6);
	url_part(L, url, CURLUPART_SCHEME, 0, "scheme");
	url_part(L, url, CURLUPART_HOST, 0, "host");
	url_part(L, url, CURLUPART_PORT, CURLU_DEFAULT_PORT, "port");
	url_part(L, url, CURLUPART_PATH, 0, "path");
	url_part(L, url, CURLUPART_QUERY, 0, "query");
	url_part(L, url, CURLUPART_USER, 0, "user");
	curl_url_cleanup(url);
	return 1;
}

/* fetch.join(base, reference) --> url | nil (RFC 3986 section 5) */
int fetch_join(lua_State *L)
{
	const char *base = luaL_checkstring(L, 1), *reference = luaL_checkstring(L, 2);
	CURLU *url = curl_url();
	char *text = NULL;

	if (url != NULL && curl_url_set(url, CURLUPART_URL, base, 0) == CURLUE_OK &&
	    curl_url_set(url, CURLUPART_URL, reference, 0) == CURLUE_OK)
		curl_url_get(url, CURLUPART_URL, &text, 0);
	lua_pushstring(L, text);
	curl_free(text);
	curl_url_cleanup(url);
	return 1;
}

/* fetch.private(url): whether the URL names an address that is not public, or localhost. Names are not resolved. */
int fetch_private(lua_State *L)
{
	static const struct guard nothing_allowed;
	const char *text = luaL_checkstring(L, 1);
	CURLU *url = curl_url();
	char *host = NULL;

	if (url != NULL && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK)
		curl_url_get(url, CURLUPART_HOST, &host, 0);
	lua_pushboolean(L, host != NULL && !guard_allows_literal(&nothing_allowed, host, 0));
	curl_free(host);
	curl_url_cleanup(url);
	return 1;
}
