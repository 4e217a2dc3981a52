#pragma once

// OpenSSL 3. Swift imports no function-like macro and no cast macro; those in use are wrapped here.

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

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
