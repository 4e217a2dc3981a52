extension LaunchSpec {
    /// Where the shim hands the listener of the sandbox over.
    package struct Egress: Hashable, Sendable {
        /// The path of the egress server's Unix socket.
        package let socket: String
        /// What is sent with the listener: see `EgressHello`.
        package let hello: [UInt8]

        /// Takes the parts as given; connects to nothing.
        package init(socket: String, hello: [UInt8]) {
            self.socket = socket
            self.hello = hello
        }
    }
}
