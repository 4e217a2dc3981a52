/// What a matcher says about a place in the text.
enum SecretMatch {
    /// No secret begins here.
    case none
    /// The bytes that are there do not decide it. Those before the place are no secret in any case: a name, or the
    /// beginning that all tokens of a form have.
    case undecided(harmlessBefore: Int)
    /// These bytes are a secret.
    case secret(Range<Int>, label: String, rest: Continuation)

    /// What of the text after a secret belongs to it, too.
    enum Continuation {
        case nothing
        /// All bytes of this set.
        case run(ByteSet)
        /// All bytes up to this closing quote, or the end of the line.
        case quoted(Quote)
        /// All bytes up to the end of the line, a quote, or a byte that is not printable.
        case line
        /// The lines of a private key.
        case keyLines
        /// The rest of a private key in one line.
        case keyText
    }
}
