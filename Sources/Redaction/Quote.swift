/// A quotation mark behind backslashes: none in JSON, one in JSON within JSON.
struct Quote: Equatable {
    var mark: UInt8
    var backslashes: Int
}
