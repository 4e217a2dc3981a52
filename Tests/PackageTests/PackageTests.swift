import Foundation
import TestSupport
import Testing

@Suite("The package")
struct PackageTests {
    @Test("no second TLS or cryptography library is built, whatever the graph contains")
    func noSecondCryptography() throws {
        // The graph of Hummingbird contains some for products that are not used here; only what is built has objects.
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

    @Test("the top level has the files of the design and no others")
    func topLevel() throws {
        // The last is of programs that tests start through another one, where coverage is measured.
        let made = ["Package.resolved", "default.profraw"]
        let names = try FileManager.default.contentsOfDirectory(atPath: packageRoot).filter {
            !$0.hasPrefix(".") && !made.contains($0)
        }
        #expect(
            Set(names) == [
                "Package.swift", "Sources", "Tests", "Policies", "ops", "CHANGELOG.md", "LICENSE", "README.md",
                "SECURITY.md",
            ])
    }
}
