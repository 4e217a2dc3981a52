struct ListLimits: Sendable {
    var minimum: Int?
    var maximum: Int?
    var isUnique = false
    var prefix: [Int] = []
    var items: Int?
    var contains: Int?
    var containsMinimum = 1
    var containsMaximum: Int?
}
