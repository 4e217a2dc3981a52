internal import Domain
package import Egress
internal import Glibc
package import NIOCore
package import NIOPosix

/// The resolver of the operating system, on threads of its own because it blocks.
package struct SystemResolver: EgressResolver {
    private let pool: NIOThreadPool
    private let limits: EgressServerLimits

    /// `pool` must have been started.
    package init(pool: NIOThreadPool, limits: EgressServerLimits = EgressServerLimits()) {
        self.pool = pool
        self.limits = limits
    }

    /// Asks the system once; a question that is under way cannot be cut short. One that waited for a thread until its request
    /// was refused is not asked, so that a slow name server costs its own names only.
    package func addresses(of name: HostName, on loop: any EventLoop) -> EventLoopFuture<EgressResolution> {
        let (text, until) = (name.text, NIODeadline.now() + self.limits.resolution)
        return self.pool.runIfActive(eventLoop: loop) { .now() < until ? Self.lookUp(text) : .timedOut }
            .flatMapErrorThrowing { _ in .failed }
    }

    /// All addresses in the system's order. An address that cannot be read spoils the answer, because it cannot be checked.
    static func lookUp(_ name: String) -> EgressResolution {
        var hints = unsafe addrinfo()
        unsafe hints.ai_family = AF_UNSPEC
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let result = unsafe getaddrinfo(name, nil, &hints, &list)
        guard result == 0 else { return result == EAI_AGAIN ? .timedOut : .failed }
        defer { unsafe freeaddrinfo(list) }
        var addresses: [EgressAddress] = []
        var next = unsafe list
        while let entry = unsafe next {
            guard let address = unsafe self.address(entry.pointee) else { return .failed }
            if !addresses.contains(address) { addresses.append(address) }
            unsafe next = entry.pointee.ai_next
        }
        return .addresses(addresses)
    }

    private static func address(_ entry: addrinfo) -> EgressAddress? {
        unsafe self.address(entry.ai_addr, entry.ai_addrlen)
    }

    private static func address(_ address: UnsafePointer<sockaddr>?, _ length: socklen_t) -> EgressAddress? {
        var text = [CChar](repeating: 0, count: 128)
        let result = unsafe getnameinfo(address, length, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
        guard result == 0 else { return nil }
        let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        // The zone of a link-local address is of no use for a check.
        return EgressAddress(String(decoding: bytes.prefix { $0 != UInt8(ascii: "%") }, as: UTF8.self))
    }

    /// The addresses of all interfaces of this machine. Throws `EgressServerError` when they cannot be read.
    static func ownAddresses() throws(EgressServerError) -> Set<EgressAddress> {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard unsafe getifaddrs(&list) == 0 else {
            throw EgressServerError(
                code: .configuration, message: "the addresses of this machine cannot be read: errno \(errno)")
        }
        defer { unsafe freeifaddrs(list) }
        var addresses: Set<EgressAddress> = []
        var next = unsafe list
        while let entry = unsafe next {
            if let address = unsafe entry.pointee.ifa_addr {
                let size: Int
                switch Int32(unsafe address.pointee.sa_family) {
                case AF_INET: size = MemoryLayout<sockaddr_in>.size
                case AF_INET6: size = MemoryLayout<sockaddr_in6>.size
                default: size = 0
                }
                if size > 0, let found = unsafe self.address(address, socklen_t(size)) { addresses.insert(found) }
            }
            unsafe next = entry.pointee.ifa_next
        }
        return addresses
    }
}
