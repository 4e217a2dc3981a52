/// What the server does next for a connection, in the order of the list that a `TunnelMachine` returns.
package enum TunnelAction: Hashable, Sendable {
    /// Run the check on another thread, and call `checked` with its result.
    case check(ModelCheck)
    /// Ask the resolver for the addresses of the name, once, and call `resolved`.
    case resolve(HostName)
    /// Connect to exactly this address, and call `dialed`.
    case dial(EgressAddress, port: UInt16)
    /// Record the event. The actions after it wait until the audit trail has it; if it cannot be written, call `refuse`.
    case record(EgressEvent)
    /// Record the event as `record` does, and ask for the admission of the call: its credential and its budget. Then call
    /// `admitted`, or `refuse`.
    case admit(EgressEvent)
    /// Send the bytes to the caller.
    case answer([UInt8])
    /// Send the bytes to the server.
    case forward([UInt8])
    /// Close the connection to the server alone, wait for these seconds, and call `waited`.
    case wait(seconds: UInt64)
    /// Close the direction to the caller after what was answered.
    case endAnswer
    /// Close the direction to the server after what was forwarded.
    case endForward
    /// Close both connections after what was answered; nothing more is forwarded.
    case close
}
