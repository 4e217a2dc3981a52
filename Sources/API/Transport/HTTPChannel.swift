internal import NIOCore
internal import NIOHTTPTypes

/// A connection that speaks HTTP.
typealias HTTPChannel = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>
