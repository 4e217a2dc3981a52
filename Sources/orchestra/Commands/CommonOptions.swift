import ArgumentParser
import Domain
import Foundation

/// The options of every command.
struct CommonOptions: ParsableArguments {
    @Option(name: .long, help: "A JSON configuration file (also ORCHESTRA_CONFIG).")
    var config: String?

    @Option(
        name: .long,
        help: ArgumentHelp("Sets any configuration key; `orchestra config` lists them.", valueName: "key=value"))
    var set: [String] = []

    /// The options as they were given, for a command that this one starts.
    var arguments: [String] { (self.config.map { ["--config", $0] } ?? []) + self.set.flatMap { ["--set", $0] } }

    /// The configuration of a client command; `extra` holds the command's own flags. A client without a configuration of
    /// its own uses the node of `orchestra dev`, and a note on standard error says so. Throws status 78 when the
    /// configuration is wrong, and 64 when a flag is malformed.
    func context(extra: [String: String] = [:]) throws -> Context {
        let sources = try self.sources(extra)
        let context = try sources.context()
        guard let (client, dev) = try sources.devContext(besides: context) else { return context }
        note("using the dev node at \(dev.directory)")
        return client
    }

    /// The configuration of a command that runs a node or checks this machine: never what `orchestra dev` wrote. Throws
    /// as `context`.
    func nodeContext(extra: [String: String] = [:]) throws -> Context { try self.sources(extra).context() }

    private func sources(_ extra: [String: String]) throws -> SettingSources {
        var flags = extra
        for pair in self.set {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else {
                throw CommandError(.usage, "--set \(Printable.text(pair)): expected key=value")
            }
            flags[String(parts[0])] = String(parts[1])
        }
        return try SettingSources(flags: flags, config: self.config, directories: .current())
    }
}
