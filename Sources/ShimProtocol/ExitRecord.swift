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
        /// The sandbox could not be set up; the program never ran.
        case launchFailed = 4
        /// The log could not be written, so the program was not let go on.
        case logFailed = 5
    }

    package var endedBy: EndedBy
    /// The exit status, -1 when a signal ended it. The launcher reports a signal inside as 128 + signal.
    package var code: Int32
    package var signal: Int32
    package var userMicroseconds: UInt64
    package var systemMicroseconds: UInt64
    package var maxRSSKiB: UInt64
    /// Bytes of the terminal's log, complete.
    package var logLength: UInt64
    /// In command mode the kept output; in terminal mode empty.
    package var output: [UInt8]
    package var errorOutput: [UInt8]
    package var result: [UInt8]

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

    /// True when the program had begun and did not end of its own accord: how far it had come nobody knows.
    package var isCutOff: Bool {
        switch self.endedBy {
        case .itself: self.signal != 0 || Self.signalStatuses.contains(self.code)
        case .stop, .orphaned, .logQuota, .logFailed: true
        case .launchFailed: false
        }
    }

    /// 128 and a signal's number, as launchers and shells say it.
    private static let signalStatuses: ClosedRange<Int32> = 129...192

    /// One sentence for people.
    package var summary: String {
        switch self.endedBy {
        case .stop: "it was stopped"
        case .orphaned: "it was ended because its node did not come back"
        case .logQuota: "it was ended because its output passed the log's quota"
        case .launchFailed: "its sandbox could not be set up"
        case .logFailed: "it was ended because its output could not be recorded; is the disk full?"
        case .itself where self.signal != 0: "its launcher was ended by signal \(self.signal)"
        case .itself where self.code > 128: "it was ended by signal \(self.code - 128)"
        case .itself: "it ended with status \(self.code)"
        }
    }

    private static let version: UInt8 = 1

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
        return writer.bytes
    }

    package init(decoding bytes: [UInt8]) throws(DomainError) {
        var reader = ByteReader(bytes[...])
        guard try reader.number(UInt8.self) == Self.version else {
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
        guard reader.isAtEnd else { throw DomainError.invalidValue("the exit record is longer than expected") }
    }
}
