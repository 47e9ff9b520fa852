/* lunation.crypto: what its files share. The module stands in crypto.c. */
#ifndef LUNATION_DATA_CRYPTO_H
#define LUNATION_DATA_CRYPTO_H

#include <lua.h>

/* crypto_text.c: bytes as hexadecimal, Base64 (RFC 4648 section 4) and Base64url (section 5, without padding). */
int crypto_hex(lua_State *L);
int crypto_unhex(lua_State *L);
int crypto_base64(lua_State *L);
int crypto_base64url(lua_State *L);
int crypto_unbase64(lua_State *L);
int crypto_unbase64url(lua_State *L);

/* crypto_key.c: key pairs and signatures. */
int crypto_key(lua_State *L);
int crypto_keypair(lua_State *L);
int crypto_sign(lua_State *L);
int crypto_verify(lua_State *L);

/* Pushes nil and an error that says what OpenSSL refused: `return crypto_fail(L, "sealing");` */
int crypto_fail(lua_State *L, const char *doing);

#endif
