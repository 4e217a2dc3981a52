/// A value of the client is malformed.
struct InputError: Error {
    let message: String
}
