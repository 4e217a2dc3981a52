package import Domain

/// What the shim is to run and how; written by the node, read once by the shim.
package struct LaunchSpec: Hashable, Sendable {
    /// How the program is connected.
    package enum Mode: UInt8, Hashable, Sendable {
        /// In a terminal of its own; the shim records it and serves a socket.
        case terminal = 1
        /// By pipes: params in, standard output, standard error and result out; the shim prints one record.
        case command = 2
        /// With the shim's own descriptors 0 to 2; the shim ends as the program does.
        case direct = 3
    }

    /// An argument of the sandbox's launcher.
    package enum Argument: Hashable, Sendable {
        case text(String)
        /// The number of a descriptor that reads these bytes.
        case data([UInt8])
        /// The number of the descriptor on which the launcher reports its child.
        case statusDescriptor
        /// The number of a descriptor that reads the secret of this name.
        case secret(String)
        /// The number of the descriptor on which the launcher waits until its users are mapped.
        case mappingDescriptor
        /// The number of the descriptor on which the guard reports; see `GuardReport`.
        case reportDescriptor
    }

    /// What only the program is to know. Never in a file of the node's.
    package struct Secret: Hashable, Sendable {
        package let name: String
        package let bytes: [UInt8]

        /// Takes the parts as given; checks nothing.
        package init(name: String, bytes: [UInt8]) {
            self.name = name
            self.bytes = bytes
        }

        /// What goes through the pipe between node and shim.
        package static func encoded(_ secrets: [Secret]) -> [UInt8] {
            var writer = ByteWriter()
            writer.write(UInt32(secrets.count))
            for secret in secrets {
                writer.write(text: secret.name)
                writer.write(block: secret.bytes)
            }
            return writer.bytes
        }

        /// Reads what `encoded` wrote; throws `DomainError` for anything else and for more than 4096 secrets.
        package static func list(decoding bytes: [UInt8]) throws(DomainError) -> [Secret] {
            var reader = ByteReader(bytes[...])
            let secrets = try self.list(&reader)
            guard reader.isAtEnd else { throw DomainError.invalidValue("the secrets are longer than expected") }
            return secrets
        }

        fileprivate static func list(_ reader: inout ByteReader) throws(DomainError) -> [Secret] {
            var secrets: [Secret] = []
            for _ in 0..<(try LaunchSpec.count(&reader)) {
                secrets.append(Secret(name: try reader.text(), bytes: try reader.block()))
            }
            return secrets
        }
    }

    /// A range of users that the host gives to the sandbox.
    package struct Mapping: Hashable, Sendable {
        package let inside: UInt32
        package let outside: UInt32
        package let count: UInt32

        /// Takes the first ID inside the sandbox, the first ID on the host, and the number of IDs; checks nothing.
        package init(inside: UInt32, outside: UInt32, count: UInt32) {
            self.inside = inside
            self.outside = outside
            self.count = count
        }
    }

    /// Programs and ranges that give the sandbox users of its own.
    package struct UserMap: Hashable, Sendable {
        /// The absolute paths of `newuidmap` and `newgidmap`.
        package let userMapper: String
        package let groupMapper: String
        package let users: [Mapping]
        package let groups: [Mapping]

        /// Takes the parts as given; does not check that the programs exist.
        package init(userMapper: String, groupMapper: String, users: [Mapping], groups: [Mapping]) {
            self.userMapper = userMapper
            self.groupMapper = groupMapper
            self.users = users
            self.groups = groups
        }
    }

    /// A control group that the shim makes for the launch in one hierarchy, and removes when all is over.
    package struct ControlGroup: Hashable, Sendable {
        /// A value that the shim writes to a file of the group.
        package struct Limit: Hashable, Sendable {
            /// A file of the group, and what is written to it.
            package let file: String
            package let value: String
            /// True for a file that not every kernel has.
            package let isOptional: Bool

            /// Takes the parts as given; writes nothing.
            package init(file: String, value: String, isOptional: Bool) {
                self.file = file
                self.value = value
                self.isOptional = isOptional
            }
        }

        /// The directory below which it is made.
        package let parent: String
        /// Version 2, where a group can be killed and frozen at once.
        package let isUnified: Bool
        package let limits: [Limit]

        /// Takes the parts as given; makes no group.
        package init(parent: String, isUnified: Bool, limits: [Limit]) {
            self.parent = parent
            self.isUnified = isUnified
            self.limits = limits
        }
    }

    package var mode: Mode
    /// The absolute path of the launcher; its name becomes argument 0.
    package var executable: String
    /// Handed to the launcher by descriptor, so that they show in no process list. Empty when the executable is no
    /// launcher but the command itself.
    package var arguments: [Argument]
    /// What runs inside.
    package var command: [Argument]
    package var userMap: UserMap?
    /// One for each hierarchy that was given to the node.
    package var controlGroups: [ControlGroup] = []
    /// Filled where the spec itself is handed over by a pipe; else the shim reads them from the pipe
    /// `ShimFiles.secrets`.
    package var secrets: [Secret] = []
    /// Nil for a launch without a listener.
    package var egress: Egress?
    package var columns: UInt16
    package var rows: UInt16
    /// Seconds without an owner after which the shim ends its program.
    package var orphanGrace: UInt32
    /// Milliseconds that a program has to end in when it is asked to.
    package var stopGrace: UInt32
    /// Bytes of terminal output after which the program is ended.
    package var logQuota: UInt64
    /// Beyond the quota the oldest output goes, and the program goes on.
    package var keepsNewestLog = false
    /// Bytes kept of each output of a command.
    package var outputLimit: UInt32
    /// What an owner must show on the socket.
    package var token: [UInt8]
    /// In command mode: what the program reads on its standard input.
    package var input: [UInt8]
    /// In command mode: the node's process; its end ends the program.
    package var ownerPID: Int32

    /// Takes the parts as given; leaves control groups, secrets and egress empty, and `keepsNewestLog` false.
    package init(
        mode: Mode, executable: String, arguments: [Argument], command: [Argument], userMap: UserMap? = nil,
        columns: UInt16 = 220, rows: UInt16 = 50,
        orphanGrace: UInt32 = 30, stopGrace: UInt32 = 2000, logQuota: UInt64 = 256 * 1024 * 1024,
        outputLimit: UInt32 = 64 * 1024,
        token: [UInt8] = [], input: [UInt8] = [], ownerPID: Int32 = 0
    ) {
        self.mode = mode
        self.executable = executable
        self.arguments = arguments
        self.command = command
        self.userMap = userMap
        self.columns = columns
        self.rows = rows
        self.orphanGrace = orphanGrace
        self.stopGrace = stopGrace
        self.logQuota = logQuota
        self.outputLimit = outputLimit
        self.token = token
        self.input = input
        self.ownerPID = ownerPID
    }

    private static let version: UInt8 = 5

    package var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.write(Self.version)
        writer.write(self.mode.rawValue)
        writer.write(text: self.executable)
        Self.write(self.arguments, to: &writer)
        Self.write(self.command, to: &writer)
        writer.write(UInt8(self.userMap == nil ? 0 : 1))
        if let map = self.userMap {
            writer.write(text: map.userMapper)
            writer.write(text: map.groupMapper)
            for ranges in [map.users, map.groups] {
                writer.write(UInt32(ranges.count))
                for range in ranges {
                    writer.write(range.inside)
                    writer.write(range.outside)
                    writer.write(range.count)
                }
            }
        }
        writer.write(UInt8(self.keepsNewestLog ? 1 : 0))
        writer.write(UInt32(self.controlGroups.count))
        for group in self.controlGroups {
            writer.write(text: group.parent)
            writer.write(UInt8(group.isUnified ? 1 : 0))
            writer.write(UInt32(group.limits.count))
            for limit in group.limits {
                writer.write(text: limit.file)
                writer.write(text: limit.value)
                writer.write(UInt8(limit.isOptional ? 1 : 0))
            }
        }
        for byte in Secret.encoded(self.secrets) { writer.write(byte) }
        writer.write(self.columns)
        writer.write(self.rows)
        writer.write(self.orphanGrace)
        writer.write(self.stopGrace)
        writer.write(self.logQuota)
        writer.write(self.outputLimit)
        writer.write(block: self.token)
        writer.write(block: self.input)
        writer.write(UInt32(bitPattern: self.ownerPID))
        writer.write(UInt8(self.egress == nil ? 0 : 1))
        if let egress = self.egress {
            writer.write(text: egress.socket)
            writer.write(block: egress.hello)
        }
        return writer.bytes
    }

    /// True when the shim has to get the secrets by the pipe.
    package var lacksSecrets: Bool {
        self.secrets.isEmpty && self.arguments.contains { if case .secret = $0 { true } else { false } }
    }

    /// Reads what `encoded` wrote; throws `DomainError` for anything else.
    package init(decoding bytes: [UInt8]) throws(DomainError) {
        var reader = ByteReader(bytes[...])
        let version = try reader.number(UInt8.self)
        guard version == Self.version else {
            throw DomainError.invalidValue("the launch file has version \(version), expected \(Self.version)")
        }
        guard let mode = Mode(rawValue: try reader.number()) else {
            throw DomainError.invalidValue("the launch file names an unknown mode")
        }
        let executable = try reader.text()
        let arguments = try Self.arguments(&reader)
        let command = try Self.arguments(&reader)
        var userMap: UserMap?
        if try reader.number(UInt8.self) == 1 {
            let (userMapper, groupMapper) = (try reader.text(), try reader.text())
            userMap = UserMap(
                userMapper: userMapper, groupMapper: groupMapper, users: try Self.mappings(&reader),
                groups: try Self.mappings(&reader))
        }
        let keepsNewestLog = try reader.number(UInt8.self) == 1
        let controlGroups = try Self.controlGroups(&reader)
        let secrets = try Secret.list(&reader)
        self.init(
            mode: mode, executable: executable, arguments: arguments, command: command, userMap: userMap,
            columns: try reader.number(),
            rows: try reader.number(), orphanGrace: try reader.number(), stopGrace: try reader.number(),
            logQuota: try reader.number(),
            outputLimit: try reader.number(), token: try reader.block(), input: try reader.block(),
            ownerPID: Int32(bitPattern: try reader.number()))
        self.keepsNewestLog = keepsNewestLog
        self.controlGroups = controlGroups
        self.secrets = secrets
        if try reader.number(UInt8.self) == 1 {
            self.egress = Egress(socket: try reader.text(), hello: try reader.block())
        }
        guard reader.isAtEnd else { throw DomainError.invalidValue("the launch file is longer than expected") }
    }

    private static func write(_ arguments: [Argument], to writer: inout ByteWriter) {
        writer.write(UInt32(arguments.count))
        for argument in arguments {
            switch argument {
            case .text(let text):
                writer.write(UInt8(1))
                writer.write(text: text)
            case .data(let bytes):
                writer.write(UInt8(2))
                writer.write(block: bytes)
            case .statusDescriptor: writer.write(UInt8(3))
            case .mappingDescriptor: writer.write(UInt8(4))
            case .secret(let name):
                writer.write(UInt8(5))
                writer.write(text: name)
            case .reportDescriptor: writer.write(UInt8(6))
            }
        }
    }

    private static func arguments(_ reader: inout ByteReader) throws(DomainError) -> [Argument] {
        var arguments: [Argument] = []
        for _ in 0..<(try Self.count(&reader)) {
            switch try reader.number(UInt8.self) {
            case 1: arguments.append(.text(try reader.text()))
            case 2: arguments.append(.data(try reader.block()))
            case 3: arguments.append(.statusDescriptor)
            case 4: arguments.append(.mappingDescriptor)
            case 5: arguments.append(.secret(try reader.text()))
            case 6: arguments.append(.reportDescriptor)
            default: throw DomainError.invalidValue("the launch file holds an unknown argument")
            }
        }
        return arguments
    }

    private static func mappings(_ reader: inout ByteReader) throws(DomainError) -> [Mapping] {
        var mappings: [Mapping] = []
        for _ in 0..<(try Self.count(&reader)) {
            mappings.append(
                Mapping(inside: try reader.number(), outside: try reader.number(), count: try reader.number()))
        }
        return mappings
    }

    private static func controlGroups(_ reader: inout ByteReader) throws(DomainError) -> [ControlGroup] {
        var groups: [ControlGroup] = []
        for _ in 0..<(try Self.count(&reader)) {
            let (parent, isUnified) = (try reader.text(), try reader.number(UInt8.self) == 1)
            var limits: [ControlGroup.Limit] = []
            for _ in 0..<(try Self.count(&reader)) {
                limits.append(
                    ControlGroup.Limit(
                        file: try reader.text(), value: try reader.text(),
                        isOptional: try reader.number(UInt8.self) == 1))
            }
            groups.append(ControlGroup(parent: parent, isUnified: isUnified, limits: limits))
        }
        return groups
    }

    fileprivate static func count(_ reader: inout ByteReader) throws(DomainError) -> UInt32 {
        let count = try reader.number(UInt32.self)
        guard count <= 4096 else { throw DomainError.invalidValue("the launch file lists \(count) values") }
        return count
    }
}
