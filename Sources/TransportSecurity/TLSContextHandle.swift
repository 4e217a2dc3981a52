internal import COpenSSL

/// A counted reference to a context of libssl, freed with its last owner.
///
/// libssl lets every thread make sessions of a context that nobody configures any more. What crosses threads
/// is the context's address; only the files that call libssl make a pointer of it.
@safe
final class TLSContextHandle: Sendable {
    private let address: UInt

    init(owning context: OpaquePointer) { self.address = UInt(bitPattern: context) }

    deinit { unsafe SSL_CTX_free(self.pointer) }

    var pointer: OpaquePointer? { unsafe OpaquePointer(bitPattern: self.address) }
}
