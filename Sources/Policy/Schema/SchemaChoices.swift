/// The keywords `enum` and `const`: a value is looked up by its canonical text.
struct SchemaChoices: Sendable {
    let texts: Set<[UInt8]>
    let areStrings: Bool
    let expectation: String
}
