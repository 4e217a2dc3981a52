/// One key of the configuration, documented once: the loader, `orchestra config` and the configuration page come from
/// here. A key is set by a flag, by its environment variable (secrets also by `…_FILE`), by the configuration file, or by
/// its default, in this order.
struct SettingKey: Sendable {
    /// What the value of a key may be.
    enum Kind: Sendable {
        /// Any text; an empty one means none.
        case text
        /// Text that an empty one would widen: it is refused.
        case name
        /// The path of a file or directory, never empty.
        case path
        case integer(ClosedRange<Int>)
        /// Whole seconds.
        case seconds(ClosedRange<Int>)
        case oneOf([String])

        /// What `Settings.isOn` reads.
        static let isOn = Kind.oneOf(["no", "yes"])

        /// The values as a message names them.
        var expected: String {
            switch self {
            case .text: "text"
            case .name: "text, not empty"
            case .path: "a path"
            case .integer(let range): "an integer from \(range.lowerBound) to \(range.upperBound)"
            case .seconds(let range): "seconds from \(range.lowerBound) to \(range.upperBound)"
            case .oneOf(let values): "one of \(values.joined(separator: ", "))"
            }
        }

        /// True when the text is such a value.
        func accepts(_ text: String) -> Bool {
            switch self {
            case .text: true
            case .name, .path: !text.isEmpty
            case .integer(let range), .seconds(let range): Int(text).map(range.contains) ?? false
            case .oneOf(let values): values.contains(text)
            }
        }
    }

    let name: String
    let variable: String
    let kind: Kind
    /// The default; nil when there is none, or when it is found at start, as the text says.
    let fallback: String?
    let isSecret: Bool
    /// One or two sentences.
    let text: String

    /// Takes the parts as given.
    init(
        _ name: String, _ variable: String, _ kind: Kind, _ fallback: String?, isSecret: Bool = false, _ text: String
    ) {
        self.name = name
        self.variable = variable
        self.kind = kind
        self.fallback = fallback
        self.isSecret = isSecret
        self.text = text
    }

    /// A key whose variable is its name in capitals after `ORCHESTRA_`.
    init(_ name: String, _ kind: Kind, _ fallback: String?, isSecret: Bool = false, _ text: String) {
        let variable = String(name.uppercased().map { $0 == "." || $0 == "-" ? "_" : $0 })
        self.init(name, "ORCHESTRA_" + variable, kind, fallback, isSecret: isSecret, text)
    }

    /// Every key, by topic.
    static let all = Self.redis + Self.node + Self.api + Self.auth + Self.queue

    static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })
}
