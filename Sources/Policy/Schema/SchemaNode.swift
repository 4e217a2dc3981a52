/// One compiled schema. Others are named by their index, so that a recursive schema is no cycle of objects; a class,
/// since a check then takes one reference instead of a copy of all the rules.
final class SchemaNode: Sendable {
    /// Set for the schemas `true` and `false`, which have nothing else.
    let verdict: Bool?
    let types: SchemaTypes?
    let choices: SchemaChoices?
    let number: NumberLimits?
    let text: TextLimits?
    let list: ListLimits?
    let object: ObjectLimits?
    let branches: SchemaBranches?

    init(
        verdict: Bool? = nil, types: SchemaTypes? = nil, choices: SchemaChoices? = nil, number: NumberLimits? = nil,
        text: TextLimits? = nil, list: ListLimits? = nil, object: ObjectLimits? = nil, branches: SchemaBranches? = nil
    ) {
        self.verdict = verdict
        self.types = types
        self.choices = choices
        self.number = number
        self.text = text
        self.list = list
        self.object = object
        self.branches = branches
    }
}
