import Cryptography
import Domain
import Testing

@Suite("Published vectors")
struct VectorTests {
    static func bytes(_ hex: String) -> [UInt8] {
        let digits = hex.compactMap(\.hexDigitValue)
        return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] * 16 + digits[$0 + 1]) }
    }

    @Test("SHA-256 of nothing (FIPS 180-4)")
    func emptyDigest() throws {
        let expected = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        #expect(try Digests.sha256([]) == Self.bytes(expected))
    }

    @Test("HMAC-SHA-256 (RFC 4231, case 1)")
    func hmac() throws {
        let expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        let digest = try Digests.hmacSHA256(key: [UInt8](repeating: 0x0b, count: 20), Array("Hi There".utf8))
        #expect(digest == Self.bytes(expected))
    }

    @Test("AES-256-GCM opens the published ciphertexts (McGrew and Viega, cases 13 and 14)")
    func gcm() throws {
        let key = try SealingKey(bytes: [UInt8](repeating: 0, count: 32))
        let nonce = [UInt8](repeating: 0, count: 12)
        let empty = nonce + Self.bytes("530f8afbc74536b9a963b4f1c4cb738b")
        #expect(try key.open(empty[...], authenticating: []) == [])
        let block =
            nonce + Self.bytes("cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919")
        #expect(try key.open(block[...], authenticating: []) == [UInt8](repeating: 0, count: 16))
    }

    @Test("AES-256-GCM opens the published ciphertext with associated data (McGrew and Viega, case 16)")
    func gcmWithAssociatedData() throws {
        let key = try SealingKey(
            bytes: Self.bytes("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"))
        let sealed = Self.bytes(
            "cafebabefacedbaddecaf888"
                + "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838"
                + "c5f61e6393ba7a0abcc9f662" + "76fc6ece0f4e1768cddf8853bb2d551b")
        let plain = Self.bytes(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525"
                + "b16aedf5aa0de657ba637b39")
        let associated = Self.bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2")
        #expect(try key.open(sealed[...], authenticating: associated) == plain)
    }

    @Test("Ed25519 (RFC 8032, section 7.1, test 1), and no other message")
    func ed25519() throws {
        let key = try #require(
            SignatureKey.ed25519(
                Self.bytes("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")))
        let signature = Self.bytes(
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
                + "d25bf5f0595bbe24655141438e7a100b")
        #expect(key.isValid(signature, for: []))
        #expect(!key.isValid(signature, for: [0]))
        #expect(!key.isValid(Array(signature.dropLast()), for: []))
    }

    @Test("ECDSA on P-256 (RFC 6979, A.2.5), and no other message")
    func p256() throws {
        let key = try #require(
            SignatureKey.p256(
                x: Self.bytes("60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6"),
                y: Self.bytes("7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299")))
        let signature = Self.bytes(
            "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
                + "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8")
        #expect(key.isValid(signature, for: Array("sample".utf8)))
        #expect(!key.isValid(signature, for: Array("Sample".utf8)))
        #expect(!key.isValid([UInt8](repeating: 0, count: 64), for: Array("sample".utf8)))
    }

    @Test("a point that is not on P-256 is not a key")
    func offCurve() {
        #expect(SignatureKey.p256(x: [UInt8](repeating: 1, count: 32), y: [UInt8](repeating: 1, count: 32)) == nil)
        #expect(SignatureKey.p256(x: [], y: []) == nil)
    }

    @Test("points of small order are not Ed25519 keys, with and without the sign bit")
    func smallOrder() {
        for last: UInt8 in [0, 0x80] {
            #expect(SignatureKey.ed25519([UInt8](repeating: 0, count: 31) + [last]) == nil)
            #expect(SignatureKey.ed25519([1] + [UInt8](repeating: 0, count: 30) + [last]) == nil)
        }
        #expect(SignatureKey.ed25519([]) == nil)
    }

    @Test("RSA keys below 2048 bits, with even numbers or small exponents are refused")
    func weakRSA() {
        let modulus = [0xc1] + [UInt8](repeating: 0x55, count: 254) + [0x01]
        #expect(SignatureKey.rsa(modulus: modulus, exponent: [1, 0, 1]) != nil)
        #expect(SignatureKey.rsa(modulus: modulus, exponent: [3]) == nil)
        #expect(SignatureKey.rsa(modulus: modulus, exponent: [1, 0, 2]) == nil)
        #expect(SignatureKey.rsa(modulus: Array(modulus.suffix(128)), exponent: [1, 0, 1]) == nil)
        #expect(SignatureKey.rsa(modulus: [0] + modulus, exponent: [1, 0, 1]) == nil)
        #expect(SignatureKey.rsa(modulus: modulus.dropLast() + [0x02], exponent: [1, 0, 1]) == nil)
    }

    @Test("a sealing key has exactly 32 bytes", arguments: [0, 16, 31, 33])
    func keySize(count: Int) {
        let error = #expect(throws: CryptographyError.self) {
            try SealingKey(bytes: [UInt8](repeating: 0, count: count))
        }
        #expect(error?.code == .invalidSize)
    }

    @Test("a derived key depends on the purpose and is not the key")
    func derived() throws {
        let key = try SealingKey(bytes: [UInt8](repeating: 7, count: 32))
        let one = try key.derived(for: "a")
        #expect(one == (try key.derived(for: "a")))
        #expect(one != (try key.derived(for: "b")) && one != [UInt8](repeating: 7, count: 32))
    }

    @Test("equality is of bytes and lengths")
    func equality() {
        #expect(Digests.areEqual([], []) && Digests.areEqual([1, 2], [1, 2]))
        #expect(!Digests.areEqual([1, 2], [1, 3]) && !Digests.areEqual([1], [1, 2]))
    }

    @Test("random bytes have the asked count and differ")
    func random() throws {
        #expect(try Digests.randomBytes(count: 32).count == 32)
        #expect(try Digests.randomBytes(count: 32) != Digests.randomBytes(count: 32))
    }
}
