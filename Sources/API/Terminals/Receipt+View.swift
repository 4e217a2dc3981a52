internal import Domain
internal import ShimProtocol

extension MessageLedger.Receipt {
    /// The members of the receipt's document.
    var view: [JSONMember] {
        [
            JSONMember("stage", .string(self.stage.name)),
            JSONMember("log_offset", .integer(Int64(clamping: self.offset))),
            JSONMember("reason", .string(Printable.text(self.reason, limit: 300))),
        ]
    }
}
