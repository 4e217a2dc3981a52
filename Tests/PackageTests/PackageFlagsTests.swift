import Foundation
import TestSupport
import Testing

@Suite("The package")
struct PackageTests {
    @Test("every flag of the manifest is really on: a misspelt one would be silently off")
    func flagsAreOn() {
        var missing: [String] = []
        #if !hasFeature(ExistentialAny)
            missing.append("ExistentialAny")
        #endif
        #if !hasFeature(MemberImportVisibility)
            missing.append("MemberImportVisibility")
        #endif
        #if !hasFeature(InternalImportsByDefault)
            missing.append("InternalImportsByDefault")
        #endif
        #if !hasFeature(NonisolatedNonsendingByDefault)
            missing.append("NonisolatedNonsendingByDefault")
        #endif
        #if !hasFeature(InferIsolatedConformances)
            missing.append("InferIsolatedConformances")
        #endif
        #if !hasFeature(ImmutableWeakCaptures)
            missing.append("ImmutableWeakCaptures")
        #endif
        #if !hasFeature(StrictMemorySafety)
            missing.append("StrictMemorySafety")
        #endif
        #if swift(<6.3)
            missing.append("language mode 6")
        #endif
        #expect(missing == [])
    }

    @Test("the manifest's targets depend on each other exactly as the architecture page says")
    func graphMatchesArchitecture() async throws {
        let manifest = try String(contentsOfFile: packageRoot + "/Package.swift", encoding: .utf8)
        let page = try String(
            contentsOfFile: packageRoot + "/Sources/Orchestra.docc/Architecture.md", encoding: .utf8)
        #expect(try Self.graph(ofManifest: manifest) == Self.graph(ofPage: page))
    }

    @Test("imports point down only")
    func importsPointDown() async throws {
        let page = try String(
            contentsOfFile: packageRoot + "/Sources/Orchestra.docc/Architecture.md", encoding: .utf8)
        let levels = Self.levels(ofPage: page)
        for (target, dependencies) in Self.graph(ofPage: page) {
            for dependency in dependencies {
                let own = try #require(levels[target], "\(target) has no level")
                let other = try #require(levels[dependency], "\(dependency) has no level")
                // Within level 1 the page lists the edges that are allowed; above it none are.
                #expect(other < own || (own == 1 && other == 1), "\(target) imports \(dependency)")
            }
        }
    }

    @Test("no second TLS or cryptography library is built, whatever the graph names")
    func noSecondCryptography() throws {
        // The API's library names some for products that are not used here; what is built leaves objects behind.
        func isBuilt(_ name: String) -> Bool {
            let files = FileManager.default.enumerator(atPath: "\(buildDirectory)/\(name).build")
            while let path = files?.nextObject() as? String { if path.hasSuffix(".o") { return true } }
            return false
        }
        #expect(isBuilt("NIOCore") && isBuilt("TransportSecurity"))
        for name in ["NIOSSL", "CNIOBoringSSL", "Crypto", "CCryptoBoringSSL", "AsyncHTTPClient", "JWTKit"] {
            #expect(!isBuilt(name), "\(name) brings a second TLS or cryptography library")
        }
    }

    @Test("the top level holds what it must and nothing else")
    func topLevel() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: packageRoot).filter {
            !$0.hasPrefix(".") && $0 != "Package.resolved"
        }
        #expect(
            Set(names) == [
                "Package.swift", "Sources", "Tests", "Policies", "ops", "CHANGELOG.md", "LICENSE", "README.md",
                "SECURITY.md",
            ])
    }

    /// `module("Name", ["A", "B", …])` and the executables of the manifest: own targets only.
    private static func graph(ofManifest text: String) throws -> [String: Set<String>] {
        let own = Set(text.matches(of: #/(?:module\(\s*"|name: ")([A-Za-z0-9-]+)"/#).map { String($0.output.1) })
        var graph: [String: Set<String>] = [:]
        let body = text[
            (try #require(text.firstRange(of: "// L1:")))
                .lowerBound..<(try #require(text.firstRange(of: "// Tests:"))).lowerBound]
        for entry in body.split(separator: #/module\(|\.executableTarget\(/#) {
            let names = entry.matches(of: #/"([A-Za-z0-9-]+)"/#).map { String($0.output.1) }
            guard let name = names.first, own.contains(name) else { continue }
            graph[name] = Set(names.dropFirst().filter { own.contains($0) })
        }
        return graph
    }

    /// Rows `| level | target | imports | … |` of the page's table.
    private static func rows(ofPage text: String) -> [[String]] {
        text.split(separator: "\n").filter { $0.hasPrefix("| L") }.map { line in
            line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
        }
    }

    private static func graph(ofPage text: String) -> [String: Set<String>] {
        var graph: [String: Set<String>] = [:]
        for row in self.rows(ofPage: text) where row.count >= 3 && row[0] != "L0" {
            graph[row[1]] = Set(
                row[2].split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { $0 != "–" })
        }
        return graph
    }

    private static func levels(ofPage text: String) -> [String: Int] {
        var levels: [String: Int] = [:]
        for row in self.rows(ofPage: text) where row.count >= 2 { levels[row[1]] = Int(row[0].dropFirst()) }
        return levels
    }
}
