package import Domain

/// How a program ended; the only source of an agent's or command's final state.
package struct ExitRecord: Hashable, Sendable {
    /// Why the shim ended the program, when it did.
    package enum EndedBy: UInt8, Hashable, Sendable {
        case itself = 0
        case stop = 1
        /// No owner came back within the grace period.
        case orphaned = 2
        /// The log's quota was used up.
        case logQuota = 3
        /// The sandbox could not be set up for a reason that lies in the launch or the workspace; the program never ran.
        case launchFailed = 4
        /// The log could not be written, so the program was ended.
        case logFailed = 5
        /// The host could not set up the sandbox; the program never ran.
        case hostFailed = 6
    }

    /// What is known about who ended processes for want of memory.
    package enum MemoryWatch: UInt8, Hashable, Sendable {
        /// No control group limited the tree's memory, so a kill for want of memory looks like any other.
        case none = 0
        /// A control group counted such kills: `memoryKills`.
        case counted = 1
    }

    package var endedBy: EndedBy
    /// The exit status. For a program that a signal ended 128 and its number, as shells report it; -1 when the launcher
    /// itself was ended by a signal.
    package var code: Int32
    /// The signal that ended the program, or the launcher when `code` is -1; 0 when none did.
    package var signal: Int32
    package var userMicroseconds: UInt64
    package var systemMicroseconds: UInt64
    package var maxRSSKiB: UInt64
    /// Bytes of the terminal's log, complete.
    package var logLength: UInt64
    /// In command mode the kept output, the beginning and the end of it; in terminal mode empty.
    package var output: [UInt8]
    package var errorOutput: [UInt8]
    package var result: [UInt8]
    /// How many bytes are left out between the beginning and the end of each output.
    package var outputLeftOut: UInt64 = 0
    package var errorOutputLeftOut: UInt64 = 0
    package var memoryWatch = MemoryWatch.none
    /// Processes of the tree that the kernel ended because the tree's memory limit was reached.
    package var memoryKills: UInt32 = 0

    /// Takes the parts as given; leaves the numbers of omitted bytes and memory kills at 0, `memoryWatch` at `none`.
    package init(
        endedBy: EndedBy, code: Int32, signal: Int32, userMicroseconds: UInt64 = 0, systemMicroseconds: UInt64 = 0,
        maxRSSKiB: UInt64 = 0, logLength: UInt64 = 0, output: [UInt8] = [], errorOutput: [UInt8] = [],
        result: [UInt8] = []
    ) {
        self.endedBy = endedBy
        self.code = code
        self.signal = signal
        self.userMicroseconds = userMicroseconds
        self.systemMicroseconds = systemMicroseconds
        self.maxRSSKiB = maxRSSKiB
        self.logLength = logLength
        self.output = output
        self.errorOutput = errorOutput
        self.result = result
    }

    package var isSuccess: Bool { self.endedBy == .itself && self.code == 0 }

    /// True when the program had begun and did not end of its own accord: how much it had done is unknown.
    package var isCutOff: Bool {
        switch self.endedBy {
        case .itself: self.signal != 0
        case .stop, .orphaned, .logQuota, .logFailed: true
        case .launchFailed, .hostFailed: false
        }
    }

    /// One sentence for people.
    package var summary: String {
        switch self.endedBy {
        case .stop: "it was stopped"
        case .orphaned: "it was ended because its node did not come back"
        case .logQuota: "it was ended because its output passed the log's quota"
        case .launchFailed: "its sandbox could not be set up\(self.silentEnd)"
        case .logFailed: "it was ended because its output could not be recorded; is the disk full?"
        case .hostFailed: "this node could not set up its sandbox\(self.silentEnd)"
        case .itself where self.signal != 0 && self.code < 0: "its launcher was ended by signal \(self.signal)"
        case .itself where self.signal == Self.kill && self.memoryKills > 0:
            "it was ended because its sandbox reached its memory limit"
        case .itself where self.signal == Self.kill && self.memoryWatch == .none:
            "it was ended by signal 9; without a control group it is not known whether memory was the reason"
        case .itself where self.signal != 0: "it was ended by signal \(self.signal)\(self.otherKills)"
        case .itself: "it ended with status \(self.code)\(self.otherKills)"
        }
    }

    private static let kill: Int32 = 9

    /// How the launcher ended when it wrote no reason: something outside ended it.
    private var silentEnd: String {
        guard self.errorOutput.isEmpty else { return "" }
        let end = self.signal == 0 ? "with status \(self.code)" : "by signal \(self.signal)"
        return "; its launcher ended \(end) and wrote no reason"
    }

    /// What a status does not say: that processes next to or below the program were ended.
    private var otherKills: String {
        guard self.memoryKills > 0 else { return "" }
        return "; its sandbox reached its memory limit, which ended \(self.memoryKills) of its processes"
    }

    /// Version 1 had none of what follows the result. Records of it lie on disks, so it is still read.
    private static let version: UInt8 = 2

    package var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.write(Self.version)
        writer.write(self.endedBy.rawValue)
        writer.write(UInt32(bitPattern: self.code))
        writer.write(UInt32(bitPattern: self.signal))
        writer.write(self.userMicroseconds)
        writer.write(self.systemMicroseconds)
        writer.write(self.maxRSSKiB)
        writer.write(self.logLength)
        writer.write(block: self.output)
        writer.write(block: self.errorOutput)
        writer.write(block: self.result)
        writer.write(self.outputLeftOut)
        writer.write(self.errorOutputLeftOut)
        writer.write(self.memoryWatch.rawValue)
        writer.write(self.memoryKills)
        return writer.bytes
    }

    /// Reads what `encoded` wrote, in this version or the one before; throws `DomainError` for anything else.
    package init(decoding bytes: [UInt8]) throws(DomainError) {
        var reader = ByteReader(bytes[...])
        let version = try reader.number(UInt8.self)
        guard (1...Self.version).contains(version) else {
            throw DomainError.invalidValue("the exit record has an unknown version")
        }
        guard let endedBy = EndedBy(rawValue: try reader.number()) else {
            throw DomainError.invalidValue("the exit record names an unknown end")
        }
        self.init(
            endedBy: endedBy, code: Int32(bitPattern: try reader.number()),
            signal: Int32(bitPattern: try reader.number()),
            userMicroseconds: try reader.number(), systemMicroseconds: try reader.number(),
            maxRSSKiB: try reader.number(), logLength: try reader.number(), output: try reader.block(),
            errorOutput: try reader.block(), result: try reader.block())
        if version > 1 {
            self.outputLeftOut = try reader.number()
            self.errorOutputLeftOut = try reader.number()
            guard let watch = MemoryWatch(rawValue: try reader.number()) else {
                throw DomainError.invalidValue("the exit record names an unknown count of kills")
            }
            self.memoryWatch = watch
            self.memoryKills = try reader.number()
        }
        guard reader.isAtEnd else { throw DomainError.invalidValue("the exit record is longer than expected") }
    }
}
