package import Domain

/// What the guard, the first program inside a sandbox, is to do and to find; made by the node, read once by the guard.
///
/// Every layer that is listed here is demanded: the guard ends with status 125 when one does not hold.
package struct GuardSpec: Hashable, Sendable {
    /// What the guard does once all layers hold.
    package enum Task: UInt8, Hashable, Sendable {
        /// Becomes the program; with a terminal it stays before it and owns the foreground group.
        case run = 1
        /// Prints `name<TAB>ok|no<TAB>detail` for each layer, and demands nothing.
        case report = 2
    }

    /// Rights below a path, for Landlock.
    package enum Access: UInt8, Hashable, Sendable {
        /// Read files and directories, run programs.
        case read = 1
        /// All but making devices.
        case write = 2
        /// Read and write what is there, such as terminals.
        case device = 3
        /// Read this one file.
        case file = 4
    }

    /// A path and the rights that Landlock grants there.
    package struct Rule: Hashable, Sendable {
        package let path: String
        package let access: Access

        /// Takes the parts as given; does not check that the path exists.
        package init(_ path: String, _ access: Access) {
            self.path = path
            self.access = access
        }
    }

    /// A namespace of the node, which must not be the sandbox's: its name under `/proc/self/ns`, and what that link says.
    package struct Namespace: Hashable, Sendable {
        package let name: String
        package let link: String

        /// Takes the parts as given; checks nothing.
        package init(name: String, link: String) {
            self.name = name
            self.link = link
        }
    }

    /// A directory that takes what is written in memory, and the most bytes of it.
    package struct SizedDirectory: Hashable, Sendable {
        package let path: String
        package let size: UInt64

        /// Takes a path and a size in bytes as given; checks nothing.
        package init(path: String, size: UInt64) {
            self.path = path
            self.size = size
        }
    }

    /// A user of the sandbox's own on the host.
    package struct OwnUser: Hashable, Sendable {
        package let inside: UInt32
        package let outside: UInt32

        /// Takes the user's ID inside the sandbox and its ID on the host; checks neither.
        package init(inside: UInt32, outside: UInt32) {
            self.inside = inside
            self.outside = outside
        }
    }

    package var task: Task
    package var isTerminal: Bool
    /// Descriptors from 0 to this one are the program's; the rest is closed.
    package var lastDescriptor: UInt8
    package var directory: String
    package var environment: [String: String]
    package var argv: [String]

    /// True where the sandbox has namespaces and a root of its own.
    package var isNamespaced: Bool
    package var namespaces: [Namespace]
    /// All paths at which something is mounted; anything more is a hole. Below `/dev` and `/proc` nothing is looked at.
    package var mounts: [String]
    package var sizes: [SizedDirectory]
    package var ownUser: OwnUser?
    /// What the guard gives to the own user before it becomes that one.
    package var handedOver: [String]
    /// The descriptors are pipes or a terminal of this launch alone: the guard gives them to the own user, so that the
    /// program may open them again by their names.
    package var ownsDescriptors: Bool
    /// Unix stream sockets are let through; the guard checks that they are not, otherwise.
    package var allowsUnixSockets: Bool
    /// The workspace's path inside. The own user is let into its tree by access lists.
    package var sharedTree: String
    /// Directories that the guard makes where they are missing.
    package var madeDirectories: [String]

    package var isLandlocked: Bool
    package var rules: [Rule]
    /// A filter that the guard has to load; empty when the launcher has.
    package var filter: [UInt8]
    /// Processes and threads inside. At tier 1 the guard adds what the user runs already, which the kernel counts too.
    package var processLimit: UInt64
    package var openFileLimit: UInt64
    package var fileSizeLimit: UInt64
    /// Bytes of memory that one process may have for itself (RLIMIT_DATA: private and writable), or `unlimited` where a
    /// control group limits the memory of the whole tree.
    package var memoryLimit: UInt64
    /// Ports of the sandbox's loopback interface at which the guard listens for the node. It passes each listening socket
    /// on and keeps none.
    package var listeners: [UInt16]

    /// No limit of a process's own.
    package static let unlimited = UInt64.max

    /// Takes the parts as given; checks nothing. File size and memory limits are in bytes.
    package init(
        task: Task, isTerminal: Bool, lastDescriptor: UInt8, directory: String, environment: [String: String],
        argv: [String], isNamespaced: Bool, namespaces: [Namespace], mounts: [String], sizes: [SizedDirectory],
        ownUser: OwnUser?, handedOver: [String], ownsDescriptors: Bool = false, allowsUnixSockets: Bool = false,
        sharedTree: String,
        madeDirectories: [String], isLandlocked: Bool, rules: [Rule],
        filter: [UInt8], processLimit: UInt64, openFileLimit: UInt64, fileSizeLimit: UInt64,
        memoryLimit: UInt64, listeners: [UInt16] = []
    ) {
        self.task = task
        self.isTerminal = isTerminal
        self.lastDescriptor = lastDescriptor
        self.directory = directory
        self.environment = environment
        self.argv = argv
        self.isNamespaced = isNamespaced
        self.namespaces = namespaces
        self.mounts = mounts
        self.sizes = sizes
        self.ownUser = ownUser
        self.handedOver = handedOver
        self.ownsDescriptors = ownsDescriptors
        self.allowsUnixSockets = allowsUnixSockets
        self.sharedTree = sharedTree
        self.madeDirectories = madeDirectories
        self.isLandlocked = isLandlocked
        self.rules = rules
        self.filter = filter
        self.processLimit = processLimit
        self.openFileLimit = openFileLimit
        self.fileSizeLimit = fileSizeLimit
        self.memoryLimit = memoryLimit
        self.listeners = listeners
    }

    private static let version: UInt8 = 3

    package var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.write(Self.version)
        writer.write(self.task.rawValue)
        writer.write(UInt8(self.isTerminal ? 1 : 0))
        writer.write(self.lastDescriptor)
        writer.write(text: self.directory)
        writer.write(self.environment.sorted { $0.key < $1.key }) { writer, variable in
            writer.write(text: variable.key)
            writer.write(text: variable.value)
        }
        writer.write(self.argv) { $0.write(text: $1) }
        writer.write(UInt8(self.isNamespaced ? 1 : 0))
        writer.write(self.namespaces) { writer, namespace in
            writer.write(text: namespace.name)
            writer.write(text: namespace.link)
        }
        writer.write(self.mounts) { $0.write(text: $1) }
        writer.write(self.sizes) { writer, directory in
            writer.write(text: directory.path)
            writer.write(directory.size)
        }
        writer.write(self.ownUser.map { [$0] } ?? []) { writer, user in
            writer.write(user.inside)
            writer.write(user.outside)
        }
        writer.write(self.handedOver) { $0.write(text: $1) }
        writer.write(UInt8(self.ownsDescriptors ? 1 : 0))
        writer.write(UInt8(self.allowsUnixSockets ? 1 : 0))
        writer.write(text: self.sharedTree)
        writer.write(self.madeDirectories) { $0.write(text: $1) }
        writer.write(UInt8(self.isLandlocked ? 1 : 0))
        writer.write(self.rules) { writer, rule in
            writer.write(text: rule.path)
            writer.write(rule.access.rawValue)
        }
        writer.write(block: self.filter)
        writer.write(self.processLimit)
        writer.write(self.openFileLimit)
        writer.write(self.fileSizeLimit)
        writer.write(self.memoryLimit)
        writer.write(self.listeners) { $0.write($1) }
        return writer.bytes
    }

    /// Reads what `encoded` wrote; throws `DomainError` for anything else.
    package init(decoding bytes: [UInt8]) throws(DomainError) {
        var reader = ByteReader(bytes[...])
        guard try reader.number(UInt8.self) == Self.version else {
            throw DomainError.invalidValue("the guard's file has an unknown version")
        }
        guard let task = Task(rawValue: try reader.number()) else {
            throw DomainError.invalidValue("the guard's file names an unknown task")
        }
        self.init(
            task: task, isTerminal: try reader.number(UInt8.self) == 1, lastDescriptor: try reader.number(),
            directory: try reader.text(),
            environment: Dictionary(
                try reader.list { reader throws(DomainError) in (try reader.text(), try reader.text()) }
            ) { $1 },
            argv: try reader.list { reader throws(DomainError) in try reader.text() },
            isNamespaced: try reader.number(UInt8.self) == 1,
            namespaces: try reader.list { reader throws(DomainError) in
                Namespace(name: try reader.text(), link: try reader.text())
            },
            mounts: try reader.list { reader throws(DomainError) in try reader.text() },
            sizes: try reader.list { reader throws(DomainError) in
                SizedDirectory(path: try reader.text(), size: try reader.number())
            },
            ownUser: try reader.list { reader throws(DomainError) in
                OwnUser(inside: try reader.number(), outside: try reader.number())
            }.first,
            handedOver: try reader.list { reader throws(DomainError) in try reader.text() },
            ownsDescriptors: try reader.number(UInt8.self) == 1,
            allowsUnixSockets: try reader.number(UInt8.self) == 1,
            sharedTree: try reader.text(),
            madeDirectories: try reader.list { reader throws(DomainError) in try reader.text() },
            isLandlocked: try reader.number(UInt8.self) == 1,
            rules: try reader.list { reader throws(DomainError) in
                let path = try reader.text()
                guard let access = Access(rawValue: try reader.number()) else {
                    throw DomainError.invalidValue("the guard's file names an unknown right")
                }
                return Rule(path, access)
            },
            filter: try reader.block(), processLimit: try reader.number(), openFileLimit: try reader.number(),
            fileSizeLimit: try reader.number(), memoryLimit: try reader.number(),
            listeners: try reader.list { reader throws(DomainError) in try reader.number() })
        guard reader.isAtEnd else { throw DomainError.invalidValue("the guard's file is longer than expected") }
    }
}

extension ByteWriter {
    fileprivate mutating func write<Element>(_ list: [Element], _ body: (inout ByteWriter, Element) -> Void) {
        self.write(UInt32(list.count))
        for element in list { body(&self, element) }
    }
}

extension ByteReader {
    fileprivate mutating func list<Element>(
        _ body: (inout ByteReader) throws(DomainError) -> Element
    ) throws(DomainError) -> [Element] {
        let count = try self.number(UInt32.self)
        guard count <= 4096 else { throw DomainError.invalidValue("the guard's file lists \(count) values") }
        var list: [Element] = []
        for _ in 0..<count { list.append(try body(&self)) }
        return list
    }
}
