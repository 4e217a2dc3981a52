/// A whole response.
package struct HTTPAnswer: Sendable {
    package let status: Int
    package let body: [UInt8]
    private let headers: [(name: String, value: String)]

    /// Takes the parts as given.
    package init(status: Int, headers: [(name: String, value: String)], body: [UInt8]) {
        self.status = status
        self.headers = headers.map { ($0.name.lowercased(), $0.value) }
        self.body = body
    }

    /// The value of the header with this name in lower case, nil unless it occurs once.
    package subscript(_ name: String) -> String? {
        let values = self.headers.filter { $0.name == name }
        return values.count == 1 ? values.first?.value : nil
    }

    /// The same answer with another body.
    package func with(body: [UInt8]) -> HTTPAnswer {
        HTTPAnswer(status: self.status, headers: self.headers, body: body)
    }
}
