internal import NIOHTTP1

extension NIOHTTPDecoderLimitConfiguration {
    /// Enough for the longest token.
    static var api: NIOHTTPDecoderLimitConfiguration {
        var configuration = NIOHTTPDecoderLimitConfiguration()
        configuration.maxHeaderFieldSize = 17 * 1024
        configuration.maxHeaderListSize = 40 * 1024
        configuration.maxHeaderFieldCount = 100
        return configuration
    }
}
