package import Domain
package import ModelUsage
package import ShimProtocol

/// The way out of one launch, for a profile that has egress.
package struct EgressAccess: Hashable, Sendable {
    /// Where a node serves the listeners of its sandboxes, and which models each profile reaches.
    package struct Endpoint: Hashable, Sendable {
        /// The path of the egress server's Unix socket.
        package let socket: String
        package let models: [DefinitionName: [ModelService]]

        /// Takes the parts as given.
        package init(socket: String, models: [DefinitionName: [ModelService]]) {
            self.socket = socket
            self.models = models
        }
    }

    let socket: String
    let hello: EgressHello
    /// The services whose base URLs and placeholders the program finds in its environment.
    let models: [ModelService]

    /// The way of the launch that `hello` describes. One whose profile reaches models gets a fresh random secret for its
    /// placeholders, which is worthless with every other listener.
    package init(
        _ hello: EgressHello, at endpoint: Endpoint,
        random: () -> UInt64 = { UInt64.random(in: 0...(.max)) }
    ) {
        self.socket = endpoint.socket
        self.models = endpoint.models[hello.profile] ?? []
        var hello = hello
        if !self.models.isEmpty {
            let bytes = (0..<4).flatMap { _ in random().bigEndianBytes }
            hello.secret = Hexadecimal.text(of: bytes)
        }
        self.hello = hello
    }

    /// What programs read to find the listener. Node.js reads the proxy only with `NODE_USE_ENV_PROXY` (22.21 and later).
    var variables: [String: String] {
        let listener = "http://127.0.0.1:\(SandboxPlan.proxyPort)"
        let direct = "127.0.0.1,localhost,::1"
        var variables = [
            "HTTP_PROXY": listener, "HTTPS_PROXY": listener, "http_proxy": listener, "https_proxy": listener,
            "NO_PROXY": direct, "no_proxy": direct, "NODE_USE_ENV_PROXY": "1",
        ]
        for service in self.models {
            variables.merge(service.variables(at: listener, secret: self.hello.secret ?? "")) { $1 }
        }
        return variables
    }
}

extension UInt64 {
    fileprivate var bigEndianBytes: [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: self >> (56 - 8 * $0)) } }
}
