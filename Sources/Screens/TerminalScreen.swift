/// The visible screen of a terminal, rebuilt from the raw bytes that a program wrote to its pty.
///
/// Rules that look at the text a person would see need the lines of the screen, not the byte stream: a full-screen
/// program moves the cursor, rewrites lines and scrolls regions. This type keeps only what decides the text: cells,
/// cursor, margins, tab stops, character sets, the alternate screen and the title. Colours and attributes are parsed
/// and forgotten.
///
/// The bytes come from an untrusted program, so the model is total: every input has a defined result, memory is
/// bounded by the size of the screen plus a fixed amount, and the work is linear in the input (one sequence costs at
/// most one pass over the cells of the screen). How the bytes are cut into calls of `feed` makes no difference.
///
/// Where terminals disagree the model does what tmux does. Bytes that are not valid UTF-8 and scalars that have no
/// width (C1 controls, unassigned code points) are dropped, as tmux drops them. 8-bit C1 controls are not
/// interpreted.
package struct TerminalScreen: Sendable {
    var columns: Int
    var rows: Int

    var grid: Grid
    /// The main screen while the alternate one is shown.
    var saved: Grid?
    /// Where ?1049h was seen; kept after ?1049l because a second ?1049l returns there again.
    var alternateCursor: Position?
    var joins = JoinTable()

    /// `column` may equal `columns`: the last cell was written and the next character wraps.
    var column = 0
    var row = 0
    /// First and last row of the scroll region.
    var top = 0
    var bottom: Int
    var tabs: [Bool]

    var originMode = false
    var wrapMode = true
    var insertMode = false
    var charsets = Charsets()
    var kept = SavedCursor()
    /// A zero width joiner was seen: the next character that does not take the quick path belongs to the cell before
    /// the cursor. tmux does so for every character outside ASCII.
    var joinNext = false
    /// What REP repeats: the ASCII character printed directly before it, if any.
    var lastPrinted: UInt8?

    var state = State.ground
    var decoder = Decoder()
    var intermediates = Intermediates()
    var parameters = Parameters()
    var oscBytes: [UInt8] = []
    var oscOverflow = false

    /// The private modes that the program set.
    package internal(set) var modes = TerminalModes()

    /// Whether queries of the program are answered, for `takeAnswers`. A screen that is only looked at gives none.
    package var answersQueries = false
    var answers: [UInt8] = []

    /// The title that the program last set with OSC 0 or OSC 2: at most 256 characters, without control characters. A
    /// title that is not valid UTF-8 is ignored, as tmux ignores it.
    package internal(set) var title = ""

    /// Makes an empty screen. The size is clamped to 1...500 columns and 1...200 rows.
    package init(columns: Int, rows: Int) {
        self.columns = min(max(columns, 1), Self.maximumColumns)
        self.rows = min(max(rows, 1), Self.maximumRows)
        self.grid = Grid(columns: self.columns, rows: self.rows)
        self.bottom = self.rows - 1
        self.tabs = Self.defaultTabs(self.columns)
    }

    /// The text of every row from top to bottom, without the blanks at its end.
    package var lines: [String] {
        (0..<self.rows).map { self.grid.text(ofRow: $0, joins: self.joins) }
    }

    /// The cursor, counted from 0. A cursor that waits to wrap is reported on the last column.
    package var cursor: (row: Int, column: Int) {
        (self.row, min(self.column, self.columns - 1))
    }

    /// Whether the alternate screen (?47, ?1047, ?1049) is shown.
    package var isAlternate: Bool {
        self.saved != nil
    }

    /// Whether the bytes so far end inside an OSC, DCS, APC, PM, SOS or title string, so that what follows is
    /// swallowed.
    ///
    /// tmux gives up on such a string after five seconds. A caller that knows the time can do the same with
    /// `abandonString()`, so that a program cannot blind the model with a string it never ends.
    package var isInsideString: Bool {
        switch self.state {
        case .osc, .swallow, .dcsEnter, .dcsParameter, .dcsIntermediate, .dcsBody, .dcsEscape, .dcsIgnore:
            return true
        case .ground, .escape, .escapeIntermediate, .csiEnter, .csiParameter, .csiIntermediate, .csiIgnore:
            return false
        }
    }

    /// Forgets an unfinished string and returns to plain text, as tmux does five seconds after the string began.
    package mutating func abandonString() {
        guard self.isInsideString else { return }
        self.charsets = Charsets()
        self.kept.forget()
        self.lastPrinted = nil
        self.dropString()
        self.state = .ground
    }

    /// Changes the size, clamped as in `init`. Lines are cut or padded and never reflowed. When rows go, those below
    /// the cursor go first and then those at the top; new rows are blank and come at the bottom.
    package mutating func resize(columns: Int, rows: Int) {
        let newColumns = min(max(columns, 1), Self.maximumColumns)
        let newRows = min(max(rows, 1), Self.maximumRows)
        guard newColumns != self.columns || newRows != self.rows else { return }
        let needed = max(self.rows - newRows, 0)
        let dropped = max(needed - (self.rows - 1 - self.row), 0)
        self.grid.resize(columns: newColumns, rows: newRows, dropping: dropped)
        if self.saved != nil {
            let mainRow = self.alternateCursor?.row ?? self.row
            let mainDropped = max(needed - (self.rows - 1 - mainRow), 0)
            self.saved?.resize(columns: newColumns, rows: newRows, dropping: mainDropped)
            if let cursor = self.alternateCursor {
                self.alternateCursor = Position(row: cursor.row - mainDropped, column: cursor.column)
            }
        }
        if let cursor = self.alternateCursor {
            let row = min(max(cursor.row, 0), newRows - 1)
            self.alternateCursor = Position(row: row, column: min(cursor.column, newColumns - 1))
        }
        self.row = min(max(self.row - dropped, 0), newRows - 1)
        if newColumns != self.columns {
            self.column = min(self.column, newColumns - 1)
            self.tabs = Self.defaultTabs(newColumns)
        }
        if newRows != self.rows {
            self.top = 0
            self.bottom = newRows - 1
        }
        self.columns = newColumns
        self.rows = newRows
    }

    /// Takes the next bytes of the stream.
    package mutating func feed(_ bytes: [UInt8]) {
        self.consume(bytes.span)
    }

    /// Takes the next bytes of the stream.
    package mutating func feed(_ bytes: ArraySlice<UInt8>) {
        self.consume(bytes.span)
    }

    /// Takes the next bytes of the stream, from any collection. The bytes are copied in pieces so that the parser
    /// itself is compiled only once, for contiguous bytes.
    package mutating func feed(_ bytes: some Collection<UInt8>) {
        var piece: [UInt8] = []
        piece.reserveCapacity(Self.pieceSize)
        for byte in bytes {
            piece.append(byte)
            if piece.count == Self.pieceSize {
                self.consume(piece.span)
                piece.removeAll(keepingCapacity: true)
            }
        }
        self.consume(piece.span)
    }

    static let maximumColumns = 500
    static let maximumRows = 200
    static let pieceSize = 4096
    static let maximumTitle = 256
    /// Space for `maximumTitle` scalars of four bytes and the number of the command.
    static let maximumOSC = 2048

    static func defaultTabs(_ columns: Int) -> [Bool] {
        (0..<columns).map { $0 > 0 && $0.isMultiple(of: 8) }
    }
}
