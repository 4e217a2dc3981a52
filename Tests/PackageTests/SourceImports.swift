import Foundation

/// The modules that a folder of Swift sources imports, without those of the toolchain and the system.
struct SourceImports {
    let modules: Set<String>

    private static let toolchain: Set<String> = [
        "Foundation", "FoundationEssentials", "Glibc", "RegexBuilder", "Synchronization", "Testing",
    ]

    init(folder: String) throws {
        var modules: Set<String> = []
        let line =
            #/^(?:@\w+ )*(?:package |internal |private |fileprivate )?import (?:struct |class |enum |func )?(\w+)/#
            .anchorsMatchLineEndings()
        let files = FileManager.default.enumerator(atPath: folder)
        while let path = files?.nextObject() as? String {
            guard path.hasSuffix(".swift") else { continue }
            let text = try String(contentsOfFile: "\(folder)/\(path)", encoding: .utf8)
            for match in text.matches(of: line) { modules.insert(String(match.output.1)) }
        }
        // The module of an executable whose name has a hyphen.
        self.modules = Set(modules.map { $0.replacing("orchestra_shim", with: "orchestra-shim") })
            .subtracting(Self.toolchain)
    }
}
