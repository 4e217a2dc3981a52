extension TerminalScreen {
    struct JoinTable {
        private struct Entry {
            var base: UInt32
            var scalar: UInt32
            /// Bytes of the whole text of the cell in UTF-8.
            var size: UInt8
        }

        private static let maximumEntries = 32768
        /// The most that a tmux cell holds; it keeps a cell from growing without end.
        private static let maximumSize = 21

        private var entries: [Entry] = []
        /// Joins that were asked for since the last collection.
        private var asked = 0

        /// Whether entries must be collected before the next join. A full table is not collected again until so many
        /// joins were asked for that the cost of the pass is spread over them.
        func needsCollection(cells: Int) -> Bool {
            self.entries.count >= Self.maximumEntries && self.asked >= max(Self.maximumEntries / 2, cells)
        }

        /// The cell with `scalar` added, or nil if it takes no more.
        mutating func join(_ cell: UInt32, _ scalar: Unicode.Scalar) -> UInt32? {
            self.asked += 1
            let base = cell & ~Cell.wide
            let size = self.size(base) + UTF8.width(scalar)
            guard size <= Self.maximumSize, self.entries.count < Self.maximumEntries else { return nil }
            self.entries.append(Entry(base: base, scalar: scalar.value, size: UInt8(size)))
            return UInt32(self.entries.count - 1) | Cell.joined | (cell & Cell.wide)
        }

        /// Adds the text of a cell in UTF-8.
        func append(_ cell: UInt32, to text: inout [UInt8]) {
            var added: [UInt32] = []
            var rest = cell & ~Cell.wide
            while rest & Cell.joined != 0 {
                let entry = self.entries[Int(rest & Cell.index)]
                added.append(entry.scalar)
                rest = entry.base
            }
            Self.encode(rest, to: &text)
            for value in added.reversed() { Self.encode(value, to: &text) }
        }

        private static func encode(_ value: UInt32, to text: inout [UInt8]) {
            guard let scalar = Unicode.Scalar(value), let bytes = UTF8.encode(scalar) else { return }
            text.append(contentsOf: bytes)
        }

        /// Keeps only the entries that the cells of these grids use.
        mutating func collect(_ grid: inout Grid, _ saved: inout Grid?) {
            var isLive = Array(repeating: false, count: self.entries.count)
            for cell in grid.cells where cell & Cell.joined != 0 { isLive[Int(cell & Cell.index)] = true }
            if let saved {
                for cell in saved.cells where cell & Cell.joined != 0 { isLive[Int(cell & Cell.index)] = true }
            }
            // An entry only builds on earlier ones, so one pass from the end finds all that are needed.
            for index in isLive.indices.reversed() where isLive[index] {
                let base = self.entries[index].base
                if base & Cell.joined != 0 { isLive[Int(base & Cell.index)] = true }
            }
            var places = Array(repeating: UInt32(0), count: self.entries.count)
            func moved(_ cell: UInt32) -> UInt32 {
                guard cell & Cell.joined != 0 else { return cell }
                return (cell & ~Cell.index) | places[Int(cell & Cell.index)]
            }
            var live: [Entry] = []
            for index in isLive.indices where isLive[index] {
                var entry = self.entries[index]
                entry.base = moved(entry.base)
                places[index] = UInt32(live.count)
                live.append(entry)
            }
            self.entries = live
            self.asked = 0
            grid.replaceCells(moved)
            saved?.replaceCells(moved)
        }

        private func size(_ base: UInt32) -> Int {
            if base & Cell.joined != 0 { return Int(self.entries[Int(base & Cell.index)].size) }
            return Unicode.Scalar(base).map { UTF8.width($0) } ?? 1
        }
    }
}
