/// The outbound event that starts a response without an end of its own: it ends when its reader leaves.
struct StreamBegan: Sendable {}
