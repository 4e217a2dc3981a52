internal import Domain

/// Walks through the content of a request, and collects what makes the provider fetch for the caller. The depth is bounded
/// by that of the parser.
struct ProviderSideWalk {
    let provider: ModelProvider
    private(set) var features: Set<ProviderFeature> = []
    /// Types of tools that are not known.
    private(set) var unknownTools: [String] = []
    /// The bytes of images above what an image counts as.
    private(set) var surplusBytes: UInt64 = 0

    init(_ body: JSONValue, provider: ModelProvider) {
        self.provider = provider
        let members = body.members ?? []
        let known = ProviderToolTable.members[provider] ?? []
        for member in members where Self.isSet(member.value) {
            let name = provider == .gemini ? ProviderToolTable.plain(member.name) : member.name
            for entry in known where entry.name == name { self.features.insert(entry.feature) }
            switch name {
            case "tools": self.walkTools(member.value)
            case "messages", "system", "input", "instructions", "contents", "systeminstruction":
                self.walkContent(member.value)
            // A request to count tokens may hold a whole request of its own.
            case "generatecontentrequest" where provider == .gemini:
                let inner = ProviderSideWalk(member.value, provider: provider)
                self.features.formUnion(inner.features)
                self.unknownTools += inner.unknownTools
            default: break
            }
        }
    }

    private static func isSet(_ value: JSONValue) -> Bool {
        switch value {
        case .null, .bool(false): false
        case .array(let elements): !elements.isEmpty
        case .string(let text): !text.isEmpty
        default: true
        }
    }

    // MARK: - Tools

    private mutating func walkTools(_ value: JSONValue) {
        for tool in value.array ?? [value] {
            guard self.provider == .gemini else {
                self.walkTool(tool)
                continue
            }
            for member in tool.members ?? [] where member.value != .null {
                self.note(type: ProviderToolTable.plain(member.name))
            }
        }
    }

    private mutating func walkTool(_ tool: JSONValue) {
        // A tool without a type is one of Anthropic's caller.
        guard let type = tool["type"] else {
            if self.provider != .anthropic { self.unknownTools.append("without a type") }
            return
        }
        guard let type = type.string else {
            if type != .null || self.provider != .anthropic { self.unknownTools.append(type.typeName) }
            return
        }
        if type == "shell", tool["environment"]?["type"]?.string == "local" { return }
        if let inner = tool["tools"] { self.walkTools(inner) }
        self.note(type: type)
    }

    private mutating func note(type: String) {
        switch ProviderToolTable.use(of: type, with: self.provider) {
        case .local: break
        case .hosted(let feature): self.features.insert(feature)
        case nil: self.unknownTools.append(Printable.text(type, limit: 40))
        }
    }

    // MARK: - Content

    /// `place` is the member that holds the value.
    private mutating func walkContent(_ value: JSONValue, in place: String = "") {
        switch value {
        case .array(let elements): for element in elements { self.walkContent(element, in: place) }
        case .object(let members):
            self.noteBlock(value)
            let isImage = Self.isImage(value)
            for member in members {
                if case .string(let text) = member.value {
                    self.noteText(text, named: member.name, in: place, isImage: isImage)
                } else if !self.isArguments(member.name, in: value) {
                    self.walkContent(member.value, in: member.name)
                }
            }
        default: break
        }
    }

    /// Whether a member holds arguments or a result of a tool of the caller, which the provider does not look into.
    private func isArguments(_ name: String, in block: JSONValue) -> Bool {
        switch self.provider {
        case .anthropic: name == "input" && block["type"]?.string == "tool_use"
        case .gemini: name == "args" || name == "response"
        case .openAIResponses, .openAIChat: name == "arguments"
        }
    }

    private mutating func noteBlock(_ block: JSONValue) {
        switch (self.provider, block["type"]?.string) {
        case (.anthropic, "url"): self.features.insert(.urlSource)
        case (.anthropic, "file"), (.anthropic, "container_upload"): self.features.insert(.storedFile)
        case (.openAIResponses, "item_reference"): self.features.insert(.storedState)
        default: break
        }
    }

    private mutating func noteText(_ text: String, named name: String, in place: String, isImage: Bool) {
        let isInline = text.lowercased().prefix(5) == "data:"
        switch (self.provider, self.provider == .gemini ? ProviderToolTable.plain(name) : name) {
        case (.anthropic, "file_id"), (.openAIResponses, "file_id"), (.openAIChat, "file_id"):
            self.features.insert(.storedFile)
        case (.openAIResponses, "image_url"), (.openAIResponses, "file_url"), (.openAIChat, "image_url"),
            (.openAIChat, "file_url"):
            if !isInline { self.features.insert(.urlSource) }
        // `{"image_url": {"url": …}}`; the addresses in citations are not fetched.
        case (.openAIChat, "url") where place.hasSuffix("_url"):
            if !isInline { self.features.insert(.urlSource) }
        case (.gemini, "fileuri"):
            // Files of the account have addresses of the API itself.
            let isStored = text.hasPrefix("https://generativelanguage.googleapis.com/") || !text.contains("://")
            self.features.insert(isStored ? .storedFile : .urlSource)
        default: break
        }
        // Only where providers take images: elsewhere the same text is text.
        let isImagePlace = ["url", "image_url", "imageurl", "image", "data"].contains(name)
        if (isImage && name == "data") || (isImagePlace && text.prefix(11).lowercased() == "data:image/") {
            let size = UInt64(text.utf8.count)
            self.surplusBytes = self.surplusBytes.addingSaturated(size.subtractingSaturated(TokenEstimate.imageBytes))
        }
    }

    private static func isImage(_ block: JSONValue) -> Bool {
        ["media_type", "mime_type", "mimeType"].contains { block[$0]?.string?.hasPrefix("image/") == true }
    }
}
