#!/usr/bin/env python3
"""Generates tokens.json: JWT test vectors for a strict access-token verifier.

Needs the PyPI package `cryptography`.  Keys are fresh on every run; claims are
fixed.  Unless a vector is about the signature itself, its signature is valid over
the text as sent, so that it can only be refused for the reason that it names.
"""
import hashlib, hmac, json, os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from cryptography.hazmat.primitives import hashes, serialization as ser
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tokens.json")
NOW, DAY, LEEWAY = 1893456000, 86400, 60
ISS, AUD = "https://orchestra-test.eu.auth0.com/", "https://api.orchestra.test"
WS = "https://orchestra.test/workspace_id"
PROFILES = {"rs256": ["RS256"], "rs256+es256": ["RS256", "ES256"], "all": ["RS256", "ES256", "EdDSA"]}
RS, ES, ALL = PROFILES
P256_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ED_L = 2**252 + 27742317777372353535851937790883648493
DROP = object()

# ---- encoding ----
def b64(data):
    return urlsafe_b64encode(data).decode().rstrip("=")

def unb64(text):
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))

def num(value, size=None):
    return value.to_bytes(size or (value.bit_length() + 7) // 8, "big")

def raw(value):
    """Bytes of a JSON text; strings and bytes go out untouched."""
    if isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)).encode()

def merge(base, over):
    return {k: v for k, v in (base | over).items() if v is not DROP}

# ---- keys ----
def rsa_key(bits=2048, e=65537):
    return rsa.generate_private_key(e, bits)

def ec_key(curve=ec.SECP256R1):
    return ec.generate_private_key(curve())

def jwk(key, kid, **extra):
    p = key.public_key()
    if isinstance(key, rsa.RSAPrivateKey):
        n = p.public_numbers()
        out = {"kty": "RSA", "n": b64(num(n.n)), "e": b64(num(n.e)), "kid": kid, "use": "sig", "alg": "RS256"}
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        n, size = p.public_numbers(), (key.key_size + 7) // 8
        crv, alg = {256: ("P-256", "ES256"), 384: ("P-384", "ES384")}[key.key_size]
        out = {"kty": "EC", "crv": crv, "x": b64(num(n.x, size)), "y": b64(num(n.y, size)), "kid": kid, "use": "sig", "alg": alg}
    else:
        out = {"kty": "OKP", "crv": "Ed25519", "x": b64(p.public_bytes_raw()), "kid": kid, "use": "sig", "alg": "EdDSA"}
    return merge(out, extra)

R1, R2, R3072, E3 = rsa_key(), rsa_key(), rsa_key(3072), rsa_key(e=3)
WEAK, ENC, PS, PRIV, DUP1, DUP2, NOKID, MIS, BARE = rsa_key(1024), *(rsa_key() for _ in range(8))
EC1, OFF, ECPRIV, OPSIGN, OPVERIFY, ECMIS = (ec_key() for _ in range(6))
EC384, ED1, EDLONG = ec_key(ec.SECP384R1), *(ed25519.Ed25519PrivateKey.generate() for _ in range(2))
EVIL, EVIL_EC, EVIL_ED = rsa_key(), ec_key(), ed25519.Ed25519PrivateKey.generate()
OCT, LONG_KID = b"0123456789abcdef0123456789abcdef", "k" * 256
off_y = OFF.public_key().public_numbers().y ^ 1
okp = {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA"}
JWKS = [
    jwk(R1, "k-rsa-1"), jwk(R2, "k-rsa-2", x5t="c29tZS10aHVtYnByaW50LTIw"), jwk(R3072, "k-rsa-3072"),
    jwk(BARE, "k-bare", use=DROP, alg=DROP), jwk(ENC, "k-enc", use="enc", alg="RSA-OAEP"), jwk(WEAK, "k-weak"),
    jwk(WEAK, "k-weak-padded", n=b64(bytes(128) + num(WEAK.public_key().public_numbers().n))),
    jwk(E3, "k-e3"), jwk(PS, "k-ps", alg="PS256"),
    jwk(EC1, "k-ec-1"), jwk(EC384, "k-ec-384"), jwk(OFF, "k-ec-off", y=b64(num(off_y, 32))),
    jwk(ED1, "k-ed-1"), jwk(EDLONG, LONG_KID), jwk(EDLONG, LONG_KID + "k"),
    okp | {"kid": "k-ed-small", "x": b64(b"\1" + bytes(31))}, okp | {"kid": "k-ed-zero", "x": b64(bytes(32))},
    {"kty": "oct", "kid": "k-oct", "k": b64(OCT), "alg": "HS256", "use": "sig"},
    {"kty": "XYZ", "kid": "k-unknown-kty", "use": "sig"},
    jwk(PRIV, "k-private", d=b64(num(PRIV.private_numbers().d))),
    jwk(ECPRIV, "k-private-ec", d=b64(num(ECPRIV.private_numbers().private_value, 32))),
    jwk(DUP1, "k-dup"), jwk(DUP2, "k-dup"), jwk(NOKID, DROP),
    jwk(OPSIGN, "k-ops-sign", use=DROP, key_ops=["sign"]), jwk(OPVERIFY, "k-ops-verify", use=DROP, key_ops=["verify"]),
    jwk(MIS, "k-mismatch", alg="ES256"), jwk(ECMIS, "k-mismatch-ec", alg="RS256"),
]

# ---- signing ----
def sign(key, data, hash=hashes.SHA256()):
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), hash)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        size = (key.key_size + 7) // 8
        return b"".join(num(v, size) for v in decode_dss_signature(key.sign(data, ec.ECDSA(hash))))
    return key.sign(data)

def pss(key, data):
    return key.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())

def mac(secret, hash="sha256"):
    return lambda data: hmac.new(secret, data, hash).digest()

def rsa_raw(key, em):
    n = key.private_numbers()
    return num(pow(int.from_bytes(em, "big"), n.d, n.public_numbers.n), 256)

def alg_of(key):
    return ("RS256" if isinstance(key, rsa.RSAPrivateKey) else
            "ES256" if isinstance(key, ec.EllipticCurvePrivateKey) else "EdDSA")

def header(key=None, kid="k-rsa-1", **over):
    return merge({"alg": alg_of(key or R1), "typ": "JWT", "kid": kid}, over)

def claims(**over):
    base = {"iss": ISS, "sub": "auth0|65f0c0ffee0000000000abcd", "aud": AUD, "iat": NOW - 60, "exp": NOW + 3540, WS: "ws_alpha"}
    return merge(base, {WS if k == "ws" else k: v for k, v in over.items()})

def text_claims(**over):
    """The claims as JSON text; the given members carry literal JSON text."""
    members = {k: json.dumps(v) for k, v in claims().items()}
    return "{" + ",".join(f'"{k}":{v}' for k, v in merge(members, over).items()) + "}"

def jws_text(head, body, signer=R1):
    """Signs the two parts exactly as given; signer is a key, a function or a signature."""
    data = f"{head}.{body}".encode()
    signature = signer if isinstance(signer, bytes) else signer(data) if callable(signer) else sign(signer, data)
    return f"{head}.{body}.{b64(signature)}"

def jws(head=None, body=None, signer=R1):
    return jws_text(b64(raw(header() if head is None else head)), b64(raw(claims() if body is None else body)), signer)

def with_kid(key, kid, **over):
    return jws(header(key, kid, **over), None, key)

# ---- vectors ----
VECTORS = []

def add(id, verdict, why, token, profile=RS):
    VECTORS.append({"id": id, "profile": profile, "token": token, "verdict": verdict, "why": why})

def accept(id, why, token, profile=RS):
    add(id, "accept", why, token, profile)

def reject(id, why, token, profile=RS):
    add(id, "reject", why, token, profile)

def each(prefix, verdict, why, cases, build, profile=RS):
    for name, value in cases.items():
        add(f"{prefix}_{name}", verdict, f"{why}: {name.replace('_', ' ')}", build(value), profile)

def keys_and_profiles():
    for id, why, key, kid, profile in [
        ("ok_basic", "well-formed access token", R1, "k-rsa-1", RS), ("ok_rotated_key", "second RSA key of the set", R2, "k-rsa-2", RS),
        ("ok_rsa_3072", "RSA key of 3072 bits", R3072, "k-rsa-3072", RS), ("ok_key_bare", "key with neither use nor alg", BARE, "k-bare", RS),
        ("ok_rs256_in_rs_es", "RS256 where ES256 is allowed too", R1, "k-rsa-1", ES), ("ok_rs256_in_all", "RS256 among all", R1, "k-rsa-1", ALL),
        ("ok_es256", "ES256", EC1, "k-ec-1", ES), ("ok_es256_in_all", "ES256 among all", EC1, "k-ec-1", ALL),
        ("ok_eddsa", "EdDSA with Ed25519", ED1, "k-ed-1", ALL), ("ok_kid_256", "kid of 256 characters", EDLONG, LONG_KID, ALL),
        ("ok_key_ops_verify", "key with key_ops [verify]", OPVERIFY, "k-ops-verify", ES),
        ("profile_es256_in_rs256", "ES256 is not in the profile", EC1, "k-ec-1", RS),
        ("profile_eddsa_in_rs256", "EdDSA is not in the profile", ED1, "k-ed-1", RS),
        ("profile_eddsa_in_rs_es", "EdDSA is not in the profile", ED1, "k-ed-1", ES),
        ("key_kid_257", "kid of 257 characters", EDLONG, LONG_KID + "k", ALL),
        ("key_dup_first", "kid of two keys, the first", DUP1, "k-dup", RS), ("key_dup_second", "kid of two keys, the second", DUP2, "k-dup", RS),
        ("key_without_kid", "no kid, signed with the key that has none", NOKID, DROP, RS),
        ("key_es256_with_rsa_kid", "ES256, kid of an RSA key", EC1, "k-rsa-1", ES),
        ("key_rs256_with_ec_kid", "RS256, kid of an EC key", R1, "k-ec-1", ES),
        ("key_attacker", "signed with an unknown key", EVIL, "k-rsa-1", RS),
    ]:
        add(id, "accept" if id.startswith("ok_") else "reject", why, with_kid(key, kid), profile)
    for name, why, key in [
        ("k-enc", "use is enc", ENC), ("k-weak", "RSA of 1024 bits", WEAK), ("k-e3", "RSA with e=3", E3),
        ("k-weak-padded", "RSA of 1024 bits, n padded with zeros to 256 bytes", WEAK), ("k-ps", "alg of the key is PS256", PS),
        ("k-private", "private member in the key", PRIV), ("k-private-ec", "private member in the key", ECPRIV),
        ("k-ec-384", "P-384 key under ES256", EC384), ("k-ec-off", "point is not on the curve", OFF),
        ("k-ops-sign", "key_ops has no verify", OPSIGN), ("k-mismatch", "RSA key whose alg is ES256", MIS),
        ("k-mismatch-ec", "EC key whose alg is RS256", ECMIS), ("k-unknown-kty", "unknown kty", R1), ("k-oct", "oct key under RS256", R1),
    ]:
        reject("key_" + name.replace("-", "_"), why, with_kid(key, name), RS if isinstance(key, rsa.RSAPrivateKey) else ES)

def algorithms():
    for alg in ["none", "None", "NONE", "nOnE", ""]:
        reject(f"alg_none_{alg or 'blank'}", f"alg={alg!r} with empty signature", jws(header(alg=alg), None, b""))
    good = sign(R1, jws().rpartition(".")[0].encode())
    reject("alg_none_sigkept", "alg='none' with another token's signature", jws(header(alg="none"), None, good))
    reject("alg_none_sigvalid", "alg='none' with a valid RS256 signature", jws(header(alg="none")))
    spki = lambda key, form: key.public_key().public_bytes(form, ser.PublicFormat.SubjectPublicKeyInfo)
    pem, der = spki(R1, ser.Encoding.PEM), spki(R1, ser.Encoding.DER)
    confusion = {"pem": pem, "pem_stripped": pem.strip(), "der": der, "jwk": raw(JWKS[0])}
    each("alg_confusion", "reject", "HS256 with the RSA public key as secret", confusion, lambda s: jws(header(alg="HS256"), None, mac(s)))
    reject("alg_confusion_named_rs256", "alg RS256 but an HMAC with the public key", jws(None, None, mac(pem)))
    reject("alg_confusion_ec", "HS256 with the EC public key", jws(header(kid="k-ec-1", alg="HS256"), None, mac(spki(EC1, ser.Encoding.PEM))), ES)
    reject("alg_confusion_ed", "HS256 with the Ed25519 public key", jws(header(kid="k-ed-1", alg="HS256"), None, mac(unb64(jwk(ED1, "")["x"]))), ALL)
    reject("alg_hs256_blank", "HS256 with a blank secret", jws(header(alg="HS256"), None, mac(b"")))
    reject("alg_hs256_oct", "HS256 with the oct key of the set", jws(header(kid="k-oct", alg="HS256"), None, mac(OCT)), ALL)
    for alg, kid, signer in [
        ("RS384", "k-rsa-1", lambda d: sign(R1, d, hashes.SHA384())), ("RS512", "k-rsa-1", lambda d: sign(R1, d, hashes.SHA512())),
        ("PS256", "k-rsa-1", lambda d: pss(R1, d)), ("ES384", "k-ec-384", lambda d: sign(EC384, d, hashes.SHA384())),
        ("ES256K", "k-ec-1", lambda d: sign(ec_key(ec.SECP256K1), d)), ("Ed25519", "k-ed-1", ED1),
    ]:
        reject(f"alg_{alg}_{kid}", f"alg {alg} is not allowed", jws(header(kid=kid, alg=alg), None, signer), ALL)
    reject("alg_rs256_is_pss", "alg RS256 but a PSS signature", jws(None, None, lambda d: pss(R1, d)))
    bad = {"lower": "rs256", "space": "RS256 ", "nul": "RS256\0", "array": ["RS256"], "missing": DROP}
    each("alg_bad", "reject", "alg is not exactly RS256", bad, lambda a: jws(header(alg=a)))

def emsa(data, prefix=bytes.fromhex("3031300d060960864801650304020105000420")):
    return prefix + hashlib.sha256(data).digest()

def cube_root(n):
    low, high = 0, 1 << (n.bit_length() // 3 + 2)
    while low < high:
        mid = (low + high) // 2
        low, high = (mid + 1, high) if mid**3 < n else (low, mid)
    return low

def forge_tail(data):
    """e=3: the right prefix, the rest is garbage (Bleichenbacher 2006)."""
    head = b"\0\1" + b"\xff" * 8 + b"\0" + emsa(data)
    s = cube_root(int.from_bytes(head + bytes(256 - len(head)), "big"))
    assert num(s**3, 256).startswith(head)
    return num(s, 256)

def forge_middle(data):
    """e=3: right prefix and hash at the end, garbage in the algorithm's parameters (BERserk)."""
    suffix, root, head = hashlib.sha256(data).digest(), 1, b"\0\1" + b"\xff" * 8 + b"\0\x30\x81\xf3"
    low = int.from_bytes(suffix, "big")
    for bit in range(256):  # the cube root of an odd number modulo 2^256
        root |= ((root**3 ^ low) >> bit & 1) << bit
    s = cube_root(int.from_bytes(head + b"\x80" + bytes(241), "big")) >> 256 << 256 | root
    em = num(s**3, 256)
    assert em.startswith(head) and em.endswith(suffix)
    return num(s, 256)

def first(build, test):
    """The first of the tokens build(0), build(1), … that passes the test."""
    return next(t for t in map(build, range(10**6)) if test(t))

def sig_of(token):
    return unb64(token.rpartition(".")[2])

def numbered(head, key):
    return lambda i: jws(head, claims(jti=str(i)), key)

def resign(token, change):
    head, _, s = token.rpartition(".")
    return f"{head}.{b64(change(unb64(s)))}"

def flip(data, at):
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]

def signatures_rsa():
    token, n = jws(), R1.public_key().public_numbers().n
    head, body, s = token.split(".")
    changes = {
        "truncated": lambda s: s[:-1], "extended": lambda s: s + b"\0", "flip_first": lambda s: flip(s, 0), "flip_last": lambda s: flip(s, -1),
        "zeros": lambda s: bytes(256), "equals_n": lambda s: num(n, 256),
        "is_padded_hash": lambda s: b"\0\1" + b"\xff" * 202 + b"\0" + emsa(f"{head}.{body}".encode()),
    }
    each("sig_rs", "reject", "RS256 signature", changes, lambda c: resign(token, c))
    big = first(numbered(None, R1), lambda t: int.from_bytes(sig_of(t), "big") + n < 2**2048)
    reject("sig_rs_plus_n", "signature is not reduced (s + n)", resign(big, lambda s: num(int.from_bytes(s, "big") + n, 256)))
    short = first(numbered(None, R1), lambda t: sig_of(t)[0] == 0)
    accept("sig_rs_leading_zero", "signature that happens to start with a zero byte", short)
    reject("sig_rs_zero_dropped", "its leading zero byte is dropped", resign(short, lambda s: s[1:]))
    other = jws(None, claims(sub="admin")).split(".")
    reject("sig_rs_other_payload", "payload of another token", f"{head}.{other[1]}.{s}")
    reject("sig_rs_modified", "workspace changed after signing", f"{head}.{b64(raw(claims(ws='ws_beta')))}.{s}")
    ff, pad = b"\xff", lambda t: b"\0\1" + b"\xff" * (253 - len(t)) + b"\0" + t
    ems = {
        "trailing_garbage": lambda d: b"\0\1" + ff * 8 + b"\0" + emsa(d) + b"\x55" * 194, "block_type_2": lambda d: b"\0\2" + pad(emsa(d))[2:],
        "padding_not_ff": lambda d: pad(emsa(d)).replace(ff * 100, ff * 99 + b"\xfe", 1),
        "null_omitted": lambda d: pad(emsa(d, bytes.fromhex("302f300b0609608648016503040201" "0420"))),
        "garbage_parameters": lambda d: pad(emsa(d, bytes.fromhex("30353011060960864801650304020105040400000000" "0420"))),
    }
    each("sig_rs_pad", "reject", "PKCS #1 v1.5 padding", ems, lambda em: jws(None, None, lambda d: rsa_raw(R1, em(d))))
    reject("sig_e3_forged_tail", "forged for e=3, garbage after the hash", jws(header(kid="k-e3"), None, forge_tail))
    odd = lambda t: hashlib.sha256(t.rpartition(".")[0].encode()).digest()[-1] & 1
    unsigned = first(numbered(header(kid="k-e3"), b""), odd).rpartition(".")[0]
    reject("sig_e3_forged_middle", "forged for e=3, garbage in the parameters", jws_text(*unsigned.split("."), forge_middle))

def signatures_ec():
    head, zero, n = header(EC1, "k-ec-1"), bytes(32), num(P256_N)
    token = jws(head, None, EC1)
    other = lambda s: s[:32] + num(P256_N - int.from_bytes(s[32:], "big"), 32)
    high = lambda t: int.from_bytes(sig_of(t)[32:], "big") > P256_N // 2
    low_token = token if not high(token) else resign(token, other)
    accept("sig_es_low_s", "ES256 with s in the lower half", low_token, ES)
    accept("sig_es_high_s", "ES256 with s in the upper half", resign(low_token, other), ES)
    der = lambda s: encode_dss_signature(*(int.from_bytes(v, "big") for v in (s[:32], s[32:])))
    changes = {
        "der": der, "r_zero": lambda s: zero + s[32:], "s_zero": lambda s: s[:32] + zero, "r_is_n": lambda s: n + s[32:],
        "s_is_n": lambda s: s[:32] + n, "all_zero": lambda s: bytes(64), "63_bytes": lambda s: s[:63], "65_bytes": lambda s: s + b"\0",
        "96_bytes": lambda s: bytes(16) + s[:32] + bytes(16) + s[32:], "der_zero": lambda s: bytes.fromhex("3006020100020100"),
        "flipped": lambda s: flip(s, 40),
    }
    each("sig_es", "reject", "ES256 signature", changes, lambda c: resign(token, c), ES)
    short = first(numbered(head, EC1), lambda t: sig_of(t)[0] == 0)
    accept("sig_es_leading_zero", "r that happens to start with a zero byte", short, ES)
    reject("sig_es_zero_dropped", "its leading zero byte is dropped", resign(short, lambda s: s[1:]), ES)

def signatures_ed():
    token, identity = with_kid(ED1, "k-ed-1"), b"\1" + bytes(31)
    plus_l = lambda s: s[:32] + (int.from_bytes(s[32:], "little") + ED_L).to_bytes(32, "little")
    changes = {
        "s_plus_l": plus_l, "63_bytes": lambda s: s[:63], "65_bytes": lambda s: s + b"\0", "all_zero": lambda s: bytes(64),
        "flipped": lambda s: flip(s, 0),
    }
    each("sig_ed", "reject", "Ed25519 signature", changes, lambda c: resign(token, c), ALL)
    reject("sig_ed_small_order", "small-order key: R=identity, S=0", jws(header(ED1, "k-ed-small"), None, identity + bytes(32)), ALL)
    zero_key = bytes(32)  # a point of order 4: the equation holds when the challenge is a multiple of 4
    challenge = lambda t: hashlib.sha512(identity + zero_key + t.rpartition(".")[0].encode()).digest()
    small = first(numbered(header(ED1, "k-ed-zero"), identity + bytes(32)),
                  lambda t: int.from_bytes(challenge(t), "little") % ED_L % 4 == 0)
    reject("sig_ed_order_4", "key of order 4: R=identity, S=0", small, ALL)

def headers():
    own, url = {k: JWKS[0][k] for k in ("kty", "n", "e")}, "https://attacker.example/jwks.json"
    banned = {
        "crit": ["exp"], "b64_false": False, "b64_true": True, "zip": "DEF", "enc": "A256GCM", "jwk": own,
        "jku": ISS + ".well-known/jwks.json", "x5u": url, "x5c": ["MIIB"], "epk": {"kty": "OKP", "crv": "X25519", "x": "AA"}, "apu": "QQ",
        "apv": "QQ", "iv": "AAAA", "tag": "AAAA", "p2s": "c2FsdA", "p2c": 2147483647, "cty_jwt": "JWT",
    }
    for name, value in banned.items():
        reject(f"head_{name}", f"banned header member: {name.replace('_', ' ')}", jws(header(**{name.split("_")[0]: value})))
    evil = jwk(EVIL, "evil")
    reject("head_jwk_attacker", "embedded key of the attacker, known kid", jws(header(jwk=evil), None, EVIL))
    reject("head_jku_attacker", "jku of the attacker", jws(header(kid="evil", jku=url), None, EVIL))
    reject("head_x5u_attacker", "x5u of the attacker", jws(header(x5u="https://attacker.example/c.pem"), None, EVIL))
    typ_ok = {"absent": DROP, "jwt_lower": "jwt", "at_jwt": "at+jwt", "at_jwt_upper": "AT+JWT", "at_jwt_mixed": "At+Jwt",
              "application_at_jwt": "application/at+jwt", "application_jwt": "application/JWT"}
    each("ok_typ", "accept", "typ", typ_ok, lambda t: jws(header(typ=t)))
    typ_bad = {"empty": "", "null": None, "dpop": "dpop+jwt", "logout": "logout+jwt", "secevent": "application/secevent+jwt", "id": "ID"}
    each("typ", "reject", "typ", typ_bad, lambda t: jws(header(typ=t)))
    harmless = {"x5t": {"x5t": "c29tZS10aHVtYnByaW50LTIw"}, "unknown": {"foo": "bar"}, "nested": {"foo": {"a": [{"b": None}]}}}
    each("ok_head", "accept", "harmless header member", harmless, lambda o: jws(header(**o)))
    kids = {"missing": DROP, "number": 1, "array": ["k-rsa-1"], "empty": "", "unknown": "k-nope", "long": "k" * 1000, "rsa_2": "k-rsa-2"}
    each("kid", "reject", "kid", kids, lambda k: jws(header(kid=k)))
    for name, kid, secret in [("traversal", "../../../../../../dev/null", b""), ("sql", "x' UNION SELECT 'aaa';-- -", b"aaa")]:
        reject(f"kid_{name}", "kid that makes a naive lookup yield a known HS256 secret", jws(header(kid=kid, alg="HS256"), None, mac(secret)))

def compact_form():
    good = jws(header(pad="??>>"), claims(pad="??>>"))  # each part has characters of the URL alphabet
    head, body, sig = good.split(".")
    classic = lambda t: t.replace("-", "+").replace("_", "/")
    assert all(classic(t) != t for t in (head, body)) and classic(sig) != sig
    h2, b2 = (b64(t + b" " * (-len(t) % 3 + 1)) for t in (raw(header()), raw(claims())))
    loose = lambda t: t[:-1] + chr(ord(t[-1]) + 1)  # sets the lowest, unused, bit (the last character is one of A, Q, g, w)
    assert len(h2) % 4 == len(b2) % 4 == len(sig) % 4 == 2
    for name, why, change in [("alphabet", "'+' and '/'", classic), ("padding", "'=' padding", lambda t: t + "=="),
                              ("bits", "non-zero trailing bits", loose)]:
        h, b = (head, body) if name == "alphabet" else (h2, b2)
        reject(f"form_{name}_header", f"{why} in the header", jws_text(change(h), b))
        reject(f"form_{name}_payload", f"{why} in the payload", jws_text(h, change(b)))
        reject(f"form_{name}_signature", f"{why} in the signature", f"{head}.{body}.{change(sig)}")
    accept("ok_alphabet", "each part has '-' or '_'", good)
    each("form_before", "reject", "before the token", {"space": " ", "newline": "\n"}, lambda t: t + good)
    each("form_after", "reject", "after the token", {"space": " ", "newline": "\n", "nul": "\0"}, lambda t: good + t)
    put = lambda part, c: part[:8] + c + part[8:]
    each("form_in", "reject", "inside a part", {
        "header_newline": jws_text(put(head, "\n"), body), "payload_newline": jws_text(head, put(body, "\n")),
        "payload_cr": jws_text(head, put(body, "\r")), "signature_newline": f"{head}.{body}.{put(sig, chr(10))}"}, lambda t: t)
    general = raw({"payload": body, "signatures": [{"protected": head, "signature": sig}]}).decode()
    jwe = ".".join([b64(raw({"alg": "RSA-OAEP", "enc": "A256GCM", "kid": "k-enc"})), *(b64(bytes(n)) for n in (256, 12, 64, 16))])
    shapes = {
        "empty": "", "two_parts": f"{head}.{body}", "four_parts": good + ".AA", "jwe": jwe, "dot_after": good + ".",
        "empty_header": jws_text("", body), "empty_payload": jws_text(head, ""), "empty_signature": f"{head}.{body}.", "detached": f"{head}..{sig}",
        "bearer": "Bearer " + good, "json_general": general, "length_mod_4_is_1": good + "AAA", "jwt_as_payload": jws(None, good),
    }
    each("form", "reject", "compact form", shapes, lambda t: t)
    sized = lambda size: next(t for i in range(4) for j in range(11300, 11900)
                              if len(t := jws_text(b64(raw(header(p="x" * i))), b64(raw(claims(p="x" * j))), bytes(256))) == size)
    accept("ok_size_16384", "token text of exactly 16 KiB", jws_text(*sized(16384).split(".")[:2]))
    reject("form_size_16385", "token text of 16 KiB and one byte", jws_text(*sized(16385).split(".")[:2]))

def json_text():
    h, c = raw(header()).decode(), raw(claims()).decode()
    more = lambda text, extra: text[:-1] + "," + extra + "}"
    nest = lambda n: '"deep":' + "[" * n + "]" * n
    ok_head = {"spaces": json.dumps(header(), indent=2), "escaped_name": h.replace("alg", "\\u0061lg"),
               "escaped_kid": h.replace("k-rsa", "\\u006b-rsa"), "depth_4": more(h, nest(3))}
    each("ok_json_header", "accept", "header text", ok_head, lambda t: jws(t))
    ok_body = {"around": f" \t\r\n{c}\n", "escaped_name": c.replace('"exp', '"\\u0065xp'), "escaped_slash": c.replace("/", "\\/"),
               "depth_4": more(c, nest(3)), "surrogate_pair": more(c, '"x":"\\ud83d\\ude00"'), "raw_utf8": more(c, '"x":"é漢😀"')}
    each("ok_json_payload", "accept", "payload text", ok_body, lambda t: jws(None, t))
    broken = lambda t: {  # what makes any JSON text bad
        "bom": "\ufeff" + t, "utf16": t.encode("utf-16"), "array": f"[{t}]", "garbage": t + "x", "comment": t[:-1] + "/* */}",
        "bad_utf8": more(t, '"x":"?"').encode().replace(b"?", b"\xff"), "lone_surrogate": more(t, '"x":"\\ud800"'),
        "nested_dup": more(t, '"x":{"a":1,"a":1}'),
    }
    each("json_header", "reject", "header text", broken(h), lambda t: jws(t))
    each("json_payload", "reject", "payload text", broken(c), lambda t: jws(None, t))
    bad = {"dup_alg": more(h, '"alg":"RS256"'), "dup_alg_none_last": more(h, '"alg":"none"'), "dup_alg_none_first": h.replace("{", '{"alg":"none",'),
           "dup_alg_escaped": more(h, '"\\u0061lg":"RS256"'), "dup_kid": more(h, '"kid":"k-rsa-2"'), "deep": more(h, nest(64))}
    each("json_header", "reject", "header text", bad, lambda t: jws(t))
    bad = {"dup_exp": more(c, f'"exp":{NOW + 3540}'), "dup_exp_escaped": more(c, f'"\\u0065xp":{NOW + 3000}'),
           "dup_ws_escaped": more(c, f'"{WS.replace("/", chr(92) + "/")}":"ws_beta"'), "string": json.dumps(c), "null": "null", "number": "1",
           "trailing_comma": c[:-1] + ",}", "single_quotes": c.replace('"', "'"), "nan": more(c, '"x":NaN'), "infinity": more(c, '"x":Infinity'),
           "overlong_utf8": more(c, '"x":"?"').encode().replace(b"?", b"\xc0\xaf"), "raw_control": more(c, '"x":"\t"'),
           "raw_surrogate": more(c, '"x":"?"').encode().replace(b"?", b"\xed\xa0\x80"), "deep": more(c, nest(5000))}
    each("json_payload", "reject", "payload text", bad, lambda t: jws(None, t))

def claims_text():
    signed = lambda name: lambda value: jws(None, claims(**{name: value}))
    each("iss", "reject", "iss", {"missing": DROP, "null": None, "no_slash": ISS[:-1], "upper": ISS.upper(), "longer": ISS + "x"}, signed("iss"))
    each("ok_aud", "accept", "aud", {"array": [AUD], "array_of_two": [ISS + "userinfo", AUD]}, signed("aud"))
    aud = {"missing": DROP, "empty_array": [], "slash": AUD + "/", "others": ["a"], "with_number": [AUD, 1], "nested": [[AUD]], "joined": f"{AUD} x"}
    each("aud", "reject", "aud", aud, signed("aud"))
    each("ok_sub", "accept", "sub", {"255_bytes": "é" * 127 + "a", "clients": "abc123@clients", "unicode": "josé😀"}, signed("sub"))
    sub = {"missing": DROP, "number": 7, "empty": "", "256_bytes": "é" * 128, "newline": "a\nb", "nul": "a\0", "delete": "a\x7f"}
    each("sub", "reject", "sub", sub, signed("sub"))
    each("ok_ws", "accept", "workspace", {"one": "a", "dash": "a-b", "double": "a__b--c", "63": "w" * 63}, signed("ws"))
    ws = {"missing": DROP, "null": None, "array": ["ws_alpha"], "object": {"id": "ws_alpha"}, "empty": "", "upper": "WS_ALPHA",
          "64": "w" * 64, "dash_first": "-a", "underscore_last": "a_", "parent": "../x", "slash": "ws/alpha", "space": "ws alpha",
          "newline_last": "ws_alpha\n", "nul": "ws_alpha\0", "cyrillic": "ws_\u0430lpha", "kelvin": "ws_\u212a"}
    each("ws", "reject", "workspace", ws, signed("ws"))
    reject("ws_other_name", "workspace under another name", jws(None, claims(ws=DROP, workspace_id="ws_alpha")))
    for name in ("jti", "azp", "client_id"):
        accept(f"ok_{name}", f"{name} of 255 bytes", signed(name)("x" * 255))
        each(name, "reject", name, {"empty": "", "number": 1, "null": None, "256": "x" * 256}, signed(name))
    logout, thumb, half = {"http://schemas.openid.net/event/backchannel-logout": {}}, {"jkt": b64(bytes(32))}, b64(bytes(16))
    other = {"nonce": "n-0S6", "at_hash": half, "c_hash": half, "s_hash": half, "events": logout, "cnf": thumb}
    each("claim", "reject", "not a plain access token", {k: {k: v} for k, v in other.items()}, lambda o: jws(None, claims(**o)))
    for name, good, bad in [("typ", {"bearer": "Bearer", "at_jwt": "at+jwt"}, {"id": "ID", "refresh": "Refresh"}),
                            ("token_use", {"access": "access"}, {"id": "id", "array": ["access"]})]:
        each(f"ok_claim_{name}", "accept", f"claim {name}", good, signed(name))
        each(f"claim_{name}", "reject", f"claim {name}", bad, signed(name))
    accept("ok_scope", "scope only", signed("scope")("openid actions:preview"))
    each("scope", "reject", "scope", {"array": ["actions:preview"], "null": None}, signed("scope"))
    accept("ok_permissions", "permissions only", signed("permissions")(["actions:preview"]))
    each("permissions", "reject", "permissions", {"string": "a:b", "with_number": ["a", 1], "null": None}, signed("permissions"))
    accept("ok_auth0", "the full shape of an Auth0 access token", jws(None, claims(
        aud=[AUD, ISS + "userinfo"], azp="client123", scope="openid profile actions:preview", permissions=["actions:preview"])))
    accept("ok_rfc9068", "the full shape of RFC 9068", jws(header(typ="at+jwt"), claims(
        client_id="s6BhdRkqt3", jti="dbe39bf3a3ba4238", scope="openid", auth_time=NOW - 90, acr="1", amr=["pwd"])))
    accept("ok_extra_claims", "unknown claims of every type", jws(None, claims(a=None, b=True, c=[1, {}], d={"e": 1.5}, gty="client-credentials")))

def claims_time():
    timed = lambda over: jws(None, claims(**over))
    each("ok_time", "accept", "times", {
        "nbf_edge": {"nbf": NOW + 60}, "iat_edge": {"iat": NOW + 60}, "exp_edge": {"exp": NOW - 59, "iat": NOW - 600},
        "lifetime_edge": {"iat": NOW, "exp": NOW + DAY}, "exp_float": {"exp": NOW + 3540.5},
        "lifetime_future": {"iat": NOW + 60, "exp": NOW + DAY + 60},
        "lifetime_past": {"exp": NOW - 59, "iat": NOW - 59 - DAY}, "exp_float_edge": {"exp": NOW - 59.5, "iat": NOW - 600},
    }, timed)
    each("time", "reject", "times", {
        "exp_missing": {"exp": DROP}, "exp_passed": {"exp": NOW - 60, "iat": NOW - 600}, "exp_far": {"exp": NOW + DAY + 61}, "iat_missing": {"iat": DROP},
        "lifetime": {"iat": NOW - 1, "exp": NOW + DAY}, "nbf_future": {"nbf": NOW + 61}, "nbf_float": {"nbf": NOW + 60.5},
        "iat_future": {"iat": NOW + 61}, "iat_is_exp": {"iat": NOW + 30, "exp": NOW + 30}, "iat_zero": {"iat": 0},
    }, timed)
    literal = lambda name: lambda text: jws(None, text_claims(**{name: text}))
    exp = NOW + 3540
    exp_bad = {"string": f'"{exp}"', "null": "null", "true": "true", "object": "{}", "negative": f"-{exp}", "huge": "1e400",
               "wrap_64": str(2**64 + exp), "wrap_32": str(2**32 + exp), "400_digits": "1" + "0" * 400, "year_10000": "253402300800"}
    each("time_exp", "reject", "exp", exp_bad, literal("exp"))
    nbf = {"string": f'"{NOW}"', "null": "null", "negative": f"-{NOW}", "minus_huge": "-1e400", "wrap_64": str(2**64 + NOW)}
    each("time_nbf", "reject", "nbf", nbf, literal("nbf"))
    iat = {"string": f'"{NOW}"', "true": "true", "negative": f"-{NOW}", "minus_huge": "-1e400", "wrap_64": str(2**64 + NOW)}
    each("time_iat", "reject", "iat", iat, literal("iat"))
    each("ok_time_exp", "accept", "exp as", {"point": f"{exp}.0", "exponent": "1.89345954E+9", "negative_exponent": f"{exp}0e-1"}, literal("exp"))

# ---- output ----
PUBLIC = {"k-rsa-1": R1, "k-rsa-2": R2, "k-rsa-3072": R3072, "k-bare": BARE, "k-ec-1": EC1, "k-ed-1": ED1, LONG_KID: EDLONG,
          "k-ops-verify": OPVERIFY}

def cross_check(vector):
    """Every accepted token must verify with the library, with the key its kid names."""
    data, _, sig = vector["token"].rpartition(".")
    head, sig = json.loads(unb64(data.split(".")[0])), unb64(sig)
    key = PUBLIC[head["kid"]].public_key()
    assert head["alg"] == alg_of(PUBLIC[head["kid"]]) and head["alg"] in PROFILES[vector["profile"]], vector["id"]
    if head["alg"] == "RS256":
        key.verify(sig, data.encode(), padding.PKCS1v15(), hashes.SHA256())
    elif head["alg"] == "ES256":
        der = encode_dss_signature(*(int.from_bytes(v, "big") for v in (sig[:32], sig[32:])))
        key.verify(der, data.encode(), ec.ECDSA(hashes.SHA256()))
    else:
        key.verify(sig, data.encode())

def main():
    for section in (keys_and_profiles, algorithms, signatures_rsa, signatures_ec, signatures_ed, headers, compact_form, json_text,
                    claims_text, claims_time):
        section()
    ids = [v["id"] for v in VECTORS]
    assert len(ids) == len(set(ids)), sorted(i for i in ids if ids.count(i) > 1)
    for vector in VECTORS:
        if vector["verdict"] == "accept":
            cross_check(vector)
    top = {"format": "orchestra-jwt-vectors/1", "now": NOW, "issuer": ISS, "audience": AUD, "workspace_claim": WS, "profiles": PROFILES,
           "max_lifetime_s": DAY, "leeway_s": LEEWAY, "jwks": {"keys": JWKS}}
    text = json.dumps(top, indent=1)[:-2] + ',\n "vectors": [\n' + ",\n".join("  " + json.dumps(v) for v in VECTORS) + "\n ]\n}\n"
    with open(OUT, "w") as f:
        f.write(text)
    print(len(VECTORS), "vectors,", len(text), "bytes")
    for p in PROFILES:
        print(p, {k: sum(v["profile"] == p and v["verdict"] == k for v in VECTORS) for k in ("accept", "reject")})

if __name__ == "__main__":
    main()
