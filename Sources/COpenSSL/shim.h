#pragma once

// OpenSSL 3. Swift imports no function-like macro and no cast macro; those in use are wrapped here.

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/param_build.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

static inline int orc_ssl_ctx_set_min_tls(SSL_CTX *ctx, int version) {
    return (int)SSL_CTX_set_min_proto_version(ctx, version);
}
static inline void orc_ssl_ctx_harden(SSL_CTX *ctx) {
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}
static inline int orc_ssl_set_sni(SSL *ssl, const char *name) { return (int)SSL_set_tlsext_host_name(ssl, name); }
static inline int orc_tls12(void) { return TLS1_2_VERSION; }
static inline int orc_tls13(void) { return TLS1_3_VERSION; }
static inline int orc_gcm_get_tag(EVP_CIPHER_CTX *ctx, void *tag) {
    return EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, 16, tag);
}
static inline int orc_gcm_set_tag(EVP_CIPHER_CTX *ctx, void *tag) {
    return EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, 16, tag);
}
// HMAC by a digest that was fetched before; 1 on success. The library's own HMAC() looks up two algorithms by name in each
// call, which costs more than the digest of a short text.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static inline int orc_hmac(
    const EVP_MD *digest, const unsigned char *key, int key_size, const unsigned char *bytes, size_t size,
    unsigned char *output) {
    HMAC_CTX *context = HMAC_CTX_new();
    int ok = context && HMAC_Init_ex(context, key, key_size, digest, NULL) == 1
        && HMAC_Update(context, bytes, size) == 1 && HMAC_Final(context, output, NULL) == 1;
    HMAC_CTX_free(context);
    return ok;
}
#pragma GCC diagnostic pop
// SHA-256 of the certificate's SubjectPublicKeyInfo into `digest` (32 bytes); 1 on success.
static inline int orc_x509_spki_sha256(X509 *certificate, unsigned char *digest) {
    unsigned char *der = NULL;
    int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    if (length <= 0) return 0;
    unsigned int size = 0;
    int ok = EVP_Digest(der, (size_t)length, digest, &size, EVP_sha256(), NULL);
    OPENSSL_free(der);
    return ok == 1 && size == 32;
}

// A public key of RSA from its modulus and exponent, big endian; NULL when OpenSSL refuses them.
static inline EVP_PKEY *orc_rsa_public_key(
    const unsigned char *modulus, int modulus_size, const unsigned char *exponent, int exponent_size) {
    EVP_PKEY *key = NULL;
    BIGNUM *n = BN_bin2bn(modulus, modulus_size, NULL), *e = BN_bin2bn(exponent, exponent_size, NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    if (n && e && builder && context && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n)
        && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) && (params = OSSL_PARAM_BLD_to_param(builder))
        && EVP_PKEY_fromdata_init(context) == 1) {
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params);
    }
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    BN_free(n);
    BN_free(e);
    return key;
}
// A public key on P-256 from its uncompressed point of 65 bytes; NULL when that is not on the curve.
static inline EVP_PKEY *orc_p256_public_key(const unsigned char *point) {
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL), *check = NULL;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)"P-256", 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)point, 65),
        OSSL_PARAM_construct_end(),
    };
    if (context && EVP_PKEY_fromdata_init(context) == 1
        && EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) == 1) {
        check = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
        if (!check || EVP_PKEY_public_check(check) != 1) {
            EVP_PKEY_free(key);
            key = NULL;
        }
    }
    EVP_PKEY_CTX_free(check);
    EVP_PKEY_CTX_free(context);
    return key;
}
// 1 when the signature fits; `digest` is NULL for Ed25519.
static inline int orc_verify(
    EVP_PKEY *key, const EVP_MD *digest, const unsigned char *signature, size_t signature_size,
    const unsigned char *message, size_t message_size) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int result = context && EVP_DigestVerifyInit(context, NULL, digest, NULL, key) == 1
        && EVP_DigestVerify(context, signature, signature_size, message, message_size) == 1;
    EVP_MD_CTX_free(context);
    return result;
}
// Writes the Ed25519 signature, exactly `signature_size` bytes; 1 on success.
static inline int orc_sign(
    EVP_PKEY *key, const unsigned char *message, size_t message_size, unsigned char *signature, size_t signature_size) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t size = signature_size;
    int ok = context && EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1
        && EVP_DigestSign(context, signature, &size, message, message_size) == 1 && size == signature_size;
    EVP_MD_CTX_free(context);
    return ok;
}
// Verification as `orc_verify`, for ECDSA with a signature as JOSE has it: r and s of 32 bytes each.
static inline int orc_verify_p256(
    EVP_PKEY *key, const unsigned char *signature, const unsigned char *message, size_t message_size) {
    unsigned char *der = NULL;
    int size = 0, result = 0;
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature, 32, NULL), *s = BN_bin2bn(signature + 32, 32, NULL);
    if (pair && r && s && ECDSA_SIG_set0(pair, r, s) == 1) {
        r = s = NULL;
        if ((size = i2d_ECDSA_SIG(pair, &der)) > 0)
            result = orc_verify(key, EVP_sha256(), der, (size_t)size, message, message_size);
    }
    OPENSSL_free(der);
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(pair);
    return result;
}
static inline int orc_key_bits(const EVP_PKEY *key) { return EVP_PKEY_get_bits(key); }
// Answers the question for a passphrase that nobody is there to type: an encrypted key is refused.
static inline int orc_no_passphrase(char *buffer, int size, int writing, void *user) {
    (void)buffer, (void)size, (void)writing, (void)user;
    return -1;
}
static inline EVP_PKEY *orc_pem_private_key(BIO *bio) {
    return PEM_read_bio_PrivateKey(bio, NULL, orc_no_passphrase, NULL);
}
// Called only when the client sent a list of protocols: http/1.1 must be in it.
static inline int orc_alpn_http11(SSL *ssl, const unsigned char **out, unsigned char *outlen, const unsigned char *in,
                                  unsigned int inlen, void *user) {
    (void)ssl, (void)user;
    for (unsigned int at = 0; at < inlen; at += 1u + in[at]) {
        if (in[at] == 8 && inlen - at > 8 && memcmp(in + at + 1, "http/1.1", 8) == 0) {
            *out = in + at + 1;
            *outlen = 8;
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}
// A server's context: TLS 1.3 alone, and nothing is ever resumed, so there is neither replay nor early data.
// The chain sent is the file's, never completed from the clients' authorities. 1 on success.
static inline int orc_ssl_ctx_serve(SSL_CTX *ctx, const char *ciphers, const char *groups) {
    orc_ssl_ctx_harden(ctx);
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_cert_list(ctx, 64 * 1024);
    SSL_CTX_set_security_level(ctx, 2);
    SSL_CTX_set_default_passwd_cb(ctx, orc_no_passphrase);
    SSL_CTX_set_alpn_select_cb(ctx, orc_alpn_http11, NULL);
    return SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1 && SSL_CTX_set_num_tickets(ctx, 0) == 1 &&
           SSL_CTX_set_max_early_data(ctx, 0) == 1 && SSL_CTX_set_ciphersuites(ctx, ciphers) == 1 &&
           SSL_CTX_set1_groups_list(ctx, groups) == 1;
}
// Seconds from 1970 to the end of the certificate's validity; negative when it cannot be read.
static inline long long orc_x509_not_after(const X509 *certificate) {
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    int days = 0, seconds = 0;
    int ok = epoch && ASN1_TIME_diff(&days, &seconds, epoch, X509_get0_notAfter(certificate));
    ASN1_TIME_free(epoch);
    return ok ? days * 86400LL + seconds : -1;
}
// The certificate's subject as RFC 2253 writes it, escaped to printable ASCII; returns its length, or -1 when
// it does not fit into `size` bytes: a subject that was cut could be somebody else's.
static inline int orc_x509_subject(const X509 *certificate, char *text, int size) {
    BIO *bio = BIO_new(BIO_s_mem());
    int length = -1;
    if (bio && X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) >= 0) {
        size_t pending = BIO_ctrl_pending(bio);
        if (pending == 0) length = 0;
        else if (pending <= (size_t)size) length = BIO_read(bio, text, size);
    }
    BIO_free(bio);
    return length;
}
