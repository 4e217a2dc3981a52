import Testing

/// One after the other: each starts nodes, and the other suites do so at the same time.
@Suite("Over the API", .serialized) enum APISuites {}
