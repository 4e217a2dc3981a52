internal import Foundation

/// A generator whose numbers follow from its seed (SplitMix64, Steele et al. 2014).
package struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    package init(seed: UInt64) { self.state = seed }

    /// The seeds of a test with random input: few among the unit tests, many where `ops/test` simulates.
    package static func seeds(_ few: UInt64, thorough: UInt64) -> ClosedRange<UInt64> {
        1...(isThorough ? thorough : few)
    }

    /// True where `ops/test` simulates.
    package static let isThorough = ProcessInfo.processInfo.environment["ORCHESTRA_SIMULATION_SEEDS"] != nil

    package mutating func next() -> UInt64 {
        self.state &+= 0x9e37_79b9_7f4a_7c15
        var word = self.state
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }
}
