import Domain
import HTTPTypes
import Hummingbird
import NIOHTTP1
import Testing

@testable import API

@Suite("Problem")
struct ProblemTests {
    @Test("every code has a status of its kind", arguments: Problem.Code.allCases)
    func statuses(code: Problem.Code) { #expect((400...599).contains(Problem(code, "x").status.code)) }

    @Test("the document names the code, the status, the reason and the request (RFC 9457)")
    func document() {
        let body = Problem(.notFound, "there is no such job").body(requestID: "r1")
        #expect(body["type"] == "urn:orchestra:problem:not-found")
        #expect(body["status"] == 404 && body["title"] == "Not Found")
        #expect(body["detail"] == "there is no such job" && body["request_id"] == "r1")
    }

    @Test("a credential in the reason is masked")
    func masked() { #expect(!Problem(.invalid, "'relay_sk_abc_def' is not an id").detail.contains("abc")) }

    @Test("the rule is the code unless another decided")
    func rules() {
        #expect(Problem(.rateLimited, "x").rule == "rate-limited")
        #expect(Problem(.rateLimited, "x", rule: "streams").rule == "streams")
    }

    @Test("the answer has the problem's type and headers, and ends the connection where it must")
    func response() {
        var problem = Problem(.rateLimited, "x", headers: [(.retryAfter, "7")])
        #expect(problem.response(requestID: "r").headers[.connection] == nil)
        problem.closes = true
        let headers = problem.response(requestID: "r").headers
        #expect(headers[.contentType] == "application/problem+json")
        #expect(headers[.retryAfter] == "7" && headers[.connection] == "close")
    }

    @Test("a parser error becomes the problem that it means, and ends the connection")
    func unreadable() {
        #expect(RequestPipeline.unreadable(HTTPParserError.invalidMethod).status == .notImplemented)
        #expect(RequestPipeline.unreadable(HTTPParserError.headerOverflow).code == .headersTooLarge)
        #expect(RequestPipeline.unreadable(HTTPParserError.invalidVersion).code == .malformed)
        #expect(RequestPipeline.unreadable(HTTPParserError.unknown).code == .malformed)
        #expect(RequestPipeline.unreadable(HTTPParserError.unknown).closes)
    }
}
