/* lunation.crypto: random bytes, hashes, sealing (AES-256-GCM), password hashes and UUIDs (RFC 9562), by OpenSSL. */
#include "data/crypto.h"

#include "data/fail.h"
#include "modules.h"

#include <lauxlib.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <stdbool.h>
#include <string.h>

enum { KEY_SIZE = 32, NONCE_SIZE = 12, TAG_SIZE = 16, RANDOM_MAX = 1 << 20 };

int crypto_fail(lua_State *L, const char *doing)
{
	char reason[160];
	unsigned long code = ERR_get_error();

	ERR_error_string_n(code, reason, sizeof reason);
	ERR_clear_error();
	return data_fail(L, "crypto", "%s failed: %s", doing, code ? reason : "no reason given");
}

static int crypto_random(lua_State *L)
{
	lua_Integer n = luaL_checkinteger(L, 1);
	luaL_Buffer b;
	char *bytes;

	luaL_argcheck(L, n >= 0 && n <= RANDOM_MAX, 1, "out of range");
	bytes = luaL_buffinitsize(L, &b, (size_t)n);
	if (RAND_bytes((unsigned char *)bytes, (int)n) != 1)
		return luaL_error(L, "no random bytes are to be had");
	luaL_pushresultsize(&b, (size_t)n);
	return 1;
}

static int crypto_sha256(lua_State *L)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int len = 0;
	size_t size;
	const char *s = luaL_checklstring(L, 1, &size);

	if (EVP_Digest(s, size, digest, &len, EVP_sha256(), NULL) != 1)
		return crypto_fail(L, "hashing");
	lua_pushlstring(L, (const char *)digest, len);
	return 1;
}

static int crypto_hmac(lua_State *L)
{
	const char *hash = luaL_checkstring(L, 1);
	size_t key_size, size, len = 0;
	const char *key = luaL_checklstring(L, 2, &key_size);
	const char *s = luaL_checklstring(L, 3, &size);
	unsigned char mac[EVP_MAX_MD_SIZE];

	if (!EVP_Q_mac(NULL, "HMAC", NULL, hash, NULL, key, key_size, (const unsigned char *)s, size, mac, sizeof mac,
		       &len))
		return crypto_fail(L, "HMAC");
	lua_pushlstring(L, (const char *)mac, len);
	return 1;
}

static int crypto_equal(lua_State *L)
{
	size_t a_size, b_size;
	const char *a = luaL_checklstring(L, 1, &a_size);
	const char *b = luaL_checklstring(L, 2, &b_size);

	lua_pushboolean(L, a_size == b_size && CRYPTO_memcmp(a, b, a_size) == 0);
	return 1;
}

/* Interactive parameters of RFC 7914's recommendation, 16 MiB of memory. */
static int crypto_scrypt(lua_State *L)
{
	size_t password_size, salt_size;
	const char *password = luaL_checklstring(L, 1, &password_size);
	const char *salt = luaL_checklstring(L, 2, &salt_size);
	unsigned char out[KEY_SIZE];

	if (EVP_PBE_scrypt(password, password_size, (const unsigned char *)salt, salt_size, 1 << 14, 8, 1, 64 << 20,
			   out, sizeof out) != 1)
		return crypto_fail(L, "scrypt");
	lua_pushlstring(L, (const char *)out, sizeof out);
	OPENSSL_cleanse(out, sizeof out);
	return 1;
}

static const unsigned char *check_key(lua_State *L, int arg)
{
	size_t size;
	const char *key = luaL_checklstring(L, arg, &size);

	luaL_argcheck(L, size == KEY_SIZE, arg, "a key of 32 bytes expected");
	return (const unsigned char *)key;
}

static int crypto_seal(lua_State *L)
{
	const unsigned char *key = check_key(L, 1);
	size_t size, aad_size;
	const char *plain = luaL_checklstring(L, 2, &size);
	const char *aad = luaL_optlstring(L, 3, "", &aad_size);
	luaL_Buffer b;
	unsigned char *out = (unsigned char *)luaL_buffinitsize(L, &b, NONCE_SIZE + size + TAG_SIZE);
	EVP_CIPHER_CTX *ctx;
	int n = 0;
	bool ok;

	luaL_argcheck(L, size <= INT_MAX && aad_size <= INT_MAX, 2, "too long");
	ctx = EVP_CIPHER_CTX_new();
	ok = ctx && RAND_bytes(out, NONCE_SIZE) == 1 &&
	     EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, out) == 1 &&
	     EVP_EncryptUpdate(ctx, NULL, &n, (const unsigned char *)aad, (int)aad_size) == 1 &&
	     EVP_EncryptUpdate(ctx, out + NONCE_SIZE, &n, (const unsigned char *)plain, (int)size) == 1 &&
	     EVP_EncryptFinal_ex(ctx, out + NONCE_SIZE + size, &n) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_SIZE, out + NONCE_SIZE + size) == 1;
	EVP_CIPHER_CTX_free(ctx);
	if (!ok)
		return crypto_fail(L, "sealing");
	luaL_pushresultsize(&b, NONCE_SIZE + size + TAG_SIZE);
	return 1;
}

static int crypto_open(lua_State *L)
{
	const unsigned char *key = check_key(L, 1);
	size_t sealed_size, aad_size, size;
	const unsigned char *sealed = (const unsigned char *)luaL_checklstring(L, 2, &sealed_size);
	const char *aad = luaL_optlstring(L, 3, "", &aad_size);
	unsigned char tag[TAG_SIZE];
	unsigned char *out;
	luaL_Buffer b;
	EVP_CIPHER_CTX *ctx;
	int n = 0;
	bool ok;

	if (sealed_size < NONCE_SIZE + TAG_SIZE || sealed_size > INT_MAX || aad_size > INT_MAX)
		return data_fail(L, "crypto", "not sealed by this program");
	size = sealed_size - NONCE_SIZE - TAG_SIZE;
	memcpy(tag, sealed + NONCE_SIZE + size, TAG_SIZE);
	out = (unsigned char *)luaL_buffinitsize(L, &b, size + 1);
	ctx = EVP_CIPHER_CTX_new();
	ok = ctx && EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, sealed) == 1 &&
	     EVP_DecryptUpdate(ctx, NULL, &n, (const unsigned char *)aad, (int)aad_size) == 1 &&
	     EVP_DecryptUpdate(ctx, out, &n, sealed + NONCE_SIZE, (int)size) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_SIZE, tag) == 1 &&
	     EVP_DecryptFinal_ex(ctx, out + size, &n) == 1;
	EVP_CIPHER_CTX_free(ctx);
	if (!ok) {
		OPENSSL_cleanse(out, size);
		ERR_clear_error();
		return data_fail(L, "crypto", "the key does not open this, or it was altered");
	}
	luaL_pushresultsize(&b, size);
	return 1;
}

static void push_uuid(lua_State *L, unsigned char *bytes, int version)
{
	static const char digits[] = "0123456789abcdef";
	char text[36];
	size_t at = 0;

	bytes[6] = (unsigned char)((bytes[6] & 0x0f) | version << 4);
	bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
	for (size_t i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			text[at++] = '-';
		text[at++] = digits[bytes[i] >> 4];
		text[at++] = digits[bytes[i] & 15];
	}
	lua_pushlstring(L, text, sizeof text);
}

static int crypto_uuid(lua_State *L)
{
	unsigned char bytes[16];

	if (RAND_bytes(bytes, sizeof bytes) != 1)
		return luaL_error(L, "no random bytes are to be had");
	push_uuid(L, bytes, 4);
	return 1;
}

/* Reads the 32 digits of a UUID's text; false when it is none. */
static bool uuid_bytes(const char *text, size_t size, unsigned char *bytes)
{
	size_t at = 0;

	if (size != 36)
		return false;
	for (size_t i = 0; i < size; i++) {
		int digit = OPENSSL_hexchar2int((unsigned char)text[i]);

		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (text[i] != '-')
				return false;
			continue;
		}
		if (digit < 0)
			return false;
		bytes[at / 2] = (unsigned char)(at % 2 ? bytes[at / 2] | digit : digit << 4);
		at++;
	}
	return true;
}

static int crypto_uuid5(lua_State *L)
{
	size_t space_size, name_size;
	const char *space = luaL_checklstring(L, 1, &space_size);
	const char *name = luaL_checklstring(L, 2, &name_size);
	unsigned char bytes[16], digest[EVP_MAX_MD_SIZE];
	unsigned int len = 0;
	EVP_MD_CTX *ctx;
	bool ok;

	luaL_argcheck(L, uuid_bytes(space, space_size, bytes), 1, "a UUID expected");
	ctx = EVP_MD_CTX_new();
	ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha1(), NULL) == 1 && EVP_DigestUpdate(ctx, bytes, sizeof bytes) == 1 &&
	     EVP_DigestUpdate(ctx, name, name_size) == 1 && EVP_DigestFinal_ex(ctx, digest, &len) == 1;
	EVP_MD_CTX_free(ctx);
	if (!ok)
		return crypto_fail(L, "hashing");
	push_uuid(L, digest, 5);
	return 1;
}

static const luaL_Reg functions[] = {
	{ "base64", crypto_base64 },
	{ "base64url", crypto_base64url },
	{ "equal", crypto_equal },
	{ "hex", crypto_hex },
	{ "hmac", crypto_hmac },
	{ "key", crypto_key },
	{ "keypair", crypto_keypair },
	{ "open", crypto_open },
	{ "random", crypto_random },
	{ "scrypt", crypto_scrypt },
	{ "seal", crypto_seal },
	{ "sha256", crypto_sha256 },
	{ "sign", crypto_sign },
	{ "unbase64", crypto_unbase64 },
	{ "unbase64url", crypto_unbase64url },
	{ "unhex", crypto_unhex },
	{ "uuid", crypto_uuid },
	{ "uuid5", crypto_uuid5 },
	{ "verify", crypto_verify },
	{ NULL, NULL },
};

int luaopen_lunation_crypto(lua_State *L)
{
	luaL_newlib(L, functions);
	return 1;
}
