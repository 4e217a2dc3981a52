import ArgumentParser
import Domain
import Redis

/// `orchestra config`.
struct ConfigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Prints the effective configuration and where each value comes from.",
        discussion: """
            Secrets are masked. The order is flag, environment, file, default; an empty value counts. --reference
            prints the configuration page instead.

            EXAMPLES
              orchestra config
              orchestra config --reference
              orchestra config --set worker.slots=4 --json
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var output: OutputOptions
    @Flag(help: "Prints every key with its meaning, as Markdown.") var reference = false

    func run() async throws {
        try await reporting {
            guard !self.reference else { return show(SettingReference().markdown) }
            let settings = try self.common.nodeContext().settings
            for key in SettingKey.all {
                let value = settings.text(key.name)
                var shown = key.isSecret && value != nil ? "<secret>" : value
                // A URL may carry a password of its own.
                if key.name == "redis.url", let url = value { shown = try RedisConfiguration(url: url).displayName }
                if self.output.json {
                    let line: JSONValue = [
                        "key": .string(key.name), "value": shown.map { .string($0) } ?? .null,
                        "source": .string(settings.source(of: key.name)), "variable": .string(key.variable),
                        "secret": .bool(key.isSecret), "help": .string(key.text),
                    ]
                    show(line.text)
                } else {
                    show("\(key.name) = \(shown ?? "(unset)")   [\(settings.source(of: key.name))]")
                    show("    \(key.variable): \(key.text) Expected \(key.kind.expected).")
                }
            }
        }
    }
}
