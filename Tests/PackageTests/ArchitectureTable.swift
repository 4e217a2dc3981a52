import Foundation

/// The rows `| level | target | imports | … |` of the architecture page.
struct ArchitectureTable {
    let imports: [String: Set<String>]
    let levels: [String: Int]

    init(_ text: String) {
        var imports: [String: Set<String>] = [:]
        var levels: [String: Int] = [:]
        for line in text.split(separator: "\n") where line.hasPrefix("| L") {
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            guard cells.count >= 3 else { continue }
            levels[cells[1]] = Int(cells[0].dropFirst())
            guard cells[0] != "L0" else { continue }
            imports[cells[1]] = Set(
                cells[2].split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { $0 != "–" })
        }
        self.imports = imports
        self.levels = levels
    }
}
