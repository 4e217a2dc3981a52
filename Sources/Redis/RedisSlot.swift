/// The slots of a Redis Cluster.
package enum RedisSlot {
    /// The slot of a key, or of its hash tag: CRC-16/XMODEM modulo 16384
    /// (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/, appendix A).
    package static func of(_ hashTag: String) -> Int {
        var crc: UInt16 = 0
        for byte in hashTag.utf8 {
            crc ^= UInt16(byte) << 8
            for _ in 0..<8 { crc = crc & 0x8000 != 0 ? crc << 1 ^ 0x1021 : crc << 1 }
        }
        return Int(crc % 16384)
    }
}
