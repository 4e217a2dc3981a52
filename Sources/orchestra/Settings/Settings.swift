import Configuration
import Domain
import Foundation
import Redaction

/// The effective configuration: layers, the first that has a key counts; read through swift-configuration.
struct Settings: Sendable {
    /// One source of values.
    struct Layer: Sendable {
        let name: String
        let values: [String: String]
    }

    /// How the name of a configuration file's layer begins.
    static let fileLayer = "file "
    /// The largest configuration file, in bytes.
    static let fileLimit = 1 << 20

    let layers: [Layer]
    private let reader: ConfigReader

    /// Variables with the product's prefix that are not settings.
    private static let otherVariables: Set<String> = ["ORCHESTRA_CONFIG"]

    /// Loads flags (`name` to text), the environment, the configuration file, and the file that `dev` left; checks every
    /// name and value. An empty value is a value: it hides the layers below. Throws `CommandError` with status 78 for the
    /// first that is wrong.
    init(flags: [String: String], environment: [String: String], file: String?, devNode: DevNode? = nil) throws {
        var layers = [Layer(name: "flag", values: flags)]
        layers.append(Layer(name: "environment", values: try Self.read(environment)))
        if let file { layers.append(Layer(name: Self.fileLayer + file, values: try Self.read(file: file))) }
        if let devNode {
            layers.append(
                Layer(name: "dev node \(devNode.directory)", values: try Self.read(file: devNode.configurationFile)))
        }
        let defaults = SettingKey.all.compactMap { key in key.fallback.map { (key.name, $0) } }
        layers.append(Layer(name: "default", values: Dictionary(uniqueKeysWithValues: defaults)))
        for layer in layers {
            for (name, value) in layer.values { try Self.check(name, value, layer: layer.name) }
        }
        self.layers = layers
        self.reader = ConfigReader(
            providers: layers.map { layer in
                InMemoryProvider(
                    name: layer.name,
                    values: Dictionary(
                        uniqueKeysWithValues: layer.values.map { name, value in
                            (
                                AbsoluteConfigKey(name.split(separator: ".").map(String.init), context: [:]),
                                ConfigValue(.string(value), isSecret: SettingKey.byName[name]?.isSecret ?? false)
                            )
                        }))
            })
    }

    /// The value of the first layer that has the key; nil when none has, or when it is empty.
    func text(_ name: String) -> String? { self.value(name).flatMap { $0.isEmpty ? nil : $0 } }

    /// The value of the first layer that has the key, which may be empty; nil when none has.
    func value(_ name: String) -> String? {
        let isSecret = SettingKey.byName[name]?.isSecret ?? false
        return self.reader.string(
            forKey: ConfigKey(name.split(separator: ".").map(String.init)), isSecret: isSecret)
    }

    /// The value of a key that has a default; throws status 78 when it was set to nothing.
    func required(_ name: String) throws -> String {
        guard let text = self.text(name) else {
            let expected = SettingKey.byName[name]?.kind.expected ?? "a value"
            throw CommandError.configuration("'\(name)' is empty (\(self.source(of: name))): expected \(expected)")
        }
        return text
    }

    /// The value of a key that is an integer with a default.
    func integer(_ name: String) throws -> Int {
        guard let number = Int(try self.required(name)) else {
            throw CommandError.configuration("'\(name)' is not an integer")
        }
        return number
    }

    /// The value of a key that is a number of seconds with a default.
    func seconds(_ name: String) throws -> Duration { .seconds(try self.integer(name)) }

    /// True when the key is set to `yes`.
    func isOn(_ name: String) -> Bool { self.text(name) == "yes" }

    /// True when settings that expose data are refused instead of warned about.
    var isProduction: Bool { self.text("environment") == "production" }

    /// The value of a secret key, nil when there is none or it is empty.
    func secret(_ name: String) -> Secret<String>? { self.text(name).map { Secret($0) } }

    /// The layer that a value comes from, also when it is empty there; `unset` when no layer has the key.
    func source(of name: String) -> String { self.layers.first { $0.values[name] != nil }?.name ?? "unset" }

    private static func read(_ environment: [String: String]) throws -> [String: String] {
        var values: [String: String] = [:]
        for key in SettingKey.all {
            if let text = environment[key.variable] { values[key.name] = text }
            guard key.isSecret, let path = environment[key.variable + "_FILE"] else { continue }
            guard values[key.name] == nil else {
                throw CommandError.configuration(
                    "both \(key.variable) and \(key.variable)_FILE are set; expected one of them")
            }
            do throws(CommandError) {
                let bytes = try InputFile.read(path, limit: Self.fileLimit)
                values[key.name] = try InputFile.text(bytes, of: path).trimmingCharacters(in: .whitespacesAndNewlines)
            } catch {
                throw CommandError.configuration("\(key.variable)_FILE: \(error.message)")
            }
        }
        let known = Set(SettingKey.all.flatMap { [$0.variable, $0.variable + "_FILE"] }).union(self.otherVariables)
        for name in environment.keys.sorted() where name.hasPrefix("ORCHESTRA_") && !known.contains(name) {
            throw CommandError.configuration(
                "the environment variable \(Printable.text(name)) is unknown; `orchestra config` lists those that are known"
            )
        }
        return values
    }

    private static func read(file: String) throws -> [String: String] {
        var values: [String: String] = [:]
        do {
            try self.flatten(
                try JSONParser.parse(try InputFile.read(file, limit: Self.fileLimit)), prefix: "", into: &values)
        } catch let error as CommandError {
            throw CommandError.configuration("the configuration is not usable: \(error.message)")
        } catch let error as DomainError {
            throw CommandError.configuration("the configuration file \(file) is refused: \(error.message)")
        }
        return values
    }

    private static func flatten(
        _ value: JSONValue, prefix: String, into values: inout [String: String]
    ) throws(DomainError) {
        switch value {
        case .object(let members):
            for member in members {
                try self.flatten(
                    member.value, prefix: prefix.isEmpty ? member.name : "\(prefix).\(member.name)", into: &values)
            }
        case .string(let text): values[prefix] = text
        case .integer(let number): values[prefix] = String(number)
        case .bool, .null, .number, .array:
            throw .invalidValue("'\(Printable.text(prefix))' must be a text, an integer or an object")
        }
    }

    private static func check(_ name: String, _ value: String, layer: String) throws {
        guard let key = SettingKey.byName[name] else {
            throw CommandError.configuration(
                "the key '\(Printable.text(name))' (\(layer)) is unknown; `orchestra config` lists those that are known"
            )
        }
        guard !key.kind.accepts(value) else { return }
        let shown = key.isSecret ? "<secret>" : Printable.text(value)
        throw CommandError.configuration("'\(name)' is '\(shown)' (\(layer)): expected \(key.kind.expected)")
    }
}
