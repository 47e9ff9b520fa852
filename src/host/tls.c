/* TLS 1.2 and 1.3 on accepted sockets: contexts, ALPN, tickets that every worker can open, and reads and writes. */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/x509err.h>
#include <string.h>
#include <time.h>

#include "host/server.h"

enum { SECRET = 32, TICKET_LIFE = 12 * 3600 };

struct ticket_keys {
	unsigned char name[16], cipher[32], mac[32];
};

/* The keys of one period are derived from a secret that the workers share, so a ticket of one is good for all. */
static void derive(const unsigned char *secret, uint64_t period, struct ticket_keys *keys)
{
	static const char *const labels[] = { "ticket name", "ticket cipher", "ticket mac" };
	unsigned char out[3][32], message[32];
	for (int i = 0; i < 3; i++) {
		unsigned len = sizeof out[i];
		size_t label = strlen(labels[i]);
		memcpy(message, labels[i], label);
		for (int b = 0; b < 8; b++)
			message[label + (size_t)b] = (unsigned char)(period >> (8 * b));
		HMAC(EVP_sha256(), secret, SECRET, message, label + 8, out[i], &len);
	}
	memcpy(keys->name, out[0], sizeof keys->name);
	memcpy(keys->cipher, out[1], sizeof keys->cipher);
	memcpy(keys->mac, out[2], sizeof keys->mac);
}

static int ticket_key(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
		      int encrypt)
{
	const unsigned char *secret = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	uint64_t period = (uint64_t)time(NULL) / TICKET_LIFE;
	struct ticket_keys keys;
	int result = 1;
	derive(secret, period, &keys);
	if (encrypt) {
		memcpy(name, keys.name, sizeof keys.name);
		if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1)
			return -1;
	} else if (memcmp(name, keys.name, sizeof keys.name) != 0) {
		derive(secret, period - 1, &keys);
		if (memcmp(name, keys.name, sizeof keys.name) != 0)
			return 0;
		result = 2; /* good, and renewed */
	}
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, keys.mac, sizeof keys.mac),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"sha256", 0),
		OSSL_PARAM_construct_end(),
	};
	if (!EVP_MAC_CTX_set_params(mac, params) ||
	    !EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, keys.cipher, iv, encrypt))
		return -1;
	return result;
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *outlen, const unsigned char *in,
			   unsigned inlen, void *ud)
{
	static const unsigned char offered[] = "\x02h2\x08http/1.1";
	(void)ssl;
	(void)ud;
	if (SSL_select_next_proto((unsigned char **)out, outlen, offered, sizeof offered - 1, in, inlen) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	return SSL_TLSEXT_ERR_OK;
}

static void free_secret(void *parent, void *secret, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
	(void)parent;
	(void)ad;
	(void)index;
	(void)argl;
	(void)argp;
	OPENSSL_clear_free(secret, SECRET);
}

static bool give_secret(SSL_CTX *ctx, const unsigned char *secret, size_t len)
{
	static bool registered;
	unsigned char *own = OPENSSL_malloc(SECRET);
	unsigned out = SECRET;
	if (!own)
		return false;
	/* Application data is index 0; the index of our own exists only for its destructor. */
	static int index;
	if (!registered) {
		index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_secret);
		registered = true;
	}
	if (len)
		HMAC(EVP_sha256(), secret, (int)len, (const unsigned char *)"lunation session tickets", 24, own, &out);
	else if (RAND_bytes(own, SECRET) != 1)
		goto failed;
	if (!SSL_CTX_set_ex_data(ctx, index, own))
		goto failed;
	SSL_CTX_set_app_data(ctx, own);
	return true;
failed:
	OPENSSL_clear_free(own, SECRET);
	return false;
}

SSL_CTX *tls_context(const char *certificate, const char *key, const unsigned char *secret, size_t secret_len,
		     const char **error)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	*error = "cannot set up TLS";
	if (!ctx)
		return NULL;
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
				     SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"lunation", 8);
	SSL_CTX_set_timeout(ctx, TICKET_LIFE);
	SSL_CTX_set_num_tickets(ctx, 1);
	SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
	if (!SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") || !give_secret(ctx, secret, secret_len) ||
	    !SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_key))
		goto failed;
	*error = "cannot read the certificate";
	if (SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1)
		goto failed;
	*error = "cannot read the private key";
	if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1) {
		if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH)
			*error = "the certificate and the private key do not belong together";
		goto failed;
	}
	*error = NULL;
	return ctx;
failed:
	ERR_clear_error();
	SSL_CTX_free(ctx);
	return NULL;
}

/* What another user of OpenSSL left in the queue would be taken for ours. */
static void clear_errors(void)
{
	if (ERR_peek_error())
		ERR_clear_error();
}

static int outcome(struct conn *c, int rc)
{
	switch (SSL_get_error(c->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		c->tls_wants_write = false;
		c->tls_dry = true;
		return TLS_AGAIN;
	case SSL_ERROR_WANT_WRITE:
		c->tls_wants_write = true;
		return TLS_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_OK;
	default:
		/* After a fatal error OpenSSL must not be asked to shut the session down. */
		c->failed = true;
		ERR_clear_error();
		return TLS_FAILED;
	}
}

int tls_handshake(struct conn *c)
{
	clear_errors();
	int rc = SSL_do_handshake(c->ssl);
	c->tls_wants_write = c->tls_dry = false;
	return rc == 1 ? TLS_OK : outcome(c, rc) == TLS_AGAIN ? TLS_AGAIN : TLS_FAILED;
}

ssize_t tls_read(struct conn *c, char *buf, size_t len)
{
	size_t n = 0;
	clear_errors();
	int rc = SSL_read_ex(c->ssl, buf, len, &n);
	c->tls_dry = false;
	if (rc == 1)
		return (ssize_t)n;
	int what = outcome(c, rc);
	return what == TLS_AGAIN ? -1 : what == TLS_OK ? 0 : -2;
}

ssize_t tls_write(struct conn *c, const char *buf, size_t len)
{
	size_t n = 0;
	clear_errors();
	int rc = SSL_write_ex(c->ssl, buf, len, &n);
	if (rc == 1)
		return (ssize_t)n;
	return outcome(c, rc) == TLS_AGAIN ? -1 : -2;
}

bool tls_is_h2(struct conn *c)
{
	const unsigned char *name;
	unsigned len;
	SSL_get0_alpn_selected(c->ssl, &name, &len);
	return len == 2 && memcmp(name, "h2", 2) == 0;
}
