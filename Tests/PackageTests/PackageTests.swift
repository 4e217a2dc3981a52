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

    @Test("a file of Sources has one type at its top level, next to extensions and private types")
    func oneTypePerFile() throws {
        let declaration =
            #/(?:@\S+ |(?!(?:file)?private|import)\w+ )*(?:struct|class|enum|actor|protocol|typealias) (\w+)/#
        let files = try Self.sources()
        #expect(files.contains { $0.path == "Domain/Errors/CodedError.swift" })
        for file in files {
            let names = file.text.split(separator: "\n").compactMap { line in
                line.prefixMatch(of: declaration).map { String($0.output.1) }
            }
            // The codes of an error stay with its alias, which is one line and says nothing without them.
            let own = names.filter { !$0.hasSuffix("ErrorCode") || !names.contains(String($0.dropLast(4))) }
            #expect(own.count <= 1, "\(file.path) has \(own): a file of its own for each, so that its name finds it")
        }
    }

    @Test("the page of error codes has each code of each error, in the error's own section")
    func errorCodes() throws {
        let page = try String(
            contentsOfFile: "\(packageRoot)/Sources/Orchestra.docc/ErrorCodes.md", encoding: .utf8)
        let sections = page.components(separatedBy: "\n## ")
        var lists = 0
        for file in try Self.sources() {
            for list in ErrorCodeList.all(in: file.text, isProblem: file.path == "API/Problem.swift") {
                lists += 1
                #expect(!list.codes.isEmpty, "no case of \(list.name) was found in \(file.path)")
                let section = sections.first { $0.prefix { $0 != "\n" }.hasSuffix(list.heading) } ?? ""
                for code in list.codes {
                    // A code with a value is written as a call.
                    let isNamed = section.contains("`\(code)`") || section.contains("`\(code)(")
                    #expect(isNamed, "ErrorCodes.md has no row `\(code)` under '\(list.heading)'")
                }
            }
        }
        #expect(lists > 10)
    }

    /// The files of Swift below Sources, by their path in it.
    private static func sources() throws -> [(path: String, text: String)] {
        var sources: [(path: String, text: String)] = []
        let files = FileManager.default.enumerator(atPath: "\(packageRoot)/Sources")
        while let path = files?.nextObject() as? String {
            guard path.hasSuffix(".swift") else { continue }
            sources.append((path, try String(contentsOfFile: "\(packageRoot)/Sources/\(path)", encoding: .utf8)))
        }
        return sources
    }
}
