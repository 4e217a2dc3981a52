import ArgumentParser

/// The length of a list.
struct ListLimit: ParsableArguments {
    @Option(help: "At most this many, from 1 to 10000.") var limit = 20

    func validate() throws {
        guard (1...10_000).contains(self.limit) else {
            throw ValidationError("--limit \(self.limit): expected 1 to 10000")
        }
    }
}
