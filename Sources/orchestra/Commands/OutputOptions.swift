import ArgumentParser

/// How a command prints; `submit` has `--json` for a file and so only the longer name.
struct OutputOptions: ParsableArguments {
    @Flag(name: [.customLong("json"), .customLong("json-output")], help: "Prints JSON, one object per line.")
    var json = false
}
