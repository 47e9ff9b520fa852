/* Key pairs and signatures: Ed25519 (RFC 8032). Keys go in and out as PEM; crypto.key() parses one once. */
#include "data/crypto.h"

#include "data/fail.h"

#include <lauxlib.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <string.h>

#define KEY_TYPE "lunation.crypto.key"

static int key_gc(lua_State *L)
{
	EVP_PKEY **key = luaL_checkudata(L, 1, KEY_TYPE);

	EVP_PKEY_free(*key);
	*key = NULL;
	return 0;
}

/* Pushes an empty box first, so that no key is without an owner. */
static EVP_PKEY **new_box(lua_State *L)
{
	EVP_PKEY **key = lua_newuserdatauv(L, sizeof *key, 0);

	*key = NULL;
	if (luaL_newmetatable(L, KEY_TYPE)) {
		lua_pushcfunction(L, key_gc);
		lua_setfield(L, -2, "__gc");
	}
	lua_setmetatable(L, -2);
	return key;
}

static EVP_PKEY *parse(const char *pem, size_t size)
{
	BIO *bio = BIO_new_mem_buf(pem, size > INT_MAX ? INT_MAX : (int)size);
	EVP_PKEY *key = NULL;

	if (!bio)
		return NULL;
	if (strstr(pem, "PRIVATE KEY"))
		key = PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"");
	else
		key = PEM_read_bio_PUBKEY(bio, NULL, NULL, (void *)"");
	BIO_free(bio);
	ERR_clear_error();
	return key;
}

int crypto_key(lua_State *L)
{
	size_t size;
	const char *pem = luaL_checklstring(L, 1, &size);
	EVP_PKEY **key = new_box(L);

	*key = parse(pem, size);
	if (!*key)
		return data_fail(L, "crypto", "no key in PEM form");
	return 1;
}

/* The key of an argument that is a parsed key or PEM; leaves what it parsed on the stack. */
static EVP_PKEY *check_key(lua_State *L, int arg)
{
	EVP_PKEY **key = luaL_testudata(L, arg, KEY_TYPE);
	size_t size;
	const char *pem;

	if (key)
		return *key;
	pem = luaL_checklstring(L, arg, &size);
	key = new_box(L);
	*key = parse(pem, size);
	return *key;
}

static bool push_pem(lua_State *L, EVP_PKEY *key, bool private)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	long size;
	bool ok = bio && (private ? PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)
				  : PEM_write_bio_PUBKEY(bio, key));

	if (ok) {
		size = BIO_get_mem_data(bio, &text);
		lua_pushlstring(L, text, (size_t)size);
		OPENSSL_cleanse(text, (size_t)size);
	}
	BIO_free(bio);
	return ok;
}

int crypto_keypair(lua_State *L)
{
	static const char *const kinds[] = { "ed25519", NULL };
	EVP_PKEY **key;
	unsigned char raw[32];
	size_t size = sizeof raw;

	luaL_checkoption(L, 1, NULL, kinds);
	lua_createtable(L, 0, 3);
	key = new_box(L);
	*key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	if (!*key || EVP_PKEY_get_raw_public_key(*key, raw, &size) != 1)
		return crypto_fail(L, "making a key");
	if (!push_pem(L, *key, true))
		return crypto_fail(L, "writing a key");
	lua_setfield(L, -3, "private");
	if (!push_pem(L, *key, false))
		return crypto_fail(L, "writing a key");
	lua_setfield(L, -3, "public");
	lua_pushlstring(L, (const char *)raw, size);
	lua_setfield(L, -3, "raw_public");
	lua_pop(L, 1);
	return 1;
}

int crypto_sign(lua_State *L)
{
	size_t size, len;
	const char *s = luaL_checklstring(L, 2, &size);
	EVP_PKEY *key = check_key(L, 1);
	unsigned char signature[128];
	EVP_MD_CTX *ctx;
	bool ok;

	if (!key)
		return data_fail(L, "crypto", "no key in PEM form");
	ctx = EVP_MD_CTX_new();
	len = sizeof signature;
	ok = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
	     EVP_DigestSign(ctx, signature, &len, (const unsigned char *)s, size) == 1;
	EVP_MD_CTX_free(ctx);
	if (!ok)
		return crypto_fail(L, "signing");
	lua_pushlstring(L, (const char *)signature, len);
	return 1;
}

int crypto_verify(lua_State *L)
{
	size_t size, len;
	const char *s = luaL_checklstring(L, 2, &size);
	const char *signature = luaL_checklstring(L, 3, &len);
	EVP_PKEY *key = check_key(L, 1);
	EVP_MD_CTX *ctx;
	bool ok;

	if (!key)
		return data_fail(L, "crypto", "no key in PEM form");
	ctx = EVP_MD_CTX_new();
	ok = ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
	     EVP_DigestVerify(ctx, (const unsigned char *)signature, len, (const unsigned char *)s, size) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	lua_pushboolean(L, ok);
	return 1;
}
