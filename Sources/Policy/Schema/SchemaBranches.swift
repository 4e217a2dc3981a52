/// The schemas that apply to the value itself.
struct SchemaBranches: Sendable {
    var reference: Int?
    var all: [Int] = []
    var any: [Int] = []
    var one: [Int] = []
    var negated: Int?
    var condition: Int?
    var consequence: Int?
    var alternative: Int?
}
