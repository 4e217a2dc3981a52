/// The reason why a token is refused. The rule is one of a closed list; neither contains any part of the token.
package struct TokenRefusal: Error, Hashable {
    package let rule: String
    package let reason: String

    init(_ rule: String, _ reason: String) {
        self.rule = rule
        self.reason = reason
    }
}
