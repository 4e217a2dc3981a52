internal import ShimProtocol

/// Landlock's rights, by the version that the kernel offers (`linux/landlock.h`).
struct LandlockRights {
    /// All rights on files that this version knows.
    let all: UInt64
    let network: UInt64
    let scoped: UInt64

    private static let execute: UInt64 = 1 << 0
    private static let writeFile: UInt64 = 1 << 1
    private static let readFile: UInt64 = 1 << 2
    private static let readDirectory: UInt64 = 1 << 3
    private static let makeCharacter: UInt64 = 1 << 6
    private static let makeBlock: UInt64 = 1 << 11
    private static let truncate: UInt64 = 1 << 14
    private static let deviceControl: UInt64 = 1 << 15

    init(version: Int32) {
        var count: UInt64 = 13
        if version >= 2 { count += 1 }  // linking and renaming between directories
        if version >= 3 { count += 1 }  // truncation
        if version >= 5 { count += 1 }  // requests to devices
        self.all = (1 << count) - 1
        self.network = version >= 4 ? 0b11 : 0  // binding and connecting TCP
        self.scoped = version >= 6 ? 0b11 : 0  // abstract sockets, signals
    }

    /// Rights on the terminal itself, which is not a directory.
    var terminal: UInt64 { (Self.readFile | Self.writeFile | Self.truncate | Self.deviceControl) & self.all }

    func rights(for access: GuardSpec.Access) -> UInt64 {
        let wanted =
            switch access {
            case .read: Self.execute | Self.readFile | Self.readDirectory
            case .write: self.all & ~(Self.makeCharacter | Self.makeBlock)
            case .device:
                Self.readFile | Self.readDirectory | Self.writeFile | Self.truncate | Self.deviceControl
            case .file: Self.readFile
            }
        return wanted & self.all
    }
}
