internal import Domain
internal import ShimProtocol

/// The file that describes a launch.
enum LaunchFile {
    /// Decodes its bytes, which are nil where they could not be read; `name` is for the message of the failure.
    static func decode(
        _ bytes: [UInt8]?, named name: String, for mode: LaunchSpec.Mode
    ) -> Result<LaunchSpec, DomainError> {
        guard let bytes else { return .failure(.invalidValue("\(name) cannot be read")) }
        do throws(DomainError) {
            let spec = try LaunchSpec(decoding: bytes)
            guard spec.mode == mode else {
                return .failure(.invalidValue("\(name) has the mode '\(spec.mode)'; expected '\(mode)'"))
            }
            return .success(spec)
        } catch {
            return .failure(error)
        }
    }
}
