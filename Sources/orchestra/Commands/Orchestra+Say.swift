extension Orchestra {
    /// Prints a line; for types in which `show` names something else.
    static func say(_ line: String) { show(line) }
}
