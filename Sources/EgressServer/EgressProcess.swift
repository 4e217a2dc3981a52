internal import CLinux
internal import Domain
internal import Glibc
package import Logging
internal import NIOCore
internal import NIOPosix

/// An egress server as a process of its own. The first line of standard input is its configuration, each further one the
/// number of an event that is in the audit trail; standard output has `{"ready":true}` and then the events. The process ends
/// with its standard input.
package enum EgressProcess {
    /// The largest configuration in bytes.
    private static let configurationLimit = 16 * 1024 * 1024

    /// Serves until the node closes standard input. `ports` are those of a sandbox's own listeners, `wall` returns
    /// milliseconds since 1970. Throws `EgressError` and `EgressServerError`.
    package static func run(
        ports: Set<UInt16>, wall: @escaping @Sendable () -> UInt64, logger: Logger
    ) async throws {
        // The bytes that it reads are hostile: no program that it starts could gain rights, and no core file has memory.
        guard orc_no_new_privileges() >= 0, orc_harden_process() >= 0 else {
            throw EgressServerError(code: .configuration, message: "the process could not be restricted")
        }
        self.raiseDescriptorLimit()
        let configuration = try EgressServerConfiguration(decoding: try self.readLine())
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let pool = NIOThreadPool(numberOfThreads: 8)
        pool.start()
        // Apart from the resolver, which must not wait for large requests.
        let checks = NIOThreadPool(numberOfThreads: 2)
        checks.start()
        let output = PipeOutput()
        let losses = LogThrottle()
        let link = AuditLink(
            send: { output.send($0) },
            lost: {
                guard let count = losses.note(at: wall()) else { return }
                logger.warning(
                    "events had no answer of the node in time; the requests among them were refused",
                    metadata: ["events.count": "\(count)"])
            })
        let (ends, end) = AsyncStream<Void>.makeStream()
        let channel = try await NIOPipeBootstrap(group: group)
            .channelOption(.writeBufferWaterMark, value: .init(low: 512 * 1024, high: 1024 * 1024))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        NodeLinkHandler(
                            acknowledged: { link.acknowledged($0, $1) },
                            ended: {
                                link.closed()
                                end.finish()
                            }))
                }
            }
            .takingOwnershipOfDescriptors(input: STDIN_FILENO, output: STDOUT_FILENO).get()
        output.open(channel)
        let server = try EgressServer(
            configuration: configuration, own: try SystemResolver.ownAddresses(), ports: ports, group: group,
            pool: checks, resolver: SystemResolver(pool: pool), recorder: link, wall: wall, logger: logger)
        try server.start()
        _ = output.send(Array("{\"ready\":true}\n".utf8))
        for await _ in ends {}
    }

    /// Bytes up to the first newline. The node sends nothing more until the server is ready.
    private static func readLine() throws(EgressServerError) -> [UInt8] {
        var line: [UInt8] = []
        while line.last != UInt8(ascii: "\n") {
            var count = 0
            line += unsafe [UInt8](unsafeUninitializedCapacity: 64 * 1024) { buffer, initialized in
                repeat {
                    count = unsafe read(STDIN_FILENO, buffer.baseAddress, buffer.count)
                } while count < 0 && errno == EINTR
                initialized = max(0, count)
            }
            guard count > 0, line.count <= self.configurationLimit else {
                throw EgressServerError(
                    code: .configuration, message: "standard input has no configuration; expected one line of JSON")
            }
        }
        return Array(line.dropLast())
    }

    /// Two descriptors for each connection of each launch are more than many systems give at first. When it fails, dials fail
    /// sooner and accepting pauses.
    private static func raiseDescriptorLimit() {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        _ = unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}
