internal import ShimProtocol

extension AgentDirectory {
    /// Whether an agent below `root` that has not ended was launched with a listener: the node has to serve it, whatever its
    /// policy says by now. Blocks. Throws when a directory cannot be read.
    package static func anyNeedsEgress(root: String) throws -> Bool {
        try self.all(root: root).contains { directory in
            guard let last = try directory.generations.last, try directory.exitRecord(last) == nil else { return false }
            return try directory.launchSpec(last)?.egress != nil
        }
    }
}
