import Foundation
import NIOCore
import NIOPosix
import TestSupport
import TransportSecurity

/// A model provider over TLS: answers each request with a small document, or a stream whose events carry their time.
struct Model: Sendable {
    let port: Int

    static func start(_ directory: String, _ group: MultiThreadedEventLoopGroup) async throws -> Model {
        let context = try TLSServerContext(
            configuration: TLSServerConfiguration(
                certificateFile: directory + "/cert.pem", privateKeyFile: directory + "/key.pem"))
        let channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(TLSServerHandler(context: context))
                    try channel.pipeline.syncOperations.addHandler(ModelHandler())
                }
            }.bind(host: "127.0.0.1", port: 0).get()
        return Model(port: channel.localAddress?.port ?? 0)
    }
}

/// Monotonic nanoseconds, which all of this process share.
func now() -> UInt64 { DispatchTime.now().uptimeNanoseconds }

final class ModelHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var text = ""
    private var hasAnswered = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = self.unwrapInboundIn(data)
        self.text += String(decoding: buffer.readableBytesView, as: UTF8.self)
        guard !self.hasAnswered, self.text.hasSuffix("}") else { return }
        guard self.text.contains(#""stream":true"#) else {
            self.text = ""
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: \(Bench.document.utf8.count)\r\n\r\n\(Bench.document)"
            context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(string: answer)), promise: nil)
            return
        }
        self.hasAnswered = true
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
        context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(string: head)), promise: nil)
        let pause = TimeAmount.milliseconds(self.text.contains("slow") ? 100 : 5)
        self.send(Bench.streamEvents, pause, context.channel)
    }

    private func send(_ left: Int, _ pause: TimeAmount, _ channel: any Channel) {
        guard left > 0 else { return channel.close(promise: nil) }
        let event = "event: ping\ndata: {\"type\":\"ping\",\"at\":\(now())}\n\n"
        channel.writeAndFlush(ByteBuffer(string: event), promise: nil)
        channel.eventLoop.assumeIsolated().scheduleTask(in: pause) { self.send(left - 1, pause, channel) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// One call of a model, with or without TLS.
enum Client {
    struct Answer: Sendable {
        let seconds: Double
        /// From the time in each event to its arrival, in seconds.
        let delays: [Double]
    }

    static func request(isStreamed: Bool, isSlow: Bool = false) -> String {
        self.text(
            "/model/anthropic/v1/messages", "127.0.0.1", "x-api-key: sk-ant-api03-0\r\n", isStreamed: isStreamed,
            isSlow: isSlow)
    }

    static func direct(isStreamed: Bool) -> String {
        self.text("/v1/messages", "model.bench.test", "x-api-key: k\r\n", isStreamed: isStreamed, isSlow: false)
    }

    private static func text(
        _ path: String, _ host: String, _ headers: String, isStreamed: Bool, isSlow: Bool
    ) -> String {
        let body =
            #"{"model":"m","max_tokens":9,"stream":\#(isStreamed),"messages":[{"role":"user","content":"\#(isSlow ? "slow" : "x")"}]}"#
        return "POST \(path) HTTP/1.1\r\nhost: \(host)\r\n\(headers)content-length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    static func call(
        port: Int, tls: String?, request: String, _ group: MultiThreadedEventLoopGroup
    ) async throws -> Answer {
        let start = now()
        let promise = group.any().makePromise(of: [Double].self)
        let channel = try await ClientBootstrap(group: group)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        try channel.pipeline.syncOperations.addHandler(
                            TLSClientHandler(
                                configuration: TLSConfiguration(serverName: "model.bench.test", authorityFile: tls)))
                    }
                    try channel.pipeline.syncOperations.addHandler(AnswerHandler(promise))
                }
            }.connect(host: "127.0.0.1", port: port).get()
        channel.writeAndFlush(ByteBuffer(string: request), promise: nil)
        let delays = try await promise.futureResult.get()
        let seconds = Double(now() - start) / 1e9
        channel.close(promise: nil)
        return Answer(seconds: seconds, delays: delays)
    }
}

/// A client that keeps its connection with TLS, as providers' own clients do.
final class KeptClient: Sendable {
    private let channel: any Channel
    private let handler: NIOLoopBound<AnswerHandler>

    init(port: Int, tls: String, _ group: MultiThreadedEventLoopGroup) async throws {
        let loop = group.any()
        let (channel, handler) = try await ClientBootstrap(group: loop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handler = AnswerHandler(channel.eventLoop.makePromise(of: [Double].self))
                    try channel.pipeline.syncOperations.addHandler(
                        TLSClientHandler(
                            configuration: TLSConfiguration(serverName: "model.bench.test", authorityFile: tls)))
                    try channel.pipeline.syncOperations.addHandler(handler)
                    return (channel, NIOLoopBound(handler, eventLoop: channel.eventLoop))
                }
            }
        self.channel = channel
        self.handler = handler
    }

    func call(_ request: String) async throws -> Double {
        let start = now()
        let handler = self.handler
        let answer = self.channel.eventLoop.flatSubmit {
            handler.value.promise = handler.eventLoop.makePromise(of: [Double].self)
            return handler.value.promise.futureResult
        }
        self.channel.writeAndFlush(ByteBuffer(string: request), promise: nil)
        _ = try await answer.get()
        return Double(now() - start) / 1e9
    }
}

final class AnswerHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    var promise: EventLoopPromise<[Double]>
    private var text = ""
    private var delays: [Double] = []

    init(_ promise: EventLoopPromise<[Double]>) { self.promise = promise }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let arrival = now()
        self.text += String(decoding: self.unwrapInboundIn(data).readableBytesView, as: UTF8.self)
        while let end = self.text.range(of: "\n\n") {
            let event = self.text[..<end.lowerBound]
            if let at = event.range(of: #""at":"#).flatMap({ UInt64(event[$0.upperBound...].prefix { $0.isNumber }) }) {
                self.delays.append(Double(arrival - at) / 1e9)
            }
            self.text = String(self.text[end.upperBound...])
        }
        guard self.text.hasSuffix(Bench.document) else { return }
        self.text = ""
        self.promise.succeed([])
    }

    func channelInactive(context: ChannelHandlerContext) {
        guard self.delays.isEmpty else { return self.promise.succeed(self.delays) }
        self.promise.fail(TestFailure("no answer: \(self.text.prefix(300))"))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// A server that sends bytes as fast as they are taken, in threads of its own.
struct Source: Sendable {
    let port: Int

    static func start(_ group: MultiThreadedEventLoopGroup) async throws -> Source {
        let channel = try await ServerBootstrap(group: group)
            .childChannelOption(.writeBufferWaterMark, value: .init(low: 1 << 20, high: 4 << 20))
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(SourceHandler())
                }
            }.bind(host: "127.0.0.1", port: 0).get()
        return Source(port: channel.localAddress?.port ?? 0)
    }

    /// Reads so many bytes, behind a CONNECT where there is a target. Blocks.
    static func read(_ bytes: Int, port: Int, target: String?) throws {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(socket) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        address.sin_port = UInt16(port).bigEndian
        let connected = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        guard connected else { throw TestFailure("no connection to port \(port)") }
        var go = Array("go".utf8)
        if let target { go = Array("CONNECT \(target) HTTP/1.1\r\nHost: \(target)\r\n\r\n".utf8) + go }
        guard unsafe write(socket, go, go.count) == go.count else { throw TestFailure("no write") }
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        var left = bytes
        while left > 0 {
            let count = unsafe Glibc.read(socket, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw TestFailure("the tunnel ended with \(left) bytes left") }
            left -= count
        }
    }
}

final class SourceHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let block = ByteBuffer(repeating: 7, count: 256 * 1024)
    private var isStarted = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.isStarted = true
        self.fill(context.channel)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) { if self.isStarted { self.fill(context.channel) } }

    private func fill(_ channel: any Channel) {
        while channel.isWritable, channel.isActive { channel.write(self.block, promise: nil) }
        channel.flush()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
