internal import CLinux
internal import Glibc
internal import Screens
internal import ShimProtocol

/// The program's terminal: what it writes is recorded and answered, what is sent to it is typed.
extension TerminalSession {
    /// After so many milliseconds a string of the terminal's language that never ends is given up, as tmux does.
    private static let stringTimeout: UInt64 = 5000

    mutating func readTerminal() {
        switch POSIX.read(self.descriptors.master) {
        case .bytes(let bytes): self.append(bytes)
        case .wouldBlock: break
        case .end: self.isTerminalOpen = false
        }
    }

    /// Takes output of the program.
    mutating func append(_ bytes: [UInt8]) {
        guard !self.recorder.isBroken else { return }
        let now = self.now()
        self.recorder.append(bytes, at: now)
        self.screen.feed(bytes)
        let answers = self.screen.takeAnswers()
        if !answers.isEmpty {
            self.answers.add(answers, to: POSIX.foregroundGroup(self.descriptors.master), at: now)
        }
        self.checkConsumption()
        self.send(self.ledger.output(bytes, at: self.recorder.length))
        // A program whose output cannot be recorded must not continue.
        if self.recorder.isBroken { return self.program.end(.logFailed) }
        if !self.spec.keepsNewestLog, self.recorder.length > self.spec.logQuota { self.program.end(.logQuota) }
    }

    /// Gives up a string that the program began and does not end, which would hide all that follows it.
    mutating func checkString(at now: UInt64) {
        guard self.screen.isInsideString else {
            self.stringSince = nil
            return
        }
        let since = self.stringSince ?? now
        self.stringSince = since
        if now - since > Self.stringTimeout {
            self.screen.abandonString()
            self.stringSince = nil
        }
    }

    /// Reads what there is of the terminal's output, once no process is left that could add to it.
    mutating func drain() {
        while self.isTerminalOpen {
            switch POSIX.read(self.descriptors.master) {
            case .bytes(let bytes): self.append(bytes)
            case .wouldBlock, .end: self.isTerminalOpen = false
            }
        }
    }

    // MARK: - Input

    /// Writes as much of the answers and messages as may be written now.
    mutating func writeInput() {
        while self.isTerminalOpen, !self.program.hasExited {
            if self.input.rest.isEmpty, !self.beginChunk() { return }
            guard let count = POSIX.write(self.descriptors.master, self.input.rest), count > 0 else { return }
            guard let written = self.input.wrote(count, at: self.now()) else { continue }
            switch written {
            case .prompt(let id):
                if let index = self.clients.firstIndex(where: { $0.role == .owner }) {
                    self.clients[index].send(.written(id: id))
                }
            case .message(let key):
                self.send([self.ledger.written(key, at: self.recorder.length)].compactMap { $0 })
            }
        }
    }

    /// Begins what is to be written next: an answer before a chunk of input. False when nothing may be written now.
    private mutating func beginChunk() -> Bool {
        guard self.input.hasChunk || !self.answers.isEmpty else { return false }
        let (now, master) = (self.now(), self.descriptors.master)
        let settings = TerminalSettings(of: master) ?? .initial
        if let answer = self.answers.take(settings, group: POSIX.foregroundGroup(master), at: now) {
            self.input.insert(answer: answer)
            return true
        }
        guard self.input.hasChunk else { return false }
        let isRead = settings.isLineMode || orc_pty_unread(master) == 0
        guard self.input.isReady(at: now, settings, isRead: isRead) else { return false }
        if case (.message(let key), let content)? = self.input.begin(self.screen.modes) {
            self.expectEcho(of: content, key: key, settings)
        }
        return true
    }

    /// In line mode the kernel echoes, where it does; a program that reads every byte may echo what it reads.
    private mutating func expectEcho(of content: InputQueue.Content, key: [UInt8], _ settings: TerminalSettings) {
        let isEchoed = settings.isEchoing || !settings.isLineMode
        switch content {
        case .bytes(let bytes), .text(let bytes): self.ledger.began(key, echo: isEchoed ? bytes : [])
        case .keys(let keys):
            let bytes = keys.flatMap { $0.bytes(isApplicationCursor: self.screen.modes.isApplicationCursor) }
            self.ledger.began(key, echo: isEchoed ? TerminalKey.echo(of: bytes) : [], isAnsweredBySequences: true)
        }
    }

    /// A program has read its input when the terminal holds none of it any more.
    mutating func checkConsumption() {
        guard self.ledger.isWaitingForReader, !self.program.hasExited, self.isTerminalOpen,
            orc_pty_unread(self.descriptors.master) == 0
        else { return }
        self.send(self.ledger.inputIsEmpty(at: self.recorder.length))
    }

    // MARK: - Size

    /// Gives the terminal another size; the reason when that cannot be done.
    mutating func resize(columns: UInt16, rows: UInt16) -> String? {
        if let problem = TerminalSizes.problem(columns: columns, rows: rows) { return problem }
        let result = orc_pty_resize(self.descriptors.master, columns, rows)
        guard result >= 0 else { return "the terminal cannot be resized: errno \(-result)" }
        self.screen.resize(columns: Int(columns), rows: Int(rows))
        self.sizes.add(TerminalSizes.Change(offset: self.recorder.length, columns: columns, rows: rows))
        // The size is only for those who read the log; the terminal has it.
        if !POSIX.replaceFile("\(self.directory)/\(ShimFiles.sizes)", with: self.sizes.encoded, isSynced: false) {
            report("the terminal's size cannot be recorded: errno \(errno)")
        }
        for index in self.clients.indices where self.clients[index].role != .stranger {
            self.clients[index].send(.resized(columns: columns, rows: rows))
        }
        return nil
    }
}
