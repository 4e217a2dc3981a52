/// One request that a scripted model was sent, as it was answered.
package struct ScriptedCall: Hashable, Sendable {
    package let method: String
    /// Without the query.
    package let path: String
    package let status: Int
    /// The request had the right key, and no other one.
    package let hasRightKey: Bool
    package let model: String?
    /// Nil when the request was refused or only counted.
    package let step: ModelScript.Step?
    /// The texts that a person wrote in this conversation.
    package let userTexts: [String]

    /// Takes the parts as given.
    package init(
        method: String, path: String, status: Int, hasRightKey: Bool, model: String?, step: ModelScript.Step?,
        userTexts: [String]
    ) {
        self.method = method
        self.path = path
        self.status = status
        self.hasRightKey = hasRightKey
        self.model = model
        self.step = step
        self.userTexts = userTexts
    }
}
