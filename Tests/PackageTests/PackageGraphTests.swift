import Foundation
import TestSupport
import Testing

@Suite("The dependency graph")
struct PackageGraphTests {
    private let manifest: PackageManifest
    private let page: ArchitectureTable

    init() throws {
        self.manifest = PackageManifest(try String(contentsOfFile: packageRoot + "/Package.swift", encoding: .utf8))
        self.page = ArchitectureTable(
            try String(contentsOfFile: packageRoot + "/Sources/Orchestra.docc/Architecture.md", encoding: .utf8))
    }

    /// Dependencies on targets of this package only.
    private func own(_ target: PackageManifest.Target) -> Set<String> {
        target.dependencies.intersection(self.manifest.targets.map(\.name))
    }

    @Test("the manifest is read whole: it has modules of all kinds")
    func manifestIsRead() {
        let names = self.manifest.targets.map(\.name)
        #expect(Set(names).count == names.count)
        for name in ["COpenSSL", "Domain", "Agents", "orchestra", "orchestra-shim", "TestSupport", "PackageTests"] {
            #expect(names.contains(name), "\(name) was not found in Package.swift")
        }
    }

    @Test("the manifest's targets depend on each other exactly as the architecture page says")
    func manifestMatchesPage() {
        var graph: [String: Set<String>] = [:]
        for target in self.manifest.targets where target.path.hasPrefix("Sources/") && !target.isSystemLibrary {
            graph[target.name] = self.own(target)
        }
        #expect(graph == self.page.imports)
    }

    @Test("each target declares exactly the modules that its sources import")
    func manifestMatchesImports() throws {
        for target in self.manifest.targets where !target.isSystemLibrary {
            let imports = try SourceImports(folder: "\(packageRoot)/\(target.path)").modules
            let undeclared = imports.subtracting(target.dependencies)
            #expect(undeclared == [], "\(target.name) imports what the manifest does not declare")
            // A test may need an executable to be built that it starts and does not import.
            let isTest = target.path.hasPrefix("Tests/")
            let unused = target.dependencies.subtracting(imports).subtracting(isTest ? self.manifest.executables : [])
            #expect(unused == [], "\(target.name) declares what its sources do not import")
        }
    }

    @Test("imports point down only, and within level 1 where the page lists them")
    func importsPointDown() throws {
        for (target, dependencies) in self.page.imports {
            let own = try #require(self.page.levels[target], "\(target) has no level")
            for dependency in dependencies {
                let other = try #require(self.page.levels[dependency], "\(dependency) has no level")
                #expect(other < own || (own == 1 && other == 1), "\(target) imports \(dependency)")
            }
        }
    }
}
