package import Cryptography
internal import Domain

/// Follows a chain row by row. Pure: it is given the lines and keeps what the rows so far prove.
package struct ChainVerifier: Sendable {
    /// The sequence number of the last row; 0 before the first.
    package private(set) var sequence: UInt64 = 0
    /// The digest of the last row.
    package private(set) var digest = [UInt8](repeating: 0, count: 32)
    /// The digest of the first row; empty before it, and in a chain that is followed from its middle.
    package private(set) var origin: [UInt8] = []
    package private(set) var node = ""
    package private(set) var events = 0
    package private(set) var checkpoints = 0
    /// The sequence number of the last checkpoint, or of the row before the first that was read.
    package private(set) var sealed: UInt64 = 0
    /// The chain's keys, the first first, each with the row from which on it signs instead of the one before.
    private var signers: [(row: UInt64, fingerprint: String, key: SignatureKey)] = []
    private let checksSignatures: Bool
    /// Sequence numbers whose digests are kept, in ascending order, and those digests.
    private var awaited: ArraySlice<UInt64>
    private var kept: [UInt64: [UInt8]] = [:]

    /// Begins before the first row of a chain. Keeps the digests of the rows with these sequence numbers.
    package init(keeping sequences: [UInt64] = []) {
        self.checksSignatures = true
        self.awaited = Array(Set(sequences)).sorted()[...]
    }

    /// Begins in the middle of a chain, before a row, and believes what that row states of the one before. The keys are not
    /// known, so signatures are not checked. Nil when the row is malformed.
    package init?(before line: ArraySlice<UInt8>) {
        guard let row = ArchiveRow(line),
            let digest = Hexadecimal.bytes(of: String(decoding: row.previous, as: UTF8.self))
        else { return nil }
        self.checksSignatures = false
        self.awaited = []
        self.sequence = row.sequence - 1
        self.sealed = row.sequence - 1
        self.digest = digest
    }

    /// The digest of a row that was to be kept; nil before it was read.
    package func digest(of sequence: UInt64) -> [UInt8]? { self.kept[sequence] }

    /// The fingerprints of the chain's keys, the first first.
    package var keys: [String] { self.signers.map(\.fingerprint) }

    /// The key that signs when a row is the last one; nil when it has another fingerprint: a key that was replaced signs no
    /// later row.
    package func signer(_ fingerprint: String, at row: UInt64) -> SignatureKey? {
        guard let signer = self.signers.last(where: { $0.row <= row }), signer.fingerprint == fingerprint else {
            return nil
        }
        return signer.key
    }

    /// Takes the next line, without its newline. Throws the reason when it does not continue the chain; nothing changes then.
    package mutating func take(_ line: ArraySlice<UInt8>) throws(ChainFault) {
        guard let row = ArchiveRow(line) else { throw .malformed }
        guard row.sequence == self.sequence + 1 else {
            throw .sequence(expected: self.sequence + 1, found: row.sequence)
        }
        guard row.follows(self.digest) else { throw .link }
        let digest: [UInt8]
        do { digest = try Digests.sha256(line) } catch { throw .library(error.description) }
        switch row.kind {
        case .event:
            // The first row of a chain introduces its key.
            guard row.sequence > 1 else { throw .key }
            self.events += 1
        case .checkpoint:
            if self.checksSignatures { try self.check(checkpoint: line) }
            self.checkpoints += 1
            self.sealed = row.sequence
        case .key:
            if self.checksSignatures { try self.add(keyOf: line) }
        }
        if row.sequence == 1 { self.origin = digest }
        self.sequence = row.sequence
        self.digest = digest
        if row.sequence == self.awaited.first {
            self.kept[row.sequence] = digest
            self.awaited = self.awaited.dropFirst()
        }
    }

    private func check(checkpoint line: ArraySlice<UInt8>) throws(ChainFault) {
        guard let document = JSONValue(ifValid: Array(line)), document["time"]?.integer != nil,
            let name = document["key"]?.string, let key = self.signer(name, at: self.sequence),
            let signature = ChainSignature(endOf: line), signature.isValid(by: key)
        else { throw .checkpoint }
    }

    private mutating func add(keyOf line: ArraySlice<UInt8>) throws(ChainFault) {
        guard let document = JSONValue(ifValid: Array(line)), let node = document["node"]?.string,
            let bytes = document["key"]?.string.flatMap(Hexadecimal.bytes), let key = SignatureKey.ed25519(bytes),
            let signature = ChainSignature(endOf: line), let proof = ChainSignature(proofIn: signature.body),
            proof.isValid(by: key), let signer = document["signer"]?.string
        else { throw .key }
        let fingerprint: String
        do { fingerprint = try ChainKey.fingerprint(of: bytes) } catch { throw .library(error.description) }
        let before = self.signers.last
        guard signer == (before?.fingerprint ?? fingerprint), before == nil || node == self.node,
            signature.isValid(by: before?.key ?? key)
        else { throw .key }
        self.node = node
        self.signers.append((self.sequence + 1, fingerprint, key))
    }
}
