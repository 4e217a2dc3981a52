import Credentials
import Cryptography
import Domain
import Testing

@Suite("Sealing")
struct SealingTests {
    private let key = try? SealingKey(bytes: Array(0..<32))

    @Test("what is sealed opens again, also when it is empty", arguments: [0, 1, 15, 16, 17, 4096, 65536])
    func roundTrip(count: Int) throws {
        let key = try #require(self.key)
        let plain = [UInt8](repeating: 7, count: count)
        let sealed = try key.seal(plain, authenticating: [1, 2, 3])
        #expect(sealed.count == count + 28)
        #expect(try key.open(sealed[...], authenticating: [1, 2, 3]) == plain)
    }

    @Test("any flipped bit, other context, other key or cut is refused as not authentic")
    func tampering() throws {
        let key = try #require(self.key)
        let sealed = try key.seal(Array("params".utf8), authenticating: [1])
        for index in sealed.indices {
            var changed = sealed
            changed[index] ^= 1
            #expect(throws: CryptographyError.self) { try key.open(changed[...], authenticating: [1]) }
        }
        for length in 0..<sealed.count {
            #expect(throws: CryptographyError.self) { try key.open(sealed[..<length], authenticating: [1]) }
        }
        let other = try SealingKey.random()
        let context = #expect(throws: CryptographyError.self) { try key.open(sealed[...], authenticating: [2]) }
        let foreign = #expect(throws: CryptographyError.self) { try other.open(sealed[...], authenticating: [1]) }
        #expect(context?.code == .authenticationFailed)
        #expect(foreign?.code == .authenticationFailed)
    }

    @Test("a key wrapped for one workspace is none for another")
    func wrapping() throws {
        let master = try #require(self.key)
        let wrapped = try SealingKey.random().wrapped(by: master, context: Array("acme".utf8))
        _ = try SealingKey(unwrapping: wrapped, by: master, context: Array("acme".utf8))
        #expect(throws: CryptographyError.self) {
            try SealingKey(unwrapping: wrapped, by: master, context: Array("other".utf8))
        }
    }

    @Test("SHA-256 and HMAC-SHA-256 give the published values (FIPS 180-2, RFC 4231 case 2)")
    func vectors() throws {
        func hex(_ bytes: [UInt8]) -> String {
            bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        }
        #expect(
            hex(try Digests.sha256(Array("abc".utf8)))
                == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(
            hex(try Digests.hmacSHA256(key: Array("Jefe".utf8), Array("what do ya want for nothing?".utf8)))
                == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    }

    @Test("Argon2id hashes are PHC strings that verify the secret and nothing else")
    func argon2() throws {
        let hash = try Argon2id.hash(
            Array("secret".utf8), parameters: Argon2id.Parameters(memoryKiB: 64, iterations: 1))
        #expect(hash.hasPrefix("$argon2id$v=19$m=64,t=1,p=1$"))
        #expect(Argon2id.verify(Array("secret".utf8), against: hash))
        #expect(!Argon2id.verify(Array("Secret".utf8), against: hash))
        #expect(!Argon2id.verify(Array("secret".utf8), against: "$argon2id$v=19$broken"))
        #expect(!Argon2id.verify(Array("secret".utf8), against: ""))
    }
}
