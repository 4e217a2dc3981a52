/// The targets of `Package.swift`, read as text: no process is started.
struct PackageManifest {
    struct Target {
        let name: String
        /// Folder of the sources, relative to the package.
        let path: String
        /// Own targets, C libraries and products of other packages.
        let dependencies: Set<String>
        let isSystemLibrary: Bool
    }

    let targets: [Target]
    /// Names of the targets that are executables: their tests start them without importing them.
    let executables: Set<String>

    init(_ text: String) {
        var products: [Substring: String] = [:]
        for match in text.matches(of: #/let (\w+) = Target\.Dependency\.product\(name: "(\w+)"/#) {
            products[match.output.1] = String(match.output.2)
        }
        var targets: [Target] = []
        var executables: Set<String> = []
        let list = text[(text.firstRange(of: "targets: [\n        // L0")?.lowerBound ?? text.startIndex)...]
        let call = #/(module|tests|\.executableTarget|\.target|\.systemLibrary)\(\s*(?:name: )?"/#
        for match in list.matches(of: call) {
            let kind = match.output.1
            let entry = Self.balanced(list[match.range.lowerBound...])
            guard let name = Self.quoted(entry).first else { continue }
            let listed = entry.firstMatch(of: #/(?:dependencies: |"[\w-]+",\s*)\[([^\]]*)\]/#)?.output.1 ?? ""
            let path = entry.firstMatch(of: #/path: "([^"]+)"/#).map { String($0.output.1) }
            let variables = listed.replacing(#/"[^"]*"/#, with: "").matches(of: #/\w+/#).map { $0.output }
            targets.append(
                Target(
                    name: name, path: path ?? (kind == "tests" ? "Tests/\(name)" : "Sources/\(name)"),
                    dependencies: Set(Self.quoted(listed)).union(variables.map { products[$0] ?? String($0) }),
                    isSystemLibrary: kind == ".systemLibrary" || name == "CLinux"))
            if kind == ".executableTarget" { executables.insert(name) }
        }
        self.targets = targets
        self.executables = executables
    }

    /// From the first parenthesis to the one that closes it.
    private static func balanced(_ text: Substring) -> Substring {
        var depth = 0
        for index in text.indices {
            if text[index] == "(" { depth += 1 }
            if text[index] == ")" {
                depth -= 1
                if depth == 0 { return text[...index] }
            }
        }
        return text
    }

    private static func quoted(_ text: Substring) -> [String] {
        text.matches(of: #/"([A-Za-z0-9-]+)"/#).map { String($0.output.1) }
    }
}
