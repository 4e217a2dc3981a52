/// Reads the usage out of a provider's answer while it is relayed. It sees a copy of the bytes, changes and delays none, and
/// keeps a bounded part of them, whatever arrives.
///
/// The numbers are exact when the provider's final usage was read. Otherwise they are estimated, upward, and never zero:
/// an answer that was cut, that names no usage, or that is compressed. The gateway therefore asks for
/// `accept-encoding: identity`. An answer with an error status and without usage costs nothing.
///
/// An estimate keeps each number that the provider named. Missing input is the size of the request by
/// `TokenEstimate.ofSentRequest`. Output is what the provider named last and the text after it by `TokenEstimate.ofText`;
/// all the text, if that is more and the final number is missing; at least one, and not above what the request allows.
package struct UsageReader: Hashable, Sendable {
    private enum Form: Hashable, Sendable {
        /// Nothing but blanks has arrived.
        case unknown
        case document, events
        /// The body is compressed.
        case unreadable
    }

    private let sentRequest: SentRequest
    private var status: Int?
    private var form = Form.unknown
    private var scanner = JSONScanner()
    private var splitter = EventStreamSplitter()
    private var tally: UsageTally
    private var dataStart: [UInt8] = []
    private var bodyBytes: UInt64 = 0
    /// The mark that ends an answer was read.
    private var isComplete = false
    private var hasEnded = false
    private var wasClosedEarly = false

    /// Blanks and the byte order mark, which may come first.
    private static let leading: Set<UInt8> = [0x20, 0x09, 0x0a, 0x0d, 0xef, 0xbb, 0xbf]
    private static let doneMark = Array("[DONE]".utf8)
    private static let doneMarkSize = 6

    /// Starts before the head of the answer.
    package init(provider: ModelProvider, request: SentRequest = SentRequest()) {
        self.sentRequest = request
        self.tally = UsageTally(provider: provider)
    }

    /// Takes the head of the answer. Informational heads (1xx) are ignored.
    package mutating func received(status: Int, headers: [(name: String, value: String)]) {
        guard !(100..<200).contains(status) else { return }
        self.status = status
        for header in headers where header.name.lowercased() == "content-encoding" {
            let codings = header.value.split(separator: ",").map {
                String($0.filter { $0 != " " && $0 != "\t" }).lowercased()
            }
            if codings.contains(where: { !$0.isEmpty && $0 != "identity" }) { self.form = .unreadable }
        }
    }

    /// Takes a segment of the body.
    package mutating func received(_ segment: [UInt8]) { self.received(segment.span) }

    /// Takes a segment of the body.
    package mutating func received(_ segment: Span<UInt8>) {
        guard !self.hasEnded else { return }
        self.bodyBytes = self.bodyBytes.addingSaturated(UInt64(segment.count))
        guard self.form != .unreadable else { return }
        var index = 0
        while index < segment.count {
            // Most of an answer is text, which is read in runs.
            if self.scanner.isInText, self.form == .document || self.splitter.isInData {
                var end = index
                while end < segment.count, JSONScanner.isPlain(segment[end]) { end += 1 }
                self.scanner.scanPlainText(segment.extracting(index..<end))
                index = end
                guard index < segment.count else { return }
            }
            self.read(segment[index])
            index += 1
        }
    }

    /// Takes the end of the answer. `closedEarly` when the connection ended before the answer was complete, or the caller
    /// went away.
    package mutating func ended(closedEarly: Bool) {
        guard !self.hasEnded else { return }
        // Some services do not end their last event.
        if !closedEarly, self.form == .events {
            self.read(0x0a)
            self.read(0x0a)
        }
        self.hasEnded = true
        self.wasClosedEarly = closedEarly
    }

    /// The usage as if the answer was cut here, until it has ended.
    package var usage: TokenUsage {
        if let status = self.status, !(200..<300).contains(status), !self.tally.hasUsage {
            return TokenUsage(model: self.model)
        }
        let known = self.knownUsage
        guard !self.isExact else { return known }
        return self.estimatedUsage(known)
    }

    // MARK: - Reading

    private mutating func read(_ byte: UInt8) {
        switch self.form {
        case .unknown:
            guard !Self.leading.contains(byte) else { return }
            let isDocument = byte == UInt8(ascii: "{") || byte == UInt8(ascii: "[")
            self.form = isDocument ? .document : .events
            self.read(byte)
        case .document:
            self.scan(byte)
            self.isComplete = self.scanner.isDone
        case .events:
            switch self.splitter.next(byte) {
            case .nothing: break
            case .data(let byte):
                if self.dataStart.count <= Self.doneMarkSize, byte > 0x20 { self.dataStart.append(byte) }
                self.scan(byte)
            case .ended: self.endEvent()
            }
        case .unreadable: break
        }
    }

    private mutating func scan(_ byte: UInt8) {
        if self.scanner.endWord(before: byte) { self.tally.read(self.scanner) }
        if self.scanner.scan(byte) { self.tally.read(self.scanner) }
    }

    private mutating func endEvent() {
        if self.dataStart == Self.doneMark {
            if self.tally.provider == .openAIChat { self.isComplete = true }
        } else if !self.scanner.isDone, !self.scanner.isUntouched {
            self.tally.missedDocument()
        }
        let type = self.tally.eventType.isEmpty ? self.splitter.currentEvent : self.tally.eventType
        switch (self.tally.provider, type) {
        case (.anthropic, "message_stop"), (.openAIResponses, "response.completed"),
            (.openAIResponses, "response.incomplete"), (.openAIResponses, "response.failed"):
            self.isComplete = true
        default: break
        }
        self.scanner.reset()
        self.tally.beganDocument()
        self.splitter.reset()
        self.dataStart.removeAll(keepingCapacity: true)
    }

    // MARK: - Result

    private var model: String? { self.tally.model ?? self.sentRequest.model }

    private var isExact: Bool {
        let isOver = self.isComplete || (self.hasEnded && !self.wasClosedEarly && self.form == .events)
        guard isOver, self.form != .unreadable, self.tally.hasFinalUsage, self.tally.counts[.input] != nil else {
            return false
        }
        guard !self.tally.hasImplausible, !self.tally.hasGapSinceUsage, !self.scanner.isMalformed else { return false }
        guard self.tally.counts[.output] != nil || self.tally.provider == .gemini else { return false }
        guard self.tally.isCacheWithinInput else { return false }
        // Text that cost nothing is not plausible.
        return self.knownOutput > 0 || self.tally.textBytes == 0
    }

    private var knownOutput: UInt64 {
        (self.tally.counts[.output] ?? 0).addingSaturated(self.tally.counts[.thoughts] ?? 0)
    }

    /// The numbers that the provider named, with cached tokens taken out of the input.
    private var knownUsage: TokenUsage {
        let counts = self.tally.counts
        let hour = counts[.cacheWriteHour] ?? 0
        let cacheRead = counts[.cacheRead] ?? 0
        let cacheWrite = max(
            counts[.cacheWrite] ?? 0, hour.addingSaturated(counts[.cacheWriteMinutes] ?? 0))
        var input = counts[.input] ?? 0
        if self.tally.provider != .anthropic {
            input = input.subtractingSaturated(cacheRead.addingSaturated(cacheWrite))
        }
        return TokenUsage(
            input: input.addingSaturated(counts[.toolPrompt] ?? 0), output: self.knownOutput, cacheRead: cacheRead,
            cacheWrite: cacheWrite, cacheWriteHour: hour, model: self.model)
    }

    private func estimatedUsage(_ known: TokenUsage) -> TokenUsage {
        var usage = known
        usage.isEstimated = true
        if self.tally.counts[.input] == nil {
            usage.input = max(known.input, TokenEstimate.ofSentRequest(bytes: self.sentRequest.bytes))
        }
        let textBytes = self.tally.textBytes
        let laterText = textBytes.subtractingSaturated(self.tally.textBytesAtOutput)
        var output = known.output.addingSaturated(TokenEstimate.ofText(bytes: laterText))
        // The final number covers the text before it; any other is not trusted to.
        if !self.tally.hasFinalUsage || self.tally.hasImplausible || known.output == 0 {
            output = max(output, TokenEstimate.ofText(bytes: textBytes))
        }
        if self.form == .unreadable { output = TokenEstimate.ofCompressed(bytes: self.bodyBytes) }
        if let maximum = self.sentRequest.maximumOutput { output = min(output, max(maximum, known.output)) }
        usage.output = max(1, min(output, TokenUsage.limit))
        return usage
    }
}
