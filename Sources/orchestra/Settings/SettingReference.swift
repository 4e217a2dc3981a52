import Domain

/// The configuration page, generated from the keys.
struct SettingReference: Sendable {
    /// Markdown without a newline at its end: how a value is found, then a table for each topic.
    var markdown: String {
        var text = """
            # Configuration

            Every key, its environment variable, its values and its default.

            ## How a value is found

            The first of these that has the key counts, also when the value is empty:

            1. a flag: `--set key=value`, or an option of the command;
            2. the environment variable; for a secret also the variable with `_FILE` behind its name, which names a file;
            3. the configuration file, one JSON object: `--config`, else `ORCHESTRA_CONFIG`, else
               `$XDG_CONFIG_HOME/orchestra/config.json` (`~/.config/orchestra/config.json`);
            4. the default.

            An empty text means *none*: `ALLOW_ACTIONS_DEFAULT=` allows nothing. Unknown keys, unknown variables that begin with
            `ORCHESTRA_`, and values outside the range are errors (status 78). `orchestra config` prints the effective values and
            where each comes from.

            A client command, such as `orchestra submit`, that has no configuration file, no Redis URL and no master key uses the
            node that `orchestra dev` started, and prints `using the dev node at …` on standard error. A command that runs a node,
            and any command with `ENV=production`, never reads what `orchestra dev` wrote.

            """
        for (title, keys) in Self.topics {
            text +=
                "\n## \(title)\n\n| Key | Variable | Values | Default | Meaning |\n| --- | --- | --- | --- | --- |\n"
            text += keys.map(Self.row).joined(separator: "\n") + "\n"
        }
        return String(text.dropLast())
    }

    private static let topics: [(title: String, keys: [SettingKey])] = [
        ("Redis", SettingKey.redis), ("Node", SettingKey.node), ("API", SettingKey.api),
        ("Authentication", SettingKey.auth), ("Queue", SettingKey.queue),
    ]

    private static func row(_ key: SettingKey) -> String {
        let variable = "`\(key.variable)`" + (key.isSecret ? " (secret)" : "")
        let fallback = key.fallback.map { "`\($0)`" } ?? "none"
        return "| `\(key.name)` | \(variable) | \(key.kind.expected) | \(fallback) | \(key.text) |"
    }
}
