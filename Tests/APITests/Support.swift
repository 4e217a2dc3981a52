import Domain
import HTTPTypes
import Logging
import NIOCore
import NIOHTTP1

@testable import API

/// A request as the router gets it.
func request(
    _ path: String, method: HTTPRequest.Method = .get, host: String? = "localhost",
    _ fields: [(HTTPField.Name, String)] = []
) -> HTTPRequest {
    var head = HTTPRequest(method: method, scheme: "http", authority: host, path: path)
    for (name, value) in fields { head.headerFields.append(HTTPField(name: name, value: value)) }
    return head
}

/// The code of the problem that the body throws; nil when it throws none.
func code(of body: () throws -> Void) -> Problem.Code? {
    do {
        try body()
        return nil
    } catch let problem as Problem {
        return problem.code
    } catch {
        return .failed
    }
}

func moment(_ milliseconds: Int) -> ContinuousClock.Instant { origin + .milliseconds(milliseconds) }

/// One moment for all tests: only differences count.
private let origin = ContinuousClock.now

/// Throws everything away that is logged.
let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
