internal import CArgon2
internal import Cryptography
internal import Domain

/// Argon2id hashes of secrets, by the system's libargon2, as PHC strings.
///
/// A verification costs tens of milliseconds and 19 MiB, so callers run it in a bounded pool of their
/// own and never on an actor.
package enum Argon2id {
    /// The recommendation of OWASP m = 19 MiB, t = 2, p = 1 (Password Storage Cheat Sheet).
    package struct Parameters: Hashable, Sendable {
        package var memoryKiB: UInt32
        package var iterations: UInt32
        package var lanes: UInt32

        /// Defaults to the recommendation above; checks no bounds, which Argon2 itself does when it hashes.
        package init(memoryKiB: UInt32 = 19_456, iterations: UInt32 = 2, lanes: UInt32 = 1) {
            self.memoryKiB = memoryKiB
            self.iterations = iterations
            self.lanes = lanes
        }
    }

    /// The PHC string of `secret` under a fresh salt; throws `CredentialsError` when no memory is left.
    package static func hash(_ secret: [UInt8], parameters: Parameters = Parameters()) throws -> String {
        let salt = try Digests.randomBytes(count: 16)
        let length = argon2_encodedlen(
            parameters.iterations, parameters.memoryKiB, parameters.lanes, UInt32(salt.count), 32, Argon2_id)
        var encoded = [CChar](repeating: 0, count: length)
        let capacity = encoded.count
        let status = unsafe secret.withUnsafeBytes { secret in
            unsafe salt.withUnsafeBytes { salt in
                unsafe encoded.withUnsafeMutableBufferPointer { encoded in
                    unsafe argon2id_hash_encoded(
                        parameters.iterations, parameters.memoryKiB, parameters.lanes, secret.baseAddress, secret.count,
                        salt.baseAddress, salt.count, 32, encoded.baseAddress, capacity)
                }
            }
        }
        guard status == ARGON2_OK.rawValue else {
            throw CredentialsError(code: .hashingFailed, message: "Argon2id failed with code \(status)")
        }
        return String(decoding: encoded.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Whether a hash was made under these parameters; one that was not is made again at the next use.
    package static func isCurrent(_ encoded: String, _ parameters: Parameters) -> Bool {
        encoded.hasPrefix(
            "$argon2id$v=19$m=\(parameters.memoryKiB),t=\(parameters.iterations),p=\(parameters.lanes)$")
    }

    /// True when `secret` is the one that was hashed; false for a wrong secret and for a string that is not an Argon2id
    /// hash. Compares in constant time.
    package static func verify(_ secret: [UInt8], against encoded: String) -> Bool {
        self.check(secret, against: encoded) == true
    }

    /// As `verify`; nil when libargon2 could not run, for lack of memory above all.
    static func check(_ secret: [UInt8], against encoded: String) -> Bool? {
        guard encoded.hasPrefix("$argon2id$") else { return false }
        let status = unsafe secret.withUnsafeBytes { secret in
            unsafe argon2id_verify(encoded, secret.baseAddress, secret.count)
        }
        switch status {
        case ARGON2_OK.rawValue: return true
        case ARGON2_MEMORY_ALLOCATION_ERROR.rawValue, ARGON2_THREAD_FAIL.rawValue: return nil
        default: return false
        }
    }
}
