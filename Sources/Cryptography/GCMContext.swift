internal import COpenSSL
internal import Domain

/// An AES-256-GCM context with its key loaded; freed with its owner.
@safe
struct GCMContext: ~Copyable {
    private let context: OpaquePointer
    private let isSealing: Bool

    init(key: [UInt8], isSealing: Bool) throws(CryptographyError) {
        guard let context = unsafe EVP_CIPHER_CTX_new() else { throw OpenSSL.fail("allocate a cipher") }
        let result = unsafe key.withUnsafeBufferPointer { key in
            unsafe EVP_CipherInit_ex(context, OpenSSL.gcmAlgorithm, nil, key.baseAddress, nil, isSealing ? 1 : 0)
        }
        guard result == 1 else {
            unsafe EVP_CIPHER_CTX_free(context)
            throw OpenSSL.fail("load an AES-256-GCM key")
        }
        unsafe self.context = context
        self.isSealing = isSealing
    }

    deinit { unsafe EVP_CIPHER_CTX_free(self.context) }

    /// Encrypts or decrypts `input`; when sealing, the 16-byte tag is appended; when opening it must be
    /// given, and a mismatch throws `authenticationFailed`.
    borrowing func process(
        nonce: [UInt8], associated: [UInt8], input: ArraySlice<UInt8>, tag: [UInt8]
    ) throws(CryptographyError) -> [UInt8] {
        var output = [UInt8](repeating: 0, count: input.count + (self.isSealing ? 16 : 0))
        var tag = tag
        let context = unsafe self.context
        let isSealing = self.isSealing
        let stage: Int = unsafe nonce.withUnsafeBufferPointer { nonce in
            unsafe associated.withUnsafeBufferPointer { associated in
                unsafe input.withUnsafeBufferPointer { input in
                    unsafe output.withUnsafeMutableBufferPointer { output in
                        unsafe tag.withUnsafeMutableBufferPointer { tag in
                            var length: Int32 = 0
                            guard unsafe EVP_CipherInit_ex(context, nil, nil, nil, nonce.baseAddress, -1) == 1 else {
                                return 0
                            }
                            if !isSealing, unsafe orc_gcm_set_tag(context, tag.baseAddress) != 1 { return 0 }
                            if associated.count > 0,
                                unsafe EVP_CipherUpdate(
                                    context, nil, &length, associated.baseAddress, Int32(associated.count)) != 1
                            {
                                return 0
                            }
                            if input.count > 0,
                                unsafe EVP_CipherUpdate(
                                    context, output.baseAddress, &length, input.baseAddress, Int32(input.count)) != 1
                            {
                                return 0
                            }
                            var rest = [UInt8](repeating: 0, count: 16)
                            guard unsafe EVP_CipherFinal_ex(context, &rest, &length) == 1 else { return 1 }
                            if isSealing, let base = output.baseAddress,
                                unsafe orc_gcm_get_tag(context, base + input.count) != 1
                            {
                                return 0
                            }
                            return 2
                        }
                    }
                }
            }
        }
        if stage == 2 { return output }
        ERR_clear_error()
        if stage == 1, !self.isSealing {
            throw CryptographyError(code: .authenticationFailed, message: "the sealed bytes are not authentic")
        }
        throw OpenSSL.fail("run AES-256-GCM")
    }
}
