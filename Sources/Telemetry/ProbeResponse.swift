internal import NIOHTTP1

/// The response to a request of the probe port.
struct ProbeResponse: Sendable {
    let status: HTTPResponseStatus
    var type = "text/plain; charset=utf-8"
    let body: String
}
