package import Domain
package import Egress
internal import Sandboxing

/// One file under `Policies/egress/`: a list of entries that sandbox profiles name.
package struct EgressFile: Hashable, Sendable {
    package let name: DefinitionName
    package let summary: String
    /// The entries as they are written, for the egress server.
    package let entries: [JSONValue]
    /// The entries by themselves.
    package let rules: EgressRules

    init(_ reader: inout DefinitionReader) throws(PolicyError) {
        self.name = try reader.name()
        self.summary = try reader.string("summary")
        self.entries = try reader.list("entries")
        // A limit or a credential that is read and does nothing would be a false promise.
        for entry in self.entries {
            let id = Printable.text(entry["id"]?.string ?? "?")
            let listener = entry["door"]?.string
            for name in ["limits", "credential"] where entry[name] != nil && entry[name] != .null {
                guard name == "limits" || listener != "model" else { continue }
                throw reader.fail(
                    "entry '\(id)': '\(name)' is not supported here by the egress server of this version")
            }
            if let listener, ["git", "registry"].contains(listener) {
                throw reader.fail(
                    "entry '\(id)': the egress server of this version has no '\(listener)'; expected tunnel, http or model"
                )
            }
        }
        do throws(EgressError) {
            self.rules = try EgressRules(parsing: self.entries, file: reader.file)
        } catch {
            throw reader.fail(error.message)
        }
    }

    /// The names in a profile's field `egress`.
    static func names(_ reader: inout DefinitionReader) throws(PolicyError) -> [DefinitionName] {
        var names: [DefinitionName] = []
        for text in try reader.strings("egress", default: []) {
            do throws(DomainError) { names.append(try DefinitionName(text)) } catch { throw reader.fail(error.message) }
        }
        guard Set(names).count == names.count else { throw reader.fail("'egress' names a file twice") }
        return names
    }

    /// The rules of each profile that has egress. Throws when a profile names a file that is not there, or files whose entries
    /// contradict each other.
    static func rules(
        of profiles: some Collection<SandboxProfile>, in files: [DefinitionName: EgressFile]
    ) throws(PolicyError) -> [DefinitionName: EgressRules] {
        var rules: [DefinitionName: EgressRules] = [:]
        for profile in profiles where !profile.egress.isEmpty {
            let place = "sandbox/\(profile.name).json"
            var entries: [EgressEntry] = []
            for name in profile.egress {
                guard let file = files[name] else {
                    throw .inconsistent(
                        place, "'egress' names '\(name)', and there is no file egress/\(name).json")
                }
                entries += file.rules.entries
            }
            do throws(EgressError) {
                rules[profile.name] = try EgressRules(entries, file: place)
            } catch {
                throw .inconsistent(place, "'egress': \(error.message)")
            }
        }
        return rules
    }
}
