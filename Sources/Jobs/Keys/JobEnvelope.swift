internal import Cryptography
package import Domain

/// The sealed form of a job in its stream entry and of a result in its record.
///
/// The bytes are a `UInt8` version, a `UInt32` key ID, then nonce, ciphertext and tag. Workspace and job ID are
/// authenticated too, so an entry that is moved to another workspace or to another ID cannot be opened.
package enum JobEnvelope {
    private static let version: UInt8 = 2

    /// Seals a job. Throws `CryptographyError`.
    package static func seal(_ job: Job, with key: WorkspaceKey) throws -> [UInt8] {
        var writer = ByteWriter()
        writer.write(text: job.action.name)
        writer.write(block: job.requestID.uuid.bytes)
        writer.write(text: job.actor)
        writer.write(job.submittedAt)
        writer.write(block: job.params)
        writer.write(job.deadline ?? 0)
        writer.write(text: job.tags.map(\.name).joined(separator: ","))
        writer.write(job.isRepeatable.map { $0 ? UInt8(1) : UInt8(0) } ?? 2)
        writer.write(block: job.terms.bytes)
        return try self.seal(writer.bytes, purpose: "job", workspace: job.workspace, job: job.id, with: key)
    }

    /// Opens an entry. Throws `JobQueueError`: `unreadable` when the entry is damaged, moved, forged or of a newer version;
    /// and the errors of `WorkspaceKeyring.key(id:of:)`.
    package static func open(_ delivery: Delivery, keys: WorkspaceKeyring) async throws -> Job {
        guard let id = delivery.jobID else {
            throw JobQueueError(code: .unreadable, message: "the entry does not begin with a job ID of 16 bytes")
        }
        let plain = try await self.open(
            delivery.envelope, purpose: "job", workspace: delivery.workspace, job: id, keys: keys)
        do {
            var reader = ByteReader(plain[...])
            let action = try ActionName(try reader.text())
            guard let request = UUIDBytes(bytes: try reader.block()) else {
                throw DomainError.invalidValue("the request ID does not have 16 bytes")
            }
            return Job(
                id: id, workspace: delivery.workspace, action: action, requestID: RequestID(uuid: request),
                actor: try reader.text(), submittedAt: try reader.number(), params: try reader.block(),
                deadline: try Self.deadline(&reader), tags: try Self.tags(&reader),
                isRepeatable: try Self.isRepeatable(&reader), terms: JobTerms(bytes: try reader.block()))
        } catch let error as DomainError {
            throw JobQueueError(code: .unreadable, message: "the entry cannot be decoded: \(error.message)")
        }
    }

    private static func deadline(_ reader: inout ByteReader) throws -> UInt64? {
        let time: UInt64 = try reader.number()
        return time == 0 ? nil : time
    }

    private static func tags(_ reader: inout ByteReader) throws -> [JobTag] {
        let text = try reader.text()
        return text.isEmpty ? [] : try text.split(separator: ",").map { try JobTag(String($0)) }
    }

    private static func isRepeatable(_ reader: inout ByteReader) throws -> Bool? {
        switch try reader.number() as UInt8 {
        case 0: false
        case 1: true
        default: nil
        }
    }

    /// Seals the terms of a job; nothing when it has none. Throws `CryptographyError`.
    package static func seal(terms: JobTerms, of job: Job, with key: WorkspaceKey) throws -> [UInt8] {
        guard !terms.bytes.isEmpty else { return [] }
        return try self.seal(terms.bytes, purpose: "terms", workspace: job.workspace, job: job.id, with: key)
    }

    /// The terms of a job, opened. Throws as the opening of an entry.
    package static func terms(
        of job: JobRecord, in workspace: WorkspaceID, keys: WorkspaceKeyring
    ) async throws -> JobTerms {
        guard !job.sealedTerms.isEmpty else { return JobTerms() }
        return JobTerms(
            bytes: try await self.open(
                job.sealedTerms, purpose: "terms", workspace: workspace, job: job.id, keys: keys))
    }

    /// Seals a result, or the detail of a failure. Throws `CryptographyError`.
    package static func seal(
        result: [UInt8], workspace: WorkspaceID, job: JobID, with key: WorkspaceKey
    ) throws -> [UInt8] {
        try self.seal(result, purpose: "result", workspace: workspace, job: job, with: key)
    }

    /// Opens a sealed result. Throws as the opening of an entry.
    package static func open(
        result: [UInt8], workspace: WorkspaceID, job: JobID, keys: WorkspaceKeyring
    ) async throws -> [UInt8] {
        try await self.open(result, purpose: "result", workspace: workspace, job: job, keys: keys)
    }

    /// The data that is authenticated in addition to the sealed bytes.
    private static func associated(_ purpose: String, _ workspace: WorkspaceID, _ job: JobID) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(96)
        bytes += "orchestra/".utf8
        bytes += purpose.utf8
        bytes += "/1/".utf8  // the version of this data
        bytes += workspace.name.utf8
        bytes += "/".utf8
        bytes += job.uuid.bytes
        return bytes
    }

    static func seal(
        _ bytes: [UInt8], purpose: String, workspace: WorkspaceID, job: JobID, with key: WorkspaceKey
    ) throws -> [UInt8] {
        var writer = ByteWriter()
        writer.write(self.version)
        writer.write(key.id)
        return writer.bytes
            + (try key.key.seal(bytes, authenticating: self.associated(purpose, workspace, job)))
    }

    static func open(
        _ sealed: [UInt8], purpose: String, workspace: WorkspaceID, job: JobID, keys: WorkspaceKeyring
    ) async throws -> [UInt8] {
        guard sealed.count > 5, sealed[0] == self.version else {
            throw JobQueueError(
                code: .unreadable, message: "the sealed bytes have an unknown version; expected version \(self.version)"
            )
        }
        let id = sealed[1..<5].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        let key = try await keys.key(id: id, of: workspace)
        do throws(CryptographyError) {
            return try key.key.open(sealed[5...], authenticating: self.associated(purpose, workspace, job))
        } catch {
            guard error.code == .authenticationFailed else { throw error }
            throw JobQueueError(
                code: .unreadable,
                message: "the sealed bytes are damaged, were moved, or were sealed with another key")
        }
    }
}
