internal import Domain
package import Egress

/// The node's answer to an event: that the audit trail has it, and for a call of a model whether it may be made.
package struct EgressAcknowledgement: Hashable, Sendable {
    /// Why a call is not admitted, although the rules allow it.
    package struct Refusal: Hashable, Sendable {
        package let reason: EgressReason
        /// One sentence for the caller.
        package let message: String

        /// Takes the parts as given.
        package init(_ reason: EgressReason, _ message: String) {
            self.reason = reason
            self.message = message
        }
    }

    /// The credential of the entry; nil when it has none, and for every event but an admitted call.
    package var credential: String?
    /// Nil when the call is admitted.
    package var refusal: Refusal?

    /// Says only that the trail has the event, unless more is given.
    package init(credential: String? = nil, refusal: Refusal? = nil) {
        self.credential = credential
        self.refusal = refusal
    }

    /// What follows the number of the event in its line; empty when there is nothing more to say.
    package var encoded: [UInt8] {
        var members: [JSONMember] = []
        if let credential { members.append(JSONMember("credential", .string(credential))) }
        if let refusal {
            members.append(JSONMember("reason", .string(refusal.reason.rawValue)))
            members.append(JSONMember("message", .string(refusal.message)))
        }
        return members.isEmpty ? [] : [UInt8(ascii: " ")] + JSONValue.object(members).bytes
    }

    /// Reads what `encoded` wrote; nil for anything else.
    init?(decoding bytes: ArraySlice<UInt8>) {
        guard bytes.count > 1 else {
            self.init()
            return
        }
        let value: JSONValue
        do throws(DomainError) { value = try JSONParser.parse(Array(bytes.dropFirst())) } catch { return nil }
        guard value.members != nil else { return nil }
        self.init(credential: value["credential"]?.string)
        guard let reason = value["reason"]?.string else { return }
        guard let reason = EgressReason(rawValue: reason) else { return nil }
        self.refusal = Refusal(reason, value["message"]?.string ?? "")
    }
}
