/// How the first moments of a child ended when it did not become ready.
enum StartFailure: Hashable, Sendable {
    case ignored
    case failed(String)
}
