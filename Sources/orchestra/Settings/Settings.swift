import Configuration
import Domain
import Foundation
import Redaction

/// The effective configuration: four layers, read through swift-configuration.
struct Settings: Sendable {
    struct Layer: Sendable {
        let name: String
        let values: [String: String]
    }

    let layers: [Layer]
    private let reader: ConfigReader

    /// The variables that are ours though they are no settings.
    private static let otherVariables: Set<String> = ["ORCHESTRA_CONFIG"]

    /// Loads flags (`name` to text), the environment, and the file; checks every name and value. Throws
    /// `CommandError` with status 78 for the first that is wrong.
    init(flags: [String: String], environment: [String: String], file: String?) throws {
        var layers = [Layer(name: "flag", values: flags)]
        layers.append(Layer(name: "environment", values: try Self.read(environment)))
        if let file { layers.append(Layer(name: "file \(file)", values: try Self.read(file: file))) }
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

    /// The value that counts, nil when no layer has one. An empty text is no value.
    func text(_ name: String) -> String? {
        let isSecret = SettingKey.byName[name]?.isSecret ?? false
        let text = self.reader.string(
            forKey: ConfigKey(name.split(separator: ".").map(String.init)), isSecret: isSecret)
        return text.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// The value of a key that has a default.
    func required(_ name: String) throws -> String {
        guard let text = self.text(name) else { throw CommandError.configuration("'\(name)' is not set") }
        return text
    }

    func integer(_ name: String) throws -> Int {
        guard let number = Int(try self.required(name)) else {
            throw CommandError.configuration("'\(name)' is no integer")
        }
        return number
    }

    func seconds(_ name: String) throws -> Duration { .seconds(try self.integer(name)) }

    func secret(_ name: String) -> Secret<String>? { self.text(name).map { Secret($0) } }

    /// The layer that a value comes from.
    func source(of name: String) -> String { self.layers.first { $0.values[name]?.isEmpty == false }?.name ?? "unset" }

    private static func read(_ environment: [String: String]) throws -> [String: String] {
        var values: [String: String] = [:]
        for key in SettingKey.all {
            if let text = environment[key.variable], !text.isEmpty { values[key.name] = text }
            guard key.isSecret, let path = environment[key.variable + "_FILE"], !path.isEmpty else { continue }
            guard values[key.name] == nil else {
                throw CommandError.configuration(
                    "both \(key.variable) and \(key.variable)_FILE are set; expected one of them")
            }
            guard let bytes = FileManager.default.contents(atPath: path) else {
                throw CommandError.configuration("the file \(path) of \(key.variable)_FILE cannot be read")
            }
            values[key.name] = String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
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
        guard let bytes = FileManager.default.contents(atPath: file) else {
            throw CommandError.configuration("the configuration file \(file) cannot be read; expected a JSON file")
        }
        var values: [String: String] = [:]
        do throws(DomainError) {
            try self.flatten(try JSONParser.parse(Array(bytes)), prefix: "", into: &values)
        } catch {
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
        let shown = key.isSecret ? "<secret>" : Printable.text(value)
        let isValid =
            switch key.kind {
            case .text: true
            case .integer(let range), .seconds(let range): Int(value).map(range.contains) ?? false
            case .oneOf(let values): values.contains(value)
            }
        guard isValid else {
            throw CommandError.configuration("'\(name)' is '\(shown)' (\(layer)): expected \(key.kind.expected)")
        }
    }
}
