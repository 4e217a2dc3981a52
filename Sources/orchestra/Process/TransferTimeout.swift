/// A program of a transfer ran for longer than it may.
struct TransferTimeout: Error {
    let limit: Duration

    var message: String {
        "the transfer took longer than \(self.limit.components.seconds) s (on the command line: --timeout)"
    }
}
